"""What engines are given: a shard's own jobs and no others drawn, and an earlier run's samples looked at once."""

from __future__ import annotations

import shutil

import pytest

from anosynth.datasets.layout import find_layout
from anosynth.generator import find
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, run
from anosynth.run import execute as execute_module
from anosynth.run.engines import choose, chunked, serial
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
