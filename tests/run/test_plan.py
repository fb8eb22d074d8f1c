"""A plan is a pure function of its arguments and of the names of the inputs."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds import Bulge, Dent
from anosynth.recipe import Recipe
from anosynth.run import Plan
from anosynth.run._inputs import few_collections, unwritten
from anosynth.run.reading import Reading
from anosynth.seeding import stream

MIX = Recipe([(2, Dent), (1, Bulge)], name="mix")


def make(root: Path, **values) -> Plan:
    reading = Reading(**{name: values.pop(name) for name in ("unit", "sample") if name in values})
    return Plan(root, find_layout("folder"), values.pop("recipe", MIX), reading=reading, **values)


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "parts"
    for name in ("b.ply", "a.ply", "sub/c.pcd", "sub/deep/d.stl", "notes.md", ".hidden.ply"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_jobs_are_the_sorted_inputs_times_the_count(root):
    jobs = list(make(root, count=2).jobs())
    assert [job.id for job in jobs] == [
        *("a_000.ply", "a_001.ply", "b_000.ply", "b_001.ply"),
        *("sub/c_000.pcd", "sub/c_001.pcd", "sub/deep/d_000.stl", "sub/deep/d_001.stl"),
    ]
    assert {job.kind for job in jobs} == {"make"}
    assert [job.variant for job in jobs] == [0, 1] * 4
    assert list(make(root, count=2).jobs()) == jobs


def test_a_draw_belongs_to_its_source_and_variant_alone(root):
    jobs = {job.id: job.generator for job in make(root, count=3).jobs()}
    for job in make(root, count=3).jobs():
        wanted = MIX.draw(stream(0, "recipe", job.source.key, job.variant))
        assert job.generator == wanted.record()
    assert len({str(generator) for generator in jobs.values()}) == len(jobs)
    (root / "aa.ply").write_bytes(b"x")
    (root / "b.ply").unlink()
    fewer = {job.id: job.generator for job in make(root, count=2).jobs()}
    assert {"aa_000.ply", "a_000.ply"} <= set(fewer)
    assert all(generator == jobs[id_] for id_, generator in fewer.items() if not id_.startswith("aa_"))


def test_another_seed_is_another_plan(root):
    zero, one = (list(make(root, seed=seed).jobs()) for seed in (0, 1))
    assert [job.id for job in zero] == [job.id for job in one]
    assert all(a.generator != b.generator for a, b in zip(zero, one, strict=True))


@given(count=st.integers(1, 4), number=st.integers(1, 12))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_shards_share_the_jobs(root, count, number):
    whole = list(make(root, count=count).jobs())
    shards = [list(make(root, count=count, shard=(index, number)).jobs()) for index in range(1, number + 1)]
    assert sorted(job.id for shard in shards for job in shard) == sorted(job.id for job in whole)
    sizes = [len(shard) for shard in shards]
    assert sizes == [len(make(root, count=count, shard=(index, number))) for index in range(1, number + 1)]
    assert max(sizes) - min(sizes) <= 1
    by_id = {job.id: job for job in whole}
    assert all(by_id[job.id] == job for shard in shards for job in shard)


@pytest.mark.parametrize("shard", [(0, 1), (2, 1), (-1, 3), (1, 0)])
def test_shards_that_are_none(root, shard):
    with pytest.raises(ParameterError, match=r"^--shard: .*: expected i/n with 1 <= i <= n$"):
        make(root, shard=shard)


def test_a_count_that_is_none(root):
    with pytest.raises(ParameterError, match="--count: 0: must be >= 1"):
        make(root, count=0)


def test_no_two_jobs_write_the_same_file(tmp_path):
    names = ["a.ply", "a.pcd", "a_000.ply", "a_000_000.ply", "a_1.ply", "a_1000.ply", "a/b.ply", "a_0.ply"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    ids = [job.id for job in make(tmp_path, count=1001).jobs()]
    assert len(set(ids)) == len(ids) == 1001 * len(names)


def test_only_the_named_files(root):
    jobs = list(make(root, only=(Path("b.ply"), Path("sub/c.pcd"))).jobs())
    assert [job.id for job in jobs] == ["b_000.ply", "sub/c_000.pcd"]
    whole = {job.id: job for job in make(root).jobs()}
    assert all(whole[job.id] == job for job in jobs)


def test_no_inputs(tmp_path):
    with pytest.raises(DataError, match="no normal samples found"):
        list(make(tmp_path).jobs())
    with pytest.raises(DataError, match="not a folder"):
        list(make(tmp_path / "no").jobs())


def test_the_search_for_cycles_is_as_it_was(root, tmp_path):
    before = gc.get_threshold()
    assert list(make(root).jobs())
    with pytest.raises(DataError):
        list(make(tmp_path / "no").jobs())
    assert gc.get_threshold() == before
    gc.set_threshold(0)
    try:
        with few_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_names_that_are_not_utf8(tmp_path):
    raw = os.fsdecode(b"\xff.ply")
    (tmp_path / raw).write_bytes(b"x")
    plan = make(tmp_path)
    assert [job.source.path for job in plan.jobs()] == [Path(raw)]
    assert len(plan.fingerprint) == 64


# The header: what must be equal for a run to go on.


def test_the_header_says_where_the_input_is_from_the_output(root, tmp_path):
    out = tmp_path / "some" / "out"
    out.mkdir(parents=True)
    assert make(root).header(out)["root"] == "../../parts"
    link = tmp_path / "link"
    link.symlink_to(out)
    assert (link / make(root).header(link)["root"]).resolve() == root.resolve()
    assert (link / make(link.parent / "parts").header(link)["root"]).is_dir()


def test_the_fingerprint_is_of_the_names(root, tmp_path):
    before = make(root).fingerprint
    shutil.copytree(root, tmp_path / "copy")
    assert make(tmp_path / "copy").fingerprint == before
    (root / "a.ply").write_bytes(b"other")
    (root / "notes.md").unlink()
    assert make(root).fingerprint == before
    (root / "z.ply").write_bytes(b"x")
    assert make(root).fingerprint != before


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"count": 2}, {"unit": "mm"}, {"sample": 9}, {"shard": (1, 2)}, {"recipe": Recipe([Dent])}]
)
def test_every_setting_is_in_the_header(root, tmp_path, other):
    assert make(root).header(tmp_path / "out") != make(root, **other).header(tmp_path / "out")


# OUT inside the input.


@pytest.mark.parametrize(
    "name", ["manifest.jsonl", "manifest.jsonl.part", ".manifest.jsonl.lock", "manifest-00002-of-00003.jsonl.prior"]
)
def test_what_a_run_wrote_is_no_input_of_the_next(root, name):
    before = make(root).fingerprint
    out = root / "out"
    (out / "sub").mkdir(parents=True)
    for path in (out / "a_000.ply", out / "sub" / "c_000.pcd"):
        path.write_bytes(b"x")
    assert make(root).fingerprint != before
    (out / name).write_bytes(b"")
    assert make(root).fingerprint == before
    # What a run wrote may still be the input when it is asked for.
    (out / "sub").rename(out / "other")
    assert [job.id for job in make(out).jobs()] == ["a_000_000.ply", "other/c_000_000.pcd"]


def test_a_users_own_manifest_hides_nothing(root):
    for name in ("manifest.csv", "manifest.json", "my-manifest.jsonl", "manifest.jsonl.bak"):
        (root / "sub" / name).write_bytes(b"")
    assert unwritten(root, [Path("sub/c.pcd")]) == [Path("sub/c.pcd")]


def test_an_unknown_category_names_the_known_ones(tmp_path):
    from anosynth.toy import make_toy

    make_toy("real3d", tmp_path, count=1, points=200)
    layout = find_layout("real3d")
    known = sorted({sample.category for sample in layout.samples(tmp_path)})
    with pytest.raises(DataError, match=f"no category `nuts`: it holds {', '.join(known)}"):
        _ = Plan(tmp_path, layout, MIX, categories=("nuts",)).samples
    plan = Plan(tmp_path, layout, MIX, categories=(known[0],))
    assert {job.source.category for job in plan.jobs()} == {known[0]}
