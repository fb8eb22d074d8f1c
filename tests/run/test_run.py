"""Nothing is lost and nothing depends on workers, order or kills: runs are compared by their whole trees of bytes."""

from __future__ import annotations

import itertools
import json
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

from anosynth.datasets.layout import Source, find_layout
from anosynth.errors import AnosynthError, DataError, ParameterError, WriteError
from anosynth.io.clouds import read_cloud, write_cloud
from anosynth.pointclouds import Bulge, Dent, PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, engines, of_clouds, replay, run, verify
from anosynth.run import execute as execute_module
from anosynth.run.engines import processes, serial
from anosynth.run.execute import file_sha256
from anosynth.run.manifest import Manifest, read_lines
from anosynth.run.plan import Batch, Job, Task
from anosynth.run.reading import Reading
from anosynth_cli import main as command

LINE = ("pointcloud", "--area", "0.1:0.2", "--no-report")
PARTS = 30


def wavy(seed: int, points: int = 150) -> PointCloud:
    """A height field, cheap to make and to change."""
    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 40, (points, 2))
    z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + seed)
    return PointCloud(np.column_stack([xy, z]).astype(np.float32), unit="mm")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(root: Path, **values) -> Plan:
    recipe = values.pop("recipe", None) or Recipe([Vary(PerlinSurface, area="0.1:0.2")], name="perlin-surface")
    reading = Reading(**{name: values.pop(name) for name in ("unit", "sample") if name in values})
    return Plan(root, find_layout("folder"), recipe, reading=reading, **values)


