"""Data sets of photos: the tree of MVTec AD and plain folders, as other readers pair their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from anosynth.datasets.layout import Labelled, Source, find_layout, layout_names
from anosynth.errors import DataError
from anosynth.generator import Anomaly, Generator, find
from anosynth.io.images import image_digest, read_image
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, run
from anosynth.toy import make_toy

KINDS = {"fabric": ("scratch", "stain"), "tablet": ("chip", "stain"), "washer": ("chip", "scratch")}


class ByHand(Generator):
    family = "images"


def changed(image, *, defects=1):
    """Darken or lighten `defects` squares along the diagonal by half."""
    pixels, numbers = image.pixels.copy(), np.zeros(image.shape, dtype=np.uint16)
    for number in range(1, defects + 1):
        place = slice(2 * number, 2 * number + 2)
        part = pixels[place, place]
        half = image.pixels.dtype.type(image.white / 2)
        pixels[place, place] = np.where(part < half, part + half, part - half)
        numbers[place, place] = number
    mask = numbers > 0
    return Anomaly(replace(image, pixels=pixels), mask, mask.astype(np.float32) / 2, numbers, ByHand(), before=image)


def made(name, root, out, source, *, variant=0, kind="by-hand", defects=1):
    layout = find_layout(name)
    anomaly = changed(read_image(root / source.path), defects=defects)
    target = layout.target(source, kind, variant)
    outputs = layout.write(root, out, source, target, anomaly)
    return anomaly, outputs, {"outputs": [{"role": output.role, "path": output.path} for output in outputs]}


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def as_anomalib(category):
    """Pair the photos of a category as anomalib's reader of MVTec AD does: by sorted paths of all PNGs below it."""
    rows = [(*path.relative_to(category).parts, str(path)) for path in category.glob("**/*") if path.suffix == ".png"]
    assert all(len(row) == 4 for row in rows)
    photos = sorted((row for row in rows if row[0] != "ground_truth"), key=lambda row: row[3])
    masks = sorted((row for row in rows if row[0] == "ground_truth"), key=lambda row: row[3])
    bad = [row for row in photos if row[0] == "test" and row[1] != "good"]
    assert len(bad) == len(masks)
    assert all(Path(photo[3]).stem in Path(mask[3]).stem for photo, mask in zip(bad, masks, strict=True))
    return photos, list(zip(bad, masks, strict=True))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mvtec")
    make_toy("mvtec", folder, count=2)
    return folder


def test_names():
    assert "mvtec" in layout_names()
    assert not {"photos", "folder", "layout", "truth"} & set(layout_names())
    assert find_layout("photos").name == "photos"
    assert not find_layout("photos").holds_out
    assert find_layout("mvtec").holds_out
    assert "CC BY-NC-SA 4.0" in find_layout("mvtec").home


def test_samples_of_the_toy(toy):
    found = list(find_layout("mvtec").samples(toy))
    assert [sample.path.as_posix() for sample in found] == [path for path in files(toy) if "ground_truth" not in path]
    for sample in found:
        category, split, kind, name = sample.path.parts
        truth = None if kind == "good" else Path(category, "ground_truth", kind, f"{name[:-4]}_mask.png")
        assert sample == Labelled(sample.path, split, kind, category, truth)
        assert find_layout("mvtec").companions(toy, sample) == ([] if truth is None else [truth])
    sources = find_layout("mvtec").sources(toy)
    assert [source.path.as_posix() for source in sources] == [
        f"{category}/train/good/{number:03d}.png" for category in KINDS for number in range(2)
    ]


@pytest.mark.parametrize("category", KINDS)
def test_another_reader_pairs_the_toy(toy, category):
    photos, pairs = as_anomalib(toy / category)
    assert {row[1] for row in photos if row[0] == "test"} == {"good", *KINDS[category]}
    for photo, mask in pairs:
        assert photo[1] == mask[1]
        with Pillow.open(photo[3]) as picture, Pillow.open(mask[3]) as labels:
            assert (picture.mode, labels.mode) == ("RGB", "L")
            assert picture.size == labels.size
            assert set(np.unique(np.asarray(labels))) == {0, 255}


