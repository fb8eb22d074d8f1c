"""`anosynth features`: files and photos in, labelled features out; bad input is one line, and leaves nothing behind."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from anosynth.features import Features, Gaussian  # noqa: E402
from anosynth.features.backbone import Patches  # noqa: E402
from anosynth.images import Image  # noqa: E402
from anosynth.io.images import read_image, write_image  # noqa: E402
from anosynth.io.tensors import read_tensor, write_tensor  # noqa: E402
from anosynth.toy.images import toy_image  # noqa: E402
from anosynth_cli.main import run  # noqa: E402


def normals(count: int = 6, seed: int = 0, dtype: str = "f4") -> np.ndarray:
    means = np.random.default_rng(99).normal(size=(1, 8, 5, 4)) * 3
    return (means + np.random.default_rng(seed).normal(size=(count, 8, 5, 4))).astype(dtype)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A working folder with `train.npy` and three photos in `good`."""
    monkeypatch.chdir(tmp_path)
    np.save("train.npy", normals())
    (tmp_path / "good").mkdir()
    for number in range(3):
        write_image(tmp_path / "good" / f"{number}.png", Image(toy_image("fabric", number, size=48)[0]))
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run a line; return its exit code, its stdout and its stderr."""

    def calling(line: str) -> tuple[int, str, str]:
        code = run(shlex.split(line))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "internal error" not in err
        return code, out, err

    return calling


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


MADE = ["anomalous/train_000.npy", "labels/train_000.npy", "manifest.jsonl", "masks/train_000.npy", "report.html"]


# What is made.


def test_the_first_line_that_anybody_types(home, call):
    code, out, err = call("features train.npy out/")
    assert code == 0
    assert out == "out: 1 file of features\nreport: out/report.html\n"
    assert err == (
        "hypersphere: learns from the inputs, 1 file (--fit names others)\n"
        "anomalous/train_000.npy: 6 samples of 8 channels on 5 x 4 cells, float32\n"
    )
    assert files(home / "out") == ["_fit/fitted.safetensors", *MADE, "samples/train_000.jsonl"]
    before, after = np.load("train.npy"), np.load("out/anomalous/train_000.npy")
    assert np.array_equal(np.load("out/masks/train_000.npy"), (before != after).any(axis=1))
    for line in ("verify out", "replay out"):
        assert call(line)[:2] == (0, "1 ok, 0 bad\n")


def test_a_generator_that_learns_nothing_leaves_no_fit(home, call):
    code, _, err = call("features --generator gaussian --std 0.5 train.npy out/")
    assert code == 0
    assert "learns" not in err
    assert files(home / "out") == [*MADE, "samples/train_000.jsonl"]
    shift = np.load("out/anomalous/train_000.npy") - np.load("train.npy")
    assert shift.std() == pytest.approx(0.5, rel=0.1)


def test_parameters_ranges_and_seeds_are_as_for_other_families(home, call):
    call("features -g hypersphere --k 0.2:0.3 --seed 3 --count 2 train.npy out/ --no-report")
    rows = [json.loads(line) for line in (home / "out/samples/train_001.jsonl").read_text().splitlines()]
    drawn = [row["generator"]["k"] for row in rows]
    assert all(0.2 <= k <= 0.3 for k in drawn)
    assert len(set(drawn)) == 6
    call("features -g hypersphere --k 0.2:0.3 --seed 4 --count 2 train.npy other/ --no-report")
    one, other = (np.load(f"{name}/anomalous/train_000.npy") for name in ("out", "other"))
    assert not np.array_equal(one, other)


def test_a_recipe_of_features(home, call):
    (home / "mix.yaml").write_text(
        "family: features\ngenerators:\n  - {generator: jitter, scale: 5}\n  - {generator: patch-shuffle, weight: 2}\n"
    )
    assert call("features --recipe mix.yaml train.npy out/")[0] == 0
    rows = [json.loads(line) for line in (home / "out/samples/train_000.jsonl").read_text().splitlines()]
    assert {row["generator"]["generator"] for row in rows} <= {"jitter", "patch-shuffle"}
    assert call("replay out")[:2] == (0, "1 ok, 0 bad\n")
    code, _, err = call("features --recipe photo-defects train.npy out2/")
    assert (code, err) == (2, "error: recipe `photo-defects`: makes images, this command makes features\n")


def test_json_and_dry_run(home, call):
    code, out, _ = call("features train.npy out/ --dry-run --json")
    assert code == 0
    row, total = map(json.loads, out.splitlines())
    assert (total["kind"], total["made"], total["bytes"]) == ("total", 1, None)
    assert (row["id"], row["generator"]["generator"]) == ("anomalous/train_000.npy", "hypersphere")
    assert not (home / "out").exists()
    code, out, _ = call("features train.npy out/ --json")
    assert json.loads(out)["made"] == 1


def test_tensors_of_many_kinds_and_keys(home, call):
    named = {"layer2": normals(), "layer3": normals(3, 1), "labels": np.zeros(6, np.int64)}
    np.savez_compressed("set.npz", **named)
    torch.save({name: torch.from_numpy(values) for name, values in named.items()}, "set.pt")
    for name in ("set.npz", "set.pt"):
        code, _, err = call(f"features {name} no-{name} --no-report -g gaussian")
        assert code == 1
        assert re.search(r"set\.\w+: .*2 tensors of floats \(layer2, layer3, labels\): expected one", err)
        assert call(f"features {name} out-{name} --no-report --key layer3 -g gaussian")[0] == 0
        suffix = name.partition(".")[2]
        assert read_tensor(home / f"out-{name}/anomalous/set_000.{suffix}").shape == (3, 8, 5, 4)


@pytest.mark.parametrize(("form", "code"), [("safetensors", 0), ("pt", 0), ("npy", 1)])
def test_bfloat16_is_kept_where_the_format_can(home, call, form, code):
    torch.save(torch.from_numpy(normals()).bfloat16(), "b.pt")
    found, _, err = call(f"features b.pt out --no-report -g gaussian --std 0.5 --format {form}")
    assert found == code
    if code:
        assert "npy: cannot hold bfloat16" in err
        assert files(home / "out") == ["manifest.jsonl"]
    else:
        assert read_tensor(home / f"out/anomalous/b_000.{form}").dtype == "bfloat16"
        assert call("verify out")[:2] == (0, "1 ok, 0 bad\n")


# Photos.


def test_photos_by_way_of_a_backbone(home, call):
    line = "features good out --backbone filters --dim 20 -g gaussian --std 0.1 --no-report"
    code, out, _ = call(line)
    assert (code, out) == (0, "out: 3 files of features\n")
    net = Patches("filters", target_dim=20)
    photo = read_image(home / "good/1.png").pixels
    image = torch.from_numpy(np.moveaxis(photo, 2, 0).copy() if photo.ndim == 3 else photo[None])[None]
    wanted = net(image)[0].numpy()
    assert np.allclose(np.load("out/normal/1_000.npy"), wanted, atol=1e-5)
    before, after = np.load("out/normal/1_000.npy"), np.load("out/anomalous/1_000.npy")
    assert np.array_equal(np.load("out/masks/1_000.npy"), (before != after).any(axis=0))
    assert call("verify out")[:2] == call("replay out")[:2] == (0, "3 ok, 0 bad\n")
    assert call(line)[1] == "out: 3 files of features, 3 of them from an earlier run\n"


def test_photos_of_a_data_set(home, call):
    assert call("toy mvtec toy")[0] == 0
    line = "features --dataset mvtec --root toy out --backbone filters --dim 8 --size 32 --no-report"
    code, _, _ = call(f"{line} --category fabric")
    assert code == 0
    made = files(home / "out/anomalous")
    assert made
    assert all(re.fullmatch(r"fabric/train/good/\d+_000\.npy", name) for name in made)
    assert np.load(home / "out/anomalous" / made[0]).shape[0] == 8
    assert call(f"{line}2 --category nothing")[0] == 2


# The report.


def test_the_report_tells_too_easy_from_too_subtle(home, call):
    np.save("many.npy", normals(60))
    said = {}
    for name, std in (("subtle", 0.01), ("easy", 30.0)):
        assert call(f"features -g gaussian --std {std} many.npy {name}")[0] == 0
        page = (home / name / "report.html").read_text()
        said[name] = re.findall(r"(?:Subtle|Easy|Neither)[^<]*", page)[0].split(":")[0]
        assert page.count('data-status="made"') == 60
        assert "Plane of largest variance of the normals" in page
        assert "many_000.npy[59]" in page
        assert "http://" not in page.replace("http://www.w3.org", "")
    assert said == {"subtle": "Subtle", "easy": "Easy"}


def test_the_numbers_of_the_report_are_right():
    from anosynth.report.features import apart, larger_share

    draw = np.random.default_rng(0)
    one, other = draw.normal(size=200).round(1), draw.normal(size=150).round(1) + 0.5
    pairs = np.sign(other[:, None] - one[None, :])
    assert larger_share(one, other) == pytest.approx((pairs + 1).mean() / 2)
    normal = draw.normal(size=(400, 3))
    page = apart(normal, normal * 100, np.zeros((1, 3)))
    assert re.findall(r"larger in (\d+) of 100", page) == ["100", "100", "100"]
    still = apart(normal, normal)
    assert re.findall(r"larger in (\d+) of 100", still) == ["50", "50", "50"]


# Bad input.


def _bomb(path: Path) -> None:
    """A deflated member that claims to be 40 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("features.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10_000_000_000,)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(1000))
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.find(mark) + place
        data[at : at + 4] = (4_000_000_000).to_bytes(4, "little")
    path.write_bytes(bytes(data))


def _safetensors(path: Path, header: dict | bytes, body: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)


def _tensor(**more) -> dict:
    return {"features": {"dtype": "F32", "shape": [2, 8, 5, 4], "data_offsets": [0, 1280], **more}}


class Harmful:
    def __reduce__(self):
        return (Path.write_text, (Path("harmed"), "x"))


def _with_nan(path: Path) -> None:
    values = normals()
    values[4, 2, 1, 3] = np.inf
    np.save(path, values)


def _huge_npy(path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1 << 20, 8, 8)}
        np.lib.format.write_array_header_1_0(file, header)


