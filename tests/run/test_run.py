"""Nothing is lost and nothing depends on workers, order or kills: runs are compared by their whole trees of bytes."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from run_kit import make, parts, records, rewrite, states, tree, wavy

from anosynth.errors import DataError, ParameterError, WriteError
from anosynth.io.clouds import read_cloud, write_cloud
from anosynth.pointclouds import Bulge, Dent, Hole, PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import engines, of_clouds, run, verify
from anosynth.run import execute as execute_module
from anosynth.run.execute import file_sha256
from anosynth.run.manifest import Manifest, hold, read_lines, release
from anosynth_cli import main as command

LINE = ("pointcloud", "--area", "0.1:0.2", "--no-report")
PARTS = 30


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for number in range(PARTS):
        path = folder / "parts" / f"p{number:02d}.ply"
        path.parent.mkdir(exist_ok=True)
        write_cloud(path, wavy(number))
    return folder


@pytest.fixture(scope="module")
def whole(base) -> dict[str, bytes]:
    """The tree of an undisturbed run, by one process."""
    assert command.run([*LINE, str(base / "parts"), str(base / "whole")]) == 0
    found = tree(base / "whole")
    assert len(found) == PARTS + 1
    return found


_numbers = itertools.count()


@pytest.fixture
def out(base) -> Path:
    """A folder beside `parts` that is not there yet."""
    return base / f"out{next(_numbers)}"


@pytest.fixture
def few(tmp_path) -> Path:
    return parts(tmp_path / "parts")


def start(base: Path, out: Path, *more: str, **options) -> subprocess.Popen:
    line = [sys.executable, "-m", "anosynth_cli", *LINE, *more, str(base / "parts"), str(out)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(line, **options)


def wait_for(out: Path, number: int, child: subprocess.Popen) -> None:
    """Return when OUT holds `number` samples, or the run is over."""
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        if out.is_dir() and len(list(out.glob("[!.]*.ply"))) >= number:
            return
        time.sleep(0.001)


def resume(base: Path, out: Path) -> dict[str, bytes]:
    assert command.run([*LINE, str(base / "parts"), str(out)]) == 0
    return tree(out)


# The same bytes.


@pytest.mark.slow
def test_workers_do_not_change_a_byte(base, whole, out):
    summary = run(make(base / "parts"), out, workers=2)
    assert (summary.made, summary.skipped, summary.kept) == (PARTS, 0, 0)
    assert tree(out) == whole


def test_the_order_in_which_files_came_to_be_does_not_count(base, whole, out):
    home = base / "elsewhere"
    (home / "parts").mkdir(parents=True)
    for path in sorted((base / "parts").iterdir(), reverse=True):
        shutil.copy(path, home / "parts")
    run(make(home / "parts"), home / "other-name")
    assert tree(home / "other-name") == whole


def test_adding_a_file_changes_no_other_sample(base, whole, few, tmp_path):
    run(make(few), tmp_path / "out")
    write_cloud(few / "p0a.ply", wavy(99))
    run(make(few), tmp_path / "more")
    before, after = tree(tmp_path / "out"), tree(tmp_path / "more")
    assert set(after) - set(before) == {"p0a_000.ply"}
    assert all(after[name] == data for name, data in before.items() if name != "manifest.jsonl")
    lines = {line["id"]: line for line in records(tmp_path / "more")[1:]}
    assert all(lines[line["id"]] == line for line in records(tmp_path / "out")[1:])


def test_a_manifest_line_holds_what_the_file_holds(base, whole):
    lines = records(base / "whole")
    assert lines[0]["kind"] == "header"
    assert [line["id"] for line in lines[1:]] == [f"p{number:02d}_000.ply" for number in range(PARTS)]
    for line in lines[1:]:
        cloud = read_cloud(base / "whole" / line["id"])
        mask = cloud.attributes["label"] == 1
        assert line["mask"]["count"] == mask.sum() > 0
        assert line["effect"]["unit"] == cloud.unit == "mm"
        heights = cloud.attributes["height"][mask]
        assert (line["effect"]["min"], line["effect"]["max"]) == (heights.min(), heights.max())
        assert line["source"]["sha256"] == file_sha256(base / "parts" / line["source"]["path"])
        box = np.array(line["instances"][0]["box"])
        assert np.allclose(box, [cloud.points[mask].min(axis=0), cloud.points[mask].max(axis=0)])


def test_meshes_are_sampled_by_seed_and_key_whatever_was_read_before(tmp_path):
    from anosynth.toy import make_toy

    make_toy("plate", tmp_path / "a" / "b", count=1, points=100)
    (tmp_path / "a" / "b" / "plate_000.ply").unlink()
    bulge = Recipe([Vary(Bulge, area=0.1)])
    made = {}
    for name, root, seed in [("x", "a/b", 0), ("y", "a/b", 1), ("z", "a", 0), ("x2", "a/b", 0)]:
        plan = make(tmp_path / root, recipe=bulge, sample=2000, seed=seed)
        assert run(plan, tmp_path / name).made == 1
        made[name] = [data for path, data in tree(tmp_path / name).items() if path.endswith(".ply")]
    execute_module._last.clear()
    run(make(tmp_path / "a/b", recipe=bulge, sample=2000, seed=1), tmp_path / "fresh")
    assert made["y"] == [data for path, data in tree(tmp_path / "fresh").items() if path.endswith(".ply")]
    assert made["x"] == made["x2"]
    assert made["x"] != made["y"]
    assert made["x"] != made["z"]


# Kills.


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(0, 1), (11, 1), (PARTS, 1), (9, 2)])
def test_a_killed_run_goes_on_to_the_same_bytes(base, whole, out, number, workers):
    with start(base, out, "--workers", str(workers)) as child:
        wait_for(out, number, child)
        child.kill()
    assert resume(base, out) == whole


@pytest.mark.slow
def test_killed_twice_in_a_row(base, whole, out):
    for number in (6, 16):
        with start(base, out) as child:
            wait_for(out, number, child)
            time.sleep(0.15 * (number == 16))
            child.kill()
    assert resume(base, out) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("how", "workers"), [(signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGINT, 2)])
def test_a_stopped_run_says_so_and_goes_on_to_the_same_bytes(base, whole, out, how, workers):
    with start(base, out, "--workers", str(workers), start_new_session=True) as child:
        wait_for(out, 3, child)
        # As a terminal's Ctrl-C does, to the whole group; SIGTERM as a scheduler does, to the driver.
        os.killpg(child.pid, how) if how == signal.SIGINT else child.send_signal(how)
        printed, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert said == "stopped; what was made is kept: give the same line again to go on\n"
    assert not printed
    assert (out / "manifest.jsonl.part").exists()
    assert resume(base, out) == whole


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid and "resource_tracker" not in (
            path.with_name("cmdline").read_text(errors="replace")
        ):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by /proc")
def test_a_killed_worker_costs_nothing(base, whole, out):
    with start(base, out, "--workers", "2") as child:
        wait_for(out, 2, child)
        for pid in children_of(child.pid)[:1]:
            os.kill(pid, signal.SIGKILL)
        child.communicate(timeout=60)
    assert child.returncode == 0
    assert tree(out) == whole


# Going on.


def test_no_worker_is_left_when_another_run_may_begin(few, tmp_path, monkeypatch):
    lock, closed = tmp_path / "out" / ".manifest.jsonl.lock", []

    def engine(batches, work):
        try:
            yield from map(work, batches)
        finally:
            closed.append(lock.exists())

    monkeypatch.setattr(engines, "choose", lambda *given, **more: engine)
    (few / "p2.ply").write_text("no cloud")
    with pytest.raises(DataError) as kept:
        run(make(few), tmp_path / "out", on_error="stop")
    assert closed == [True]
    assert kept.value.__traceback__ is not None
    assert not lock.exists()


def test_what_is_whole_is_kept(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    before = {path: path.stat().st_ino for path in out.iterdir()}
    summary = run(make(few), out)
    assert (summary.made, summary.kept) == (5, 5)
    assert all(path.stat().st_ino == before[path] for path in out.glob("*.ply"))
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("lines", [0, 1, 3, 5])
@pytest.mark.parametrize("torn", [0, 20])
def test_a_torn_manifest_is_gone_on_with(few, tmp_path, lines, torn):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    text = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.jsonl").unlink()
    rest = b"".join(text[lines + 1 :])[:torn]
    (out / "manifest.jsonl.part").write_bytes(b"".join(text[: lines + 1]) + rest)
    assert run(make(few), out).kept == lines
    assert tree(out) == wanted


def test_an_empty_part_file_is_gone_on_with(few, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl.part").write_bytes(b'{"kind":"hea')
    assert run(make(few), out).made == 5
    assert [path.name for path in out.glob("*manifest*")] == ["manifest.jsonl"]


def test_a_sample_that_is_not_what_it_was_is_made_again(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    (out / "p1_000.ply").unlink()
    (out / "p2_000.ply").write_bytes(wanted["p3_000.ply"])
    (out / "p3_000.ply").write_bytes(wanted["p3_000.ply"][:-1])
    assert run(make(few), out).kept == 2
    assert tree(out) == wanted


def test_left_overs_of_kills_are_swept(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    (out / ".p1_000.ply.4711.0123abcd.tmp").write_bytes(b"half")
    run(make(few), out)
    assert tree(out) == wanted
    # A run that was killed before its manifest began has left nothing else.
    other = tmp_path / "other"
    other.mkdir()
    (other / ".engine.4711.0123abcd.tmp").touch()
    run(make(few), other)
    assert tree(other) == wanted


def test_a_changed_source_gives_its_sample_again(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    before = tree(out)
    write_cloud(few / "p1.ply", wavy(77))
    assert run(make(few), out).kept == 4
    after = tree(out)
    assert {name for name in before if before[name] != after[name]} == {"p1_000.ply", "manifest.jsonl"}


def test_a_source_that_turned_bad_leaves_no_old_sample(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    good = (few / "p1.ply").read_bytes()
    (few / "p1.ply").write_bytes(good[:200])
    summary = run(make(few), out)
    assert (summary.made, summary.kept, summary.skipped) == (4, 4, 1)
    assert not (out / "p1_000.ply").exists()
    assert records(out)[2]["status"] == "skipped"
    (few / "p1.ply").write_bytes(good)
    assert run(make(few), out).skipped == 0
    assert (out / "p1_000.ply").exists()


@pytest.mark.parametrize("drop", ["status", "source", "outputs", "id"])
def test_records_that_lack_something_are_made_again(few, tmp_path, drop):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    lines = records(out)
    del lines[2][drop]
    rewrite(out, lines)
    assert run(make(few), out).kept == 4
    assert tree(out) == wanted


def test_earlier_records_stay_until_as_many_are_written_again(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    (out / "manifest.jsonl").rename(out / "manifest.jsonl.part")
    header = make(few).header(out)
    manifest = Manifest(out, (1, 1))
    manifest.start(header)
    first = list(manifest.prior())
    for record in first[:3]:
        manifest.add(record)
    manifest.close()  # as by a kill while workers are ahead of the manifest
    manifest = Manifest(out, (1, 1))
    manifest.start(header)
    assert list(manifest.prior()) == first
    for record in first:
        manifest.add(record)
    assert not (out / "manifest.jsonl.prior").exists()
    manifest.finish()
    manifest.close()
    assert [record["id"] for record in records(out)[1:]] == [record["id"] for record in first]


@pytest.mark.parametrize("stops", [(2, 9, 15), (7, 3, 12)])
def test_a_run_that_is_stopped_again_and_again_loses_nothing(few, tmp_path, stops):
    out = tmp_path / "out"
    wanted = tmp_path / "wanted"
    run(make(few, count=4), wanted)
    for stop in stops:
        left = iter(range(stop - 1))
        with pytest.raises(StopIteration):
            run(make(few, count=4), out, progress=lambda record, left=left: next(left))
    assert run(make(few, count=4), out).kept == max(stops)
    assert tree(out) == tree(wanted)


def test_a_second_run_of_a_finished_one_that_is_killed_forgets_nothing(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    (out / "manifest.jsonl.part").write_bytes((out / "manifest.jsonl").read_bytes().splitlines(keepends=True)[0])
    assert run(make(few), out).kept == 5
    assert [path.name for path in out.glob("*manifest*")] == ["manifest.jsonl"]


def test_out_inside_the_input_is_no_input(few):
    out = few / "out"
    assert run(make(few), out).made == 5
    assert run(make(few), out).kept == 5
    (out / "manifest.jsonl").rename(out / "manifest.jsonl.part")
    assert run(make(few), out).kept == 5
    assert all(state == "ok" for state, _ in states(verify(out)).values())


def test_stopping_at_the_first_bad_file(few, tmp_path):
    out = tmp_path / "out"
    good = (few / "p2.ply").read_bytes()
    (few / "p2.ply").write_bytes(b"")
    with pytest.raises(DataError, match=r"^p2\.ply: an empty file .*\nhint: --on-error skip goes on without it$"):
        run(make(few), out, on_error="stop")
    assert sorted(tree(out)) == ["manifest.jsonl.part", "p0_000.ply", "p1_000.ply"]
    (few / "p2.ply").write_bytes(good)
    assert run(make(few), out, on_error="stop").kept == 2


# Whose OUT it is.


def test_two_runs_do_not_share_an_out(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    first = Manifest(out, (1, 1))
    try:
        for overwrite in (False, True):
            with pytest.raises(WriteError, match=r"out: another run is writing here\nhint: wait for it, or choose"):
                run(make(few, seed=1), out, overwrite=overwrite)
        assert {name: data for name, data in tree(out).items() if "lock" not in name} == wanted
    finally:
        first.close()
    assert run(make(few), out).kept == 5


def test_shards_may_share_an_out_while_they_run(few, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    first = Manifest(out, (1, 2))
    first.start(make(few, shard=(1, 2)).header(out))
    try:
        assert run(make(few, shard=(2, 2)), out).made == 2
        with pytest.raises(WriteError, match="another run"):
            run(make(few, shard=(1, 2)), out)
        with pytest.raises(WriteError, match="another run"):
            run(make(few), out, overwrite=True)
    finally:
        first.close()


def test_files_of_others_are_not_written_among_unless_told(few, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("notes.txt", "manifest.csv", "p0.ply"):
        (out / name).write_text("mine")
    with pytest.raises(WriteError, match=r"out: holds files that are not anosynth's \(manifest\.csv, \.\.\.\)\nhint: "):
        run(make(few), out)
    assert len(tree(out)) == 3
    run(make(few), out, overwrite=True)
    run(make(few, seed=1), out, overwrite=True)
    assert len(tree(out)) == 3 + 6
    assert {(out / name).read_text() for name in ("notes.txt", "manifest.csv", "p0.ply")} == {"mine"}


def test_a_manifest_of_others_is_not_removed(few, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl").write_text('{"audio": "a.wav", "outputs": [{"path": "a.wav"}]}\n')
    (out / "a.wav").write_text("mine")
    wanted = tree(out)
    with pytest.raises(DataError, match="holds a data set made with other settings"):
        run(make(few), out)
    with pytest.raises(WriteError, match=r"manifest\.jsonl: is not anosynth's"):
        run(make(few), out, overwrite=True)
    assert tree(out) == wanted


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"count": 2}, "count"),
        ({"unit": "cm"}, "unit"),
        ({"recipe": Recipe([PerlinSurface], name="perlin-surface")}, "recipe"),
        ({"shard": (1, 2)}, "shard"),
        ({"seed": 1, "unit": "cm"}, "seed, unit"),
    ],
)
def test_an_out_of_other_settings_is_refused_with_what_differs(few, tmp_path, other, what):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    with pytest.raises(DataError, match=rf"another input \(differs in: {what}\)\nhint: choose another OUT, or --over"):
        run(make(few, **other), out)
    assert tree(out) == wanted
    run(make(few, **other), out, overwrite=True)
    fresh = tmp_path / "fresh"
    run(make(few, **other), fresh)
    assert tree(out) == tree(fresh)


def test_shards_of_other_settings_are_refused_too(few, tmp_path):
    out = tmp_path / "out"
    run(make(few, shard=(1, 2)), out)
    with pytest.raises(DataError, match="differs in: seed"):
        run(make(few, shard=(2, 2), seed=1), out)
    with pytest.raises(DataError, match="differs in: shard"):
        run(make(few, shard=(3, 3)), out)
    assert run(make(few, shard=(2, 2)), out).made == 2


def test_another_input_is_refused(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    write_cloud(few / "p9.ply", wavy(9))
    with pytest.raises(DataError, match="differs in: fingerprint"):
        run(make(few), out)


def test_overwriting_leaves_nothing_of_the_run_before(few, tmp_path):
    out = tmp_path / "out"
    (few / "sub").mkdir()
    (few / "p4.ply").rename(few / "sub" / "p4.ply")
    run(make(few, count=3), out)
    (out / "report.html").write_text("old")
    (few / "sub" / "p4.ply").unlink()
    (few / "sub").rmdir()
    run(make(few), out, overwrite=True)
    assert sorted(path.name for path in out.rglob("*")) == ["manifest.jsonl", *(f"p{i}_000.ply" for i in range(4))]


@pytest.mark.parametrize("damage", [b"not json\n", b'{"outputs": 3}\n[]\n', b"\x00\x00"])
def test_overwriting_a_damaged_manifest(few, tmp_path, damage):
    out = tmp_path / "out"
    run(make(few), out)
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(damage)
    with pytest.raises(DataError, match=r"line [78]: not a JSON record|line 7: cut off|lacks 'status'"):
        list(verify(out))
    assert run(make(few, seed=1), out, overwrite=True).made == 5
    assert len(tree(out)) == 6


def test_overwriting_never_reaches_outside(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (out / "link").symlink_to(tmp_path)
    lines = records(out)
    lines[1]["outputs"][0]["path"] = "../precious.txt"
    lines[2]["outputs"][0]["path"] = str(precious)
    lines[3]["outputs"][0]["path"] = "link/precious.txt"
    lines[4]["outputs"][0]["path"] = "a\0b"
    lines[5]["outputs"][0] = "p4_000.ply"
    rewrite(out, lines)
    run(make(few), out, overwrite=True)
    assert precious.read_text() == "mine"


def test_an_input_that_cannot_be_planned_costs_nothing(few, tmp_path):
    out = tmp_path / "out"
    run(make(few), out)
    wanted = tree(out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no normal samples"):
        run(make(tmp_path / "empty"), out, overwrite=True)
    assert tree(out) == wanted


def test_out_must_not_be_or_hold_the_input(few, tmp_path):
    wanted = tree(tmp_path)
    for out in (few, tmp_path, few / "." / ".." / "parts"):
        for overwrite in (False, True):
            with pytest.raises(WriteError, match="holds the input\nhint: "):
                run(make(few), out, overwrite=overwrite)
    assert tree(tmp_path) == wanted


@pytest.mark.parametrize("place", ["file", "file/out", "/dev/null/out"])
def test_an_out_that_cannot_be(few, tmp_path, place):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"is not a folder|cannot be written to: Not a directory"):
        run(make(few), tmp_path / place)


# Shards.


def test_shards_make_together_what_one_run_makes(base, whole, out):
    for index in (2, 3, 1):
        assert run(make(base / "parts", shard=(index, 3)), out).made == PARTS // 3
    samples = {name: data for name, data in tree(out).items() if name.endswith(".ply")}
    assert samples == {name: data for name, data in whole.items() if name.endswith(".ply")}
    lines = [line for i in (1, 2, 3) for line in records(out, f"manifest-{i:05d}-of-00003.jsonl")[1:]]
    assert sorted(lines, key=lambda line: line["id"]) == records(base / "whole")[1:]
    assert all(state == "ok" for state, _ in states(verify(out)).values())


def test_a_shard_overwrites_its_own_part_only(few, tmp_path):
    out = tmp_path / "out"
    run(make(few, seed=9), out)
    run(make(few, shard=(1, 2)), out, overwrite=True)
    assert sorted(tree(out)) == ["manifest-00001-of-00002.jsonl", *(f"p{i}_000.ply" for i in (0, 2, 4))]
    run(make(few, shard=(2, 2)), out, overwrite=True)
    run(make(few, shard=(1, 2)), out, overwrite=True)
    run(make(few), tmp_path / "whole")
    assert {n: d for n, d in tree(out).items() if n.endswith(".ply")} == {
        n: d for n, d in tree(tmp_path / "whole").items() if n.endswith(".ply")
    }
    run(make(few), out, overwrite=True)
    assert tree(out) == tree(tmp_path / "whole")


def test_shards_overwrite_those_of_another_run(few, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    for index in (1, 2):
        run(make(few, count=2, shard=(index, 2)), out)
        run(make(few, seed=1, shard=(index, 2)), fresh)
    before = tree(out)
    guard = hold(out / "manifest-00002-of-00002.jsonl")
    with pytest.raises(WriteError, match="another run is writing here"):
        run(make(few, seed=1, shard=(1, 2)), out, overwrite=True)
    release(out / "manifest-00002-of-00002.jsonl", guard)
    assert tree(out) == before
    for index in (2, 1):
        run(make(few, seed=1, shard=(index, 2)), out, overwrite=True)
    assert tree(out) == tree(fresh)


@pytest.mark.slow
def test_shards_that_start_together_overwrite_another_run(base, out):
    for index in (1, 2):
        run(make(base / "parts", count=2, shard=(index, 2)), out)
        run(make(base / "parts", seed=1, shard=(index, 2)), base / f"{out.name}-fresh")
    shards = [start(base, out, "--seed", "1", "--shard", f"{index}/2", "--overwrite") for index in (1, 2)]
    for child in shards:
        said = child.communicate(timeout=120)
        assert child.returncode == 0, said
    assert tree(out) == tree(base / f"{out.name}-fresh")


def test_a_missing_shard_is_noticed(few, tmp_path):
    out = tmp_path / "out"
    run(make(few, shard=(1, 3)), out)
    run(make(few, shard=(3, 3)), out)
    found = states(verify(out))
    assert found.pop("manifest-00002-of-00003.jsonl") == ("unchecked", "this shard is not here, or not finished")
    assert {state for state, _ in found.values()} == {"ok"}


# Disks.


@pytest.mark.slow
@pytest.mark.parametrize("most", [2_000, 12_000])
def test_a_full_disk_is_told_and_costs_nothing(base, whole, out, most):
    """The first limit is met by a sample, the second by the manifest."""
    biggest = max(len(data) for name, data in whole.items() if name.endswith(".ply"))
    assert 2_000 < biggest < 12_000 < len(whole["manifest.jsonl"])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with start(base, out, preexec_fn=limit) as child:
        printed, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert not printed
    assert said.startswith(f"error: {out}/")
    assert "cannot be written: " in said
    assert "file too large" in said.lower()
    assert "Traceback" not in said
    assert all(whole[name] == data for name, data in tree(out).items() if name.endswith(".ply"))
    assert not [name for name in tree(out) if name.endswith(".tmp")]
    assert resume(base, out) == whole


@pytest.mark.parametrize("number", [1, 3])
def test_a_failing_write_stops_the_run_and_leaves_no_half_file(few, tmp_path, monkeypatch, number):
    out, calls = tmp_path / "out", itertools.count(1)
    from anosynth.datasets import truth

    right = truth.write_cloud

    def failing(path, cloud):
        if next(calls) == number:
            raise WriteError(f"{path}: cannot be written: no space left on device")
        right(path, cloud)

    monkeypatch.setattr(truth, "write_cloud", failing)
    with pytest.raises(WriteError, match="no space left on device"):
        run(make(few), out)
    assert len(list(out.glob("*.ply"))) == number - 1
    assert len(list(read_lines(out / "manifest.jsonl.part"))) == number
    assert run(make(few), out).kept == number - 1


def test_a_source_of_enormous_values_is_not_the_others_misfortune(few, tmp_path):
    cloud = wavy(1)
    write_cloud(few / "p9.ply", PointCloud(cloud.points.astype(np.float64) * 1e150, unit="mm"))
    with np.errstate(all="ignore"):
        summary = run(make(few), tmp_path / "out")
    assert (summary.made, summary.skipped) == (5, 1)
    assert summary.problems == ["p9.ply: values too large: its effect and statistics are not finite"]
    assert "p9_000.ply" not in tree(tmp_path / "out")


def test_a_sample_whose_truth_cannot_be_written_leaves_nothing(tmp_path):
    name = "x" * 240 + ".ply"
    (tmp_path / "parts").mkdir()
    write_cloud(tmp_path / "parts" / name, wavy(1, 2000))
    write_cloud(tmp_path / "parts" / f"{'y' * 250}.ply", wavy(1))
    plan = make(tmp_path / "parts", recipe=Recipe([Vary(Hole, area="0.1:0.2")]))
    for out in (tmp_path / "out", tmp_path / "other" / "out"):
        summary = run(plan, out)
        assert (summary.made, summary.skipped) == (0, 2)
        assert list(tree(out)) == ["manifest.jsonl"]
    reasons = [line["reason"] for line in records(out)[1:]]
    assert [reason.partition(".ply: ")[2].split("`")[0] for reason in reasons] == [
        "the manifest names ",
        "would be written as ",
    ]
    assert all(str(tmp_path) not in reason for reason in reasons)
    assert reasons == [line["reason"] for line in records(tmp_path / "out")[1:]]


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError("x"), OSError(5, "Input/output error")])
def test_one_samples_misfortune_is_not_the_others(few, tmp_path, monkeypatch, error):
    right = of_clouds.read_cloud

    def failing(path, **options):
        if path.name == "p2.ply":
            raise error
        return right(path, **options)

    monkeypatch.setattr(of_clouds, "read_cloud", failing)
    summary = run(make(few), tmp_path / "out")
    assert (summary.made, summary.skipped) == (4, 1)
    assert summary.problems[0].startswith("p2.ply: ")
    assert records(tmp_path / "out")[3]["reason"] == summary.problems[0]


def test_a_length_without_a_unit_is_said_for_each_file(tmp_path):
    (tmp_path / "parts").mkdir()
    cloud = wavy(1)
    write_cloud(tmp_path / "parts" / "x.ply", PointCloud(cloud.points))
    recipe = Recipe([Vary(Dent, strength="1mm", area=0.1)])
    summary = run(make(tmp_path / "parts", recipe=recipe), tmp_path / "out")
    assert summary.problems == [
        "x.ply: `strength`: 1.0mm: the file does not say its unit\nhint: say it with --unit, e.g. --unit mm"
    ]
    assert run(make(tmp_path / "parts", recipe=recipe, unit="mm"), tmp_path / "with").made == 1
    with pytest.raises(ParameterError):
        Vary(Dent, strength="1ell")