def test_another_reader_pairs_what_is_written(toy, tmp_path):
    masks = {}
    for source in find_layout("mvtec").sources(toy):
        for variant in (0, 1, 12, 100):
            for kind in ("spot", "spot-2"):
                how = {"variant": variant, "kind": kind, "defects": 1 + variant % 3}
                anomaly, outputs, _ = made("mvtec", toy, tmp_path, source, **how)
                masks[outputs[0].path] = anomaly.mask
    for category in KINDS:
        _, pairs = as_anomalib(tmp_path / category)
        assert len(pairs) == 16
        for photo, mask in pairs:
            with Pillow.open(mask[3]) as labels:
                expected = masks[Path(photo[3]).relative_to(tmp_path).as_posix()]
                assert np.array_equal(np.asarray(labels) == 255, expected)
    assert {path.split("/")[0] for path in files(tmp_path)} == {*KINDS, "_truth"}


def test_paths_of_mvtec(toy, tmp_path):
    source = Source(Path("washer/train/good/001.png"), "washer")
    anomaly, outputs, record = made("mvtec", toy, tmp_path, source, variant=7, kind="cut", defects=3)
    assert [(output.role, output.path) for output in outputs] == [
        ("sample", "washer/test/cut/001_007.png"),
        ("labels", "washer/ground_truth/cut/001_007_mask.png"),
        ("instances", "_truth/washer/test/cut/001_007.png"),
    ]
    assert files(tmp_path) == sorted(output.path for output in outputs)
    assert outputs[0].data_sha256 == image_digest(read_image(tmp_path / outputs[0].path))
    truth = find_layout("mvtec").read_truth(tmp_path, record)
    assert np.array_equal(truth.sample.pixels, anomaly.sample.pixels)
    assert np.array_equal(truth.mask, anomaly.mask)
    assert truth.still is None
    assert truth.removed is None
    assert np.array_equal(read_image(tmp_path / outputs[2].path).pixels, anomaly.instances)


def test_a_tree_that_is_none(toy, tmp_path):
    with pytest.raises(DataError, match=r"expected files such as `bottle/train/good/000.png`, found none\nhint"):
        list(find_layout("mvtec").samples(toy / "washer"))
    stray = tmp_path / "nut/train/bent/000.png"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    with pytest.raises(DataError, match="expected nothing but `good` in nut/train"):
        list(find_layout("mvtec").samples(tmp_path))


@pytest.mark.parametrize("folder", [False, True])
def test_a_mask_that_is_not_there(tmp_path, caplog, folder):
    for name in ("nut/train/good/000.png", "nut/test/bent/000.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    if folder:
        (tmp_path / "nut/ground_truth/bent").mkdir(parents=True)
    # The masks of real defects are no input of anything, so that nothing is refused.
    assert [sample.truth for sample in find_layout("mvtec").samples(tmp_path)] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/nut/test/bent/000.png: a photo of a defect without a mask: readers may refuse its category"
    ]


@pytest.mark.parametrize("size", [(10, 12), (12, 11)])
def test_a_mask_of_another_size(toy, tmp_path, size):
    _, outputs, record = made("mvtec", toy, tmp_path, Source(Path("fabric/train/good/000.png"), "fabric"))
    Pillow.fromarray(np.zeros(size, dtype=np.uint8)).save(tmp_path / outputs[1].path)
    with pytest.raises(DataError, match=rf"{size[0]} x {size[1]}: expected the size of its image"):
        find_layout("mvtec").read_truth(tmp_path, record)


@pytest.fixture
def photos(tmp_path):
    """Photos of many types in nested folders, one of them on its side."""
    root, draw = tmp_path / "photos", np.random.default_rng(3)
    (root / "sub").mkdir(parents=True)
    colour = draw.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(colour).save(root / "sub/side.JPG", exif=exif)
    Pillow.fromarray(colour).save(root / "sub/a.bmp")
    Pillow.fromarray(colour).save(root / "sub/a_b.png")
    Pillow.fromarray(draw.integers(0, 65535, (16, 24), dtype=np.uint16)).save(root / "deep.png")
    floats = draw.random((16, 24, 5), dtype=np.float32)
    tifffile.imwrite(root / "float.tif", floats, photometric="minisblack", planarconfig="contig")
    (root / "notes.txt").write_text("no photo")
    return root


