"""Normal features against anomalous ones: too easy or too subtle to tell apart?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anosynth.report._text import escape, number, thousands

Rows = NDArray[np.float64]

_BINS = 36
_WIDTH, _HEIGHT = 260.0, 110.0
_SIDE = 260.0
_NORMAL, _ANOMALOUS = "var(--accent)", "var(--warn)"
_EASY, _SUBTLE = 0.99, 0.55
_AT_ONCE = 256


def apart(normal: Rows, anomalous: Rows, centres: Rows | None = None) -> str:
    """Return the section on how far anomalous cells are from normal ones, as HTML with inline SVG.

    Three numbers of each cell: its norm, its distance to the nearest centre (to the mean of the normals if there are
    no centres), and that to the nearest of other normals. Of each, and of the plane of largest variance of the
    normals, a picture; of the numbers, how often that of an anomalous cell is the larger one.

    Args:
        normal, anomalous: (N, C): cells before and after, in the same order; at least 4.
        centres: (M, C): what generators learned, if they did.
    """
    home = normal.mean(axis=0)[None] if centres is None else centres
    # Half of the normals are the neighbours of the other half: the cell that one was made of would tell it at once.
    bank, normal, anomalous = normal[::2], normal[1::2], anomalous[1::2]
    measures = [
        ("Norm", *(np.sqrt((rows * rows).sum(axis=1)) for rows in (normal, anomalous))),
        (
            "Distance to the mean of the normals" if centres is None else "Distance to the nearest centre",
            *(_nearest(rows, home) for rows in (normal, anomalous)),
        ),
        ("Distance to the nearest normal", *(_nearest(rows, bank) for rows in (normal, anomalous))),
    ]
    larger = [larger_share(own, other) for _, own, other in measures]
    panels = "".join(
        _panel(f"{name}: larger in {100 * share:.0f} of 100", histogram(name, own, other), own, other)
        for (name, own, other), share in zip(measures, larger, strict=True)
    )
    note = (
        f"{thousands(len(normal))} cells before (blue) and after (orange). Of one of each, the anomalous one has the "
        f"larger number in so many of 100: 50 says nothing, 100 says all. {verdict(larger)}"
    )
    scatter = _figure("Plane of largest variance of the normals", plane(bank, normal, anomalous), "")
    return (
        '<section class="asked" aria-labelledby="apart-title"><h2 id="apart-title">Normal against anomalous</h2>'
        f'<p class="note">{escape(note)}</p><div class="panels">{scatter}{panels}</div></section>'
    )


def larger_share(normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> float:
    """Return how often a number of the second is larger than one of the first, ties counting half: 0 to 1."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, "left") + np.searchsorted(ordered, anomalous, "right")
    return float(below.mean() / (2 * len(normal)))


def verdict(larger: Sequence[float]) -> str:
    """Return what the shares of `larger_share` say of the difficulty."""
    told = [max(share, 1 - share) for share in larger]
    if max(told) >= _EASY:
        return "Easy: one number tells them apart; a detector that learns it alone may miss real defects."
    if max(told) <= _SUBTLE:
        return "Subtle: none of these numbers tells them apart; a detector has to see more than distances, or cannot."
    return "Neither told apart at once nor hidden."


def histogram(name: str, normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> str:
    """Return two histograms over each other as SVG, on the bins of both; what lies far outside counts at the ends."""
    both = np.concatenate([normal, anomalous])
    low, high = (float(value) for value in np.quantile(both, [0.005, 0.995]))
    high = high if high > low else low + max(abs(low), 1e-9)
    counts = [np.histogram(np.clip(values, low, high), _BINS, (low, high))[0] for values in (normal, anomalous)]
    top = max(int(count.max()) for count in counts)
    step = _WIDTH / _BINS
    shapes = ""
    for count, colour in zip(counts, (_NORMAL, _ANOMALOUS), strict=True):
        heights = _HEIGHT * (1 - count / top)
        steps = "".join(f"V{_p(y)}h{_p(step)}" for y in heights)
        shapes += f'<path d="M0 {_p(_HEIGHT)}{steps}V{_p(_HEIGHT)}z" fill="{colour}" fill-opacity="0.45"/>'
    about = f"{name}: median {number(np.median(normal))} before, {number(np.median(anomalous))} after"
    box = f"0 0 {_p(_WIDTH)} {_p(_HEIGHT)}"
    return f'<svg viewBox="{box}" width="100%" role="img" aria-label="{escape(about)}">{shapes}</svg>'


def plane(bank: Rows, normal: Rows, anomalous: Rows) -> str:
    """Return a scatter of both on the first two principal axes of `bank`, as SVG; what lies far outside is left out."""
    middle = bank.mean(axis=0)
    axes = np.linalg.svd(bank - middle, full_matrices=False)[2][:2]
    # An axis has no direction of its own; one is chosen, so that the same features give the same picture.
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros((2 - len(axes), bank.shape[1]))])
    places = [(rows - middle) @ axes.T for rows in (normal, anomalous)]
    reach = float(np.quantile(np.abs(np.concatenate(places)), 0.995)) * 1.05 or 1.0
    shapes = ""
    for place, colour in zip(places, (_NORMAL, _ANOMALOUS), strict=True):
        inside = place[(np.abs(place) <= reach).all(axis=1)]
        spots = "".join(f"M{_p(_at(x, reach))} {_p(_at(-y, reach))}h0" for x, y in inside)
        shapes += (
            f'<path d="{spots}" fill="none" stroke="{colour}" stroke-opacity="0.55" stroke-width="3" '
            'stroke-linecap="round"/>'
        )
    about = f"{thousands(len(normal))} cells before and after on the first two principal axes of the normals"
    return f'<svg viewBox="0 0 {_p(_SIDE)} {_p(_SIDE)}" width="100%" role="img" aria-label="{about}">{shapes}</svg>'


def _panel(title: str, drawing: str, normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> str:
    text = f"median {number(np.median(normal))} before, {number(np.median(anomalous))} after"
    return _figure(title, drawing, f'<p class="ends"><span>{escape(text)}</span></p>')


def _figure(title: str, drawing: str, below: str) -> str:
    return f'<figure class="panel"><figcaption>{escape(title)}</figcaption>{drawing}{below}</figure>'


def _nearest(rows: Rows, bank: Rows) -> NDArray[np.float64]:
    squares = (bank * bank).sum(axis=1)
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        chosen = (squares / 2 - part @ bank.T).argmin(axis=1)
        # The difference itself: from the product, a small distance between large rows would be lost.
        found.append(np.sqrt(((part - bank[chosen]) ** 2).sum(axis=1)))
    return np.concatenate(found)


def _at(value: float, reach: float) -> float:
    return _SIDE / 2 * (1 + value / reach)


def _p(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