BAD = {
    "whole numbers": ("x.npy", lambda p: np.save(p, np.ones((2, 2, 2, 2), int)), "int64: expected float16"),
    "not finite": ("x.npy", _with_nan, r"sample 4, at \(2, 1, 3\) of \(8, 5, 4\): inf: expected finite values"),
    "objects": ("x.npy", lambda p: np.save(p, np.array([Harmful()], object)), "holds Python objects"),
    "objects in npz": ("x.npz", lambda p: np.savez(p, features=np.array([Harmful()], object)), "Python objects"),
    "empty": ("x.npy", lambda p: np.save(p, np.zeros((0, 8, 5, 4), "f4")), "none of them 0"),
    "five dimensions": ("x.npy", lambda p: np.save(p, np.zeros((1, 2, 3, 4, 5), "f4")), r"expected \(N, C, H, W\)"),
    "a number": ("x.npy", lambda p: np.save(p, np.float32(1)), r"expected \(N, C, H, W\)"),
    "cut off": ("x.npy", lambda p: (np.save(p, normals()), p.write_bytes(p.read_bytes()[:-1])), "fewer bytes"),
    "too long": ("x.npy", lambda p: (np.save(p, normals()), p.write_bytes(p.read_bytes() + b"x")), "more bytes"),
    "header bomb": ("x.npy", _huge_npy, "fewer bytes than its header says"),
    "no npy": ("x.npy", lambda p: p.write_bytes(b"hello"), "its header cannot be read"),
    "no bytes": ("x.npy", lambda p: p.write_bytes(b""), "its header cannot be read"),
    "no zip": ("x.npz", lambda p: p.write_bytes(b"hello"), "npz: damaged"),
    "zip bomb": ("x.npz", _bomb, "damaged"),
    "pickle": ("x.pt", lambda p: torch.save(Harmful(), p), "loading that could run code"),
    "bare pickle": ("x.pt", lambda p: p.write_bytes(pickle.dumps(Harmful())), "could run code"),
    "text for pt": ("x.pt", lambda p: p.write_bytes(b"hello"), "no file of tensors"),
    "pt cut off": ("x.pt", lambda p: (torch.save(torch.ones(9, 9), p), p.write_bytes(p.read_bytes()[:-300])), "x.pt"),
    "pt of a list": ("x.pt", lambda p: torch.save([1, 2], p), "list: expected a tensor"),
    "sparse": ("x.pt", lambda p: torch.save(torch.eye(4).to_sparse(), p), "expected a dense tensor"),
    "no header": ("x.safetensors", lambda p: p.write_bytes(b"123"), "header is longer than the file"),
    "long header": ("x.safetensors", lambda p: _safetensors(p, {}, length=1 << 62), "header is longer than the file"),
    "no json": ("x.safetensors", lambda p: _safetensors(p, b"{hello}"), "no JSON"),
    "deep json": ("x.safetensors", lambda p: _safetensors(p, b"[" * 100_000), "no JSON"),
    "a list": ("x.safetensors", lambda p: _safetensors(p, b"[]"), "no mapping"),
    "truncated": ("x.safetensors", lambda p: _safetensors(p, _tensor(), bytes(1279)), "beyond the end of the file"),
    "wrong size": ("x.safetensors", lambda p: _safetensors(p, _tensor(shape=[9]), bytes(1280)), "does not fit its"),
    "backwards": ("x.safetensors", lambda p: _safetensors(p, _tensor(data_offsets=[9, 0]), bytes(9)), "beyond the end"),
    "shape of text": ("x.safetensors", lambda p: _safetensors(p, _tensor(shape="ab"), bytes(1280)), "x.safetensors"),
    "dtype": ("x.safetensors", lambda p: _safetensors(p, _tensor(dtype="I32"), bytes(1280)), "no tensor of floats"),
    "a folder": ("x.npy", lambda p: p.mkdir(), ""),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_one_line_and_leave_nothing(home, call, what):
    name, make, text = BAD[what]
    make(home / name)
    code, _, err = call(f"features -g gaussian {name} out")
    assert code == 1
    problem = [line for line in err.splitlines() if not line.startswith(("hint: ", "      "))]
    assert len(problem) == 1
    assert re.search(text, problem[0])
    assert "x" in problem[0]
    assert not (home / "harmed").exists()
    assert [name for name in files(home / "out") if name not in ("manifest.jsonl", "report.html")] == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("train.npy out --fit no.npy", "error: --fit: no.npy: no such file"),
        ("train.npy out --fit train.npy -g gaussian", "`gaussian` learns nothing"),
        ("train.npy out --fit train.npy --fitted train.npy", "--fit and --fitted"),
        ("train.npy out -g gradient-ascent", "climbs a scorer"),
        ("train.npy out --grid 5", "--grid: 5: must be HxW"),
        ("train.npy out --format tar", "--format: tar: must be npy, npz, pt, safetensors"),
        ("train.npy out --layers a", "only for photos, with --backbone"),
        ("train.npy out --dim 64", "only for photos, with --backbone"),
        ("good out --backbone filters --grid 5x4", "only for files of features"),
        ("good out --backbone filtres", "no backbone `filtres`"),
        ("good out --backbone filters --layers zzz", "filters has no such layer"),
        ("good out --backbone filters --weights train.npy", "`weights`: filters have none"),
        ("good out --backbone timm:zzz", "timm"),
        ("train.npy out -g nothing", "no generator `nothing` among the features"),
        ("train.npy out --k 900", "`k`: 900.0: must be <= 100"),
        ("train.npy", "PATHS: expected inputs and OUT"),
        ("out --dataset mvtec3d --backbone filters", "holds pointclouds"),
        ("train.npy out --root good", "only together with --dataset"),
    ],
)
def test_lines_that_cannot_be_are_one_message_and_nothing_is_written(home, call, line, text):
    code, out, err = call(f"features {line}")
    assert code in (1, 2)
    assert err.startswith("error: ")
    assert text in err
    assert not out
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("--channel-dim 0", r"train.npy: \(6, 8, 5, 4\): --channel-dim 0: expected 1 to 3; dimension 0 is that of the"),
        ("--channel-dim 4", r"train.npy: \(6, 8, 5, 4\): --channel-dim 4: expected 1 to 3"),
        ("--channel-dim -5", r"train.npy: \(6, 8, 5, 4\): --channel-dim -5: expected 1 to 3"),
        ("--grid 4x5", r"train.npy: \(6, 8, 5, 4\): does not fit --grid 4x5"),
        ("--key other", "train.npy"),
    ],
)
def test_layouts_that_do_not_fit(home, call, more, text):
    code, _, err = call(f"features -g gaussian train.npy out {more}")
    if more == "--key other":
        assert code == 0  # a .npy file has no names
        return
    assert code == 1
    assert re.search(text, err)


