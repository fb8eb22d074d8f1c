"""Whichever workers make them, and whichever of them die, the bytes are those of one process: real clusters, kills."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_kit import tree

from anosynth._version import __version__
from anosynth.datasets.layout import Source, find_layout
from anosynth.errors import AnosynthError, DataError, ParameterError, WriteError
from anosynth.io.clouds import write_cloud
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, _clients, cluster, run
from anosynth.run._terms import Terms, do, terms_of, unfit
from anosynth.run.engines import choose
from anosynth.run.plan import Batch, Job, Task
from anosynth_cli import main as command

Client = pytest.importorskip("distributed").Client

LINE = ("pointcloud", "--area", "0.1:0.2", "--no-report")
PARTS = 60


def make(root: Path, **values) -> Plan:
    recipe = Recipe([Vary(PerlinSurface, area="0.1:0.2")], name="perlin-surface")
    return Plan(root, find_layout("folder"), recipe, **values)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "parts").mkdir()
    for number in range(PARTS):
        draw = np.random.default_rng(number)
        xy = draw.uniform(0, 40, (150, 2))
        z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + number)
        cloud = PointCloud(np.column_stack([xy, z]).astype(np.float32), unit="mm")
        write_cloud(folder / "parts" / f"p{number:02d}.ply", cloud)
    return folder


@pytest.fixture(scope="module")
def whole(base) -> dict[str, bytes]:
    """The tree of an undisturbed run, by one process."""
    run(make(base / "parts"), base / "whole")
    found = tree(base / "whole")
    assert len(found) == PARTS + 1
    return found


_numbers = itertools.count()


@pytest.fixture
def out(base) -> Path:
    return base / f"out{next(_numbers)}"


def start(base: Path, out: Path, *more: str, **options) -> subprocess.Popen:
    line = [sys.executable, "-m", "anosynth_cli", *LINE, "--engine", "dask", *more, "parts", out.name]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=base, **streams, **options)


def wait_for(out: Path, number: int, child: subprocess.Popen) -> None:
    """Return when OUT holds `number` samples, or the run is over."""
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        if out.is_dir() and len(list(out.glob("[!.]*.ply"))) >= number:
            return
        time.sleep(0.001)


def family_of(pid: int) -> list[int]:
    """Return all processes that a process has started, and those that these have."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def workers_of(pid: int) -> list[int]:
    command_lines = {one: Path(f"/proc/{one}/cmdline").read_text(errors="replace") for one in family_of(pid)}
    return [one for one, line in command_lines.items() if "spawn_main" in line]


