"""Engines: a shard's own jobs and no others drawn, an earlier run's samples looked at once, workers that die."""

from __future__ import annotations

import multiprocessing.util
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError, WriteError
from anosynth.generator import find
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, engines, run
from anosynth.run import execute as execute_module
from anosynth.run.engines import choose, chunked, processes, serial
from anosynth.run.plan import Batch, Job, Source, Task
from anosynth.run.reading import Reading
from anosynth.toy import make_toy


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    make_toy("mvtec", folder / "mvtec", count=4)
    photos = folder / "photos"
    shutil.copytree(next((folder / "mvtec").glob("*/train/good")), photos)
    # Two names that would give one sample: one of them is a job that cannot be done.
    (photos / "000.jpg").write_bytes((photos / "000.png").read_bytes())
    return folder


def plan_of(data, layout: str, **values) -> Plan:
    recipe = Recipe([Vary(find("images", "scratch"))])
    return Plan(data / layout, find_layout(layout), recipe, reading=Reading(foreground="none"), held_out=0.6, **values)


@pytest.mark.parametrize("layout", ["photos", "mvtec"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_shard_has_every_nth_job_and_draws_no_other(data, monkeypatch, layout, count):
    whole = list(plan_of(data, layout, count=count).jobs())
    assert any(job.source.problem or job.kind == "copy" for job in whole)
    drawn: list[tuple] = []
    real = Plan._drawn
    monkeypatch.setattr(Plan, "_drawn", lambda plan, *given: drawn.append(given) or real(plan, *given))
    for number in (1, 2, 3, 5, 100):
        for index in range(1, number + 1):
            drawn.clear()
            plan = plan_of(data, layout, count=count, shard=(index, number))
            jobs = list(plan.jobs())
            assert jobs == whole[index - 1 :: number]
            assert len(plan) == len(jobs)
            assert len(drawn) == sum(job.kind == "make" and not job.source.problem for job in jobs)


def test_a_finished_run_is_gone_on_with_by_one_look_at_each_source(data, tmp_path, monkeypatch):
    plan = plan_of(data, "photos", count=5)
    made = run(plan, tmp_path / "out").made
    read: list[str] = []
    real = execute_module.file_sha256
    monkeypatch.setattr(execute_module, "file_sha256", lambda path: read.append(path.name) or real(path))
    execute_module._last.clear()
    assert run(plan, tmp_path / "out").kept == made
    assert sorted(read) == sorted({source.path.name for source in plan.sources if not source.problem})


def batch(size: int, first: int = 0) -> Batch:
    return Batch(tuple(Task(Job(str(first + i), "make", Source("x"))) for i in range(size)))  # type: ignore[arg-type]


def test_batches_go_together_until_they_have_enough_tasks():
    assert [len(chunk) for chunk in chunked([batch(1)] * 20, 8)] == [8, 8, 4]
    assert [len(chunk) for chunk in chunked([batch(3)] * 7, 8)] == [3, 3, 1]
    assert [len(chunk) for chunk in chunked([batch(100)] * 2, 8)] == [1, 1]
    assert list(chunked([], 8)) == []


def test_one_worker_is_this_process(data, tmp_path):
    plan = plan_of(data, "photos")
    assert choose("local", plan, tmp_path) is serial
    assert choose("local", plan, tmp_path, workers=1) is serial
    assert choose("local", plan, tmp_path, workers=2) is not serial


# Processes.


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


def signals(task: Batch) -> tuple:
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return blocked, signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.slow
def test_workers_that_only_begin_to_start_do_not_hear_ctrl_c(monkeypatch):
    real, seen = multiprocessing.util.spawnv_passfds, []

    def spawn(*given):
        seen.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
        return real(*given)

    with engines._no_interrupts():
        pass  # what starts once for all pools
    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", spawn)
    assert set(processes(2)(tasks(30), signals)) == {(False, True)}
    assert seen == [True, True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


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
    with pytest.raises(AnosynthError, match=r"worker processes died 2 times near `016`\nhint: is there"):
        list(processes(2)(tasks(30), die_always))


@pytest.mark.slow
def test_a_full_disk_in_a_worker_stops_the_run():
    with pytest.raises(WriteError, match=r"^x: cannot be written: no space left on device\nhint: free some space$"):
        list(processes(2)(tasks(30), full_disk))