def test_normals_that_do_not_fit(home, call):
    np.save("narrow.npy", np.ones((4, 3, 5, 4), "f4"))
    code, _, err = call("features train.npy out --fit narrow.npy")
    assert code == 1
    assert "skipped: train.npy: features: 8 channels: `hypersphere` was fitted on 3\n" in err
    bad = normals()
    bad[1, 0, 0, 0] = np.nan
    np.save("bad.npy", bad)
    code, _, err = call("features train.npy out2 --fit bad.npy")
    assert (code, err.splitlines()[1:]) == (
        1,
        ["error: bad.npy: sample 1, at (0, 0, 0) of (8, 5, 4): nan: expected finite values"],
    )
    assert files(home / "out2") == []
    with write_tensor(home / "x.safetensors", "float32", (2, 2)) as append:
        append(np.ones((2, 2), "f4"))
    code, _, err = call("features train.npy out3 --fitted x.safetensors")
    assert code == 1
    assert "error: x.safetensors: " in err


def test_a_single_map_is_nothing_to_learn_from(home, call):
    np.save("one.npy", normals(1)[0])
    code, _, err = call("features one.npy out")
    assert code == 1
    assert "one.npy: 1 sample: `hypersphere` learns from several normal ones\nhint: --fit says where they are" in err
    assert call("features one.npy out --fit train.npy")[0] == 0


