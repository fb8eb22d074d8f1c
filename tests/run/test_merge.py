"""Shards that were made apart and merged are the data set that was made in one go: compared by their whole trees."""

from __future__ import annotations

import fcntl
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_kit import tree

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, WriteError
from anosynth.export import export
from anosynth.generator import find
from anosynth.images import Image
from anosynth.io.clouds import write_cloud
from anosynth.io.images import write_image
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, _joining, replay, run, verify, write_report
from anosynth.run import merge as merging
from anosynth.run.merge import Merged, merge, views
from anosynth.toy import make_toy
from anosynth_cli import main as command
from anosynth_cli.running import VIEWS

SHARDS = 3


def states(out: Path) -> set[str]:
    return {finding.state for finding in verify(out)}


def make(root: Path, layout: str = "folder", **values) -> Plan:
    layout_found = find_layout(layout)
    vary = Vary(PerlinSurface, area="0.1:0.2") if layout == "folder" else Vary(find("images", "scratch"))
    recipe = values.pop("recipe", None) or Recipe([vary])
    return Plan(root, layout_found, recipe, **values)


def shards(plan_of, folders: list[Path]) -> None:
    for index, folder in enumerate(folders, 1):
        run(plan_of(shard=(index, len(folders))), folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Seven clouds, one of which cannot be used, the run without shards, and its three shards."""
    folder = tmp_path_factory.mktemp("merge")
    (folder / "parts").mkdir()
    for number in range(6):
        draw = np.random.default_rng(number)
        xy = draw.uniform(0, 40, (150, 2))
        cloud = PointCloud(np.column_stack([xy, np.sin(xy[:, 0] / 9)]).astype(np.float32), unit="mm")
        write_cloud(folder / "parts" / f"p{number}.ply", cloud)
    (folder / "parts" / "p2a.ply").write_text("no cloud")
    run(make(folder / "parts", count=2), folder / "whole")
    shards(lambda **shard: make(folder / "parts", count=2, **shard), [folder / "shared"] * SHARDS)
    shards(lambda **shard: make(folder / "parts", count=2, **shard), [folder / f"s{i}" for i in range(SHARDS)])
    return folder


_numbers = itertools.count()


@pytest.fixture
def own(base) -> Path:
    """A folder of one's own in which everything is as far from the input as in `base`."""
    folder = base / f"own{next(_numbers)}"
    for name in ("shared", *(f"s{i}" for i in range(SHARDS))):
        # The header says where the input is, relative to OUT.
        shutil.copytree(base / name, base / f"{folder.name}-{name}")
    return folder


def apart(own: Path) -> list[Path]:
    return [own.with_name(f"{own.name}-s{i}") for i in range(SHARDS)]


def shared(own: Path) -> Path:
    return own.with_name(f"{own.name}-shared")


# The same bytes.


def test_shards_in_one_folder(base, own):
    assert merge([shared(own)], shared(own)) == Merged(shared(own), SHARDS, made=12, skipped=2)
    assert tree(shared(own)) == tree(base / "whole")
    assert states(shared(own)) == {"ok"}
    assert {finding.state for finding in replay(shared(own))} == {"ok"}
    # Once more is no harm, and the line without --shard has nothing left to make.
    assert merge([shared(own)], shared(own)) == Merged(shared(own), 0, made=12, skipped=2)
    assert run(make(base / "parts", count=2), shared(own)).kept == 12
    assert tree(shared(own)) == tree(base / "whole")


@pytest.mark.parametrize("links", [True, False])
def test_shards_in_folders_of_their_own(base, own, monkeypatch, links):
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(18, "other device")))
    before = [tree(folder) for folder in apart(own)]
    assert merge(apart(own), own).files == 12
    assert tree(own) == tree(base / "whole")
    assert [tree(folder) for folder in apart(own)] == before
    assert {(own / "p0_000.ply").stat().st_nlink} == {2 if links else 1}


@pytest.mark.parametrize("renames", [True, False])
def test_moving_leaves_nothing_behind(base, own, monkeypatch, renames):
    if not renames:
        real = Path.replace
        apart_paths = tuple(str(folder) for folder in apart(own))

        def replace(path: Path, target: Path) -> Path:
            if str(path).startswith(apart_paths) and not str(target).startswith(apart_paths):
                raise OSError(18, "other device")
            return real(path, target)

        monkeypatch.setattr(Path, "replace", replace)
    merge(apart(own), own, move=True)
    assert tree(own) == tree(base / "whole")
    assert not any(folder.exists() for folder in apart(own))