def test_plain_photos(photos, tmp_path):
    layout, out = find_layout("photos"), tmp_path / "out"
    sources = layout.sources(photos)
    assert [s.path.as_posix() for s in sources] == ["deep.png", "float.tif", "sub/a.bmp", "sub/a_b.png", "sub/side.JPG"]
    for source in sources:
        for variant, defects in [(0, 1), (11, 2)]:
            before = read_image(photos / source.path)
            anomaly, outputs, record = made("photos", photos, out, source, variant=variant, defects=defects)
            assert [o.role for o in outputs] == ["sample", "labels", "instances"][: 1 + defects]
            truth = layout.read_truth(out, record)
            assert truth.sample.pixels.dtype == before.pixels.dtype
            assert np.array_equal(truth.sample.pixels, anomaly.sample.pixels)
            differs = truth.sample.pixels != before.pixels
            assert np.array_equal(differs.any(axis=2) if differs.ndim == 3 else differs, truth.mask)
    stems = [
        f"{stem}_{variant}" for stem in ("deep", "float", "sub/a", "sub/a_b", "sub/side") for variant in ("000", "011")
    ]
    suffix = {stem: ".tiff" if stem.startswith("float") else ".png" for stem in stems}
    assert files(out / "anomalous") == sorted(stem + suffix[stem] for stem in stems)
    assert files(out / "ground_truth") == sorted(f"{stem}.png" for stem in stems)
    assert files(out / "instances") == sorted(f"{stem}.png" for stem in stems if stem.endswith("011"))
    # anomalib's `Folder` pairs by sorted paths and wants the photo's stem in the mask's.
    pairs = zip(files(out / "anomalous"), files(out / "ground_truth"), strict=True)
    assert all(Path(photo).with_suffix("") == Path(mask).with_suffix("") for photo, mask in pairs)


def test_a_mask_follows_the_photo_upright(photos, tmp_path):
    source = Source(Path("sub/side.JPG"))
    _, outputs, _ = made("photos", photos, tmp_path / "out", source)
    with (
        Pillow.open(tmp_path / "out" / outputs[0].path) as photo,
        Pillow.open(tmp_path / "out" / outputs[1].path) as mask,
    ):
        assert photo.size == mask.size == (16, 24)
        assert 274 not in photo.getexif()
        labels, seen = np.asarray(mask), np.asarray(photo).astype(int)
    with Pillow.open(photos / source.path) as picture:
        upright = np.asarray(picture.transpose(Pillow.Transpose.ROTATE_270)).astype(int)
    assert np.array_equal((seen != upright).any(axis=2), labels == 255)


def test_more_than_255_defects_keep_their_numbers(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    pixels = np.zeros((620, 620), dtype=np.uint8)
    Pillow.fromarray(pixels).save(root / "a.png")
    anomaly, outputs, _ = made("photos", root, tmp_path / "out", Source(Path("a.png")), defects=300)
    found = read_image(tmp_path / "out" / outputs[2].path).pixels
    assert found.dtype == np.uint16
    assert np.array_equal(found, anomaly.instances)


def test_two_photos_of_one_name(tmp_path):
    for name in ("a.jpg", "a.png"):
        Pillow.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / name)
    first, second = find_layout("photos").samples(tmp_path)
    assert first.problem == ""
    assert "a.png: differs from a.jpg in the suffix alone: their masks would have one name" in second.problem
    recipe = Recipe([Vary(find("images", "blank"))])
    summary = run(Plan(tmp_path, find_layout("photos"), recipe, count=2), tmp_path / "out")
    assert (summary.made, summary.skipped) == (2, 1)
    assert summary.problems == [second.problem.replace(f"{tmp_path}/", "")]
    assert (tmp_path / "out" / "splits.csv").read_text().splitlines()[1:] == ["a.jpg,test"]