def test_stop_at_the_first_bad_file(home, call):
    (home / "in").mkdir()
    np.save("in/b.npy", normals())
    np.save("in/a.npy", np.ones(3, int))
    code, _, err = call("features in out --on-error stop")
    assert code == 1
    assert "a.npy: array: int64" in err
    code, _, err = call("features in out2")
    assert code == 3


# Without torch, and what needs none.


def _fresh(program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_without_torch_there_is_one_line(home):
    program = (
        "import sys; sys.modules['torch'] = None; from anosynth_cli.main import run\n"
        "sys.exit(run(['features', 'train.npy', 'out']))"
    )
    done = _fresh(program, home)
    assert done.returncode == 2
    assert done.stderr == (
        "error: torch: not installed: anosynth.features needs it\nhint: pip install 'anosynth[torch]'\n"
    )
    assert not (home / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["features", "--help"],
        ["show", "hypersphere"],
        ["schema", "hypersphere"],
        ["features", "train.npy", "out", "--dry-run"],
    ],
)
def test_what_needs_no_torch_does_not_load_it(home, words):
    program = (
        f"import sys; from anosynth_cli.main import run; code = run({words!r})\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(code)"
    )
    done = _fresh(program, home)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_show_and_list_know_the_family(call):
    assert "anosynth features --generator codebook-swap train.npy out/" in call("show codebook-swap")[1]
    rows = json.loads(call("list --json")[1])["generators"]
    assert "hypersphere" in {row["generator"] for row in rows if row["family"] == "features"}


def test_a_sample_in_python_needs_no_command():
    """The command makes what the generator makes: see tests/run; this holds the two apart."""
    sample = normals(1)[0]
    assert np.array_equal(Gaussian()(Features(sample), 1).sample.values, Gaussian()(sample, 1).sample)