def test_the_last_folder_may_hold_a_shard_itself(base, own):
    *others, out = apart(own)
    assert merge(others, out).files == 8
    assert tree(out) == tree(base / "whole")


def test_an_out_elsewhere_still_finds_the_sources(base, own, tmp_path):
    merge(apart(own), tmp_path / "deep" / "out")
    assert states(tmp_path / "deep" / "out") == {"ok"}
    run(make(base / "parts", count=2), tmp_path / "deep" / "same")
    assert tree(tmp_path / "deep" / "out") == tree(tmp_path / "deep" / "same")


def test_more_shards_than_samples(base):
    out = base / "many"
    shards(lambda **shard: make(base / "parts", count=2, **shard), [out] * 20)
    assert merge([out], out).shards == 20
    assert tree(out) == tree(base / "whole")


@pytest.mark.parametrize("size", [1, 7, 100])
def test_lines_are_read_whole_in_blocks_of_any_size(tmp_path, size):
    (tmp_path / "lines").write_bytes(b"one\n\ntwo and more\nthree\n")
    assert list(_joining._lines(tmp_path / "lines", size)) == [b"one\n", b"\n", b"two and more\n", b"three\n"]
    (tmp_path / "lines").write_bytes(b"one\ntw")
    with pytest.raises(DataError, match="its last line is cut off"):
        list(_joining._lines(tmp_path / "lines", size))


@pytest.mark.parametrize("layout", ["mvtec", "visa", "real-iad"])
def test_data_sets_with_copies_and_tables(tmp_path, layout):
    make_toy(layout, tmp_path / "in", count=3)
    run(make(tmp_path / "in", layout, held_out=0.6), tmp_path / "whole")
    write_report(tmp_path / "whole", views(tmp_path / "whole", VIEWS))
    folders = [tmp_path / f"s{i}" for i in range(4)]
    shards(lambda **shard: make(tmp_path / "in", layout, held_out=0.6, **shard), folders)
    merge(folders, tmp_path / "out", move=True)
    write_report(tmp_path / "out", views(tmp_path / "out", VIEWS))
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert states(tmp_path / "out") == {"ok"}
    assert not any(folder.exists() for folder in folders)
    export("jsonl", tmp_path / "out", tmp_path / "jsonl")


