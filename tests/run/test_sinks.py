"""Sinks: whatever becomes of the samples, they are the same samples, and nothing is lost."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, ParameterError, WriteError
from anosynth.images import Image
from anosynth.io import _tar
from anosynth.io.clouds import write_cloud
from anosynth.io.images import write_image
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, replay, run, verify, write_again
from anosynth.run.shards import Shard
from anosynth.run.sinks import find_sink, refuse_others
from anosynth_cli import main as command

PARTS = 7
STORED = ["files", "webdataset"]
SINKS = [*STORED, "recipe"]


def wavy(seed: int, points: int = 150) -> PointCloud:
    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 40, (points, 2))
    z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + seed)
    return PointCloud(np.column_stack([xy, z]).astype(np.float32), unit="mm")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records(out: Path, name: str = "manifest.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def rewrite(out: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (out / "manifest.jsonl").write_text(text)


def make(root: Path, sink: str = "webdataset", size: int = 3, **values) -> Plan:
    recipe = Recipe([Vary(PerlinSurface, area="0.1:0.2")], name="perlin-surface")
    return Plan(root, find_layout("folder"), recipe, sink=sink, shard_size=size, **values)


def states(findings) -> dict[str, tuple[str, str]]:
    return {finding.id: (finding.state, finding.text) for finding in findings}


def all_ok(findings) -> bool:
    found = states(findings)
    return bool(found) and {state for state, _ in found.values()} == {"ok"}


@pytest.fixture
def parts(tmp_path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(PARTS):
        write_cloud(folder / f"p{number}.ply", wavy(number))
    write_cloud(folder / "p3.xyz", wavy(3))
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        draw = np.random.default_rng(number)
        write_image(folder / f"a.{number}.png", Image(draw.integers(90, 160, (48, 40), dtype=np.uint8)))
    return folder


def of_photos(root: Path, sink: str, **values) -> Plan:
    recipe = Recipe.read("photo-defects")
    return Plan(root, find_layout("photos"), recipe, sink=sink, shard_size=values.pop("size", 3), **values)


# The same samples.


def test_all_sinks_make_the_same_samples(parts, tmp_path):
    for sink in SINKS:
        assert run(make(parts, sink), tmp_path / sink).made == PARTS + 1
    files, tars, lines = (records(tmp_path / sink) for sink in SINKS)
    assert lines[1:] == files[1:]
    assert set(tree(tmp_path / "recipe")) == {"manifest.jsonl"}
    wanted = tree(tmp_path / "files")
    held = {}
    for path in sorted((tmp_path / "webdataset" / "shards").iterdir()):
        with tarfile.open(path) as tar:
            held.update({(path.name, m.name): tar.extractfile(m).read() for m in tar.getmembers()})
    for row, packed in zip(files[1:], tars[1:], strict=True):
        assert {key: row[key] for key in row if key != "outputs"} == {k: packed[k] for k in packed if k != "outputs"}
        for output, there in zip(row["outputs"], packed["outputs"], strict=True):
            data = held[Path(there["path"]).name, there["member"]]
            assert data == wanted[output["path"]]
            assert there["file"] == output["path"]
            assert there["size"] == len(data)
            tar = (tmp_path / "webdataset" / there["path"]).read_bytes()
            assert tar[there["offset"] : there["offset"] + there["size"]] == data
            assert there["sha256"] == output["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(held) == sum(len(row["outputs"]) + 1 for row in files[1:])


def test_the_header_of_files_is_what_it_was(parts, tmp_path):
    headers = {sink: make(parts, sink).header(tmp_path / "out") for sink in SINKS}
    assert "sink" not in headers["files"]
    assert headers["webdataset"] == {**headers["files"], "sink": {"name": "webdataset", "shard_size": 3}}
    assert headers["recipe"] == {**headers["files"], "sink": {"name": "recipe"}}


def test_a_tar_reads_as_webdataset_wants_it(photos, tmp_path):
    assert run(of_photos(photos, "webdataset", count=2), tmp_path / "out").made == 8
    tars = sorted((tmp_path / "out" / "shards").iterdir())
    assert [path.name for path in tars] == ["00000.tar", "00001.tar", "00002.tar"]
    rows = {line["outputs"][0]["member"].partition(".")[0]: line for line in records(tmp_path / "out")[1:]}
    keys = []
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                assert (member.uname, member.gname, member.isreg()) == ("", "", True)
                key, _, extension = member.name.partition(".")
                # Readers take what follows one another under one key for a sample.
                assert key == keys[-1] if key in keys else extension == "png"
                keys += [] if key in keys else [key]
                if extension == "json":
                    told = json.load(tar.extractfile(member))
                    assert told.pop("label") == 1
                    assert told == {name: value for name, value in rows[key].items() if name != "outputs"}
                else:
                    assert extension in ("png", "mask.png", "instances.png")
    assert keys == list(rows)


def test_the_bytes_of_a_tar(tmp_path):
    """Golden: what was written yesterday must be found whole tomorrow."""
    file = io.BytesIO()
    assert _tar.append(file, "00000-000000.png", 5, [b"he", b"llo"]) == 512
    assert _tar.append(file, "00000-000000.json", 512, [bytes(range(256)) * 2]) == 1536
    file.write(_tar.END)
    assert len(file.getvalue()) == 2048 + 1024
    assert hashlib.sha256(file.getvalue()).hexdigest() == GOLDEN
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        assert tar.getnames() == ["00000-000000.png", "00000-000000.json"]
        assert tar.extractfile("00000-000000.png").read() == b"hello"
    for wrong in [("00000-000000.pnG", 512, 5), ("00000-000000.png", 512, 6), ("00000-000000.png", 3, 5)]:
        with pytest.raises(DataError, match="no `00000-000000"):
            list(_tar.contents(file, *wrong))
    with pytest.raises(DataError, match="3 bytes: expected 4"):
        _tar.append(io.BytesIO(), "x", 4, [b"abc"])


GOLDEN = "f392b1bab8ab9b77d382a2c168eaca9611324889693d5af489642fd44b1c974b"


# Workers, shards, kills.


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["webdataset", "recipe"])
def test_workers_do_not_change_a_byte(parts, tmp_path, sink):
    for workers in (1, 2):
        run(make(parts, sink), tmp_path / f"out{workers}", workers=workers)
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")


def test_tars_of_shards_have_names_of_their_own(parts, tmp_path):
    out = tmp_path / "out"
    for index in (3, 1, 2):
        run(make(parts, size=2, shard=(index, 3)), out)
    names = sorted(path.name for path in (out / "shards").iterdir())
    assert names == [f"{number:05d}.tar" for number in range(len(names))]
    keys: list[str] = []
    for path in (out / "shards").iterdir():
        with tarfile.open(path) as tar:
            keys += tar.getnames()
    assert len(keys) == len(set(keys))
    ids = [row["id"] for i in (1, 2, 3) for row in records(out, f"manifest-{i:05d}-of-00003.jsonl")[1:]]
    assert len(ids) == len(set(ids)) == PARTS + 1
    assert all_ok(verify(out))
    assert all_ok(replay(out))


def test_a_second_run_keeps_whole_tars_and_makes_the_others_again(parts, tmp_path):
    out = tmp_path / "out"
    run(make(parts), out)
    wanted = tree(out)
    before = {path.name: path.stat().st_ino for path in (out / "shards").iterdir()}
    assert run(make(parts), out).kept == PARTS + 1
    assert {path.name: path.stat().st_ino for path in (out / "shards").iterdir()} == before
    for place in (600, -600, -1):
        data = bytearray(wanted["shards/00001.tar"])
        data[place] ^= 1
        (out / "shards" / "00001.tar").write_bytes(data)
        assert run(make(parts), out).kept == PARTS + 1 - 3
        assert tree(out) == wanted
    (out / "shards" / "00001.tar").write_bytes(wanted["shards/00001.tar"] + b"\0")
    assert run(make(parts), out).kept == PARTS + 1 - 3
    (out / "shards" / "00002.tar").unlink()
    assert run(make(parts), out).kept == 6
    assert tree(out) == wanted


@pytest.mark.parametrize("lines", [0, 1, 3, 4, 8])
def test_a_manifest_that_stops_within_a_tar(parts, tmp_path, lines):
    out = tmp_path / "out"
    run(make(parts), out)
    wanted = tree(out)
    text = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.jsonl").rename(out / "manifest.jsonl.part")
    (out / "manifest.jsonl.part").write_bytes(b"".join(text[: lines + 1]) + b'{"id":"p')
    assert run(make(parts), out).kept == (8 if lines == 8 else lines // 3 * 3)
    assert tree(out) == wanted


def test_another_shard_size_is_another_data_set(parts, tmp_path):
    run(make(parts), tmp_path / "out")
    for other in (make(parts, size=4), make(parts, "files"), make(parts, "recipe")):
        with pytest.raises(DataError, match=r"differs in: sink"):
            run(other, tmp_path / "out")
    run(make(parts, "files"), tmp_path / "out", overwrite=True)
    run(make(parts, "files"), tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_overwriting_recipes_removes_no_file_of_that_name(parts, tmp_path):
    out = tmp_path / "out"
    run(make(parts, "recipe"), out)
    (out / "p0_000.ply").write_text("mine")
    run(make(parts, "recipe", seed=1), out, overwrite=True)
    assert (out / "p0_000.ply").read_text() == "mine"


@pytest.mark.parametrize("sink", ["webdataset", "recipe"])
def test_bad_sources_and_their_return(parts, tmp_path, sink):
    out = tmp_path / "out"
    good = (parts / "p1.ply").read_bytes()
    (parts / "p1.ply").write_bytes(good[:200])
    assert run(make(parts, sink), out).skipped == 1
    assert run(make(parts, sink), out).kept == PARTS
    (parts / "p1.ply").write_bytes(good)
    assert run(make(parts, sink), out).skipped == 0
    run(make(parts, sink), tmp_path / "fresh")
    assert tree(out) == tree(tmp_path / "fresh")


def test_a_tar_of_nothing_is_none(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in "ab":
        (tmp_path / "parts" / f"{name}.ply").write_bytes(b"")
    assert run(make(tmp_path / "parts"), tmp_path / "out").skipped == 2
    assert set(tree(tmp_path / "out")) == {"manifest.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(1, 1), (3, 1), (2, 2)])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, number, workers):
    for part in range(24):
        path = tmp_path / "parts" / f"p{part:02d}.ply"
        path.parent.mkdir(exist_ok=True)
        write_cloud(path, wavy(part))
    line = ["pointcloud", "--area", "0.1:0.2", "--no-report", "--sink", "webdataset", "--shard-size", "5"]
    ends = [str(tmp_path / "parts"), str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "anosynth_cli", *line, "--workers", str(workers), *ends], stdout=subprocess.DEVNULL
    ) as child:
        end = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < end:
            # A tar is there before its lines are.
            if len(list((tmp_path / "out").glob("shards/*.tar"))) >= number:
                break
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    assert command.run([*line, *ends]) == 0
    assert command.run([*line, ends[0], str(tmp_path / "whole")]) == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("sink", SINKS)
def test_shards_that_were_joined(parts, tmp_path, sink):
    from anosynth.run.merge import merge

    out = tmp_path / "out"
    for index in (1, 2, 3):
        run(make(parts, sink, size=2, shard=(index, 3)), out)
    tars = {name: data for name, data in tree(out).items() if name.endswith(".tar")}
    assert merge([out], out).made == PARTS + 1
    assert all_ok(verify(out))
    assert all_ok(replay(out))
    assert all_ok(write_again(out, tmp_path / "again"))
    run(make(parts, "files"), tmp_path / "files")
    assert tree(tmp_path / "again") == tree(tmp_path / "files")
    if sink == "webdataset":
        # One run would pack them otherwise: what is there must not be replaced piece by piece.
        with pytest.raises(DataError, match="differs in: sink"):
            run(make(parts, sink, size=2), out)
        assert {name: data for name, data in tree(out).items() if name.endswith(".tar")} == tars
        run(make(parts, sink, size=2), out, overwrite=True)
        run(make(parts, sink, size=2), tmp_path / "fresh")
        assert tree(out) == tree(tmp_path / "fresh")
    else:
        assert run(make(parts, sink, size=2), out).kept == PARTS + 1


# Verify and replay.


@pytest.mark.parametrize("sink", SINKS)
def test_whole_data_sets_are_whole(parts, photos, tmp_path, sink):
    run(make(parts, sink, count=2), tmp_path / "clouds")
    run(of_photos(photos, sink), tmp_path / "pictures")
    for out in (tmp_path / "clouds", tmp_path / "pictures"):
        before = tree(out)
        assert all_ok(verify(out))
        assert all_ok(replay(out))
        assert tree(out) == before


def test_damage_to_a_tar_is_found_at_its_sample(parts, tmp_path):
    out = tmp_path / "out"
    run(make(parts), out)
    rows, data = records(out), (out / "shards" / "00000.tar").read_bytes()
    sample = rows[2]["outputs"][0]
    for place in (sample["offset"] + 40, sample["offset"] - 500, sample["offset"] + sample["size"] + 600):
        changed = bytearray(data)
        changed[place] ^= 1
        (out / "shards" / "00000.tar").write_bytes(changed)
        found = states(verify(out))
        assert [name for name, (state, _) in found.items() if state == "bad"] == ["p1_000.ply"]
        assert found["p1_000.ply"][1].startswith("shards/00000.tar: ")
    (out / "shards" / "00000.tar").unlink()
    found = states(verify(out))
    assert found["p1_000.ply"] == ("bad", "shards/00000.tar: No such file or directory")
    assert found["p4_000.ply"][0] == "ok"


def test_verify_of_recipes_makes_what_they_say(parts, tmp_path):
    out = tmp_path / "out"
    run(make(parts, "recipe"), out)
    lines = records(out)
    lines[1]["generator"]["strength"] *= 1.5
    lines[2]["outputs"][0]["sha256"] = "0" * 64
    lines[3]["mask"]["count"] += 1
    rewrite(out, lines)
    (parts / "p3.ply").unlink()
    found = states(verify(out))
    assert found["p0_000.ply"] == ("bad", "p0_000.ply: made again, p0_000.ply differs")
    assert found["p1_000.ply"] == ("bad", "p1_000.ply: made again, p1_000.ply differs")
    assert "the manifest says" in found["p2_000.ply"][1]
    assert found["p3_000.ply"][:1] == ("unchecked",)
    assert found["p4_000.ply"] == ("ok", "")


ASTRAY = [
    ("path", "../x.tar", "names `../x.tar`, which lies outside"),
    ("path", "/etc/passwd", "names `/etc/passwd`, which lies outside"),
    ("file", "../x.ply", "names `../x.ply`, which lies outside"),
    ("file", "/tmp/x.ply", "names `/tmp/x.ply`, which lies outside"),
    ("file", "a/../../x.ply", "which lies outside"),
    ("file", 3, "not a manifest of this anosynth"),
]


@pytest.mark.parametrize(("key", "value", "message"), ASTRAY)
def test_members_that_lead_astray_are_refused(parts, tmp_path, key, value, message):
    out = tmp_path / "a" / "b" / "out"
    out.parent.mkdir(parents=True)
    run(make(parts), out)
    lines = records(out)
    lines[1]["outputs"][0][key] = value
    rewrite(out, lines)
    before = set(tree(tmp_path))
    for look in (verify(out), replay(out), write_again(out, tmp_path / "files")):
        with pytest.raises(DataError) as caught:
            list(look)
        assert message in str(caught.value)
    assert set(tree(tmp_path)) == before


@pytest.mark.parametrize("member", ["../../evil.ply", "/tmp/evil.ply", "a\0b", "x" * 300, "00000-000000.json"])
def test_a_member_is_never_a_path(parts, tmp_path, member):
    """A tar that really has such a member, with a manifest that names it, writes nothing outside."""
    out = tmp_path / "a" / "b" / "out"
    out.parent.mkdir(parents=True)
    run(make(parts), out)
    lines = records(out)
    output = lines[1]["outputs"][0]
    data = (out / "shards" / "00000.tar").read_bytes()
    own = data[output["offset"] : output["offset"] + output["size"]]
    file = io.BytesIO()
    offset = _tar.append(file, member, len(own), [own])
    file.write(_tar.END)
    (out / "shards" / "evil.tar").write_bytes(file.getvalue())
    output.update(path="shards/evil.tar", member=member, offset=offset)
    rewrite(out, lines)
    before = set(tree(tmp_path))
    assert states(verify(out))["p0_000.ply"][0] == "bad"
    run(make(parts), out)
    assert set(tree(tmp_path)) == before
    assert states(verify(out))["p0_000.ply"][0] == "ok"


@pytest.mark.parametrize("changes", [{"offset": -5}, {"offset": 1 << 60}, {"size": 1 << 60}, {"size": -1}, {"size": 0}])
def test_places_that_are_none(parts, tmp_path, changes):
    out = tmp_path / "out"
    run(make(parts), out)
    lines = records(out)
    lines[1]["outputs"][0].update(changes)
    rewrite(out, lines)
    assert states(verify(out))["p0_000.ply"][0] == "bad"


@pytest.mark.parametrize("sink", ["webdataset", "recipe"])
def test_no_room_for_a_sample_is_no_fault_of_the_data_set(photos, tmp_path, sink):
    run(of_photos(photos, sink), tmp_path / "out")
    shard = Shard(tmp_path / "out" / "manifest.jsonl", records(tmp_path / "out")[0])
    record = shard.record(next(shard.lines())[0])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"anomalous/a\.0_000\.png: cannot .*file too large"), shard.opened(record):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with shard.opened(record) as folder:
        assert folder.is_dir()
    assert not folder.exists()


# Files of it.


@pytest.mark.parametrize("sink", ["webdataset", "recipe"])
def test_written_again_it_is_what_the_sink_files_writes(parts, photos, tmp_path, sink):
    for number, plan in enumerate([make, of_photos]):
        root = [parts, photos][number]
        (root / f"bad{'.ply' if plan is make else '.png'}").write_bytes(b"")
        run(plan(root, "files", count=2), tmp_path / f"files{number}")
        run(plan(root, sink, count=2), tmp_path / f"out{number}")
        assert all_ok(write_again(tmp_path / f"out{number}", tmp_path / f"again{number}"))
        assert tree(tmp_path / f"again{number}") == tree(tmp_path / f"files{number}")
        assert all_ok(write_again(tmp_path / f"out{number}", tmp_path / f"again{number}"))


@pytest.mark.parametrize("layout", ["mvtec", "visa", "real3d", "mulsen"])
def test_data_sets_with_copies_and_tables(tmp_path, layout):
    from anosynth.toy import make_toy

    make_toy(layout, tmp_path / "toy", count=2, **({"points": 300} if layout in ("real3d", "mulsen") else {}))
    kind = find_layout(layout)
    name = "scratch" if kind.family == "images" else "bulge"
    recipe = Recipe.from_record(
        {"recipe": name, "family": kind.family, "generators": [{"generator": name, "weight": 1}]}
    )
    for sink in SINKS:
        run(Plan(tmp_path / "toy", kind, recipe, sink=sink, shard_size=4), tmp_path / sink)
        assert all_ok(verify(tmp_path / sink)), sink
    for sink in ("webdataset", "recipe"):
        assert all_ok(write_again(tmp_path / sink, tmp_path / f"again-{sink}"))
        assert tree(tmp_path / f"again-{sink}") == tree(tmp_path / "files")


def test_one_row_of_shards_is_written_alone(parts, tmp_path):
    out = tmp_path / "out"
    for index in (1, 2):
        run(make(parts, "recipe", shard=(index, 2)), out)
    assert all_ok(write_again(out, tmp_path / "one", "p2_000.ply"))
    assert [name for name in tree(tmp_path / "one") if name.endswith(".ply")] == ["p2_000.ply"]
    assert all_ok(write_again(out, tmp_path / "one"))
    assert len([name for name in tree(tmp_path / "one") if name.endswith((".ply", ".xyz"))]) == PARTS + 1
    with pytest.raises(DataError, match=r"no row `p9\.ply` in the manifest"):
        list(write_again(out, tmp_path / "one", "p9.ply"))


def test_writing_again_finds_what_differs(parts, tmp_path):
    run(make(parts, "recipe"), tmp_path / "out")
    write_cloud(parts / "p1.ply", wavy(50))
    (parts / "p2.ply").unlink()
    found = states(write_again(tmp_path / "out", tmp_path / "again"))
    assert found["p1_000.ply"] == ("bad", "the source p1.ply is not the file that it was")
    assert found["p2_000.ply"] == ("bad", "p2.ply: no such file")
    assert found["p0_000.ply"] == ("ok", "")
    shutil.move(parts, tmp_path / "moved")
    assert states(write_again(tmp_path / "out", tmp_path / "third", root=tmp_path / "moved"))["p0_000.ply"][0] == "ok"


def test_what_a_run_would_cost(parts, tmp_path):
    from anosynth.run.estimate import estimate

    sizes = {sink: estimate(make(parts, sink), tried=99).bytes for sink in SINKS}
    run(make(parts, "files"), tmp_path / "out")
    found = {name: len(data) for name, data in tree(tmp_path / "out").items()}
    header = len((tmp_path / "out" / "manifest.jsonl").read_bytes().partition(b"\n")[0]) + 1
    lines = found.pop("manifest.jsonl")
    assert sizes == {"files": sum(found.values()), "webdataset": sum(found.values()), "recipe": lines - header}


# What is refused.


def test_sinks_that_are_none(parts, tmp_path, capsys):
    with pytest.raises(ParameterError, match="--sink: zip: must be files, webdataset or recipe"):
        make(parts, "zip")
    with pytest.raises(ParameterError, match="--shard-size: 0: must be >= 1"):
        make(parts, size=0)
    with pytest.raises(ParameterError, match="--sink: recipe: only for photos and clouds: must be files\nhint: "):
        Plan(parts, find_layout("features"), Recipe([Vary(PerlinSurface)]), sink="recipe")
    np.save(tmp_path / "x.npy", np.zeros((4, 3), np.float32))
    assert command.run(["features", str(tmp_path / "x.npy"), str(tmp_path / "out"), "--sink", "webdataset"]) == 2
    assert "only for photos and clouds" in capsys.readouterr().err
    for sink in ("zip", {"name": "zip"}, {"name": "webdataset"}, {"name": "webdataset", "shard_size": "x"}, 3):
        with pytest.raises(DataError, match="not a sink of this anosynth"):
            find_sink({"sink": sink})


def test_who_needs_files_says_how_to_have_them(tmp_path):
    refuse_others(tmp_path, find_sink({}))
    for sink in ({"name": "recipe"}, {"name": "webdataset", "shard_size": 3}):
        with pytest.raises(DataError, match=r": expected files\nhint: anosynth replay .* --write DIR makes a data set"):
            refuse_others(tmp_path, find_sink({"sink": sink}))


def test_the_command(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert command.run(["images", str(photos), str(out), "--sink", "recipe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 4
    assert set(tree(out)) == {"manifest.jsonl", "report.html", "splits.csv"}
    assert command.run(["replay", str(out), "--write", str(tmp_path / "again")]) == 0
    assert capsys.readouterr().out == "4 ok, 0 bad\n"
    assert command.run(["verify", str(tmp_path / "again")]) == 0
    assert command.run(["replay", str(out), "--write", str(photos)]) == 1
    assert "holds the input" in capsys.readouterr().err
