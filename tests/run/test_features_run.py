"""Runs of features: the same trees of bytes whatever workers, shards and kills, in bounded memory, checked again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from run_kit import records, tree

torch = pytest.importorskip("torch")

from anosynth.datasets.layout import find_layout  # noqa: E402
from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.features import Features, Gaussian, Hypersphere, LocalGaussian, PerlinMasked  # noqa: E402
from anosynth.io.tensors import read_state, read_tensor, write_state, write_tensor  # noqa: E402
from anosynth.recipe import Recipe, Vary  # noqa: E402
from anosynth.run import Plan, replay, run, verify  # noqa: E402
from anosynth.run.reading import FeatureReading, Reading  # noqa: E402
from anosynth.seeding import stream  # noqa: E402
from anosynth_cli import main as command  # noqa: E402

CHANNELS, GRID = 8, (5, 4)


def normals(count: int, seed: int = 0, dtype: str = "f4") -> np.ndarray:
    """(N, C, H, W): cells of means that differ, and spread around them."""
    means = np.random.default_rng(99).normal(size=(1, CHANNELS, *GRID)) * 3
    return (means + np.random.default_rng(seed).normal(size=(count, CHANNELS, *GRID))).astype(dtype)


def plan(root: Path, *parts, count: int = 1, shard=(1, 1), form: str = "", **how) -> Plan:
    recipe = Recipe([Vary(part) if isinstance(part, type) else part for part in parts or (Hypersphere,)], name="mix")
    reading = Reading(features=FeatureReading(**how))
    return Plan(root, find_layout("features"), recipe, count=count, reading=reading, shard=shard, sample_format=form)


def lines(out: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (out / "samples" / name).read_text().splitlines()]


def states(findings) -> list[str]:
    return [finding.state for finding in findings]


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.npy", "b.npy", "sub/c.npy"]):
        np.save(folder / name, normals(4 + number, number))
    return folder


# What is made.


def test_of_each_file_come_features_masks_labels_and_a_line_a_sample(home, tmp_path):
    out = tmp_path / "out"
    summary = run(plan(home, Hypersphere, count=2), out)
    assert (summary.made, summary.skipped) == (6, 0)
    before = np.load(home / "sub/c.npy")
    for variant in (0, 1):
        after = np.load(out / f"anomalous/sub/c_00{variant}.npy")
        masks = np.load(out / f"masks/sub/c_00{variant}.npy")
        assert (after.shape, after.dtype, masks.dtype) == (before.shape, before.dtype, bool)
        assert np.array_equal(masks, (after != before).any(axis=1))
        assert np.array_equal(np.load(out / f"labels/sub/c_00{variant}.npy"), masks.any(axis=(1, 2)))
        rows = lines(out, f"sub/c_00{variant}.jsonl")
        assert [row["mask"]["count"] for row in rows] == masks.sum(axis=(1, 2)).tolist()
        # Each sample has a draw of its own.
        assert len({row["generator"]["k"] for row in rows}) == len(before)
    record = records(out)[1]
    assert record["mask"]["count"] == int(np.load(out / "masks/a_000.npy").sum())
    assert record["stats"]["samples"] == 4


def test_a_sample_is_what_python_makes_of_its_line(home, tmp_path):
    """The line of the file names stream and mix; with the fitted state and the sample they suffice."""
    out = tmp_path / "out"
    run(plan(home, Hypersphere), out)
    record = next(row for row in records(out)[1:] if row["source"]["path"] == "b.npy")
    values = torch.from_numpy(np.concatenate([np.load(home / name) for name in ("a.npy", "b.npy", "sub/c.npy")]))
    module = Hypersphere().module().fit(values.split(8))
    drawn = lines(out, "b_000.jsonl")
    after = np.load(out / "anomalous/b_000.npy")
    root = stream(0, record["generator"]["generator"], "b.npy", 0)
    assert record["stream"] == f"{root.key:032x}"
    for i, sample in enumerate(np.load(home / "b.npy")):
        generator = Hypersphere(k=drawn[i]["generator"]["k"])
        wanted = generator(Features(sample, module), root.child("sample", i).child("anomaly"))
        assert np.array_equal(after[i], wanted.sample.values)


@pytest.mark.parametrize("part", [Hypersphere, LocalGaussian])
def test_fit_of_a_file_is_the_fit_in_python(home, tmp_path, part):
    values = normals(19, 7)
    np.save(tmp_path / "normal.npy", values)
    run(plan(home, part, fit=str(tmp_path / "normal.npy")), tmp_path / "out")
    wanted = part().module().fit(torch.from_numpy(values).split(8)).state_dict()
    found, _ = read_state(tmp_path / "out/_fit/fitted.safetensors")
    assert sorted(found) == sorted(f"0.{part.name}.{name}" for name in wanted)
    for name, tensor in wanted.items():
        assert np.array_equal(found[f"0.{part.name}.{name}"], tensor.numpy())


def test_what_was_fitted_is_used_again_and_so_is_a_state_dict(home, tmp_path):
    np.save(tmp_path / "normal.npy", normals(9, 7))
    run(plan(home, fit=str(tmp_path / "normal.npy")), tmp_path / "one")
    fitted = tmp_path / "one/_fit/fitted.safetensors"
    run(plan(home, fitted=str(fitted)), tmp_path / "two")
    module = Hypersphere().module().fit(torch.from_numpy(np.load(tmp_path / "normal.npy")).split(8))
    write_state(tmp_path / "own.safetensors", {n: v.numpy() for n, v in module.state_dict().items()}, {})
    run(plan(home, fitted=str(tmp_path / "own.safetensors")), tmp_path / "three")
    one, two, three = (tree(tmp_path / name / "anomalous") for name in ("one", "two", "three"))
    assert one == two == three


def test_each_sample_of_a_mix_draws_its_generator(home, tmp_path):
    out = tmp_path / "out"
    np.save(home / "many.npy", normals(40, 5))
    run(plan(home, (1, Vary(Hypersphere)), (3, Vary(Gaussian, std=0.5))), out)
    names = [row["generator"]["generator"] for row in lines(out, "many_000.jsonl")]
    assert 3 <= names.count("hypersphere") <= 20
    assert names.count("gaussian") == 40 - names.count("hypersphere")
    assert states(verify(out)) == states(replay(out)) == ["ok"] * 4


def test_a_sample_that_cannot_be_made_stays_normal(tmp_path):
    values = np.zeros((3, CHANNELS, *GRID), "f4")
    values[1] = normals(1)[0]
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in/x.npy", values)
    out = tmp_path / "out"
    # Noise in proportion to the norm leaves zeros as they are.
    run(plan(tmp_path / "in", Vary(Gaussian, std=0.5, relative="norm")), out)
    after = np.load(out / "anomalous/x_000.npy")
    assert np.load(out / "labels/x_000.npy").tolist() == [False, True, False]
    assert np.array_equal(after[[0, 2]], values[[0, 2]])
    assert not np.load(out / "masks/x_000.npy")[[0, 2]].any()
    assert [row["status"] for row in lines(out, "x_000.jsonl")] == ["skipped", "made", "skipped"]
    assert "no cell changed" in records(out)[1]["stats"]["reason"]
    assert states(verify(out)) == states(replay(out)) == ["ok"]


# The same bytes.


@pytest.mark.slow
def test_workers_and_shards_do_not_change_a_byte(home, tmp_path):
    run(plan(home, count=2), tmp_path / "one")
    run(plan(home, count=2), tmp_path / "two", workers=2)
    wanted = tree(tmp_path / "one")
    assert tree(tmp_path / "two") == wanted
    for index in (2, 1):
        run(plan(home, count=2, shard=(index, 2)), tmp_path / "three")
    sharded = tree(tmp_path / "three")
    assert {n: d for n, d in sharded.items() if "manifest" not in n} == {
        n: d for n, d in wanted.items() if "manifest" not in n
    }
    assert states(verify(tmp_path / "three")) == ["ok"] * 6


def test_the_report_shows_cells_of_this_data_set_alone(home, tmp_path):
    from anosynth.run._shown import section
    from anosynth.run.manifest import line

    run(plan(home), tmp_path / "out")
    header, *rows = records(tmp_path / "out")
    shown = section(tmp_path / "out", header)
    assert "<svg" in shown
    (tmp_path / "else").mkdir()
    np.save(tmp_path / "else" / "a.npy", normals(4))
    rows[0]["source"]["path"] = "../else/a.npy"
    (tmp_path / "out" / "manifest.jsonl").write_bytes(b"".join(map(line, [header, *rows])))
    assert section(tmp_path / "out", header) == ""


def test_resuming_keeps_what_is_whole_and_learns_nothing_again(home, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(plan(home), out)
    wanted = tree(out)
    (out / "anomalous/b_000.npy").unlink()
    (out / "masks/a_000.npy").write_bytes(b"")
    monkeypatch.setattr("anosynth.run._fitting._fit", lambda *a, **k: pytest.fail("learned again"))
    assert run(plan(home), out).kept == 1
    assert tree(out) == wanted


def test_a_shard_leaves_what_was_learned_to_the_others(home, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for index in (1, 2):
        run(plan(home, shard=(index, 2)), out)
    wanted = tree(out)
    monkeypatch.setattr("anosynth.run._fitting._fit", lambda *a, **k: pytest.fail("it was gone for a time"))
    assert run(plan(home, shard=(2, 2)), out, overwrite=True).kept == 0
    assert tree(out) == wanted
    monkeypatch.undo()
    run(plan(home, Gaussian), out, overwrite=True)
    run(plan(home, Gaussian), tmp_path / "fresh")
    assert tree(out) == tree(tmp_path / "fresh")


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        np.save(folder / f"f{number}.npy", normals(60, number))
    monkeypatch.chdir(tmp_path)
    line = ["features", "in", "--no-report"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert command.run([*line, "whole"]) == 0
    process = [sys.executable, "-m", "anosynth_cli", *line, "out"]
    child = subprocess.Popen(process, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end and not list(tmp_path.glob("out/anomalous/[!.]*")):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "out/manifest.jsonl").exists()
    assert command.run([*line, "out"]) == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_overwriting_leaves_nothing_of_the_run_before(home, tmp_path):
    out = tmp_path / "out"
    run(plan(home, count=2), out)
    run(plan(home, Vary(Gaussian, std=0.5)), out, overwrite=True)
    run(plan(home, Vary(Gaussian, std=0.5)), tmp_path / "fresh")
    assert tree(out) == tree(tmp_path / "fresh")
    assert not (out / "_fit").exists()


def test_other_normals_do_not_touch_what_was_learned_for_samples_that_are_here(home, tmp_path):
    out = tmp_path / "out"
    run(plan(home), out)
    wanted = tree(out)
    np.save(tmp_path / "normal.npy", normals(9, 7))
    with pytest.raises(DataError, match="learned from other normal features\nhint: choose another OUT"):
        run(plan(home, fit=str(tmp_path / "normal.npy")), out)
    assert tree(out) == wanted
    # A source is one of the normals: it may not change under the others either.
    np.save(home / "b.npy", normals(5, 8))
    with pytest.raises(DataError, match="learned from other normal features"):
        run(plan(home), out)
    assert tree(out) == wanted
    assert run(plan(home), out, overwrite=True).made == 3


# Formats.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors"])
def test_every_format_gives_back_what_it_was_given(tmp_path, kind, dtype):
    words = normals(3, dtype="f4")
    values = (words.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else words.astype(dtype)
    path = tmp_path / f"x.{kind}"
    if dtype == "bfloat16" and kind in ("npy", "npz"):
        with pytest.raises(ParameterError, match="cannot hold bfloat16"), write_tensor(path, dtype, values.shape, kind):
            pass
        assert not list(tmp_path.iterdir())
        return
    with write_tensor(path, dtype, values.shape, kind) as append:
        for sample in values:
            append(sample)
    stored = read_tensor(path)
    assert (stored.dtype, stored.shape) == (dtype, values.shape)
    assert np.array_equal(stored.values, values)
    # By the readers that others use.
    if kind == "pt":
        held = torch.load(path, weights_only=True)
        assert str(held.dtype) == f"torch.{dtype}"
        assert np.array_equal(
            (held.view(torch.int16) if dtype == "bfloat16" else held).numpy().view(values.dtype), values
        )
    elif kind == "npz":
        with np.load(path) as archive:
            assert np.array_equal(archive["features"], values)
    elif kind == "npy":
        assert np.array_equal(np.load(path, mmap_mode="r"), values)
    again = tmp_path / f"again.{kind}"
    with write_tensor(again, dtype, values.shape, kind) as append:
        append(values)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors"])
def test_the_format_does_not_change_the_features(home, tmp_path, kind):
    for name, form in (("plain", ""), (kind, kind)):
        run(plan(home, form=form), tmp_path / name)
    plain, other = tmp_path / "plain/anomalous/a_000.npy", tmp_path / kind / f"anomalous/a_000.{kind}"
    assert np.array_equal(np.load(plain), read_tensor(other).values)
    assert states(verify(tmp_path / kind)) == states(replay(tmp_path / kind)) == ["ok"] * 3


LAYOUTS = {
    "(N, H, W, C)": (lambda x: np.moveaxis(x, 1, -1), {"channel_dim": -1}, lambda m: m),
    "(C, H, W)": (lambda x: x[0], {}, lambda m: m[0]),
    "(N, P, C)": (lambda x: np.moveaxis(x.reshape(len(x), CHANNELS, -1), 1, 2), {"channel_dim": 2},
                  lambda m: m.reshape(len(m), -1)),
    "(N, C, P)": (lambda x: x.reshape(len(x), CHANNELS, -1), {"channel_dim": 1}, lambda m: m.reshape(len(m), -1)),
    "(N H W, C)": (lambda x: np.moveaxis(x, 1, -1).reshape(-1, CHANNELS), {"grid": GRID}, lambda m: m.reshape(-1)),
    "big-endian": (lambda x: x.astype(">f4"), {}, lambda m: m),
    "columns first": (np.asfortranarray, {}, lambda m: m),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_does_not_change_what_is_made(tmp_path, name):
    into, how, of_mask = LAYOUTS[name]
    values = normals(1 if name == "(C, H, W)" else 4)
    normal = normals(1 if name == "(C, H, W)" else 9, seed=7)
    made = {}
    for folder, x, y, given in (("plain", values, normal, {}), ("other", into(values), into(normal), how)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", x)
        np.save(tmp_path / f"{folder}.npy", y)
        mix = Vary(PerlinMasked, inner="hypersphere")
        if name in ("(N, P, C)", "(N, C, P)") and folder == "other":
            given = {**given, "grid": GRID}
        run(plan(tmp_path / folder, mix, fit=str(tmp_path / f"{folder}.npy"), **given), tmp_path / f"out-{folder}")
        made[folder] = (
            np.load(tmp_path / f"out-{folder}/anomalous/x_000.npy"),
            np.load(tmp_path / f"out-{folder}/masks/x_000.npy"),
        )
        assert states(verify(tmp_path / f"out-{folder}")) == states(replay(tmp_path / f"out-{folder}")) == ["ok"]
    assert np.array_equal(into(made["plain"][0]), made["other"][0])
    assert np.array_equal(of_mask(made["plain"][1]), made["other"][1])
    assert 0 < made["plain"][1].mean() < 1


def test_embeddings_are_samples_of_one_cell(tmp_path):
    (tmp_path / "in").mkdir()
    values = normals(3)[:, :, 0, 0]
    np.save(tmp_path / "in/x.npy", values)
    run(plan(tmp_path / "in"), tmp_path / "out")
    after = np.load(tmp_path / "out/anomalous/x_000.npy")
    assert np.load(tmp_path / "out/labels/x_000.npy").tolist() == [True] * 3
    centre = read_state(tmp_path / "out/_fit/fitted.safetensors")[0]["0.hypersphere.centres"]
    assert np.allclose(centre, values.mean(axis=0), atol=1e-6)
    shift = after - values
    cosine = (shift * (values - centre)).sum(axis=1)
    cosine /= np.linalg.norm(shift, axis=1) * np.linalg.norm(values - centre, axis=1)
    assert cosine == pytest.approx(1, abs=1e-4)


# More than memory.


@pytest.mark.slow
def test_a_file_larger_than_the_memory_is_made_within_it(tmp_path):
    """Of 80 MB in, and as much out, the process may add 48 MB to what it has when all is imported."""
    (tmp_path / "in").mkdir()
    with write_tensor(tmp_path / "in/big.npy", "float32", (160, 128, 32, 32)) as append:
        draw = np.random.default_rng(0)
        block = draw.normal(size=(8, 128, 32, 32)).astype("f4")
        for number in range(20):
            append(block + np.float32(number / 20))
    program = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from anosynth.datasets.layout import find_layout
from anosynth.features import Features, Hypersphere
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, run, verify
from anosynth.run.reading import FeatureReading, Reading
import anosynth.run.of_features
x = torch.zeros(8, 128, 32, 32)
module = Hypersphere().module().fit([x])
Hypersphere()(Features(x[0].numpy() + 1, module), 0)
held = int(next(l for l in open('/proc/self/status') if l.startswith('VmData')).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + 48_000_000,) * 2)
reading = Reading(features=FeatureReading())
plan = Plan(Path('in'), find_layout('features'), Recipe([Vary(Hypersphere)]), reading=reading)
summary = run(plan, Path('out'))
assert (summary.made, summary.skipped) == (1, 0), summary
assert [f.state for f in verify(Path('out'))] == ['ok']
try:
    bytearray(70_000_000)
except MemoryError:
    print('bounded')
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "bounded\n"), done.stderr
    assert np.load(tmp_path / "out/anomalous/big_000.npy", mmap_mode="r").shape == (160, 128, 32, 32)


# Checked again.


@pytest.mark.parametrize("what", ["mask too small", "mask too large", "label", "features"])
def test_verify_finds_what_is_not_true(home, tmp_path, what):
    out = tmp_path / "out"
    run(plan(home, Vary(PerlinMasked, inner="gaussian std=0.5")), out)
    assert states(verify(out)) == ["ok"] * 3
    folder = {"mask too small": "masks", "mask too large": "masks", "label": "labels", "features": "anomalous"}[what]
    path = out / folder / "a_000.npy"
    values = np.load(path)
    rows = records(out)
    if what == "mask too small":
        values[tuple(np.argwhere(values)[0])] = False
        rows[1]["mask"]["count"] -= 1
    elif what == "mask too large":
        values[tuple(np.argwhere(~values)[0])] = True
        rows[1]["mask"]["count"] += 1
    elif what == "label":
        values[0] = ~values[0]
    else:
        sample, row, column = np.argwhere(~np.load(out / "masks/a_000.npy"))[0]
        values[sample, 0, row, column] += 1
    np.save(path, values)
    assert states(verify(out)) == ["bad", "ok", "ok"]
    # The same with the hash of the wrong file in the manifest: the labels themselves are looked at.
    from anosynth.run.execute import file_sha256

    for output in rows[1]["outputs"]:
        output["sha256"] = file_sha256(out / output["path"])
    (out / "manifest.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    found = list(verify(out))
    assert states(found) == ["bad", "ok", "ok"]
    assert any(word in found[0].text for word in ("leak", "labelled"))
    assert states(replay(out)) == ["bad", "ok", "ok"]


def test_a_changed_fit_is_noticed(home, tmp_path):
    out = tmp_path / "out"
    run(plan(home), out)
    tensors, texts = read_state(out / "_fit/fitted.safetensors")
    tensors["0.hypersphere.centres"] += 1
    write_state(out / "_fit/fitted.safetensors", tensors, texts)
    for check in (verify, replay):
        with pytest.raises(DataError, match="does not hold what it held when the data set was made"):
            list(check(out))


def test_out_may_move_with_its_input(home, tmp_path):
    run(plan(home), tmp_path / "out")
    (tmp_path / "there").mkdir()
    for name in ("in", "out"):
        (tmp_path / name).rename(tmp_path / "there" / name)
    assert states(verify(tmp_path / "there/out")) == states(replay(tmp_path / "there/out")) == ["ok"] * 3


# Bad files.


def test_bad_files_are_skipped_by_name_and_leave_nothing(home, tmp_path):
    values = normals(4)
    values[2, 3, 1, 1] = np.nan
    np.save(home / "nan.npy", values)
    np.save(home / "whole-numbers.npy", np.arange(24).reshape(1, 2, 3, 4))
    np.save(home / "wide.npy", np.ones((2, CHANNELS + 1, *GRID), "f4"))
    out = tmp_path / "out"
    summary = run(plan(home), out)
    assert (summary.made, summary.skipped) == (3, 3)
    assert summary.problems[0].startswith("nan.npy: sample 2, at (3, 1, 1) of (8, 5, 4): nan: expected finite values")
    assert summary.problems[1] == "whole-numbers.npy: array: int64: expected float16, float32 or float64"
    assert summary.problems[2] == "wide.npy: features: 9 channels: `hypersphere` was fitted on 8"
    assert sorted(path.name for path in (out / "anomalous").rglob("*.npy")) == ["a_000.npy", "b_000.npy", "c_000.npy"]
    assert sorted(path.name for path in (out / "masks").rglob("*")) == ["a_000.npy", "b_000.npy", "c_000.npy", "sub"]


def test_two_files_of_one_stem_are_not_mixed_up(home, tmp_path):
    torch.save(torch.from_numpy(normals(2)), home / "a.pt")
    summary = run(plan(home), tmp_path / "out")
    assert (summary.made, summary.skipped) == (3, 1)
    assert "differs from a.npy in the suffix alone" in summary.problems[0]


def test_normals_of_another_size_are_one_clear_line(home, tmp_path):
    np.save(tmp_path / "normal.npy", np.ones((4, 3, 2, 2), "f4"))
    summary = run(plan(home, fit=str(tmp_path / "normal.npy")), tmp_path / "out")
    assert summary.made == 0
    assert summary.problems[0] == "a.npy: features: 8 channels: `hypersphere` was fitted on 3"
