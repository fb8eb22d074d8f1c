"""Rankings of point clouds: data sets, plain folders, units, names of figures, and an answer that is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rank_sets import short  # noqa: F401 - for all tests of this file

from anosynth.errors import DataError, ParameterError, UnknownGenerator
from anosynth.generator import find
from anosynth.io.clouds import write_cloud
from anosynth.pointclouds import PointCloud
from anosynth.rank import Outcome, Settings, _points, rank
from anosynth.rank._files import File, family_of, good_files, real_files
from anosynth.rank.page import page
from anosynth.rank.table import table
from anosynth.rank.verdict import NAMES, names_of
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import as_rng, stream
from anosynth_cli.main import run

DENT = {"area": 0.05, "strength": 0.05}
"""Of the dents that are called real."""


def ring(seed: int, count: int = 900) -> PointCloud:
    """Points evenly at random on a torus."""
    u, v, keep = as_rng(seed).child("ring").random(12 * count).reshape(3, -1)
    u, v = 2 * np.pi * u, 2 * np.pi * v
    kept = np.flatnonzero(keep * 1.4 < 1 + 0.4 * np.cos(v))[:count]
    u, v = u[kept], v[kept]
    wide = 1 + 0.4 * np.cos(v)
    return PointCloud(np.stack([wide * np.cos(u), wide * np.sin(u), 0.4 * np.sin(v)], axis=1).astype(np.float32))


def recipe(name: str, **values: object) -> Recipe:
    return Recipe([Vary(find("pointclouds", name), **values)], name=name)


def kinds(files: list[File]) -> dict[str, str]:
    return {file.name: file.kind for file in files}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Whole rings, and dents by other seeds on others; two of these are whole as well."""
    root = tmp_path_factory.mktemp("clouds")
    (root / "good").mkdir()
    for number in range(16):
        write_cloud(root / f"good/{number:02d}.ply", ring(number))
    for kind in ("good", "dent"):
        (root / "real" / kind).mkdir(parents=True)
    for number in range(8):
        dented = find("pointclouds", "dent")(**DENT)(ring(900 + number), stream(77, "hidden", str(number)))
        sample = PointCloud(dented.sample.points, attributes={"label": dented.mask.astype(np.uint8)})
        write_cloud(root / f"real/dent/{number}.ply", sample)
        write_cloud(root / f"real/good/{number}.ply", ring(800 + number))
    return root / "good", root / "real"


@pytest.fixture(scope="module")
def outcome(folders: tuple[Path, Path]) -> Outcome:
    settings = Settings(seeds=1, made=12, draws=60, held_out=0.2, by="pixel_ap", looks=False)
    return rank(
        folders[0], [recipe("ripple"), recipe("scratch", width=0.08), recipe("dent", **DENT)], folders[1], settings
    )


def test_the_recipe_that_made_the_defects_finds_them_best(outcome: Outcome) -> None:
    first, *others = outcome.of("recipe")
    assert first.name == "dent"
    assert all(first.value("image_auroc") > one.value("image_auroc") for one in others)
    line = outcome.best_line
    assert line is not None
    assert first.value("pixel_ap") > line.value("pixel_ap")


def test_figures_of_clouds_are_those_of_objects_and_points(outcome: Outcome) -> None:
    text, record = table(outcome), outcome.record()
    html = page(record)
    for shown in (text, html):
        assert "object AUROC" in shown
        assert "point AP" in shown
        for word in ("image AUROC", "pixel AUROC", "grey"):
            assert word not in shown.replace(html[html.find("<style>") : html.find("</style>")], "")
    assert [one.name for one in outcome.of("floor")] == ["size"]
    # Keys are those of photos, so that one reader does for both.
    assert list(record["entries"][0]["figures"]) == list(NAMES)
    assert names_of({"family": "images"}) == names_of({}) == NAMES
    assert names_of({"family": "pointclouds"})["aupro"] == NAMES["aupro"]
    assert record["data"]["real"] == {"dent": {"samples": 8, "masks": 8}}


def test_the_command_takes_clouds_and_the_names_of_their_figures(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["rank", "--good", str(folders[0]), "--real", str(folders[1]), "--recipes", "dent", "--seeds", "1"]
    line += ["--made", "4", "--draws", "20", "--no-looks", "--by", "point-ap", "--unit", "mm", "--json"]
    assert run(line) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["by"] == "pixel_ap"
    assert record["protocol"]["unit"] == "mm"
    assert run([*line[:-1], "--mm-per-px", "0.1"]) == 2
    assert "`mm_per_px`: of photos" in capsys.readouterr().err
    assert run([*line[:-3], "--unit", "miles"]) == 2
    assert "must be one of um, mm" in capsys.readouterr().err


def test_lengths_in_millimetres_need_a_unit(folders: tuple[Path, Path]) -> None:
    asked, given = [recipe("dent", strength="0.05mm")], Settings(made=8)
    with pytest.raises(ParameterError, match="does not say its unit"):
        rank(folders[0], asked, None, given)
    outcome = rank(folders[0], asked, None, Settings(made=8, unit="mm"))
    assert outcome.looks["dent"]["coverage"] is not None
    # No probe of compositing is there for clouds.
    assert "shortcut" not in table(outcome)
    # In metres it is longer than the part.
    with pytest.raises((DataError, ParameterError), match=r"strength|could be made"):
        rank(folders[0], [recipe("dent", strength="50m")], None, Settings(made=4, unit="mm"))


def test_very_large_clouds_are_reduced_and_every_point_has_a_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_points, "LARGEST", 400)
    monkeypatch.setattr(_points, "MOST", 60)
    cloud = ring(3)
    points = np.concatenate([cloud.points, np.full((3, 3), np.nan, dtype=np.float32)])
    label = (points[:, 0] > 0.9).astype(np.uint8)
    write_cloud(tmp_path / "a.ply", PointCloud(points, attributes={"label": label}))
    found = _points.judged(File(tmp_path / "a.ply", "a", "x"))
    assert found.cells.shape[0] == 60
    assert found.truth is not None
    assert found.cover is not None
    scores = found.expand(np.arange(60, dtype=np.float32))
    assert scores.shape == found.truth.shape == (len(cloud.points),)
    assert set(scores.tolist()) == set(range(60))
    shares = [label[: len(cloud.points)][scores == place].mean() for place in range(60)]
    assert found.cover == pytest.approx(np.array(shares), abs=1e-6)
    # Points of a score lie together: it is that of one near by.
    own = np.stack([cloud.points[scores == place].mean(axis=0) for place in range(60)])
    assert np.median(np.linalg.norm(cloud.points - own[scores.astype(int)], axis=1)) < 0.3


