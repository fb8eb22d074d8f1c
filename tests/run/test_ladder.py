"""Ladders: one place along a row, rising effects, the table, and the ordinary run layer below."""

from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest

from anosynth.errors import ParameterError
from anosynth.io.images import read_image
from anosynth.run._rungs import COLUMNS, lengths
from anosynth.run.ladder import graded_by, ladder_of, main_size
from anosynth.run.manifest import read_lines
from anosynth_cli.main import run


def photos(folder, number=3, size=(96, 128)):
    from PIL import Image

    folder.mkdir()
    for i in range(number):
        draw = np.random.default_rng(i)
        wave = 120 + 30 * np.sin(np.arange(size[1]) / 9 + i)[None, :] + draw.normal(0, 3, size)
        Image.fromarray(np.repeat(wave[:, :, None], 3, 2).astype(np.uint8)).save(folder / f"p{i}.png")
    return folder


@pytest.fixture
def good(tmp_path):
    return photos(tmp_path / "good")


def made(out):
    rows = list(csv.DictReader((out / "ladder.csv").read_text().splitlines()))
    records = {r["id"]: r for r in read_lines(out / "manifest.jsonl") if r.get("status") == "made"}
    return rows, records


def grid(rows):
    """Return the rows of each (group, size, repetition) in the order of the table."""
    found = {}
    for row in rows:
        if row["label"] == "1":
            found.setdefault((row["group"], row["size"]), []).append(row)
    return found


@pytest.mark.parametrize(("generator", "sizes"), [("scratch", "0.2,0.6"), ("stain", "0.01,0.05"), ("pit", "0.1")])
def test_along_a_row_only_the_severity_changes_and_the_effect_rises(good, tmp_path, generator, sizes):
    out = tmp_path / "out"
    line = ["ladder", str(good), str(out), "-g", generator, "--sizes", sizes, "--count", "3", "--no-report"]
    assert run(line) == 0
    rows, records = made(out)
    number = len(sizes.split(","))
    assert sum(row["label"] == "1" for row in rows) == len(records) == 3 * 5 * number
    for (group, size), part in grid(rows).items():
        assert [float(row["severity"]) for row in part] == [0, 0.25, 0.5, 0.75, 1]
        drawn = [records[row["id"]]["generator"] for row in part]
        for other in drawn[1:]:
            assert {k: v for k, v in other.items() if k != "severity"} == {
                k: v for k, v in drawn[0].items() if k != "severity"
            }
        assert float(drawn[0][main_size_of(generator)]) == float(size)
        assert len({records[row["id"]]["stream"] for row in part}) == 1
        source = read_image(good / group).pixels.astype(int)
        total, before = [], None
        for row in part:
            change = np.abs(read_image(out / row["path"]).pixels.astype(int) - source).max(2)
            total.append(change.sum())
            if before is not None:
                # Pixel by pixel, but for rounding: a stronger defect of the same shape in the same place.
                assert (change >= before - 1)[before > 0].all()
            before = change
        assert (np.diff(total) > 0).all()
        effects = [float(row["effect"]) * float(row["area"]) for row in part]
        assert (np.diff(effects) > 0).all()


def main_size_of(name):
    from anosynth.generator import find

    return main_size(find("images", name))


def test_larger_sizes_cover_more_in_the_same_place(good, tmp_path):
    out = tmp_path / "out"
    assert run(["ladder", str(good), str(out), "--sizes", "0.1,0.3,0.9", "--severities", "1", "--count", "6"]) == 0
    rows, _ = made(out)
    areas = np.array([float(row["area"]) for row in rows if row["label"] == "1"]).reshape(6, 3)
    assert (np.diff(areas.mean(0)) > 0).all()


