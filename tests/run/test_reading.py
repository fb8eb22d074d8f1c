"""How photos are read: parts by folder or function, regions, exclusions, priors, and their place in the manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, ParameterError
from anosynth.images import Blank
from anosynth.io.images import read_image
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, replay, run, verify
from anosynth.run.of_images import frame
from anosynth.run.reading import Reading

SIZE = (48, 64)


def right_half(pixels):
    """The function that the command line names; the part is on the right."""
    inside = np.zeros(pixels.shape[:2], np.bool_)
    inside[:, pixels.shape[1] // 2 :] = True
    return inside


def wrong_shape(pixels):
    return np.ones((3, 3), np.bool_)


def broken(pixels):
    raise ZeroDivisionError("not today")


def save(path: Path, pixels) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def good(tmp_path) -> Path:
    noise = np.random.default_rng(0).integers(90, 160, (3, *SIZE, 3))
    for number, pixels in enumerate(noise):
        save(tmp_path / "good" / f"{number}.png", pixels)
    return tmp_path / "good"


def left(value: int = 255):
    pixels = np.zeros(SIZE)
    pixels[:, : SIZE[1] // 2] = value
    return pixels


def made(good: Path, **given):
    """Return the masks of a run, and its folder."""
    out = good.parent / "out"
    recipe = Recipe([Vary(Blank, area=0.02, fill="black", outline="rectangle", aspect=1.0)])
    plan = Plan(good, find_layout("photos"), recipe, count=4, reading=Reading(**{"foreground": "none", **given}))
    summary = run(plan, out, overwrite=True)
    masks = [np.asarray(Pillow.open(path)) > 0 for path in sorted((out / "ground_truth").glob("*.png"))]
    return masks, out, summary


def test_a_region_of_interest_keeps_defects_in_it(good, tmp_path):
    masks, out, _ = made(good, roi=save(tmp_path / "roi.png", left()))
    assert len(masks) == 12
    assert not any(mask[:, SIZE[1] // 2 :].any() for mask in masks)
    assert all(finding.state == "ok" for finding in [*verify(out), *replay(out)])


def test_an_exclusion_keeps_defects_out_of_it(good, tmp_path):
    masks, _, _ = made(good, exclude=save(tmp_path / "no.png", left()))
    assert len(masks) == 12
    assert not any(mask[:, : SIZE[1] // 2].any() for mask in masks)


def test_a_prior_says_where_centres_are(good, tmp_path):
    spot = np.zeros(SIZE)
    spot[10, 50] = 1
    masks, _, _ = made(good, prior=save(tmp_path / "prior.png", spot))
    assert len(masks) == 12
    assert all(mask[10, 50] for mask in masks)


def test_a_map_for_each_photo(good, tmp_path):
    for number in range(3):
        pixels = np.zeros(SIZE)
        pixels[16 * number : 16 * number + 16] = 255
        save(tmp_path / "parts" / f"{number}_mask.png", pixels)
    masks, _, _ = made(good, foreground=str(tmp_path / "parts"))
    assert len(masks) == 12
    for number, mask in enumerate(masks):
        rows = np.flatnonzero(mask.any(axis=1))
        assert rows.min() // 16 == rows.max() // 16 == number // 4


def test_a_function_finds_the_part(good):
    masks, out, _ = made(good, foreground=f"{__name__}:right_half")
    assert len(masks) == 12
    assert not any(mask[:, : SIZE[1] // 2].any() for mask in masks)
    assert all(finding.state == "ok" for finding in replay(out, functions=True))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("wrong_shape", "gave bool (3, 3): expected bool (48, 64)"),
        ("broken", "ZeroDivisionError: not today"),
        ("SIZE", "is not a function"),
        ("nothing", "cannot be imported"),
    ],
)
def test_a_function_that_does_not_do(good, function, says):
    _, _, summary = made(good, foreground=f"{__name__}:{function}")
    assert summary.skipped == 12
    assert all(says in problem for problem in summary.problems)


def test_a_map_of_another_size_or_missing_is_named(good, tmp_path):
    _, _, summary = made(good, roi=save(tmp_path / "small.png", np.full((9, 9), 255)))
    assert "small.png: 9 x 9: does not fit the 48 x 64 pixels of" in summary.problems[0]
    _, _, summary = made(good, roi=str(Path(save(tmp_path / "maps" / "0.png", left())).parent))
    assert summary.made == 4
    assert "1.png: no image of its name in" in summary.problems[0]
    with pytest.raises(DataError, match=r"^--roi: nowhere\.png: no such file or folder$"):
        Reading(roi="nowhere.png")
    with pytest.raises(DataError, match=r"^--foreground: other: no such file or folder\nhint: auto, none, a folder"):
        Reading(foreground="other")
    with pytest.raises(ParameterError, match=r"^--mm-per-px: 0: must be"):
        Reading(mm_per_px=0)


def test_an_empty_region_is_said_and_not_looped_on(good, tmp_path):
    _, _, summary = made(good, roi=save(tmp_path / "roi.png", np.zeros(SIZE)))
    assert summary.skipped == 12
    assert "the foreground is empty" in summary.problems[0]


def test_a_map_that_changed_is_noticed(good, tmp_path):
    _, out, _ = made(good, roi=save(tmp_path / "roi.png", left()))
    header = json.loads((out / "manifest.jsonl").read_text().splitlines()[0])
    assert header["roi"] == "../roi.png"
    assert list(header["maps"]) == ["roi"]
    save(tmp_path / "roi.png", left(7))
    with pytest.raises(DataError, match=r"roi\.png: does not hold what it held"):
        list(replay(out))
    assert all(finding.state == "ok" for finding in verify(out))


def test_out_may_move_with_its_maps(good, tmp_path):
    made(good, roi=save(tmp_path / "roi.png", left()))
    there = tmp_path / "far" / "away"
    there.mkdir(parents=True)
    for name in ("good", "out"):
        shutil.move(tmp_path / name, there / name)
    shutil.move(tmp_path / "roi.png", there / "roi.png")
    assert all(finding.state == "ok" for finding in replay(there / "out"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_head_of_a_file_tells_the_frame_that_is_read(tmp_path, suffix, orientation):
    tags = Pillow.Exif()
    tags[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Pillow.new("RGB", (40, 20)).save(path, exif=tags)
    assert frame(path) == read_image(path).shape


def test_the_frame_of_what_is_no_photo(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    assert frame(tmp_path / "a.png") is frame(tmp_path) is frame(tmp_path / "none.png") is None