def real3d(root: Path) -> Path:
    for name in ("ring/train/1_template", "ring/train/2_template", "ring/test/1_good", "ring/test/2_bulge"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_cloud(root / f"{name}.pcd", ring(len(name), 60))
    (root / "ring/gt").mkdir()
    rows = np.column_stack([ring(len("ring/test/2_bulge"), 60).points, np.arange(60) % 2])
    np.savetxt(root / "ring/gt/2_bulge.txt", rows)
    return root


@pytest.mark.parametrize("category", ["", "ring"])
def test_data_sets_of_clouds_are_known_whole_and_by_category(tmp_path: Path, category: str) -> None:
    root = real3d(tmp_path / "set") / category
    lead = "" if category else "ring/"
    assert kinds(good_files(root, "pointclouds")) == {f"{lead}train/{n}_template.pcd": "good" for n in (1, 2)}
    for layout in ("", "real3d"):
        found = real_files(root, "pointclouds", layout=layout)
        assert kinds(found) == {f"{lead}test/1_good.pcd": "good", f"{lead}test/2_bulge.pcd": "bulge"}
        assert _points.judged(found[1]).truth.sum() == 30  # type: ignore[union-attr]
    with pytest.raises(DataError, match="found none"):
        real_files(root, "pointclouds", layout="mulsen")
    with pytest.raises(UnknownGenerator, match="no layout of point clouds `real3b`; did you mean `real3d`"):
        real_files(root, "pointclouds", layout="real3b")


def test_maps_with_photos_beside_them_are_clouds(tmp_path: Path) -> None:
    for name in ("xyz/000.tiff", "rgb/000.png", "rgb/001.png"):
        path = tmp_path / "bagel/train/good" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert family_of(tmp_path) == "pointclouds"


def test_tables_of_labels_are_no_clouds(tmp_path: Path) -> None:
    for folder in ("good", "cut", "gt/cut", "apart"):
        (tmp_path / "all" / folder).mkdir(parents=True)
    write_cloud(tmp_path / "all/good/a.xyz", ring(1, 60))
    write_cloud(tmp_path / "all/cut/b_1.xyz", ring(2, 60))
    for folder in ("gt/cut", "apart"):
        (tmp_path / f"all/{folder}/b_1.txt").write_text("1\n0\n" * 30)
    (tmp_path / "all/apart").rename(tmp_path / "apart")
    for masks in (None, tmp_path / "apart"):
        found = real_files(tmp_path / "all", "pointclouds", masks=masks)
        assert kinds(found) == {"cut/b_1.xyz": "cut", "good/a.xyz": "good"}
        assert _points.judged(found[0]).truth.sum() == 30  # type: ignore[union-attr]
    (tmp_path / "apart/b_1.txt").rename(tmp_path / "apart/other.txt")
    with pytest.raises(DataError, match="no table is called as one of the 2 clouds"):
        real_files(tmp_path / "all", "pointclouds", masks=tmp_path / "apart")


@pytest.mark.parametrize("text", ["", "0 0 nan\n", "1 2\n3\n"])
def test_tables_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    for folder in ("cut", "gt"):
        (tmp_path / folder).mkdir()
    write_cloud(tmp_path / "cut/b.xyz", ring(2, 60))
    (tmp_path / "gt/b.txt").write_text(text)
    with pytest.raises(DataError, match=r"gt/b\.txt: "):
        _points.judged(real_files(tmp_path, "pointclouds")[0])


def test_a_mesh_among_scans_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.ply", "b.ply", "nominal.stl"):
        (tmp_path / name).write_bytes(b"")
    assert [bool(file.problem) for file in good_files(tmp_path, "pointclouds")] == [False, False, True]
    for name in ("a.ply", "b.ply"):
        (tmp_path / name).unlink()
    assert [file.problem for file in good_files(tmp_path, "pointclouds")] == [""]


def test_numbers_of_variants_are_no_kinds(tmp_path: Path) -> None:
    for name in ("ring_000_000", "ring_000_001", "ring_001_000", "ring_001_001"):
        (tmp_path / f"{name}.ply").write_bytes(b"")
    assert set(kinds(real_files(tmp_path, "pointclouds")).values()) == {"anomalous"}
