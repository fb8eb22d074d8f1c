"""Priors, places and centres: where the defects of every type come to lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError, Impossible, NotMade, ParameterError
from anosynth.generator import find, names
from anosynth.images import Image
from anosynth.images._seats import EDGE, drawn, fractions, nearest, reachable, seated
from anosynth.seeding import Rng

NEEDS_INPUT = {"defect-bank", "external"}
SCATTERED = {"perlin-texture": {}, "structure": {}, "smudge": {"outline": "perlin"}}
"""What has no one centre: all of it keeps to where it may be."""
COMPACT = {
    "crack": {"length": 0.25, "jitter": 0.1},
    "cutpaste": {"area": 0.03},
    "fibre": {"bend": 0.3, "length": 0.25, "shadow": 0.0},
    "missing-part": {"area": 0.02},
    "pit": {"spread": 0.05},
    "scratch": {"bend": 0.1, "length": 0.25},
    "smudge": {"outline": "blob", "area": 0.03},
    "spatter": {"spread": 0.08},
}
"""Values that keep a defect small beside the photo, so that its box tells where its centre is."""
CENTRED = sorted(set(names("images")) - NEEDS_INPUT - {"perlin-texture", "structure"})
SHAPE = (120, 150)


def disc() -> np.ndarray:
    row, column = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    return np.hypot(row - 60, column - 75) < 52


def photo(foreground: bool = False, prior: np.ndarray | None = None) -> Image:
    row, column = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    value = 0.35 + 0.25 * disc() + 0.14 * np.sin(row / 4.1) * np.cos(column / 3.3)
    value = value + np.random.default_rng(0).normal(0, 0.02, SHAPE)
    pixels = np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8)
    return Image(pixels, disc() if foreground else None, prior=prior)


def to_border(foreground: bool) -> np.ndarray:
    """Distance of every pixel to the nearest one that is not the photo's, or not the foreground's; 0 for those."""
    row, column = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    if foreground:
        out = np.argwhere(~disc())
        away = np.zeros(SHAPE)
        for r, c in np.argwhere(disc()):
            away[r, c] = np.sqrt(((out - (r, c)) ** 2).sum(axis=1).min())
        return away
    return np.minimum(np.minimum(row, SHAPE[0] - 1 - row), np.minimum(column, SHAPE[1] - 1 - column)) + 1.0


BORDER = {foreground: to_border(foreground) for foreground in (False, True)}


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])


def make(name: str, **values):
    return find("images", name)(**{**COMPACT.get(name, {}), **values})


def needs_foreground(name: str) -> bool:
    return name == "edge-chip"


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("name", CENTRED)
def test_defects_are_centred_where_the_prior_allows(name, corner):
    prior = np.zeros(SHAPE, np.float32)
    quadrant = tuple(slice(half * size // 2, (half + 1) * size // 2) for half, size in zip(corner, SHAPE, strict=True))
    prior[quadrant] = 0.3
    image = photo(needs_foreground(name), prior)
    for seed in range(3):
        mask = make(name)(image, rng=seed).mask
        top, left, bottom, right = box_of(mask)
        # What is seen of a defect need not be all of it: its box may be off by a little.
        slack = 6
        middle = ((top + bottom) / 2, (left + right) / 2)
        for at, where in zip(middle, quadrant, strict=True):
            assert where.start - slack <= at <= where.stop - 1 + slack


@pytest.mark.parametrize("name", sorted(SCATTERED))
def test_what_has_no_centre_lies_where_the_prior_allows(name):
    prior = np.zeros(SHAPE, np.float32)
    prior[:60, 75:] = 2.0
    image = photo(prior=prior)
    for seed in range(4):
        anomaly = find("images", name)(**SCATTERED[name])(image, rng=seed)
        assert not (anomaly.mask & (prior == 0)).any()


@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize("name", CENTRED)
def test_at_the_edge_is_at_the_edge(name, foreground):
    away, reach = BORDER[foreground], max(2.0, EDGE * min(SHAPE))
    if needs_foreground(name) and not foreground:
        return
    image = photo(foreground)
    for seed in range(4):
        top, left, bottom, right = box_of(make(name, place="edge")(image, rng=seed).mask)
        near = np.zeros(SHAPE, np.bool_)
        near[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = True
        near &= away > 0
        assert away[near].min() <= reach, "all of it lies inside"


@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize("name", CENTRED)
def test_in_the_interior_is_off_the_edge(name, foreground):
    if needs_foreground(name):
        with pytest.raises(NotMade, match="no pixel of the foreground's edge is left"):
            make(name, place="interior")(photo(foreground=True), rng=0)
        return
    away, reach = BORDER[foreground], max(2.0, EDGE * min(SHAPE))
    for seed in range(4):
        top, left, bottom, right = box_of(make(name, place="interior")(photo(foreground), rng=seed).mask)
        assert away[(top + bottom) // 2, (left + right) // 2] > reach - 6


@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize("name", sorted(SCATTERED))
def test_what_has_no_centre_keeps_to_its_place(name, foreground):
    away, reach = BORDER[foreground], max(2.0, EDGE * min(SHAPE))
    for place in ("edge", "interior"):
        for seed in range(3):
            mask = find("images", name)(place=place, **SCATTERED[name])(photo(foreground), rng=seed).mask
            assert ((away[mask] <= reach) == (place == "edge")).all()


@pytest.mark.parametrize("name", CENTRED)
def test_a_centre_is_where_it_is_told(name):
    image = photo(needs_foreground(name))
    row, column = 0.25 * (SHAPE[0] - 1), 0.75 * (SHAPE[1] - 1)
    for seed in range(3):
        mask = make(name, centre="0.25,0.75")(image, rng=seed).mask
        top, left, bottom, right = box_of(mask)
        assert top - 4 <= row <= bottom + 4
        assert left - 4 <= column <= right + 4
        assert max(bottom - top, right - left) < 80, "small enough to tell"


@pytest.mark.parametrize("name", sorted(SCATTERED))
def test_a_centre_is_refused_by_what_has_none(name):
    with pytest.raises(NotMade, match="too few for a defect without a centre of its own\nhint: leave out `centre`"):
        find("images", name)(centre="0.5,0.5", **SCATTERED[name])(photo(), rng=0)


@pytest.mark.parametrize("name", sorted(set(CENTRED) | set(SCATTERED)))
def test_what_cannot_be_is_refused_and_says_why(name):
    strip = np.zeros(SHAPE, np.bool_)
    strip[50:53] = True
    pixels = photo().pixels
    with pytest.raises(NotMade, match=r"no pixel of the foreground is left to centre a defect on \(place: interior\)"):
        make(name, place="interior")(Image(pixels, strip), rng=0)
    nowhere = np.zeros(SHAPE, np.float32)
    with pytest.raises(NotMade, match="no pixel of the foreground is left"):
        make(name)(Image(pixels, disc(), prior=nowhere), rng=0)
    nowhere[~disc()] = 1
    with pytest.raises(NotMade, match="no pixel of the foreground is left"):
        make(name)(Image(pixels, disc(), prior=nowhere), rng=0)


@pytest.mark.parametrize("name", sorted(set(CENTRED) | set(SCATTERED)))
def test_more_defects_than_the_prior_has_room_for_are_refused(name):
    prior = np.zeros(SHAPE, np.float32)
    prior[60:62, 20:22] = 1
    with pytest.raises(NotMade):
        make(name, instances=20)(photo(needs_foreground(name), prior), rng=0)


def test_a_centre_off_the_edge_chips_the_nearest_edge():
    row, column = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    for centre, side in (("0.5,0.6", column > 100), ("0.5,0.4", column < 50), ("0.2,0.5", row < 40)):
        mask = make("edge-chip", centre=centre)(photo(True), rng=1).mask
        assert side[mask].all()


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), share=st.floats(0.001, 1), row=st.floats(0, 1), column=st.floats(0, 1))
def test_the_nearest_pixel_is_the_nearest(seed, share, row, column):
    free = np.random.default_rng(seed).random((17, 23)) < share
    free[3, 5] = True
    r, c = nearest(free, row, column)
    assert free[r, c]
    places = np.argwhere(free) - (row * 16, column * 22)
    assert np.hypot(r - row * 16, c - column * 22) == pytest.approx(np.hypot(*places.T).min())
    with pytest.raises(DataError, match="no pixel is free"):
        nearest(np.zeros((4, 4), np.bool_), row, column)


def test_centres_follow_the_weights_of_the_prior():
    prior = np.zeros((9, 8), np.float32)
    prior[2, 3], prior[7, 1] = 1, 3
    root = Rng(2)
    places = [drawn(prior, root.child(k).uniform()) for k in range(2000)]
    assert set(places) == {(2, 3), (7, 1)}
    assert places.count((7, 1)) / 2000 == pytest.approx(0.75, abs=0.04)
    assert drawn(prior, 0.0) == (2, 3)
    assert drawn(prior, 1 - 2**-53) == (7, 1)
    with pytest.raises(DataError, match="where the prior allows one"):
        drawn(np.zeros((3, 3), np.float32), 0.5)


@pytest.mark.parametrize("foreground", [False, True])
def test_edge_and_interior_are_each_others_rest(foreground):
    image = photo(foreground)
    edge, interior = (seated(image, place, "").prior for place in ("edge", "interior"))
    assert ((edge > 0) ^ (interior > 0) == (BORDER[foreground] > 0)).all()
    assert (BORDER[foreground][edge > 0] <= EDGE * min(SHAPE)).all()
    assert seated(image, "anywhere", "") is image


def test_a_centre_off_the_foreground_is_the_nearest_pixel_of_it():
    prior = seated(photo(True), "anywhere", "0,0.5").prior
    (place,) = np.argwhere(prior > 0)
    assert place[0] == 9
    assert abs(place[1] - 74.5) <= 1.5
    edge = seated(photo(True), "edge", "0.5,0.5").prior
    (place,) = np.argwhere(edge > 0)
    assert 0 < BORDER[True][tuple(place)] <= EDGE * min(SHAPE)


def test_reachable_is_free_and_allowed():
    free = np.zeros((20, 20), np.bool_)
    free[:, :10] = True
    image = Image(np.zeros((20, 20), np.uint8))
    assert reachable(image, free) is free
    prior = np.zeros((20, 20), np.float32)
    prior[5:9, 8:12] = 1
    allowed = Image(image.pixels, prior=prior)
    assert (reachable(allowed, free) == (free & (prior > 0))).all()
    prior[8, 8] = 0
    with pytest.raises(Impossible, match="15 pixels may be changed: too few"):
        reachable(allowed, free)


@pytest.mark.parametrize("text", ["0.5", "0.5,1.2", "-0.1,0", "a,b", "0.1,0.2,0.3", "nan,0.5", ","])
def test_a_centre_is_two_fractions(text):
    with pytest.raises(ParameterError, match=r"`centre`: .*: must be `row,column`"):
        fractions(text)
    with pytest.raises(ParameterError, match="`centre`"):
        find("images", "scratch")(centre=text)
    assert fractions("0.25, 1") == (0.25, 1.0)
