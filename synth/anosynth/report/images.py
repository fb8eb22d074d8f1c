"""Views of changed images for the report: small enough to sit in the page, close enough to see a small defect."""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.generator import Anomaly
from anosynth.report._scaled import Array, Box, Part, Seen, coarse, cut, fractions, seen, touched

BUDGET = 84_000
"""Bytes of packed pixels in a view; in base64 and with all else that is below 120 kB."""

# Longest side of the whole image, that of the close-up, grey levels in a step: the first that fits the budget is taken.
_LADDER = ((360, 240, 1), (360, 240, 2), (360, 200, 4), (320, 180, 6), (256, 160, 8), (200, 128, 8), (128, 96, 16))
_NEARER = 1.5  # what a close-up must at least enlarge to be worth its bytes
_LEAST_BOX = 48


def image_view(anomaly: Anomaly) -> dict[str, Any]:
    """Return the view of an anomaly on an image: JSON-ready, at most about 120 kB.

    The image is averaged down to 360 pixels; where that blurs the defect, a close-up of it is packed too. Photos that
    do not fit are rounded to coarser grey levels, and then made smaller. One channel is shown grey, two by their mean,
    of more the first three as red, green and blue. What uses less than half of 16 bits or of a float's range is shown
    with its contrast stretched; the mask and the effect never are.

    Args:
        anomaly: with `before` and `sample` as `Image` or as their bare pixels.

    Returns:
        A dict of kind `image`. `size` is (H, W); `focus` the box around the defect; `channels` 1 or 3; `step` the
        grey levels in a step; `window` the fractions of full scale shown as black and white, or None for (0, 1);
        `peak` the largest |effect| as a fraction of full scale; `area` the labelled share; `instances` their number;
        `foreground` the share of the photo where defects may lie, or None for all of it. `layers` are the whole image
        and perhaps the close-up, each with its `box` and `size` (h, w), and as base64 of zlib: `before`, q = value /
        step as uint8 planes, those of colour being G, R - G + 128, B - G + 128, each predicted from left, above and
        above left by the median edge detector; `after`, the difference of its q from that of `before`; `mask`, the
        packed bits of the cells that hold a labelled pixel; `effect`, the mean effect over the labelled pixels of a
        cell, int8 in 127ths of `peak`; `foreground`, unless that of the view is None, the packed bits of the cells
        that are at least half of it. All differences are modulo 256.
    """
    before, after = _pixels(anomaly.before), _pixels(anomaly.sample)
    height, width = size = (int(before.shape[0]), int(before.shape[1]))
    reach = touched(before, after, anomaly.mask)
    effect, peak = _effect(anomaly, reach)
    inside = getattr(anomaly.before, "foreground", None)
    focus = _focus(anomaly, size)
    window = _window(before, after, anomaly.mask)
    full = Part(before, after, anomaly.mask, effect, inside, reach, before.dtype)
    whole, close = coarse(full, _LADDER[0][0]), cut(full, focus)
    done: dict[tuple[Box, float], tuple[Seen, dict[str, bytes]]] = {}
    packed: dict[int, list[dict[str, Any]]] = {}

    def fits(rung: int) -> bool:
        most, most_close, step = _LADDER[rung]
        parts = [(whole, (0, 0, height, width), most)]
        if _scale(focus, most_close) >= _NEARER * _scale((0, 0, height, width), most):
            parts.append((close, focus, most_close))
        packed[rung] = []
        for part, box, longest in parts:
            key = (box, _scale(box, longest))
            if key not in done:
                shown = seen(part, _shape(*key), peak)
                done[key] = (shown, _labels(shown))
            packed[rung].append({"box": list(box), **_layer(done[key][0], window, step), **done[key][1]})
        return sum(len(v) for layer in packed[rung] for v in layer.values() if isinstance(v, bytes)) <= BUDGET

    # Rung by rung what is packed gets smaller; the last one is taken whatever its size.
    rung = bisect_left(range(len(_LADDER) - 1), True, key=fits)
    if rung not in packed:
        fits(rung)
    return {
        "kind": "image",
        "size": list(size),
        "focus": list(focus),
        "channels": 1 if before.ndim == 2 or before.shape[2] < 3 else 3,
        "step": _LADDER[rung][2],
        "window": None if window == (0.0, 1.0) else list(window),
        "peak": peak,
        "area": _share(anomaly.mask),
        "instances": int(anomaly.instances.max()),
        "foreground": None if inside is None else _share(inside),
        "layers": [
            {name: _text(value) if isinstance(value, bytes) else value for name, value in layer.items()}
            for layer in packed[rung]
        ],
    }