def all_gone(pids: list[int]) -> bool:
    """Tell whether processes end within twenty seconds."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by /proc")


# A cluster of this machine's own.


@pytest.mark.slow
def test_a_local_cluster_gives_the_same_bytes(base, whole, out):
    summary = run(make(base / "parts"), out, engine="dask", workers=2)
    assert (summary.made, summary.skipped, summary.kept) == (PARTS, 0, 0)
    assert tree(out) == whole


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_costs_nothing(base, whole, out):
    with start(base, out, "--workers", "2") as child:
        wait_for(out, 3, child)
        killed = workers_of(child.pid)[0]
        os.kill(killed, signal.SIGKILL)
        printed, said = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "Traceback" not in said
    assert "distributed" not in said
    assert printed.startswith(f"{out.name}: {PARTS} anomalous samples")
    assert tree(out) == whole


@pytest.mark.slow
@needs_proc
def test_a_killed_driver_leaves_no_process_and_the_run_goes_on(base, whole, out):
    with start(base, out, "--workers", "2") as child:
        wait_for(out, 5, child)
        family = family_of(child.pid)
        child.kill()
    assert len(family) >= 2
    assert all_gone(family)
    assert any(path.name.startswith(".engine.") for path in out.iterdir())
    assert 0 < len(list(out.glob("[!.]*.ply"))) < PARTS
    run(make(base / "parts"), out)
    assert tree(out) == whole


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_closes_its_cluster_and_says_so(base, whole, out, how):
    with start(base, out, "--workers", "2", start_new_session=True) as child:
        wait_for(out, 3, child)
        family = family_of(child.pid)
        # As a terminal's Ctrl-C does, to the whole group; SIGTERM as a scheduler does, to the driver.
        os.killpg(child.pid, how) if how == signal.SIGINT else child.send_signal(how)
        printed, said = child.communicate(timeout=60)
    assert (child.returncode, printed) == (1, "")
    assert said == "stopped; what was made is kept: give the same line again to go on\n"
    assert all_gone(family)
    assert not list(out.glob(".engine.*"))
    run(make(base / "parts"), out)
    assert tree(out) == whole


# The engine by itself.


def batches(number: int) -> Iterator[Batch]:
    for i in range(number):
        yield Batch((Task(Job(f"{i:03d}", "make", Source(Path(f"{i:03d}")))),))


def answer(batch: Batch) -> list[dict]:
    return [{"id": batch.job.id, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}]


def die_always(batch: Batch) -> list[dict]:
    if batch.job.id == "017":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(batch)


def full_disk(batch: Batch) -> list[dict]:
    if batch.job.id == "017":
        raise WriteError("x: cannot be written: no space left on device\nhint: free some space")
    return answer(batch)


@pytest.fixture
def ours(base, out):
    out.mkdir()
    return choose("dask", make(base / "parts"), out, workers=2)


@pytest.mark.slow
def test_the_order_is_kept_and_few_tasks_are_taken_at_once(ours, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    taken: list[str] = []
    engine = ours((taken.append(batch.job.id) or batch for batch in batches(500)), answer)
    found = [next(engine)]
    # Two workers, three lists each, the first lists short.
    assert len(taken) <= 2 * 3 * 4 + 1
    found += list(engine)
    assert [records[0]["id"] for records in found] == [f"{i:03d}" for i in range(500)]
    assert {records[0]["threads"] for records in found} == {"1"}
    assert os.getpid() not in {records[0]["pid"] for records in found}


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_named(ours):
    with pytest.raises(AnosynthError, match=r"^worker processes died 4 times near `0\d\d`\nhint: is there enough mem"):
        list(ours(batches(40), die_always))


@pytest.mark.slow
def test_what_a_task_raises_is_raised(ours):
    with pytest.raises(WriteError, match="no space left"):
        list(ours(batches(40), full_disk))


def test_what_dask_says_of_a_lost_scheduler_is_told():
    from distributed import CancelledError

    with (
        pytest.raises(DataError, match=r"^the scheduler was lost: .*CancelledError\nhint: what was made is kept"),
        cluster._told("x"),
    ):
        raise CancelledError("key")


def test_lists_of_tasks_grow_and_lose_none():
    found = list(cluster._chunks(batches(5000)))
    assert [b.job.id for chunk in found for b in chunk] == [b.job.id for b in batches(5000)]
    assert [len(found[0]), max(map(len, found))] == list(cluster._CHUNKS)
    many = Batch(tuple(task for batch in batches(300) for task in batch.tasks))
    assert list(map(len, cluster._chunks([many, many]))) == [1, 1]


# A cluster that is there already.


@pytest.fixture(scope="module")
def scheduler(base) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    child = subprocess.Popen([*line, "--no-dashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=base)
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(20)


@pytest.fixture
def workers(scheduler, tmp_path):
    """Return a function that starts workers in a folder of their own; they end with the test."""
    started: list[subprocess.Popen] = []

    def begin(*more: str) -> subprocess.Popen:
        where = tmp_path / f"home{len(started)}"
        where.mkdir()
        line = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--host", "127.0.0.1", "--no-dashboard"]
        options = ["--nthreads", "2", "--local-directory", str(where), *more]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen([*line, *options], cwd=where, **streams))
        return started[-1]

    yield begin
    for child in started:
        child.terminate()
    for child in started:
        child.wait(20)


@pytest.mark.slow
@needs_proc
def test_a_cluster_that_is_there_loses_a_worker_and_no_byte(base, whole, out, scheduler, workers):
    homes = [workers("--nworkers", "1", "--no-nanny"), workers("--nworkers", "2")]
    with start(base, out, "--address", scheduler) as child:
        wait_for(out, 2, child)
        homes[0].kill()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert tree(out) == whole
    assert "Traceback" not in said
    # Those who run the cluster end it, not we.
    assert homes[1].poll() is None


@pytest.mark.slow
@needs_proc
def test_a_killed_driver_of_a_cluster_that_is_there_goes_on_at_once(base, whole, out, scheduler, workers):
    workers("--nworkers", "2")
    with start(base, out, "--address", scheduler) as child:
        wait_for(out, 5, child)
        child.kill()
    run(make(base / "parts"), out, engine="dask", address=scheduler)
    assert tree(out) == whole


@pytest.mark.slow
def test_workers_that_lack_something_are_refused_before_anything_is_replaced(
    base, out, scheduler, workers, monkeypatch
):
    out.mkdir()
    plan = make(base / "parts")
    other = base / "other.py"
    other.write_text("import anosynth._version\nanosynth._version.__version__ = '0.0.1'\n")
    workers("--preload", str(other))
    with pytest.raises(DataError) as refused:
        choose("dask", plan, out, address=scheduler)
    assert str(refused.value).startswith("worker tcp://127.0.0.1:")
    assert f"has anosynth 0.0.1, the driver {__version__}: expected the same\nhint: pip inst" in str(refused.value)
    assert command.run([*LINE, "--engine", "dask", "--address", scheduler, str(base / "parts"), str(out)]) == 1
    assert tree(out) == {}


@pytest.mark.slow
def test_workers_that_see_other_folders_are_refused(base, out, scheduler, workers, monkeypatch):
    out.mkdir()
    workers("--nworkers", "2")
    patient = Client(scheduler, set_as_default=False)
    patient.wait_for_workers(2, timeout=60)
    patient.close()
    real = terms_of
    monkeypatch.setattr(cluster, "terms_of", lambda *given: replace(real(*given), mark=str(out / "not-there")))
    with pytest.raises(DataError, match=f"does not see what is in {out}\nhint: workers need the same paths") as refused:
        choose("dask", make(base / "parts"), out, address=scheduler)
    assert str(refused.value).count("\nworker tcp://") == 1
    assert str(refused.value).count("hint: ") == 1


@pytest.mark.slow
def test_a_cluster_without_workers_is_given_up(base, out, scheduler, monkeypatch, caplog):
    out.mkdir()
    monkeypatch.setattr(_clients, "JOIN", 1)
    with pytest.raises(DataError, match="no worker in 1 s\nhint: dask worker tcp://"):
        choose("dask", make(base / "parts"), out, address=scheduler)
    assert [record.message for record in caplog.records] == [f"waiting up to 1 s for a worker of {scheduler}"]


@pytest.mark.parametrize(
    ("address", "kind", "text"),
    [
        ("tcp://127.0.0.1:1", DataError, r"connection refused \(tried for 1 s\)\nhint: is the scheduler running"),
        ("nonsense", ParameterError, "expected that of a dask scheduler, e.g. tcp://"),
        ("http://127.0.0.1:80", ParameterError, "expected that of a dask scheduler"),
        ("tcp://", ParameterError, "expected that of a dask scheduler"),
        ("tls://127.0.0.1:1", ParameterError, "names no certificates\nhint: set DASK_"),
    ],
)
def test_addresses_that_lead_nowhere(base, out, monkeypatch, address, kind, text):
    out.mkdir()
    monkeypatch.setattr(_clients, "CONNECT", 1)
    with pytest.raises(kind, match=text):
        choose("dask", make(base / "parts"), out, address=address)


@pytest.mark.parametrize(("greeting", "text"), [(b"", "nothing answers in 1 s"), (b"SSH-2.0-x", "no dask scheduler")])
def test_an_address_of_something_else(base, out, monkeypatch, greeting, text):
    out.mkdir()
    monkeypatch.setattr(_clients, "CONNECT", 1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        done = threading.Event()

        def serve() -> None:
            there, _ = server.accept()
            with there:
                there.sendall(greeting)
                done.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(DataError, match=text):
                choose("dask", make(base / "parts"), out, address=f"127.0.0.1:{server.getsockname()[1]}")
        finally:
            done.set()
            thread.join()


def test_engines_that_are_none(base, out, monkeypatch):
    plan = make(base / "parts")
    with pytest.raises(ParameterError, match=r"^--engine: ray: must be local or dask$"):
        choose("ray", plan, out)
    with pytest.raises(ParameterError, match=r"^--address: tcp://x:1: only together with --engine dask$"):
        choose("local", plan, out, address="tcp://x:1")
    with pytest.raises(ParameterError, match=r"^--workers: 2: the cluster at --address has its own: leave it out$"):
        choose("dask", plan, out, workers=2, address="tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ParameterError, match=r"is not installed\nhint: pip install 'anosynth\[cluster\]'$"):
        choose("dask", plan, out)


# What a worker has in common with the driver.


@pytest.fixture
def terms(base, out) -> Terms:
    out.mkdir()
    (out / "mark").touch()
    return terms_of(make(base / "parts"), out, str(out / "mark"))


def test_a_worker_that_has_all_is_fit(terms, base):
    assert terms.folder == ""
    assert str(base / "parts" / "p00.ply") in terms.paths
    assert unfit(terms) == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": "9.9"}, f"has anosynth {__version__}, the driver 9.9: expected the same"),
        ({"folder": "/not/there"}, "no folder /not/there, which the paths of this line are relative to"),
        ({"mark": "/not/there/.mark"}, "does not see what is in /not/there"),
        ({"paths": ("/not/there",)}, "no /not/there there"),
        ({"generators": (("pointclouds", "dent", 99),)}, "of `dent`, the driver 99: expected the same"),
        ({"generators": (("pointclouds", "not-there", 1),)}, "lacks what the recipe needs: "),
    ],
)
def test_a_worker_that_lacks_something_is_not_fit(terms, change, text):
    assert text in unfit(replace(terms, **change))
    packed = pickle.dumps(([*batches(2)], answer, replace(terms, **change)))
    with pytest.raises(DataError, match=r"^a worker on "):
        do(packed)


def test_relative_paths_are_those_of_the_driver(base, monkeypatch, tmp_path):
    monkeypatch.chdir(base)
    (base / "there").mkdir(exist_ok=True)
    given = terms_of(make(Path("parts")), Path("there"), "")
    monkeypatch.chdir(tmp_path)
    assert given.folder == str(base)
    assert unfit(given) == ""
    packed = pickle.dumps(([*batches(1)], where, given))
    assert do(packed) == [[{"folder": str(base)}]]
    assert Path.cwd() == tmp_path


def where(batch: Batch) -> list[dict]:
    return [{"folder": str(Path.cwd())}]


def test_a_worker_whose_driver_has_gone_stops(terms, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ANOSYNTH_TEST_MARK", terms.mark)
    packed = pickle.dumps(([*batches(5)], leave_at_two, terms))
    assert [records[0]["id"] for records in do(packed)] == ["000", "001", "002"]


def leave_at_two(batch: Batch) -> list[dict]:
    if batch.job.id == "002":
        Path(os.environ["ANOSYNTH_TEST_MARK"]).unlink()
    return answer(batch)
