"""The toy photos: unlike one another, alike within a kind, with defects that are where their masks say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from anosynth.errors import ParameterError, UnknownGenerator
from anosynth.seeding import as_rng
from anosynth.toy import make_toy
from anosynth.toy.images import DEFECTS, make_mvtec, toy_image

PAIRS = [(kind, defect) for kind, defects in DEFECTS.items() for defect in defects]

GOLDEN = {
    ("washer", "chip"): "0e5b9de8a078b22f",
    ("washer", "scratch"): "a3366f8ca14b1179",
    ("fabric", "scratch"): "ce836a21b6f25a93",
    ("fabric", "stain"): "425b414aee19a8b2",
    ("tablet", "chip"): "3554a357f3047769",
    ("tablet", "stain"): "71a917bf8bce85cd",
}


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_good_photo(kind):
    pixels, mask = toy_image(kind, 4, size=96)
    assert mask is None
    assert (pixels.dtype, pixels.shape) == (np.uint8, (96, 96, 3))
    assert np.array_equal(toy_image(kind, 4, size=96)[0], pixels)
    assert np.array_equal(toy_image(kind, as_rng(4), size=96)[0], pixels)
    other = toy_image(kind, 5, size=96)[0]
    assert (other != pixels).any(axis=2).mean() > 0.5
    # Neither burnt out nor lost in the dark.
    assert ((pixels > 0) & (pixels < 255)).mean() > 0.97
    assert pixels.astype(float).std() > 15


@pytest.mark.parametrize(("kind", "defect"), PAIRS)
@pytest.mark.parametrize("seed", range(5))
def test_a_defect_is_where_its_mask_says(kind, defect, seed):
    size = 128
    good, bad = (toy_image(kind, seed, size=size, defect=d) for d in (False, defect))
    mask = bad[1]
    assert (mask.dtype, mask.shape) == (np.bool_, (size, size))
    assert 12 <= mask.sum() <= 0.08 * size * size
    difference = np.abs(bad[0].astype(int) - good[0]).max(axis=2)
    soft_edge = ndimage.binary_dilation(mask, iterations=4)
    assert not difference[~soft_edge].any()
    assert np.median(difference[mask]) >= 12
    assert (difference[mask] > 0).mean() > 0.9


def test_sizes_show_the_same_part():
    small, large = (toy_image("washer", 2, size=size)[0].astype(float) for size in (96, 192))
    shrunk = large.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.9


def test_kinds_differ():
    # Each photo is nearer to the mean of its own kind than to those of the others.
    photos = {kind: [toy_image(kind, s, size=64)[0].astype(float) for s in range(4)] for kind in DEFECTS}
    means = {kind: np.mean(group, axis=0) for kind, group in photos.items()}
    for kind, group in photos.items():
        for photo in group:
            assert min(means, key=lambda other: np.abs(photo - means[other]).mean()) == kind


def test_any_defect():
    found = {toy_image("tablet", seed, size=48, defect=True)[1].tobytes() for seed in range(6)}
    either = {toy_image("tablet", seed, size=48, defect=d)[1].tobytes() for seed in range(6) for d in DEFECTS["tablet"]}
    assert found <= either
    assert len(found) == 6


def test_wrong_words():
    with pytest.raises(UnknownGenerator, match="no toy photo `washr`; did you mean `washer`"):
        toy_image("washr", 0)
    with pytest.raises(UnknownGenerator, match="no defect `chip` of the toy `fabric`"):
        toy_image("fabric", 0, defect="chip")
    for size in (47, 4097):
        with pytest.raises(ParameterError, match=f"size: {size}: expected 48 to 4096"):
            toy_image("washer", 0, size=size)


def test_the_data_set(tmp_path):
    written = make_toy("mvtec", tmp_path / "a", seed=1, count=3)
    assert written == sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    names = set()
    for kind, defects in DEFECTS.items():
        names |= {f"{kind}/train/good/{number:03d}.png" for number in range(3)} | {f"{kind}/test/good/000.png"}
        names |= {f"{kind}/test/{defect}/000.png" for defect in defects}
        names |= {f"{kind}/ground_truth/{defect}/000_mask.png" for defect in defects}
    a = content(tmp_path / "a")
    assert a.keys() == names
    assert len(set(a.values())) == len(a)
    for path in written:
        with Pillow.open(path) as picture:
            assert picture.size == (256, 256)
            assert picture.mode == ("L" if "ground_truth" in path.parts else "RGB")


def test_a_file_depends_on_seed_and_path_alone(tmp_path):
    for name, seed, count in [("a", 0, 2), ("b", 0, 1), ("c", 1, 1)]:
        make_mvtec(tmp_path / name, seed=seed, count=count)
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert b.items() <= a.items()
    assert len(b) < len(a)
    assert all(b[path] != c[path] for path in b)


@pytest.mark.parametrize(("kind", "defect"), PAIRS)
def test_the_same_on_every_machine(kind, defect):
    pixels, mask = toy_image(kind, 3, size=64, defect=defect)
    assert hashlib.sha256(pixels.tobytes() + mask.tobytes()).hexdigest()[:16] == GOLDEN[kind, defect]