def test_the_table_has_what_threshold_reads(good, tmp_path, capsys):
    out = tmp_path / "out"
    line = ["ladder", str(good), str(out), "--sizes", "1mm,4mm", "--mm-per-px", "0.1", "--count", "4", "--no-report"]
    assert run(line) == 0
    rows, records = made(out)
    assert tuple(rows[0]) == COLUMNS
    normal = [row for row in rows if row["label"] == "0"]
    assert [(out / row["path"]).resolve() for row in normal] == [(good / f"p{i}.png").resolve() for i in range(3)]
    for row in rows:
        if row["label"] == "1":
            assert float(row["size_mm"]) == float(row["size"].removesuffix("mm"))
            assert float(row["size_px"]) == pytest.approx(10 * float(row["size_mm"]))
            assert float(row["area"]) == records[row["id"]]["mask"]["area"]
            assert row["group"] == records[row["id"]]["source"]["path"]
    scored = tmp_path / "scored.csv"
    with scored.open("w", newline="") as file:
        table = csv.DictWriter(file, [*COLUMNS, "score"])
        table.writeheader()
        for i, row in enumerate(rows):
            table.writerow({**row, "score": 0.01 * i if row["label"] == "0" else float(row["effect"])})
    capsys.readouterr()
    assert run(["threshold", str(scored), "--fpr", "0.3", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["against"] for one in record["detection"]] == ["severity", "size_mm"]
    assert record["counts"] == {"normal": 3, "anomalous": 40}


def test_it_is_an_ordinary_data_set(good, tmp_path, capsys):
    out, more = tmp_path / "out", tmp_path / "more"
    line = ["ladder", str(good), str(out), "--sizes", "0.2,0.4", "--severities", "0.5,1", "--count", "4"]
    assert run(line) == 0
    assert run(["verify", str(out)]) == 0
    assert run(["replay", str(out)]) == 0
    bytes_of = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    capsys.readouterr()
    # Again: what is whole is kept. What is missing is made again.
    (out / "anomalous" / "p1_000.png").unlink(missing_ok=True)
    lost = next((out / "anomalous").iterdir())
    lost.unlink()
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["made"] == 16
    assert told["kept"] < 16
    assert lost.is_file()
    assert (out / "ladder.csv").read_bytes() == bytes_of["ladder.csv"]
    assert (out / "manifest.jsonl").read_bytes() == bytes_of["manifest.jsonl"]
    line[2] = str(more)
    assert run([*line, "--shard", "1/2"]) == 0
    assert run([*line, "--shard", "2/2"]) == 0
    assert (more / "ladder.csv").read_bytes() == bytes_of["ladder.csv"]
    assert sorted(p.name for p in (more / "anomalous").iterdir()) == sorted(
        p.name for p in (out / "anomalous").iterdir()
    )
    for path in (out / "anomalous").iterdir():
        assert path.read_bytes() == (more / "anomalous" / path.name).read_bytes()


def test_other_grids_do_not_go_into_one_folder(good, tmp_path, capsys):
    line = ["ladder", str(good), str(tmp_path / "out"), "--severities", "0.5,1", "--count", "2", "--no-report"]
    assert run([*line, "--sizes", "0.2"]) == 0
    capsys.readouterr()
    assert run([*line, "--sizes", "0.4"]) == 1
    assert "other settings" in capsys.readouterr().err
    assert run([*line, "--sizes", "0.4", "--overwrite"]) == 0


@pytest.mark.slow
def test_workers_give_the_same_files(good, tmp_path):
    line = ["ladder", str(good), "", "--severities", "0.5,1", "--count", "4", "--no-report"]
    for name, workers in (("one", "1"), ("two", "2")):
        line[2] = str(tmp_path / name)
        assert run([*line, "--workers", workers]) == 0
    for name in ("ladder.csv", "manifest.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_page_shows_rows_of_sizes_and_columns_of_severities(good, tmp_path):
    out = tmp_path / "out"
    assert run(["ladder", str(good), str(out), "--sizes", "0.2,0.4", "--severities", "0:1:3", "--count", "2"]) == 0
    text = (out / "ladder.html").read_text()
    assert text.count("<section>") == 2
    assert text.count("<img") == 2 * 2 * (3 + 1)
    assert "severity 0.5" in text
    assert len(set(re.findall("<h2>(.*)</h2>", text))) == 2
    assert "length 0.4" in text
    assert "<script" not in text
    assert (out / "report.html").is_file()


def pipe(folder):
    from anosynth.io.clouds import write_cloud
    from anosynth.pointclouds import PointCloud

    draw = np.random.default_rng(0)
    angle, height = draw.uniform(0, 2 * np.pi, 6000), draw.uniform(-20, 20, 6000)
    xyz = np.stack([10 * np.cos(angle), 10 * np.sin(angle), height], 1).astype(np.float32)
    folder.mkdir()
    write_cloud(folder / "pipe.ply", PointCloud(xyz))
    return folder


def test_the_page_of_clouds_has_severities_repetitions_and_units(tmp_path):
    good = pipe(tmp_path / "good")
    for unit, told in (([], "file units"), (["--unit", "mm"], "mm")):
        out = tmp_path / told
        line = ["ladder", str(good), str(out), "--family", "pointclouds", "-g", "dent", "--severities", "0.5,1"]
        assert run([*line, "--sizes", "0.03", "--count", "2", *unit]) == 0
        text = (out / "ladder.html").read_text()
        assert re.findall("<h2>(.*)</h2>", text) == ["pipe.ply, repetition 1", "pipe.ply, repetition 2"]
        assert "<th>severity 0.5</th><th>severity 1</th>" in text
        assert "severity, as a multiple of strength: 0.5, 1;" in text
        effects = re.findall(r"<td><span>[^ <]+ ([^<]*)</span>", text)
        assert effects == [told] * 4


def test_a_ladder_of_sampled_meshes_is_of_points(tmp_path):
    from anosynth.io.clouds import read_cloud, write_cloud
    from anosynth.pointclouds import PointCloud

    corners = np.array([[x, y, z] for x in (0, 60) for y in (0, 40) for z in (0, 20)], dtype=np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads])
    (tmp_path / "mesh").mkdir()
    write_cloud(tmp_path / "mesh" / "a.stl", PointCloud(corners, faces=faces))
    line = ["ladder", str(tmp_path / "mesh"), str(tmp_path / "out"), "--family", "pointclouds", "-g", "dent"]
    assert run([*line, "--sample", "2000", "--count", "1", "--severities", "1,2", "--unit", "mm"]) == 0
    _, records = made(tmp_path / "out")
    assert sorted(records) == ["a_000.stl.ply", "a_001.stl.ply"]
    assert len(read_cloud(tmp_path / "out" / "a_000.stl.ply")) == 2000


def test_clouds_have_multiples_of_their_strength(tmp_path):
    from anosynth.io.clouds import read_cloud

    out = tmp_path / "out"
    line = ["ladder", str(pipe(tmp_path / "good")), str(out), "--family", "pointclouds", "-g", "dent", "--unit", "mm"]
    assert run([*line, "--strength", "1mm", "--sizes", "0.02,0.05", "--severities", "0.5,1,1.5", "--count", "1"]) == 0
    rows, records = made(out)
    for part in grid(rows).values():
        deep = [records[row["id"]]["effect"]["min"] for row in part]
        assert deep == pytest.approx([-0.5, -1, -1.5], rel=0.05)
    assert read_cloud(out / rows[0]["path"]).points.shape[0] >= 6000
    assert "<img" not in (out / "ladder.html").read_text()


@pytest.mark.parametrize(
    ("size", "px", "mm"),
    [(0.1, 10.0, 5.0), ("12px", 12.0, 6.0), ("3mm", 6.0, 3.0), ("0.5cm", 10.0, 5.0)],
)
def test_lengths_in_pixels_and_millimetres(size, px, mm):
    from anosynth.images import Scratch

    found = lengths(Scratch, "length", size, (100, 200), 0.5)
    assert found == (pytest.approx(px), pytest.approx(mm))
    assert lengths(Scratch, "length", size if "m" not in str(size) else 1.0, (100, 200), None)[1] is None


@pytest.mark.parametrize("size", [0.01, "200px2", "50mm2", "0.5cm2"])
def test_areas_count_as_the_disc_of_that_area(size):
    from anosynth.images import Stain

    px, mm = lengths(Stain, "area", size, (100, 200), 0.5)
    assert math.pi * px**2 / 4 == pytest.approx(200)
    assert mm == pytest.approx(px / 2)


def test_every_generator_of_photos_but_those_without_has_a_main_size():
    from anosynth.generator import find, names

    bare = [name for name in names("images") if not main_size(find("images", name))]
    assert bare == ["nsa"]
    assert main_size(find("images", "scratch")) == "length"
    assert main_size(find("images", "scratch"), "width") == "width"
    assert main_size(find("pointclouds", "dent")) == "area"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--severities", "0:2:3"], "`severity`: 2.0: must be <= 1"),
        (["--severities", "a"], "--severities: a: must be numbers"),
        (["--severities", "0:1"], "must be a list such as 0.1,0.3 or low:high:n"),
        (["--severities", "0.1,,0.2"], "must be a list"),
        (["--sizes", "0.1,0.1"], "each must be there once"),
        (["--sizes", "0:1:3"], "must be > 0"),
        (["--sizes", "1mm"], "what a pixel measures is not known"),
        (["--sizes", "0.1", "--length", "0.2"], "--length: 0.2: the grid has its own: --sizes 0.1"),
        (["--severity", "0.2"], "--severity: 0.2: the grid has its own: --severities"),
        (["--by", "foo"], "--by: foo: `scratch` has no such number"),
        (["--by", "severity"], "--by: severity: the severities of the ladder are of it"),
        (["--by", "severity", "--sizes", "0.2,0.8"], "hint: --severities sets the values of `severity`"),
        (["--family", "photos"], "--family: photos: must be one of images, pointclouds"),
        (["-g", "nsa", "--sizes", "1"], "`nsa` has no parameter that is a size"),
    ],
)
def test_mistakes_cost_nothing(good, tmp_path, capsys, more, message):
    assert run(["ladder", str(good), str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_severities_are_of_cannot_be_a_size_as_well(tmp_path, capsys):
    line = ["ladder", str(pipe(tmp_path / "good")), str(tmp_path / "out"), "--family", "pointclouds", "-g", "dent"]
    assert run([*line, "--by", "strength", "--sizes", "0.02,0.05"]) == 2
    told = capsys.readouterr().err
    assert "--by: strength: the severities of the ladder are of it: expected another parameter" in told
    assert "hint: --severities sets the values of `strength`, as multiples of --strength" in told
    assert not (tmp_path / "out").exists()


def test_the_strength_of_a_defect_with_a_severity_is_a_size_like_others():
    from anosynth.generator import find

    assert main_size(find("images", "stain"), "strength") == "strength"
    for name in ("images", "pointclouds"):
        generator = find(name, {"images": "stain", "pointclouds": "dent"}[name])
        with pytest.raises(ParameterError, match="the severities of the ladder are of it"):
            main_size(generator, graded_by(generator))


def test_a_plan_refuses_it_before_anything_is_made(good):
    from anosynth.datasets.layout import find_layout
    from anosynth.images import Nsa, Stain
    from anosynth.recipe import Recipe, Vary

    recipe = Recipe([Vary(Stain, severity=0.5)], "stain")
    for sizes in ("", "0.2,0.8"):
        with pytest.raises(ParameterError, match="--by: severity"):
            ladder_of(recipe, sizes=sizes, by="severity", root=good, layout=find_layout("photos"))
    with pytest.raises(ParameterError, match="--sizes: `nsa` has no parameter that is a size"):
        ladder_of(Recipe([Vary(Nsa)], "nsa"), sizes="0.2,0.8", root=good, layout=find_layout("photos"))


def test_a_dry_run_lists_the_grid(good, tmp_path, capsys):
    line = ["ladder", str(good), str(tmp_path / "out"), "--severities", "0,1", "--sizes", "0.1:0.4:3", "--count", "2"]
    assert run([*line, "--dry-run", "--json"]) == 0
    jobs = [row for row in map(json.loads, capsys.readouterr().out.splitlines()) if "id" in row]
    assert len(jobs) == len({job["id"] for job in jobs}) == 12
    assert sorted({job["generator"]["length"] for job in jobs}) == [0.1, 0.2, 0.4]
    assert not (tmp_path / "out").exists()


def test_a_mix_is_no_ladder(good):
    from anosynth.datasets.layout import find_layout
    from anosynth.recipe import Recipe

    with pytest.raises(ParameterError, match="a ladder needs one generator"):
        ladder_of(Recipe.read("photo-defects"), root=good, layout=find_layout("photos"))