def test_photos_and_their_report_as_the_command_makes_them(tmp_path, monkeypatch, capsys):
    make_toy("mvtec", tmp_path / "toy", count=3)
    photos = next((tmp_path / "toy").glob("*/train/good"))
    monkeypatch.chdir(tmp_path)
    line = ["images", "-g", "scratch", "--count", "2", str(photos)]
    assert command.run([*line, "whole"]) == 0
    for index in (2, 1):
        assert command.run([*line, "--shard", f"{index}/2", f"s{index}"]) == 0
    capsys.readouterr()
    assert command.run(["merge", "s1", "s2", "out", "--report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "out": "out",
        "shards": 2,
        "made": 6,
        "copied": 0,
        "skipped": 0,
        "files": 13,
        "report": "out/report.html",
    }
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert command.run(["merge", "out"]) == 0
    assert capsys.readouterr().out == "out: one data set already: 6 anomalous samples\n"
    assert command.run(["verify", "out"]) == 0


@pytest.mark.parametrize("sink", ["webdataset", "recipe"])
def test_samples_that_are_no_files_of_their_own(base, tmp_path, sink):
    folders = [tmp_path / f"s{i}" for i in range(2)]
    given = {"count": 2, "sink": sink, "shard_size": 4}
    shards(lambda **shard: make(base / "parts", **given, **shard), folders)
    merged = merge(folders, tmp_path / "out")
    assert (merged.made, merged.files) == (12, 4 if sink == "webdataset" else 0)
    assert states(tmp_path / "out") <= {"ok"}
    if sink == "recipe":
        run(make(base / "parts", **given), tmp_path / "whole")
        assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.slow
def test_features_bring_what_their_generators_learned(tmp_path):
    pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(3):
        np.save(tmp_path / "in" / f"f{number}.npy", draw.normal(size=(2, 4, 3, 3)).astype(np.float32))
    line = ["features", "-g", "distance-guided", "--no-report", str(tmp_path / "in")]
    assert command.run([*line, str(tmp_path / "whole")]) == 0
    for index in (1, 2):
        assert command.run([*line, "--shard", f"{index}/2", str(tmp_path / f"s{index}")]) == 0
    merge([tmp_path / "s1", tmp_path / "s2"], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


# Kills.


class Killed(BaseException):
    pass


@pytest.mark.parametrize("move", [True, False])
@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_merge_that_was_killed_is_done_by_the_same_call(base, own, monkeypatch, after, move):
    left = itertools.count(after, -1)

    def bring(*given) -> int:
        if next(left) == 0:
            raise Killed
        return real(*given)

    real = _joining._bring
    with monkeypatch.context() as patch:
        patch.setattr(_joining, "_bring", bring)
        # A kill runs no clean-up.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            merge(apart(own), own, move=move)
    assert not (own / "manifest.jsonl").exists()
    merge(apart(own), own, move=move)
    assert tree(own) == tree(base / "whole")


def test_a_merge_that_was_killed_before_the_shards_went(base, own, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(merging, "_forget", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            merge([shared(own)], shared(own))
    (shared(own) / "manifest-00002-of-00003.jsonl").unlink()
    assert merge([shared(own)], shared(own)) == Merged(shared(own), SHARDS, made=12, skipped=2)
    assert tree(shared(own)) == tree(base / "whole")


# Refusals; none of them changes a file.


def refused(own: Path, folders: list[Path], out: Path, kind: type, text: str) -> None:
    before = tree(out) if out.exists() else {}
    with pytest.raises(kind, match=text):
        merge(folders, out)
    assert (tree(out) if out.exists() else {}) == before


def test_missing_and_unfinished_shards(own):
    first, second, third = apart(own)
    refused(own, [first, third], own, DataError, r"s0: of 3 shards missing 2\nhint: give the line of each again")
    part = second / "manifest-00002-of-00003.jsonl"
    part.rename(part.with_suffix(".jsonl.part"))
    refused(own, apart(own), own, DataError, "of 3 shards unfinished 2\n")
    (third / "manifest-00003-of-00003.jsonl").unlink()
    refused(own, apart(own), own, DataError, "of 3 shards missing 3; unfinished 2\n")
    refused(own, [second], second, DataError, "00003.jsonl.part: this shard is not finished\nhint: give its line")


def test_a_shard_that_is_being_made(own):
    guard = shared(own) / ".manifest-00002-of-00003.jsonl.lock"
    with guard.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(own, [shared(own)], shared(own), WriteError, "00002-of-00003.jsonl: this shard is being made at this")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": 1}, "seed"),
        ({"count": 3}, "count"),
        ({"recipe": Recipe([Vary(PerlinSurface, octaves=2, area=0.2)])}, "recipe"),
    ],
)
def test_shards_of_other_settings(base, own, change, key):
    plan = make(base / "parts", **{"count": 2, **change, "shard": (2, 3)})
    run(plan, own.with_name(f"{own.name}-other"))
    folders = [apart(own)[0], own.with_name(f"{own.name}-other"), apart(own)[2]]
    refused(own, folders, own, DataError, rf"other settings or another input than .* \(differs in: {key}\)")


def test_shards_of_other_inputs(base, own):
    (base / f"{own.name}-in").mkdir()
    shutil.copy(base / "parts" / "p0.ply", base / f"{own.name}-in" / "q0.ply")
    run(make(base / f"{own.name}-in", count=2, shard=(2, 3)), own.with_name(f"{own.name}-other"))
    folders = [apart(own)[0], own.with_name(f"{own.name}-other"), apart(own)[2]]
    refused(own, folders, own, DataError, r"\(differs in: root, fingerprint\)")


def test_shards_of_runs_of_other_numbers_of_shards(base, own):
    run(make(base / "parts", count=2, shard=(2, 4)), shared(own).with_name(f"{own.name}-four"))
    folders = [shared(own), shared(own).with_name(f"{own.name}-four")]
    refused(own, folders, own, DataError, "of runs of 3 and of 4 shards: expected the shards of one run")


def rewrite(path: Path, change) -> None:
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def name_anothers(lines: list[dict]) -> None:
    lines[1]["outputs"][0]["path"] = "p0_000.ply"


def climb(lines: list[dict]) -> None:
    lines[1]["outputs"][0]["path"] = "../parts/p0.ply"


def other_shard(lines: list[dict]) -> None:
    lines[0]["shard"] = [1, 3]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (name_anothers, "another shard names `p0_000.ply` with other contents"),
        (climb, "names `../parts/p0.ply`, which lies outside"),
        (other_shard, r"its header says shard \[1, 3\]: was it renamed"),
        (lambda lines: [lines.pop(), lines.pop()], "00001-of-00003.jsonl: has more lines than"),
        (lambda lines: lines.append(lines[-1]), "00002-of-00003.jsonl: has more lines than"),
        (lambda lines: lines[1].pop("status"), "00002-of-00003.jsonl: line 2: not a record"),
        (lambda lines: lines[1]["outputs"][0].pop("sha256"), "its outputs are not anosynth's"),
        (lambda lines: lines.pop(0), "has no header line"),
    ],
)
def test_manifests_that_do_not_fit_together(own, change, text):
    rewrite(shared(own) / "manifest-00002-of-00003.jsonl", change)
    refused(own, [shared(own)], shared(own), DataError, text)


