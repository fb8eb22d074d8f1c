"""The shortcut score: can the traces of compositing alone tell edited photos from untouched ones?

A detector that is trained on synthetic defects learns whatever sets them apart. If that is a seam around the mask, or
sensor noise that is missing inside of it, it has learned the tool and not the defect, and will not find real ones. A
small probe that sees nothing but such traces (`_traces`) shows how much there is to be learned that way.

Two comparisons, each by cross-validated AUROC, 0.5 for nothing to be learned and 1 for a perfect shortcut:

- `edits`: the edited photos against the same photos untouched, with the same masks. This is all that rims and noise
  give away, whether it comes from the compositing or belongs to the defect: a sharp scratch has a rim by nature.
- `blend`: NULL edits against their own photos. A null edit is composed by the same means at the same place with the
  same mask, and shows nothing but normal content, so whatever is found here is compositing. Those of our generators
  are made by `null_edit`, those of other tools with the tool.

`edits` high and `blend` low means that the defect itself has edges or a texture of its own; the same probe on real
defects (`tell_apart`) says how much of that is natural.

The idea of null edits is from tests for "blending artefacts" of generated forgeries, as Face X-ray (Li et al. 2020) and
self-blended images (Shiohara and Yamasaki 2022) turn them to use; the traces, the probe and the score are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.images._base import ImageGenerator, labelled
from anosynth.images._edit import Edit, taken
from anosynth.images._sample import Image
from anosynth.images._seats import seated
from anosynth.metrics import auroc, bootstrap
from anosynth.seeding import Rng, RngLike, as_rng

from ._traces import GROUPS, NAMES, traces

__all__ = ["GROUPS", "NAMES", "null_edit", "shortcut", "tell_apart", "traces"]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Triple = tuple[Array, Array, Array]

_FOLDS, _REPEATS, _SWAPS = 5, 3, 99
_SHRINK = 0.2
_MOVES, _AROUND = (2, 6), 15


def shortcut(
    edits: Iterable[Triple],
    *,
    nulls: Iterable[Triple] | None = None,
    sources: Sequence[str] | None = None,
    null_sources: Sequence[str] | None = None,
    rng: RngLike = 0,
) -> dict[str, Any]:
    """Return how well traces of compositing tell edited photos from untouched ones; plain values, ready for JSON.

    Args:
        edits: (before, after, mask) of each edit: photos (H, W) or (H, W, C) of uint8, uint16 or float32, and what is
            labelled, (H, W) bool. Read one by one. Any tool's output will do.
        nulls: the same of null edits.
        sources, null_sources: what each was made of, so that no photo is both learned from and judged; each triple is
            its own source if not given.
        rng: decides folds, draws and swaps.

    Returns:
        {"edits": as `tell_apart`, "blend": the same of the null edits, or None}

    Raises:
        DataError: as `tell_apart` and `traces`.
    """
    stream = as_rng(rng)
    found = _compared(edits, sources, stream.child("edits"))
    blend = None if nulls is None else _compared(nulls, null_sources, stream.child("blend"))
    return {"edits": found, "blend": blend}


def tell_apart(
    edited: ArrayLike, untouched: ArrayLike, sources: Sequence[str] | None = None, *, rng: RngLike = 0
) -> dict[str, Any]:
    """Return how well a linear probe tells rows of traces apart; rows come in pairs of one mask and one source.

    The probe is Fisher's linear discriminant on the standardised traces and on how far each is from untouched ones in
    either direction, the covariance within the classes shrunk by a fifth towards a sphere; three times five folds by
    source. Also for real defects: `edited` are their traces, `untouched` those of good photos with the same masks.

    Args:
        edited, untouched: (n, 13) of `traces`.
        sources: (n,) names.
        rng: decides folds, draws and swaps.

    Returns:
        "value", "low", "high": AUROC and its bootstrap interval over sources; "chance": what 95 % of the probes stay
        below that learn from labels swapped at random within the pairs; "groups": AUROC of the traces of each group
        alone; "traces": of each trace alone without a probe, below 0.5 if it falls; "pairs", "sources": their numbers.

    Raises:
        DataError: the shapes do not fit, values are not finite, or there are fewer than 5 sources.
    """
    first, second = (np.asarray(rows, dtype=np.float64) for rows in (edited, untouched))
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(NAMES):
        raise DataError(f"edited, untouched: {first.shape}, {second.shape}: expected (n, {len(NAMES)}) of each")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("traces: not all finite: expected numbers")
    names = list(range(len(first))) if sources is None else list(sources)
    if len(names) != len(first):
        raise DataError(f"sources: {len(names)}: expected one for each of {len(first)} pairs")
    of = np.unique(np.array([str(name) for name in names]), return_inverse=True)[1].reshape(-1)
    count = int(of.max(initial=-1)) + 1
    if count < _FOLDS:
        raise DataError(f"sources: {count}: expected at least {_FOLDS}")
    stream = as_rng(rng)
    folds = [stream.child("folds", number).permutation(count) % _FOLDS for number in range(_REPEATS)]
    scores = _judged(first, second, of, folds)
    rows = [np.flatnonzero(of == number) for number in range(count)]

    def area(chosen: Floats) -> float:
        pairs = np.concatenate([rows[int(number)] for number in chosen])
        return _area(scores[:, pairs])

    interval = bootstrap(area, np.arange(count), rng=stream.child("bootstrap"), draws=400)
    swapped = []
    for number in range(_SWAPS):
        swap = (stream.child("swap", number).random(count) < 0.5)[of][:, None]
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        swapped.append(_area(_judged(a, b, of, folds[:1])))
    groups = {}
    for group in GROUPS:
        columns = [place for place, name in enumerate(NAMES) if name.startswith(group)]
        groups[group] = _area(_judged(first[:, columns], second[:, columns], of, folds))
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "chance": float(np.quantile(swapped, 0.95)),
        "groups": groups,
        "traces": {name: _area(np.stack([first[:, i], second[:, i]])) for i, name in enumerate(NAMES)},
        "pairs": len(first),
        "sources": count,
    }


def null_edit(
    generator: ImageGenerator, image: Image | Array, rng: RngLike = None, *, donor: Image | Array | None = None
) -> Triple:
    """Return (before, after, mask) of a null edit: this generator's place, alpha, rounding and mask, normal content.

    With a donor the new pixels are those of another normal photo at the same place, and `before` is the photo: what is
    found is a seam. Without one they are what another exposure of the photo would show, and `before` is the photo with
    these put in its place whole: what is found is what the alpha does to the noise, since mixing two exposures half and
    half takes away a third of it. Generators that paste with an alpha of 1 then give two equal pictures.

    Only alpha compositing can be put to the question: what a generator does to its pixels beforehand to hide a seam, as
    Poisson blending, belongs to the pixels that are exchanged here.

    Args:
        generator: of photos.
        image: an `Image`, or pixels (H, W) or (H, W, C), without opacity.
        rng: decides all; the defect is that of `generator(image, rng)`, and the mask is its mask.
        donor: a normal photo of the same size, channels and dtype.

    Raises:
        NotMade: the defect cannot be made here.
        ParameterError: the donor is of another form, or there is opacity.
    """
    photo, other = (one if one is None or isinstance(one, Image) else Image(np.asarray(one)) for one in (image, donor))
    assert photo is not None
    if other is not None and (other.pixels.shape != photo.pixels.shape or other.pixels.dtype != photo.pixels.dtype):
        shape = f"{other.pixels.dtype} {other.pixels.shape}"
        raise ParameterError(f"`donor`: {shape}: expected {photo.pixels.dtype} {photo.pixels.shape} as the photo")
    if photo.opacity:
        raise ParameterError("`image`: has opacity: expected colours alone")
    root = as_rng(rng)
    mask, last = np.asarray(generator(photo, root).mask), ""
    for attempt in range(generator.attempts):
        stream = root.child("attempt", attempt)
        try:
            edits = _edits(generator, photo, stream)
        except DataError as error:
            last = str(error)
            continue
        if other is not None:
            new = [_of(other, edit) for edit in edits]
            return photo.pixels, _composed(generator, photo, new), mask
        twin = _exposed_again(photo, stream.child("null"))
        new = [_of(twin, edit) for edit in edits]
        whole = [replace(edit, alpha=(edit.alpha > 0).astype(np.float32)) for edit in new]
        return _composed(generator, photo, whole), _composed(generator, photo, new), mask
    raise NotMade(f"no null edit of `{generator.name}` could be made: {last}")


def _edits(generator: ImageGenerator, image: Image, stream: Rng) -> list[Edit]:
    """Return what the generator means to do; raises what makes it draw again."""
    free = np.ones(image.shape, dtype=np.bool_) if image.foreground is None else image.foreground
    seat = seated(image, generator.place, generator.centre)
    edits = generator.edits(seat, stream, free)
    labelled(generator, seat, edits)
    return edits


def _of(image: Image, edit: Edit) -> Edit:
    """Return an edit whose new pixels are those of an image at its place."""
    there = image.crop(edit.box)
    return replace(edit, pixels=there if edit.places is None else taken(there, edit.places))


def _composed(generator: ImageGenerator, image: Image, edits: Sequence[Edit]) -> Array:
    whole = generator.model_copy(update={"mask": "region", "severity": 1.0})
    try:
        return np.asarray(labelled(whole, image, edits).sample.pixels)
    except DataError:
        # Where a photo is flat, its own pixels change nothing.
        return image.pixels


def _exposed_again(image: Image, rng: Rng) -> Image:
    """Return the same scene with the noise of pixels beside: what another exposure would show, nearly.

    Noise is what differs from the median of 3 x 3 pixels by no more than thrice the mean of such differences around;
    the rest is the scene and stays.
    """
    from scipy import ndimage

    down, across = (rng.child(name).integer(*_MOVES) * rng.child(name, "sign").sign() for name in ("row", "column"))
    part = image.pixels.astype(np.float32).reshape(*image.shape, -1)
    noise = part - ndimage.median_filter(part, size=(3, 3, 1), mode="nearest")
    usual = ndimage.uniform_filter(np.abs(noise), size=(_AROUND, _AROUND, 1), mode="nearest")
    noise[np.abs(noise) > 3 * usual] = 0
    other = np.clip(part - noise + np.roll(noise, (down, across), axis=(0, 1)), 0, image.white)
    return replace(image, pixels=other.astype(image.pixels.dtype).reshape(image.pixels.shape))


def _compared(triples: Iterable[Triple], sources: Sequence[str] | None, rng: Rng) -> dict[str, Any]:
    first, second = [], []
    for before, after, mask in triples:
        if np.shape(before) != np.shape(after):
            raise DataError(f"before, after: {np.shape(before)}, {np.shape(after)}: expected one shape")
        truth = np.asarray(mask, dtype=np.bool_)
        first.append(traces(np.asarray(after), truth))
        second.append(traces(np.asarray(before), truth))
    shape = (-1, len(NAMES))
    return tell_apart(np.reshape(first, shape), np.reshape(second, shape), sources, rng=rng)


def _judged(edited: Floats, untouched: Floats, of: Array, folds: Sequence[Array]) -> Floats:
    """Return (2, n) scores of the rows, each by probes that learned from other sources, the mean over foldings."""
    scores = np.zeros((2, len(edited)))
    for fold in folds:
        for number in range(_FOLDS):
            held = (fold == number)[of]
            score = _probe(edited[~held], untouched[~held])
            scores[0, held] += score(edited[held])
            scores[1, held] += score(untouched[held])
    return scores


def _probe(edited: Floats, untouched: Floats) -> Any:
    """Return Fisher's discriminant of two classes, in deviations within them from the middle between them."""
    both = np.concatenate([edited, untouched])
    deviation = both.std(axis=0)
    usual, scale = untouched.mean(axis=0), np.where(deviation > 1e-9, deviation, np.inf)

    def wide(rows: Floats) -> Floats:
        z = (rows - usual) / scale
        return np.concatenate([z, np.abs(z)], axis=1)

    a, b = wide(edited), wide(untouched)
    means = a.mean(axis=0), b.mean(axis=0)
    rest = np.concatenate([a - means[0], b - means[1]])
    within = rest.T @ rest / max(len(rest) - 2, 1)
    sphere = max(float(np.trace(within)) / len(within), 1e-6)
    shrunk = (1 - _SHRINK) * within + _SHRINK * sphere * np.eye(len(within))
    weight = np.linalg.solve(shrunk, means[0] - means[1])
    # Folds are pooled, so their scores must be of one scale.
    size = np.sqrt(max(float(weight @ shrunk @ weight), 1e-30))
    weight, middle = weight / size, (means[0] + means[1]) / 2
    return lambda rows: (wide(rows) - middle) @ weight


def _area(scores: Floats) -> float:
    """Return the AUROC of (2, n) scores, the first row those of the edited photos."""
    labels = np.repeat([True, False], scores.shape[1])
    return auroc(scores.reshape(-1), labels)
