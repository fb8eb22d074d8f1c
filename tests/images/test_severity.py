"""Severity: every defect grows with it, from just visible to all that its other parameters say."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np
import pytest

from anosynth.errors import NotMade
from anosynth.generator import find, names
from anosynth.images import Image
from anosynth.images._edit import FLOOR, JUST_VISIBLE, LEAST_PIXELS, Edit
from anosynth.images._visible import graded
from anosynth.recipe import Vary
from anosynth.seeding import Rng

NEEDS_INPUT = {"defect-bank", "external"}
ALL = sorted(set(names("images")) - NEEDS_INPUT)
LADDER = (0.0, 0.25, 0.5, 0.75, 1.0)


def photo(height: int = 96, width: int = 120, seed: int = 0, dtype: str = "uint8") -> Image:
    """A bright, grained disc with a pattern on a darker ground; the disc is the foreground."""
    row, column = np.mgrid[0:height, 0:width]
    inside = np.hypot(row / height - 0.5, column / width - 0.5) < 0.4
    value = 0.3 + 0.1 * column / width + 0.3 * inside + 0.07 * np.sin(row / 5) * np.cos(column / 7)
    value = value[:, :, None] * np.array([1.0, 0.9, 0.75])
    value = np.clip(value + np.random.default_rng(seed).normal(0, 0.01, (height, width, 3)), 0, 1)
    pixels = value.astype(np.float32) if dtype == "float32" else np.rint(value * 255).astype(np.uint8)
    return Image(pixels, inside)


def check_honest(anomaly) -> None:
    changed = (anomaly.sample.pixels != anomaly.before.pixels).any(axis=2)
    assert (changed == anomaly.mask).all()
    assert (anomaly.stats["leak"], anomaly.stats["dead"]) == (0.0, 0.0)
    assert int(anomaly.mask.sum()) >= LEAST_PIXELS


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", ALL)
def test_the_effect_grows_with_severity(name, dtype):
    cls, image = find("images", name), photo(dtype=dtype)
    for seed in range(2):
        ladder = [cls(severity=severity)(image, rng=seed) for severity in LADDER]
        assert len({anomaly.stats["attempts"] for anomaly in ladder}) == 1, "it is the same draw"
        totals = [float(np.abs(anomaly.effect).sum(dtype=np.float64)) for anomaly in ladder]
        assert (np.diff(totals) >= 0).all(), totals
        assert totals[-1] > 1.2 * totals[0]
        for anomaly in ladder:
            check_honest(anomaly)
        if cls.fades:
            for less, more in pairwise(ladder):
                assert (np.abs(less.effect) <= np.abs(more.effect) + 1e-6).all()
                assert not (less.mask & ~more.mask).any(), "a milder defect is larger"


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_lost_at_severity_1_and_nearly_nothing_is_left_at_0(name):
    cls, image = find("images", name), photo()
    full, again = cls()(image, rng=4), cls(severity=1.0)(image, rng=4)
    assert (full.sample.pixels == again.sample.pixels).all()
    faint = cls(severity=0.0)(image, rng=4)
    if cls.fades:
        seen = np.abs(full.effect[full.mask])
        number = min(max(2 * LEAST_PIXELS, len(seen) // 4), len(seen))
        assert int((np.abs(faint.effect) >= FLOOR).sum()) >= number, "a quarter of what is seen is still seen"
        weakest = np.sort(seen)[-number]
        marginal = np.abs(faint.effect)[np.abs(full.effect) == weakest]
        assert np.abs(marginal / FLOOR - JUST_VISIBLE).max() < 0.3


@pytest.mark.parametrize("name", ALL)
def test_nearly_every_draw_of_the_least_severity_is_visible(name):
    image, made = photo(seed=3), 0
    for seed in range(10):
        generator = Vary(find("images", name), severity=0.0).draw(Rng(seed))
        with contextlib.suppress(NotMade):
            check_honest(generator(image, rng=seed))
            made += 1
    assert made >= 9


@pytest.mark.parametrize("kind", ["swirl", "pinch", "bulge", "stretch"])
def test_a_warp_of_stripes_grows_though_stripes_may_meet_stripes(kind):
    """Moved by a whole period nothing would change: the amount has to be found by its effect."""
    row, column = np.mgrid[0:120, 0:120]
    image = (0.5 + 0.3 * np.sin(column / 0.9) * np.cos(row / 31)).astype(np.float32)
    for seed in range(2):
        totals = [
            np.abs(find("images", "warp")(kind=kind, severity=s, area=0.1)(image, rng=seed).effect).sum()
            for s in LADDER
        ]
        assert (np.diff(totals) > 0).all(), totals


def test_a_chip_of_less_severity_is_a_smaller_piece():
    image = photo()
    for seed in range(3):
        small, half, large = (
            find("images", "edge-chip")(severity=s, strength=0.3)(image, rng=seed) for s in (0.0, 0.5, 1.0)
        )
        gone = [(np.abs(a.effect) > 0.2).sum() for a in (small, half, large)]
        assert gone[0] < gone[1] < gone[2]
        assert np.abs(small.effect).max() > 0.15, "a small piece is gone, not a little of a large one"


def grey(level: float = 0.5) -> Image:
    return Image(np.full((20, 20), level, np.float32))


def spread(rise):
    """Edits whose change at amount a is rise(a), largest in the last row."""
    ramp = np.linspace(0.2, 1, 20, dtype=np.float32)[:, None, None] * np.ones((1, 20, 1), np.float32)
    calls = []

    def made(amount: float) -> Edit:
        calls.append(amount)
        return Edit((0, 0, 20, 20), np.float32(0.5) + np.float32(rise(amount)) * ramp, np.ones((20, 20), np.float32))

    return made, calls


def total(edit: Edit) -> float:
    change = np.abs(edit.pixels[:, :, 0] - 0.5)
    return float(change[change >= FLOOR].sum(dtype=np.float64))


@pytest.mark.parametrize(
    "rise", [lambda a: 0.4 * a, lambda a: 0.4 * a**3, lambda a: 0.4 * np.sin(2.2 * a), lambda a: 0.2 * np.sqrt(a)]
)
def test_graded_effects_are_in_proportion_to_severity(rise):
    made, _ = spread(rise)
    totals = [total(graded(severity, made, grey())) for severity in LADDER]
    whole = total(made(1.0))
    assert totals[-1] == whole
    for severity, value in zip(LADDER, totals, strict=True):
        assert value == pytest.approx(totals[0] + severity * (whole - totals[0]), rel=0.08)
    faint = graded(0.0, made, grey()).pixels[:, :, 0] - 0.5
    assert (np.abs(faint) >= JUST_VISIBLE * FLOOR).sum() >= 100
    assert np.abs(faint).max() < 2.5 * FLOOR


def test_graded_needs_few_edits_and_none_at_severity_1():
    made, calls = spread(lambda a: 0.4 * a)
    graded(1.0, made, grey())
    assert calls == [1.0]
    graded(0.4, made, grey())
    assert len(calls) < 36
    nothing, _ = spread(lambda a: 0.0)
    assert (graded(0.3, nothing, grey()).pixels == 0.5).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("shape", "white"), [((17, 33), 1), ((40, 64, 5), 255), ((33, 9, 3), 65535)], ids=str)
def test_any_severity_of_any_photo_is_honest_or_refused(name, shape, white):
    dtype = {1: np.float32, 255: np.uint8, 65535: np.uint16}[white]
    for seed, severity in enumerate((0.0, 0.02, 0.6)):
        value = np.random.default_rng(seed).uniform(0.1, 0.9, shape)
        inside = np.random.default_rng(seed).random(shape[:2]) < 0.8
        inside[2:-2, 2:-2] = True
        image = Image((value * white).astype(dtype), inside if seed else None)
        with contextlib.suppress(NotMade):
            anomaly = Vary(find("images", name), severity=severity, instances=2).draw(Rng(seed))(image, rng=seed)
            after, before = (x.pixels.reshape(*shape[:2], -1) for x in (anomaly.sample, image))
            assert ((after != before).any(axis=2) == anomaly.mask).all()
            assert anomaly.mask.sum() >= LEAST_PIXELS
            assert not (anomaly.mask & ~inside).any() or not seed
