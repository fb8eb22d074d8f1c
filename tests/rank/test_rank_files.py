from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anosynth.errors import DataError, UnknownGenerator
from anosynth.images import Image
from anosynth.io.clouds import write_cloud
from anosynth.io.images import write_image, write_mask
from anosynth.pointclouds import PointCloud
from anosynth.rank import _photos, _points
from anosynth.rank._files import File, family_of, good_files, real_files
from anosynth.rank._photos import Eye
from anosynth.seeding import as_rng


def photo(path: Path, *, size: tuple[int, int] = (40, 56), spot: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (as_rng(0).child(path.name).random(size[0] * size[1]) * 200).astype(np.uint8).reshape(size)
    write_image(path, Image(pixels))
    if spot:
        mask = np.zeros(size, dtype=np.bool_)
        mask[4:12, 8:20] = True
        write_mask(path, mask)
    return path


def cloud(path: Path, number: int = 0, **fields: np.ndarray) -> PointCloud:
    path.parent.mkdir(parents=True, exist_ok=True)
    points = as_rng(number).normal(600).reshape(200, 3).astype(np.float32)
    made = PointCloud(points, attributes=fields)
    write_cloud(path, made)
    return made


def kinds(files: list[File]) -> dict[str, str]:
    return {file.name: file.kind for file in files}


def test_families_are_told_by_suffixes(tmp_path: Path) -> None:
    photo(tmp_path / "p/a.png")
    (tmp_path / "p/notes.txt").write_text("none")
    cloud(tmp_path / "c/a.ply")
    assert (family_of(tmp_path / "p"), family_of(tmp_path / "c")) == ("images", "pointclouds")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds neither"):
        family_of(tmp_path / "none")


def test_known_layouts_give_training_and_test_samples(tmp_path: Path) -> None:
    root = tmp_path / "part"
    for name in ("train/good/0.png", "train/good/1.png", "test/good/0.png", "test/dent/0.png"):
        photo(root / name)
    photo(root / "ground_truth/dent/0_mask.png", spot=True)
    assert kinds(good_files(root, "images")) == {"train/good/0.png": "good", "train/good/1.png": "good"}
    found = real_files(root, "images")
    assert kinds(found) == {"test/dent/0.png": "dent", "test/good/0.png": "good"}
    assert [path.name for path in found[0].masks] == ["0_mask.png"]
    with pytest.raises(UnknownGenerator, match="did you mean `mvtec`"):
        real_files(root, "images", layout="mvtek")


def test_plain_folders_of_defects_with_masks_without_and_apart(tmp_path: Path) -> None:
    for name in ("images/a.png", "images/b.png"):
        photo(tmp_path / "one" / name)
        photo(tmp_path / "apart" / "shots" / Path(name).name)
        photo(tmp_path / "apart" / "labels" / Path(name).name, spot=True)
        photo(tmp_path / "bare" / "dent" / Path(name).name)
    photo(tmp_path / "bare/good/c.png")
    photo(tmp_path / "one/masks/a_mask.png", spot=True)
    photo(tmp_path / "flat/a.png")
    one = real_files(tmp_path / "one", "images")
    assert kinds(one) == {"images/a.png": "anomalous", "images/b.png": "anomalous"}
    assert [len(file.masks) for file in one] == [1, 0]
    assert kinds(real_files(tmp_path / "bare", "images")) == {
        "dent/a.png": "dent", "dent/b.png": "dent", "good/c.png": "good",
    }  # fmt: skip
    assert kinds(real_files(tmp_path / "flat", "images")) == {"a.png": "anomalous"}
    apart = real_files(tmp_path / "apart/shots", "images", masks=tmp_path / "apart/labels")
    assert [len(file.masks) for file in apart] == [1, 1]


def test_kinds_are_read_off_names_where_folders_say_nothing(tmp_path: Path) -> None:
    for name in ("chip_0", "chip_1", "stain_0", "stain_01"):
        photo(tmp_path / "some/defects" / f"{name}.png")
        photo(tmp_path / "some/masks" / f"{name}.png", spot=True)
    photo(tmp_path / "some/good/g.png")
    wanted = {f"defects/{name}.png": name.split("_")[0] for name in ("chip_0", "chip_1", "stain_0", "stain_01")}
    assert kinds(real_files(tmp_path / "some", "images")) == {**wanted, "good/g.png": "good"}
    photo(tmp_path / "some/defects/IMG_7.png")
    assert set(kinds(real_files(tmp_path / "some", "images")).values()) == {"good", "anomalous"}


def test_photos_are_judged_at_one_size_with_their_masks(tmp_path: Path) -> None:
    file = File(photo(tmp_path / "a.png"), "a.png", "dent", (photo(tmp_path / "a_mask.png", spot=True),))
    eye = Eye(size=64)
    found = _photos.judged(file, eye)
    assert found.cells.shape == (8, 8, 135)
    assert found.truth is not None
    assert found.truth.shape == (64, 64)
    assert found.truth.mean() == pytest.approx(8 * 12 / (40 * 56), rel=0.1)
    assert found.cover is not None
    assert found.cover.mean() == pytest.approx(8 * 12 / (40 * 56), rel=0.01)
    assert found.expand(np.ones((8, 8), np.float32)) == pytest.approx(1)
    assert found.key
    assert len(found.gist) == 7
    assert np.array_equal(found.cells, _photos.judged(file, eye).cells)


def test_masks_decide_where_names_do_not(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    black = tmp_path / "black.png"
    write_mask(black, np.zeros((40, 56), dtype=np.bool_))
    assert _photos.judged(File(path, "a", "x", (black,), sure=False), Eye(size=64)).normal
    unknown = _photos.judged(File(path, "a", "x", (black,), sure=True), Eye(size=64))
    assert (unknown.kind, unknown.truth) == ("x", None)
    assert _photos.judged(File(path, "a", "x"), Eye(size=64)).truth is None
    small = tmp_path / "small.png"
    write_mask(small, np.ones((9, 9), dtype=np.bool_))
    with pytest.raises(DataError, match=r"a\.png: 9 x 9, the photo 40 x 56"):
        _photos.judged(File(path, "a", "x", (small,)), Eye(size=64))


def test_large_photos_are_reduced_before_anything_is_made_on_them(tmp_path: Path) -> None:
    file = File(photo(tmp_path / "big.png", size=(200, 320)), "big.png")
    image = _photos.source(file, Eye(size=64), "none")
    assert image.shape == (80, 128)
    assert image.pixels.dtype == np.uint8
    assert image.foreground is None


def test_thin_masks_do_not_vanish() -> None:
    mask = np.zeros((640, 640), dtype=np.bool_)
    mask[300, 100:500] = True
    small = _photos._at(mask, 64)
    assert small.any()
    assert small.sum() <= 64


def test_points_are_labelled_by_fields_tables_lists_and_maps(tmp_path: Path) -> None:
    label = (np.arange(200) % 5 == 0).astype(np.uint8)
    cloud(tmp_path / "own.ply", label=label)
    made = cloud(tmp_path / "bare.ply")
    with (tmp_path / "all.txt").open("w") as file:
        for point, mark in zip(made.points, label, strict=True):
            file.write(f"{point[0]:.9g},{point[1]:.9g},{point[2]:.9g},{mark}\n")
    with (tmp_path / "list.txt").open("w") as file:
        for point in made.points[label > 0]:
            file.write(" ".join(f"{value:.9g}" for value in point) + "\n")
    with (tmp_path / "bare.ply.labels.txt").open("w") as file:
        file.write("label height instance\n" + "".join(f"{mark} 0.5 1\n" for mark in label))
    own = _points.judged(File(tmp_path / "own.ply", "own", "x"))
    assert own.truth is not None
    assert np.array_equal(own.truth, label > 0)
    for table in ("all.txt", "list.txt", "bare.ply.labels.txt"):
        found = _points.judged(File(tmp_path / "bare.ply", "bare", "x", (tmp_path / table,)))
        assert found.truth is not None
        assert np.array_equal(found.truth, label > 0), table
    assert _points.judged(File(tmp_path / "bare.ply", "bare", "x")).truth is None
    assert _points.judged(File(tmp_path / "bare.ply", "bare")).normal
    (tmp_path / "off.txt").write_text("9 9 9\n")
    with pytest.raises(DataError, match="its points are not those"):
        _points.judged(File(tmp_path / "bare.ply", "bare", "x", (tmp_path / "off.txt",)))


def test_clouds_beyond_the_limit_are_thinned_and_scores_carried_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_points, "MOST", 50)
    label = (np.arange(200) < 80).astype(np.uint8)
    made = cloud(tmp_path / "a.ply", label=label)
    found = _points.judged(File(tmp_path / "a.ply", "a", "x"))
    assert found.cells.shape[0] == 50
    assert found.cover is not None
    scores = found.expand(np.arange(50, dtype=np.float32))
    assert scores.shape == (200,)
    # Each point has the score of the nearest one that has its own.
    owners = np.array([np.flatnonzero(scores == place) for place in range(50)], dtype=object)
    assert all(len(owner) for owner in owners)
    assert found.cover.mean() > 0
    counted = [label[list(owner)].mean() for owner in owners]
    assert np.allclose(found.cover, counted)
    assert len(made) == 200