def _effect(anomaly: Anomaly, box: Box) -> tuple[Array, float]:
    """Return the effect, 0 wherever it is none or nothing is labelled, and its largest size."""
    place = (slice(box[0], box[2]), slice(box[1], box[3]))
    part, mask = anomaly.effect[place], anomaly.mask[place]
    out = np.zeros(anomaly.mask.shape, np.float32)
    out[place] = np.where(mask & np.isfinite(part), part, 0)
    return out, float(np.abs(out[place]).max())


def _pixels(sample: Any) -> Array:
    pixels = np.asarray(getattr(sample, "colours", sample))
    return pixels if pixels.ndim == 2 else pixels[:, :, :3]


def _shape(box: Box, scale: float) -> tuple[int, int]:
    return (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))


def _share(mask: Array) -> float:
    return np.count_nonzero(mask) / mask.size


def _scale(box: Box, longest: int) -> float:
    """Return the pixels shown for a pixel of the image: never more than one."""
    return min(1.0, longest / max(box[2] - box[0], box[3] - box[1]))


def _focus(anomaly: Anomaly, size: tuple[int, int]) -> Box:
    """Return the box around the whole defect, or around its largest instance if they lie far apart."""
    box = _around(anomaly.mask, size)
    if anomaly.instances.max() > 1 and 2 * max(box[2] - box[0], box[3] - box[1]) > max(size):
        largest = np.bincount(anomaly.instances.ravel())[1:].argmax() + 1
        box = _around(anomaly.instances == largest, size)
    return box


def _around(mask: Array, size: tuple[int, int]) -> Box:
    ends = []
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return (0, 0, *size)
    spans = [(int(at[0]), int(at[-1]) + 1) for at in (rows, columns)]
    # A square, so that what is small fills the card whichever way it lies.
    side = max(_LEAST_BOX, int(1.6 * max(high - low for low, high in spans)))
    for (low, high), end in zip(spans, size, strict=True):
        first = min(max((low + high - side) // 2, 0), max(end - side, 0))
        ends.append((first, min(first + side, end)))
    return (ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _window(before: Array, after: Array, mask: Array) -> tuple[float, float]:
    """Return which fractions of full scale to show as black and white."""
    if before.dtype == np.uint8:
        return (0.0, 1.0)
    every = max(1, max(before.shape[:2]) // 512)
    changed = after[mask]
    changed = changed[:: max(1, len(changed) // 10_000)]
    ends = []
    for values in (before[::every, ::every], changed):
        if values.size:
            ends.append(np.quantile(fractions(values.astype(np.float64), before.dtype), [0.005, 0.995]))
    low, high = float(np.min(ends)), float(np.max(ends))
    if high - low >= 0.5:
        return (0.0, 1.0)
    room = max(0.1 * (high - low), 0.005)
    return (max(0.0, low - room), min(1.0, high + room))


def _layer(seen: Seen, window: tuple[float, float], step: int) -> dict[str, Any]:
    old, new = (_levels(values, window, step) for values in (seen.before, seen.after))
    change = np.zeros_like(old)
    change[seen.cells] = new - old[seen.cells]
    return {
        "size": list(old.shape[1:]),
        "before": _squeezed(_predicted(_planes(old))),
        "after": _squeezed(change),
    }


def _labels(seen: Seen) -> dict[str, bytes]:
    out = {"mask": _squeezed(np.packbits(seen.marked)), "effect": _squeezed(seen.effect.view(np.uint8))}
    return out if seen.inside is None else {**out, "foreground": _squeezed(np.packbits(seen.inside))}


def _levels(values: Array, window: tuple[float, float], step: int) -> NDArray[np.uint8]:
    low, high = window
    if window != (0.0, 1.0):
        values = np.clip((values - low) / (high - low), 0, 1)
    out = values * (255.0 / step)
    np.rint(out, out=out)
    return np.asarray(out, dtype=np.uint8)


def _planes(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if len(levels) == 1:
        return levels
    red, green, blue = levels
    return np.stack([green, red - green + np.uint8(128), blue - green + np.uint8(128)])


def _predicted(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what is left of each value after the median edge detector's guess (of JPEG-LS)."""
    padded = np.pad(planes, ((0, 0), (1, 0), (1, 0))).astype(np.int16)
    left, above, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    low, high = np.minimum(left, above), np.maximum(left, above)
    guess = np.clip(left + above - corner, low, high)
    return np.asarray(planes - guess).astype(np.uint8)


def _squeezed(values: Array) -> bytes:
    # Runs and single bytes only: a photo's rest has no longer matches, and looking for them takes most of the time.
    packer = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return packer.compress(np.ascontiguousarray(values).tobytes()) + packer.flush()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