def test_a_manifest_that_is_cut_off(own):
    path = shared(own) / "manifest-00001-of-00003.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    refused(own, [shared(own)], shared(own), DataError, "00001-of-00003.jsonl: its last line is cut off")


def test_the_same_shard_twice(own, base):
    again = own.with_name(f"{own.name}-again")
    shutil.copytree(apart(own)[1], again)
    merge([*apart(own), again], own)
    assert tree(own) == tree(base / "whole")
    rewrite(again / "manifest-00002-of-00003.jsonl", lambda lines: lines[1].update(epoch=9))
    refused(own, [*apart(own), again], own / "new", DataError, "the same shard, with other lines")


def test_files_that_are_not_there_or_not_what_they_were(own, monkeypatch):
    sample = next(apart(own)[1].glob("*.ply"))
    sample.write_bytes(sample.read_bytes() + b"x")
    monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(18, "other device")))
    with pytest.raises(DataError, match=f"{sample.name}: is not the file that was written"):
        merge(apart(own), own)
    sample.unlink()
    with pytest.raises(DataError, match=f"{sample.name}: named by manifest-00002-of-00003.jsonl, but not there"):
        merge(apart(own), own)
    (own / sample.name).write_bytes(b"other")
    with pytest.raises(DataError, match=f"{sample.name}: is there already, and is not what"):
        merge(apart(own), own)
    assert not (own / "manifest.jsonl").exists()


def test_an_out_that_is_anothers(base, own):
    own.mkdir()
    (own / "notes.txt").touch()
    refused(own, apart(own), own, WriteError, r"holds files that are not anosynth's \(notes.txt")
    run(make(base / "parts", count=1), own.with_name(f"{own.name}-run"))
    refused(own, apart(own), own.with_name(f"{own.name}-run"), DataError, "of a data set made with other settings")
    refused(own, apart(own), own / "notes.txt", WriteError, "is not a folder")


def test_folders_without_shards(base, own, tmp_path):
    refused(own, [tmp_path / "not-there"], tmp_path / "not-there", DataError, "not-there: no such folder")
    refused(own, [tmp_path], tmp_path, DataError, "no shards of a run here: expected manifest-00001-of-0000N.jsonl")
    refused(own, [base / "whole"], own, DataError, "manifest.jsonl: of a run without shards: expected")


def test_a_ladder_says_how_its_table_is_written(tmp_path, caplog):
    (tmp_path / "parts").mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(100, 150, (48, 48, 3), dtype=np.uint8)
        write_image(tmp_path / "parts" / f"{seed}.png", Image(pixels))
    line = ["ladder", "-g", "stain", "--severities", "0.5,1", "--count", "2", "--no-report", str(tmp_path / "parts")]
    for index in (1, 2):
        assert command.run([*line, str(tmp_path / f"s{index}"), "--shard", f"{index}/2"]) == 0
    merge([tmp_path / "s1", tmp_path / "s2"], tmp_path / "all")
    assert "ladder.csv: not written: the line of the ladder, without --shard, writes it" in caplog.text
    assert command.run([*line, str(tmp_path / "all")]) == command.run([*line, str(tmp_path / "whole")]) == 0
    assert tree(tmp_path / "all") == tree(tmp_path / "whole")
    caplog.clear()
    for _ in range(2):
        merge([tmp_path / "all"], tmp_path / "all")
    assert not caplog.records


def test_tables_need_the_sources(tmp_path):
    make_toy("visa", tmp_path / "in", count=3)
    shards(lambda **shard: make(tmp_path / "in", "visa", **shard), [tmp_path / "out"] * 2)
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="in: no such folder: the tables of `visa` need the sources\nhint: --root"):
        merge([tmp_path / "out"], tmp_path / "out")
    merge([tmp_path / "out"], tmp_path / "out", root=tmp_path / "elsewhere")
    assert states(tmp_path / "out") == {"ok"}