def records(out: Path, name: str = "manifest.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def rewrite(out: Path, lines: list[dict], name: str = "manifest.jsonl") -> None:
    (out / name).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def states(findings) -> dict[str, tuple[str, str]]:
    return {finding.id: (finding.state, finding.text) for finding in findings}


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
    """Five parts of one's own, to change."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(5):
        write_cloud(folder / f"p{number}.ply", wavy(number))
    return folder


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


# Engines.


def tasks(number: int) -> list[Batch]:
    return [Batch((Task(Job(f"{i:03d}", "make", Source(Path(f"{i:03d}")))),)) for i in range(number)]


def answer(task: Batch) -> dict:
    return {"id": task.job.id, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}


def die_once(task: Batch) -> dict:
    mark = Path(os.environ["ANOSYNTH_TEST_MARKS"]) / task.job.id
    if task.job.id in ("003", "040") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


def die_always(task: Batch) -> dict:
    if task.job.id == "017":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


def full_disk(task: Batch) -> dict:
    if task.job.id == "017":
        raise WriteError("x: cannot be written: no space left on device\nhint: free some space")
    return answer(task)


def test_the_serial_engine_does_one_after_the_other(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [record["id"] for record in serial(tasks(5), answer)] == [f"{i:03d}" for i in range(5)]
    taken: list[str] = []
    engine = serial((taken.append(task.job.id) or task for task in tasks(5)), answer)
    next(iter(engine))
    assert taken == ["000"]


@pytest.mark.slow
def test_workers_keep_the_order_and_have_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = list(processes(2)(tasks(70), answer))
    assert [record["id"] for record in found] == [f"{i:03d}" for i in range(70)]
    assert {record["threads"] for record in found} == {"1"}
    assert os.getpid() not in {record["pid"] for record in found}
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.slow
def test_workers_take_no_more_tasks_than_they_need():
    taken: list[str] = []
    engine = processes(2)((taken.append(task.job.id) or task for task in tasks(500)), answer)
    next(engine)
    engine.close()
    assert len(taken) <= 64


@pytest.mark.slow
def test_dying_workers_lose_no_task(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOSYNTH_TEST_MARKS", str(tmp_path))
    found = [record["id"] for record in processes(2)(tasks(50), die_once)]
    assert len(list(tmp_path.iterdir())) == 2
    assert found == [f"{i:03d}" for i in range(50)]


@pytest.mark.slow
def test_a_worker_that_dies_between_two_tasks_loses_none():
    found = []
    for record in processes(2)(tasks(100), answer):
        found.append(record["id"])
        if len(found) == 8:
            os.kill(record["pid"], signal.SIGKILL)
            time.sleep(0.3)
    assert found == [f"{i:03d}" for i in range(100)]


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_named(monkeypatch):
    monkeypatch.setattr(engines, "_RETRIES", 1)
    with pytest.raises(AnosynthError, match=r"worker processes died 2 times near `0(08|16)`\nhint: is there"):
        list(processes(2)(tasks(30), die_always))


@pytest.mark.slow
def test_a_full_disk_in_a_worker_stops_the_run():
    with pytest.raises(WriteError, match=r"^x: cannot be written: no space left on device\nhint: free some space$"):
        list(processes(2)(tasks(30), full_disk))


# Going on.


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


def test_a_missing_shard_is_noticed(few, tmp_path):
    out = tmp_path / "out"
    run(make(few, shard=(1, 3)), out)
    run(make(few, shard=(3, 3)), out)
    found = states(verify(out))
    assert found.pop("manifest-00002-of-00003.jsonl") == ("unchecked", "this shard is not here, or not finished")
    assert {state for state, _ in found.values()} == {"ok"}


# Verify.


@pytest.fixture
def made(few, tmp_path) -> Path:
    run(make(few), tmp_path / "out")
    return tmp_path / "out"


def with_cloud(out: Path, number: int, change) -> None:
    """Change a written sample and put its new hash into the manifest, as a careful forger would."""
    path = out / f"p{number}_000.ply"
    cloud = read_cloud(path)
    points, fields = cloud.points.copy(), {name: field.copy() for name, field in cloud.attributes.items()}
    change(points, fields)
    write_cloud(path, PointCloud(points, attributes=fields, unit=cloud.unit, document=cloud.document))
    lines = records(out)
    lines[number + 1]["outputs"][0]["sha256"] = file_sha256(path)
    lines[number + 1]["mask"]["count"] = int((fields["label"] == 1).sum())
    rewrite(out, lines)


def expect_bad(out: Path, sample: str, text: str) -> None:
    found = states(verify(out))
    assert found[sample][0] == "bad"
    assert text in found[sample][1]
    assert {state for name, (state, _) in found.items() if name != sample} == {"ok"}


def test_an_untouched_data_set_is_whole(made):
    assert states(verify(made)) == {f"p{i}_000.ply": ("ok", "") for i in range(5)}


def test_forging_without_change_is_no_finding(made):
    with_cloud(made, 1, lambda points, fields: None)
    assert {state for state, _ in states(verify(made)).values()} == {"ok"}


def test_a_changed_byte(made):
    data = bytearray((made / "p1_000.ply").read_bytes())
    data[-5] ^= 1
    (made / "p1_000.ply").write_bytes(data)
    expect_bad(made, "p1_000.ply", "p1_000.ply: is not the file that was written")


def test_a_missing_file(made):
    (made / "p1_000.ply").unlink()
    expect_bad(made, "p1_000.ply", "p1_000.ply: No such file or directory")


def test_a_fifo_for_a_file(made):
    (made / "p1_000.ply").unlink()
    os.mkfifo(made / "p1_000.ply")
    expect_bad(made, "p1_000.ply", "not a regular file")


@pytest.mark.parametrize("height", [0, 1])
def test_a_label_too_many(made, height):
    def forge(points, fields):
        row = np.flatnonzero(fields["label"] == 0)[0]
        fields["label"][row], fields["height"][row] = 1, height

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "dead 0.")


def test_a_label_too_few(made):
    with_cloud(made, 1, lambda points, fields: fields["label"].__setitem__(np.flatnonzero(fields["label"])[0], 0))
    expect_bad(made, "p1_000.ply", "leak 0.")


def test_a_label_count_that_is_not_the_manifests(made):
    lines = records(made)
    lines[2]["mask"]["count"] += 1
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "labelled, the manifest says")


def test_a_point_moved_outside_the_mask(made):
    def forge(points, fields):
        row = np.flatnonzero(fields["label"] == 0)[7]
        points[row, 2] = np.nextafter(points[row, 2], np.float32(99))

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "leak 0.")


def test_a_point_moved_back_inside_the_mask(made, few):
    before = read_cloud(few / "p1.ply").points

    def forge(points, fields):
        row = np.flatnonzero(fields["label"])[0]
        points[row] = before[row]

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "dead 0.")


def test_points_cut_off(made):
    path = made / "p1_000.ply"
    cloud = read_cloud(path)
    rows = np.arange(len(cloud) - 1)
    write_cloud(path, cloud.taken(rows, None))
    lines = records(made)
    lines[2]["outputs"][0]["sha256"] = file_sha256(path)
    lines[2]["mask"]["count"] = int(cloud.attributes["label"][rows].sum())
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "does not fit the source's 150")


def test_a_sample_without_labels(made):
    path = made / "p1_000.ply"
    write_cloud(path, PointCloud(read_cloud(path).points))
    lines = records(made)
    lines[2]["outputs"][0]["sha256"] = file_sha256(path)
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "has no `label`, `height` and `instance`")


def test_sources_that_are_gone_or_changed_are_unchecked(made, few, tmp_path):
    (few / "p0.ply").unlink()
    write_cloud(few / "p1.ply", wavy(5))
    found = states(verify(made))
    assert found["p0_000.ply"] == ("unchecked", "the source is not here; only hashes were checked (--root says where)")
    assert found["p1_000.ply"][0] == "unchecked"
    assert found["p2_000.ply"] == ("ok", "")
    few.rename(tmp_path / "moved")
    assert {state for state, _ in states(verify(made)).values()} == {"unchecked"}
    assert states(verify(made, tmp_path / "moved"))["p2_000.ply"] == ("ok", "")


def test_an_out_behind_a_link_still_finds_its_sources(few, tmp_path):
    far = tmp_path / "far" / "away" / "disk"
    far.mkdir(parents=True)
    (tmp_path / "out").symlink_to(far)
    run(make(few), tmp_path / "out")
    for place in (tmp_path / "out", far):
        assert {state for state, _ in states(verify(place)).values()} == {"ok"}


def test_text_under_the_name_of_another_format_is_still_the_same_points(tmp_path):
    (tmp_path / "parts").mkdir()
    write_cloud(tmp_path / "x.npy", wavy(1))
    (tmp_path / "x.npy").rename(tmp_path / "parts" / "x.xyz")
    run(make(tmp_path / "parts"), tmp_path / "out")
    assert states(verify(tmp_path / "out")) == {"x_000.xyz": ("ok", "")}


def test_skipped_rows_are_no_fault(few, tmp_path):
    (few / "p1.ply").write_bytes(b"")
    run(make(few), tmp_path / "out")
    found = states(verify(tmp_path / "out"))
    assert found["p1_000.ply"] == ("ok", "skipped: p1.ply: an empty file (0 bytes): expected a point cloud or mesh")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, r: r["outputs"][0].update(path="../x.ply"), "the manifest names `../x.ply`, which lies outside"),
        (lambda h, r: r["outputs"][0].update(path="/etc/hostname"), "the manifest names `/etc/hostname`, which lies"),
        (lambda h, r: r["outputs"][0].update(path="a\0b"), "which lies outside"),
        (lambda h, r: r["outputs"][0].update(path=3), "not a manifest of this anosynth"),
        (lambda h, r: r.update(id="../../x"), "the manifest names `../../x`, which lies outside"),
        (lambda h, r: r["source"].update(path="../../etc/x"), "names the source `../../etc/x`, which lies outside"),
        (lambda h, r: r["source"].update(path="/etc/x"), "names the source `/etc/x`, which lies outside the root"),
        (lambda h, r: r["source"].pop("sha256"), "a record lacks 'sha256'"),
        (lambda h, r: r.pop("status"), "a record lacks 'status'"),
        (lambda h, r: r.update(status="good"), "a record has the status 'good'"),
        (lambda h, r: r.pop("category"), "a record lacks 'category'"),
        (lambda h, r: r.update(variant="one"), "`variant` of a record is no int"),
        (lambda h, r: r.update(outputs=None), "`outputs` of a record is no list"),
        (lambda h, r: r.pop("mask"), "a record lacks 'mask'"),
        (lambda h, r: r["outputs"][0].pop("sha256"), "a record lacks 'sha256'"),
        (lambda h, r: h.update(scheme=2), "made under scheme 2: this anosynth reads scheme 1"),
        (lambda h, r: h.pop("scheme"), "made under scheme None"),
        (lambda h, r: h.pop("root"), "a record lacks 'root'"),
        (lambda h, r: h.update(seed="x"), "not a manifest of this anosynth"),
        (lambda h, r: h.pop("kind"), "has no header line: not a manifest of anosynth"),
    ],
)
def test_manifests_that_lead_astray_are_refused(made, change, message):
    lines = records(made)
    change(lines[0], lines[1])
    rewrite(made, lines)
    for look in (verify, replay):
        with pytest.raises(DataError) as caught:
            list(look(made))
        assert message in str(caught.value)


@pytest.mark.parametrize(("cut", "message"), [(9, "line 6: cut off"), (0, "")])
def test_a_finished_manifest_that_is_cut_off(made, cut, message):
    data = (made / "manifest.jsonl").read_bytes()
    (made / "manifest.jsonl").write_bytes(data[: len(data) - cut] if cut else data + b"garbage\n")
    with pytest.raises(DataError, match=message or "line 7: not a JSON record"):
        list(verify(made))


def test_an_unknown_role_is_a_finding(made):
    lines = records(made)
    lines[2]["outputs"][0]["role"] = "picture"
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "no file with the role 'sample'")


def test_no_data_set_and_an_unfinished_one(few, tmp_path, made):
    with pytest.raises(DataError, match=r"parts: no manifest here: not a data set of anosynth$"):
        list(verify(few))
    with pytest.raises(DataError, match="no manifest here"):
        list(verify(tmp_path / "nowhere"))
    (made / "manifest.jsonl").rename(made / "manifest.jsonl.part")
    with pytest.raises(DataError, match=r"hint: the run was stopped \(manifest\.jsonl\.part\); give its line again"):
        list(verify(made))


# Replay.


def test_replay_makes_the_same_bytes_elsewhere(made):
    before = tree(made)
    assert states(replay(made)) == {f"p{i}_000.ply": ("ok", "") for i in range(5)}
    assert states(replay(made, only="p3_000.ply")) == {"p3_000.ply": ("ok", "")}
    assert tree(made) == before
    with pytest.raises(DataError, match=r"out: no made row `p9_000\.ply` in the manifest"):
        list(replay(made, only="p9_000.ply"))


def test_replay_finds_what_differs(made, few, tmp_path):
    lines = records(made)
    lines[1]["outputs"][0]["sha256"] = "0" * 64
    lines[2]["generator"]["strength"] *= 1.5
    lines[3]["seed"] = 4
    lines[4]["generator"]["generator"] = "bulge"
    lines[5]["generator"] = {"generator": "no-such", "family": "pointclouds", "version": 1}
    rewrite(made, lines)
    found = states(replay(made))
    assert {state for state, _ in found.values()} == {"bad"}
    assert found["p0_000.ply"][1] == found["p2_000.ply"][1].replace("p2", "p0") == "made again, p0_000.ply differs"
    assert "no generator `no-such`" in found["p4_000.ply"][1]
    write_cloud(few / "p0.ply", wavy(5))
    assert states(replay(made, "p0_000.ply"))["p0_000.ply"] == ("bad", "the source p0.ply is not the file that it was")
    few.rename(tmp_path / "moved")
    assert "p1.ply: no such file" in states(replay(made, "p1_000.ply"))["p1_000.ply"][1]
    assert "differs" in states(replay(made, "p1_000.ply", tmp_path / "moved"))["p1_000.ply"][1]


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
