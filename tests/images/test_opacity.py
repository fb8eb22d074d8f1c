"""Photos with opacity: generators see colours alone, opacity never changes, what is transparent is no place."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from anosynth.errors import DataError, NotMade
from anosynth.generator import Generator, find, names
from anosynth.images import Image
from anosynth.report.images import image_view
from anosynth.run import of_images
from anosynth.run.reading import Reading
from needs import given

ALL = names("images")
ROW, COLUMN = np.mgrid[0:72, 0:96]
DISC = np.hypot(ROW - 36, COLUMN - 48) < 30
DRAW = np.random.default_rng(6)


def colours(dtype: str = "uint8") -> np.ndarray:
    """A textured disc on a darker ground."""
    level = 0.35 + 0.3 * DISC + 0.06 * np.sin(ROW / 2.3) * np.cos(COLUMN / 3.1)
    value = level[:, :, None] * [1.0, 0.9, 0.7] + np.random.default_rng(1).normal(0, 0.015, (72, 96, 3))
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    value = np.clip(value, 0, 1) * white
    return value.astype(dtype) if dtype == "float32" else np.rint(value).astype(dtype)


def opacity(dtype: str = "uint8") -> np.ndarray:
    """Every degree of it on the disc, none around it."""
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    return np.where(DISC, white * (0.1 + 0.8 * (ROW + COLUMN) / 168), 0).astype(dtype)


def generator(name: str) -> Generator:
    cls = find("images", name)
    return cls(**given(cls))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("grey", [False, True])
def test_what_is_made_is_what_is_made_of_the_colours(name, grey):
    plain = colours()[:, :, 0].copy() if grey else colours()
    pixels = np.dstack([plain, opacity()])
    before = pixels.copy()
    pixels.setflags(write=False)
    image = Image(pixels, opacity=True)
    made, alone = generator(name)(image, rng=3), generator(name)(Image(plain, DISC), rng=3)
    assert pixels.tobytes() == before.tobytes(), "the input was written to"
    assert made.sample.opacity
    assert made.before.opacity
    assert np.array_equal(made.before.pixels, before)
    assert np.array_equal(made.sample.pixels[:, :, -1], opacity())
    assert np.array_equal(made.sample.colours, alone.sample.pixels)
    for field in ("mask", "effect", "instances"):
        assert np.array_equal(getattr(made, field), getattr(alone, field))
    assert made.stats == alone.stats
    assert not made.mask[~DISC].any()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_every_bit_of_opacity_stays(dtype):
    alpha = opacity(dtype)
    if dtype == "float32":
        alpha[30, 30:34] = [np.nan, -1, 2, 1e-30]
    made = generator("stain")(Image(np.dstack([colours(dtype), alpha]), opacity=True), rng=1)
    assert made.sample.pixels[:, :, -1].tobytes() == alpha.tobytes()
    assert made.mask.any()


def test_opacity_narrows_the_foreground_that_is_given():
    left = COLUMN < 48
    image = Image(np.dstack([colours(), opacity()]), left, opacity=True)
    for seed in range(8):
        made = generator("noise-patch")(image, rng=seed)
        assert made.mask.any()
        assert not made.mask[~(left & DISC)].any()
    with pytest.raises(NotMade, match="the foreground is empty"):
        generator("stain")(Image(np.dstack([colours(), opacity() * 0]), opacity=True), rng=1)
    with pytest.raises(NotMade, match="the foreground is empty"):
        generator("stain")(Image(np.dstack([colours(), opacity()]), ~DISC, opacity=True), rng=1)


def test_solid_photos_have_no_foreground_of_their_own():
    made = generator("stain")(Image(np.dstack([colours(), np.full((72, 96), 9, np.uint8)]), opacity=True), rng=1)
    assert made.sample.foreground is None
    # A fourth channel that is none may change.
    four = generator("noise-patch")(Image(np.dstack([colours(), colours()[:, :, 0]])), rng=1)
    assert (four.sample.pixels[:, :, 3] != colours()[:, :, 0]).any()


def test_what_opacity_may_be():
    for pixels in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 1), np.uint8)):
        with pytest.raises(DataError, match="expected at least 2 channels, of which the last is opacity"):
            Image(pixels, opacity=True)
    image = Image(np.dstack([colours(), opacity()]), opacity=True)
    assert image.colours.shape == (72, 96, 3)
    assert np.array_equal(image.solid, opacity() > 0)
    grey = Image(np.dstack([colours()[:, :, 0], opacity()]), opacity=True)
    assert grey.colours.shape == (72, 96)
    assert Image(colours()).solid is None


def found(image: Image) -> np.ndarray | None:
    return of_images._part(image, "auto", "a.png", "a.png")


def test_the_part_of_a_photo_that_is_cut_out():
    # What lies below full transparency is often a rest of the old background, or black: it says nothing.
    noise = DRAW.integers(0, 255, (72, 96, 3), dtype=np.uint8)
    hidden = np.where(DISC[:, :, None], colours(), noise)
    assert np.array_equal(found(Image(np.dstack([hidden, opacity()]), opacity=True)), DISC)
    # Round corners are no background; the part is found by its colours.
    corners = np.where((ROW < 3) & (COLUMN < 3), 0, 255).astype(np.uint8)
    plain, cornered = found(Image(colours())), found(Image(np.dstack([colours(), corners]), opacity=True))
    assert np.array_equal(cornered, plain & (corners > 0))
    assert np.array_equal(found(Image(np.dstack([colours(), corners * 0 + 7]), opacity=True)), plain)
    assert not found(Image(np.dstack([colours(), corners * 0]), opacity=True)).any()
    everywhere = np.dstack([noise, corners])
    assert np.array_equal(found(Image(everywhere, opacity=True)), corners > 0)


def test_maps_count_what_is_seen_of_them(tmp_path):
    from anosynth.io.images import write_image

    shown = np.dstack([np.full((72, 96), 255, np.uint8), opacity()])
    black = np.dstack([np.zeros((72, 96), np.uint8), opacity()])
    write_image(tmp_path / "photo.png", Image(colours()))
    for pixels, expected in ((shown, DISC), (black, DISC & False)):
        write_image(tmp_path / "map.png", Image(pixels, opacity=True))
        place = SimpleNamespace(reading=Reading(foreground="none", roi=str(tmp_path / "map.png")))
        assert np.array_equal(of_images.read(tmp_path / "photo.png", place, "photo.png").foreground, expected)


@pytest.mark.parametrize("grey", [False, True])
def test_reports_show_colours(grey):
    plain = colours()[:, :, 0].copy() if grey else colours()
    made = generator("stain")(Image(np.dstack([plain, opacity()]), opacity=True), rng=3)
    alone = generator("stain")(Image(plain, DISC), rng=3)
    assert image_view(made) == image_view(alone)
