"""The shortcut score on edits of known compositing: what leaves traces scores high, what leaves none about half."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from anosynth.errors import DataError, ParameterError
from anosynth.images import Cutpaste, Fpi, Image
from anosynth.rank._traces import NAMES, traces
from anosynth.rank.shortcut import null_edit, shortcut, tell_apart
from anosynth.seeding import as_rng

SIDE = 72


def scene(seed: int) -> np.ndarray:
    """(72, 72, 3) float64: shades and a soft texture, without noise."""
    rng = as_rng(seed)
    shade, grain = (rng.child(name).normal(SIDE * SIDE).reshape(SIDE, SIDE) for name in ("shade", "grain"))
    shade, grain = (ndimage.gaussian_filter(x, s, mode="wrap") for x, s in ((shade, 8), (grain, 1.2)))
    return np.repeat((120 + 20 * shade / shade.std() + 6 * grain / grain.std())[:, :, None], 3, axis=2)


def shot(clean: np.ndarray, seed: int, name: str = "noise") -> np.ndarray:
    """Return a photo of a scene: sensor noise of two grey levels."""
    noise = 2 * as_rng(seed).child(name).normal(clean.size).reshape(clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def rectangle(seed: int) -> np.ndarray:
    rng = as_rng(seed).child("rectangle")
    high, wide = rng.integer(14, 26), rng.integer(14, 26)
    top, left = rng.integer(5, SIDE - high - 5), rng.integer(5, SIDE - wide - 5)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + high, left : left + wide] = True
    return mask


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    held = io.BytesIO()
    Pillow.fromarray(pixels).save(held, "JPEG", quality=quality)
    return np.asarray(Pillow.open(held))


def pasted(seed: int, content: np.ndarray):
    before, mask = shot(scene(seed), seed), rectangle(seed)
    return before, np.where(mask[:, :, None], content, before), mask


def other_photo(seed: int):
    return pasted(seed, shot(scene(seed + 1000), seed + 1000))


def blurred(seed: int):
    soft = np.rint(ndimage.gaussian_filter(scene(seed + 1000), (1.5, 1.5, 0))).astype(np.uint8)
    return pasted(seed, jpeg(soft, 60))


def same_scene(seed: int):
    """What a perfect tool does: another exposure of the same place."""
    return pasted(seed, shot(scene(seed), seed, "again"))


def mixed(seed: int):
    """Half of one exposure and half of another: sqrt(1/2) of the noise."""
    mean = (shot(scene(seed), seed).astype(int) + shot(scene(seed), seed, "again")) // 2
    return pasted(seed, mean.astype(np.uint8))


def shadow(seed: int):
    """A real defect, as it were: a soft shadow under the same noise."""
    before, mask = shot(scene(seed), seed), rectangle(seed)
    after = before - 40 * ndimage.gaussian_filter(mask.astype(float), 4)[:, :, None]
    after = np.clip(np.rint(after), 0, 255).astype(np.uint8)
    return before, after, np.abs(after.astype(int) - before).max(axis=2) >= 4


def compressed(seed: int):
    before, after, mask = shadow(seed)
    return before, jpeg(after, 85), mask


def score(edit, count: int = 24) -> dict:
    return shortcut(edit(seed) for seed in range(count))["edits"]


def test_a_perfect_edit_is_not_told_from_an_untouched_photo():
    found = score(same_scene, 40)
    assert 0.35 < found["value"] < 0.65
    assert found["low"] <= 0.5 <= found["high"]
    assert found["chance"] < 0.75


def test_a_soft_defect_under_the_same_noise_is_hardly_told():
    found = score(shadow, 40)
    assert found["value"] < 0.7
    assert found["groups"]["noise"] < 0.65


def test_blurred_and_compressed_content_is_a_shortcut():
    found = score(blurred)
    assert found["low"] > 0.97
    assert found["groups"]["noise"] > 0.97
    assert found["groups"]["rim"] > 0.97
    assert found["groups"]["outside"] == 0.5
    # Noise is missing: the trace falls.
    assert found["traces"]["noise fine"] < 0.03


def test_a_hard_paste_shows_by_its_rim_alone():
    found = score(other_photo)
    assert found["groups"]["rim"] > 0.95
    assert found["groups"]["noise"] < 0.7
    assert found["traces"]["rim step"] > 0.95


def test_mixing_two_exposures_shows_by_the_noise_that_it_takes_away():
    found = score(mixed)
    assert found["groups"]["noise"] > 0.97
    assert found["traces"]["noise fine"] < 0.05


def test_compressing_the_whole_photo_shows_outside_of_the_mask():
    found = score(compressed)
    assert found["groups"]["outside"] > 0.97


def test_nothing_done_is_exactly_half():
    found = score(lambda seed: (shot(scene(seed), seed), shot(scene(seed), seed), rectangle(seed)), 8)
    assert found["value"] == found["low"] == found["high"] == found["chance"] == 0.5
    assert json.loads(json.dumps(found)) == found


def test_the_probe_is_fair_to_chance():
    # Rows without any difference between the classes: half on the mean, within the bounds of chance nearly always.
    found = []
    for seed in range(20):
        rows = as_rng(seed).normal(2 * 20 * len(NAMES)).reshape(2, 20, len(NAMES))
        found.append(tell_apart(*rows, rng=seed))
    assert np.mean([one["value"] for one in found]) == pytest.approx(0.5, abs=0.05)
    assert sum(one["value"] > one["chance"] for one in found) <= 4


def test_photos_of_one_source_are_not_learned_from_and_judged():
    rng = as_rng(3)
    source = rng.normal(6 * len(NAMES)).reshape(6, 1, len(NAMES)).repeat(8, axis=1)
    # Each source has its own sign of the same difference: nothing to be learned for other sources.
    sign = np.array([1, -1, 1, -1, 1, -1])[:, None, None] * np.ones((6, 8, 1))
    edited = (source + sign * 0.5).reshape(48, -1)
    untouched = source.reshape(48, -1)
    names = [f"{row // 8}.png" for row in range(48)]
    found = tell_apart(edited, untouched, names)
    assert found["sources"] == 6
    assert found["value"] < 0.75
    assert found["high"] - found["low"] > 0.1


def test_seeds_decide_the_figures():
    rows = [as_rng(seed).normal(12 * len(NAMES)).reshape(12, -1) for seed in (1, 2)]
    assert tell_apart(*rows, rng=4) == tell_apart(*rows, rng=4)
    assert tell_apart(*rows, rng=4) != tell_apart(*rows, rng=5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_traces_do_not_depend_on_the_kind_of_pixels(dtype):
    _, after, mask = blurred(1)
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    assert traces((after.astype(np.float64) * scale).astype(dtype), mask) == pytest.approx(
        traces(after, mask), abs=1e-3
    )


def test_traces_turn_with_the_photo():
    _, after, mask = blurred(2)
    there, turned = traces(after[:, :, 0], mask), traces(np.rot90(after[:, :, 0]).copy(), np.rot90(mask).copy())
    swap = [NAMES.index("noise along columns"), NAMES.index("noise along rows")]
    turned[swap[::-1]] = turned[swap]
    # Equal pixels are counted along rows, and blocks from the upper left corner.
    keep = [place for place, name in enumerate(NAMES) if name not in ("noise equal pixels", "outside blocks")]
    assert turned[keep] == pytest.approx(there[keep], abs=1e-6)


@pytest.mark.parametrize(
    "place", [(slice(0, 1), slice(0, 1)), (slice(0, 72), slice(0, 71)), (slice(3, 4), slice(0, 60))]
)
def test_masks_of_any_form_have_traces(place):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[place] = True
    assert np.isfinite(traces(shot(scene(1), 1), mask)).all()
    assert np.isfinite(traces(np.zeros((SIDE, SIDE), np.uint8), mask)).all()


def test_null_edits_of_an_opaque_paste_change_nothing_and_of_a_half_transparent_one_take_noise_away():
    photos = [shot(scene(seed), seed) for seed in range(16)]
    hard = [null_edit(Cutpaste(mode="normal"), photo, seed) for seed, photo in enumerate(photos)]
    for (before, after, mask), (seed, photo) in zip(hard, enumerate(photos), strict=True):
        assert np.array_equal(before, after)
        assert np.array_equal(mask, Cutpaste(mode="normal")(photo, seed).mask)
        # Outside of the defect the photo's bits stay.
        assert np.array_equal(
            after[~mask & (before == photo).all(axis=2)], photo[~mask & (before == photo).all(axis=2)]
        )
    half = [null_edit(Fpi(blend=0.5), photo, seed) for seed, photo in enumerate(photos)]
    found = shortcut(hard, nulls=half)
    assert found["edits"]["value"] == 0.5
    assert found["blend"]["groups"]["noise"] > 0.9
    assert found["blend"]["traces"]["noise fine"] < 0.2


def test_null_edits_with_a_donor_show_the_seam_of_a_hard_paste():
    photos = [shot(scene(seed), seed) for seed in range(16)]
    made = [null_edit(Cutpaste(mode="normal"), photos[i], i, donor=photos[i - 1]) for i in range(16)]
    for i, (before, after, mask) in enumerate(made):
        assert before is photos[i]
        assert np.array_equal(after[~mask], photos[i][~mask]) or (after[~mask] != photos[i][~mask]).mean() < 0.05
        assert (after[mask] == photos[i - 1][mask]).all()
    assert shortcut(made)["edits"]["groups"]["rim"] > 0.9


def test_the_photo_is_not_written_to():
    photo = shot(scene(1), 1)
    kept = photo.copy()
    null_edit(Fpi(), photo, 1)
    null_edit(Fpi(), Image(photo), 1, donor=kept)
    assert np.array_equal(photo, kept)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: shortcut([]), DataError, "sources: 0: expected at least 5"),
        (lambda: score(shadow, 4), DataError, "sources: 4"),
        (lambda: shortcut([(np.ones((9, 9)), np.ones((9, 8)), np.ones((9, 9)))]), DataError, "expected one shape"),
        (lambda: traces(np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool)), DataError, "all or none"),
        (lambda: traces(np.zeros((9, 9), np.int32), np.eye(9, dtype=bool)), DataError, "expected a photo and its mask"),
        (lambda: traces(np.zeros((9, 9), np.uint8), np.eye(8, dtype=bool)), DataError, "expected a photo and its mask"),
        (lambda: tell_apart(np.ones((9, 3)), np.ones((9, 3))), DataError, "expected"),
        (lambda: tell_apart(np.full((9, 13), np.nan), np.ones((9, 13))), DataError, "not all finite"),
        (lambda: tell_apart(np.ones((9, 13)), np.ones((9, 13)), ["a"]), DataError, "sources: 1: expected one for each"),
        (
            lambda: null_edit(Fpi(), shot(scene(1), 1), 0, donor=np.zeros((9, 9), np.uint8)),
            ParameterError,
            "`donor`: uint8",
        ),
        (
            lambda: null_edit(Fpi(), Image(np.zeros((9, 9, 4), np.uint8), opacity=True), 0),
            ParameterError,
            "has opacity",
        ),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
