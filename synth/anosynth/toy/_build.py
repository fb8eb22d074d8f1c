"""How the toy meshes are put together: plane sheets of near-uniform triangles, slabs and turned bodies of them.

All triangles are counter-clockwise seen from outside (in a plane sheet: from +w), and vertices are shared, so that a
body that is closed on paper is closed in memory. Lengths are in mm, indices int64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import ParameterError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bore(NamedTuple):
    """A round hole in a sheet, inside a square of its own that no other bore may touch (all in mm)."""

    u: float
    v: float
    radius: float
    half: float
    """Half the side of the square; > radius."""


def check_fine(fine: float) -> None:
    """Raise ParameterError unless `fine` is a usable edge length in mm."""
    if not (math.isfinite(fine) and fine > 0):
        raise ParameterError(f"fine: {fine}: expected an edge length in mm greater than 0")


def segments(length: float, fine: float) -> int:
    """Return into how many edges of about `fine` a length is divided, at least 1."""
    return max(1, round(length / fine))


def ring_count(radius: float, fine: float, least: int = 8) -> int:
    """Return how many edges of about `fine` make a circle, a multiple of 4 so that its extremes are vertices."""
    return max(least, 4 * round(2.0 * math.pi * radius / (4.0 * fine)))


def subdivide(breaks: Sequence[float], fine: float) -> Floats:
    """Return the sorted `breaks` and between them evenly spaced values about `fine` apart, (N,)."""
    stops = sorted(set(breaks))
    parts = [np.linspace(a, b, segments(b - a, fine) + 1)[:-1] for a, b in itertools.pairwise(stops)]
    return np.concatenate([*parts, np.array(stops[-1:])])


def circle(radius: float, count: int, start: float = 0.0) -> Floats:
    """Return (count, 2) points, counter-clockwise from the angle `start`."""
    angle = start + np.arange(count) * (2.0 * math.pi / count)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def even(count: int) -> Floats:
    """Return the parameters of `count` evenly spaced points of a closed ring, (count,) in [0, 1)."""
    return np.arange(count) / count


def zip_rings(inner: Ints, outer: Ints, t_inner: Floats, t_outer: Floats) -> Ints:
    """Return the triangles between two closed counter-clockwise rings of any two lengths, (n + m, 3).

    A ring is its vertex indices and their rising parameters, one in each of as many equal parts of [0, 1); equal
    parameters face each other. Walking round, whichever ring's next edge has the earlier middle gives the next
    triangle: no edge is left behind. A ring of one vertex is a pole; the triangles that vanish there are left out.
    """

    def middles(t: Floats) -> Floats:
        return np.asarray(0.5 * (t + np.append(t[1:], 1.0 + t[0])))

    n, m = len(inner), len(outer)
    order = np.argsort(np.concatenate([middles(t_inner), middles(t_outer)]), kind="stable")
    on_inner = order < n
    i = np.cumsum(on_inner)
    j = np.cumsum(~on_inner)
    before_i, before_j = inner[(i - on_inner) % n], outer[(j - ~on_inner) % m]
    after = np.where(on_inner, inner[i % n], outer[j % m])
    faces = np.stack([before_i, before_j, after], axis=1)
    vanishing = (after == before_i) | (after == before_j)
    return np.asarray(faces[~vanishing], dtype=np.int64)


class Mesher:
    """Collects vertices and triangles; the only mutable thing here, and it never leaves the function that made it."""

    def __init__(self, dimensions: int) -> None:
        self._points: list[Floats] = [np.zeros((0, dimensions))]
        self._faces: list[Ints] = [np.zeros((0, 3), dtype=np.int64)]
        self._count = 0

    def add(self, points: Floats) -> Ints:
        """Take (K, dimensions) vertices, return their indices."""
        self._points.append(points)
        self._count += len(points)
        return np.arange(self._count - len(points), self._count, dtype=np.int64)

    def triangles(self, faces: Ints) -> None:
        """Take (K, 3) triangles."""
        self._faces.append(faces)

    def quads(self, grid: Ints, keep: NDArray[np.bool_] | None = None) -> None:
        """Take the squares of an (A, B) table of vertices whose first axis crossed with its second is the normal.

        The diagonals alternate, so that no direction is preferred. `keep` is (A - 1, B - 1) bool.
        """
        a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
        odd = (np.add.outer(np.arange(len(a)), np.arange(a.shape[1])) % 2).astype(bool)
        keep = np.ones(a.shape, dtype=bool) if keep is None else keep
        for first, second, where in [((a, b, c), (a, c, d), keep & ~odd), ((a, b, d), (b, c, d), keep & odd)]:
            self.triangles(np.stack([corner[where] for corner in first], axis=1))
            self.triangles(np.stack([corner[where] for corner in second], axis=1))

    def band(self, inner: Ints, outer: Ints, t_inner: Floats, t_outer: Floats, steps: int) -> None:
        """Fill what lies between two closed rings with rows of triangles whose vertex counts grow evenly."""
        points = np.concatenate(self._points)
        ends = [np.append(ids, ids[0]) for ids in (inner, outer)]
        knots = [np.append(t, 1.0 + t[0]) for t in (t_inner, t_outer)]
        ring, t_ring = inner, t_inner
        for step in range(1, steps):
            share = step / steps
            t = even(round(len(inner) + share * (len(outer) - len(inner))))
            low, high = (
                np.stack([np.interp(t, k, points[e, axis]) for axis in range(points.shape[1])], axis=1)
                for e, k in zip(ends, knots, strict=True)
            )
            ids = self.add(low + share * (high - low))
            self.triangles(zip_rings(ring, ids, t_ring, t))
            ring, t_ring = ids, t
        self.triangles(zip_rings(ring, outer, t_ring, t_outer))

    def finish(self) -> tuple[Floats, Ints]:
        """Return the vertices that some triangle uses, and the triangles."""
        points, faces = np.concatenate(self._points), np.concatenate(self._faces)
        used = np.zeros(len(points), dtype=bool)
        used[faces] = True
        return points[used], (np.cumsum(used) - 1)[faces]


def drilled_sheet(
    u_breaks: Sequence[float], v_breaks: Sequence[float], bores: Sequence[Bore], fine: float
) -> tuple[Floats, Ints]:
    """Return a rectangle with round holes, vertices (N, 2) and triangles (F, 3), all in the plane.

    The first and the last break of an axis are the rectangle's sides; grid lines run through all of them.
    """
    us = subdivide([*u_breaks, *(b.u + s * b.half for b in bores for s in (-1, 1))], fine)
    vs = subdivide([*v_breaks, *(b.v + s * b.half for b in bores for s in (-1, 1))], fine)
    mesh = Mesher(2)
    grid = mesh.add(np.stack(np.meshgrid(us, vs, indexing="ij"), axis=-1).reshape(-1, 2)).reshape(len(us), len(vs))
    keep = np.ones((len(us) - 1, len(vs) - 1), dtype=bool)
    for bore in bores:
        i0, i1 = (int(np.argmin(np.abs(us - (bore.u + s * bore.half)))) for s in (-1, 1))
        j0, j1 = (int(np.argmin(np.abs(vs - (bore.v + s * bore.half)))) for s in (-1, 1))
        keep[i0:i1, j0:j1] = False
        sides = [grid[i0:i1, j0], grid[i1, j0:j1], grid[i1:i0:-1, j1], grid[i0, j1:j0:-1]]
        border = np.concatenate(sides)
        t_border = np.concatenate([(k + even(len(side))) / 4.0 for k, side in enumerate(sides)])
        count = ring_count(bore.radius, fine, least=24)
        rim = mesh.add(np.array([bore.u, bore.v]) + circle(bore.radius, count, start=-0.75 * math.pi))
        mesh.band(rim, border, even(count), t_border, segments(1.2 * bore.half - bore.radius, fine))
    mesh.quads(grid, keep)
    return mesh.finish()


def border_edges(faces: Ints, count: int) -> Ints:
    """Return the directed edges (K, 2) that no other triangle runs through backwards: the sheet's borders."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    forth, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    return np.asarray(edges[~np.isin(forth, back)], dtype=np.int64)


def slab(sheet: Floats, faces: Ints, low: float, high: float, fine: float) -> tuple[Floats, Ints]:
    """Return the closed body between w = `low` and w = `high` over a plane sheet, vertices (N, 3) as (u, v, w)."""
    levels = np.linspace(low, high, segments(high - low, fine) + 1)
    edges = border_edges(faces, len(sheet))
    rim = np.unique(edges)
    place = np.zeros(len(sheet), dtype=np.int64)
    place[rim] = np.arange(len(rim))
    mesh = Mesher(3)

    def level(rows: Floats, w: float) -> Ints:
        return mesh.add(np.column_stack([rows, np.full(len(rows), w)]))

    bottom = level(sheet, low)
    walls = [bottom[rim], *(level(sheet[rim], float(w)) for w in levels[1:-1])]
    top = level(sheet, high)
    walls.append(top[rim])
    mesh.triangles(bottom[faces[:, ::-1]])
    mesh.triangles(top[faces])
    a, b = place[edges[:, 0]], place[edges[:, 1]]
    for below, above in itertools.pairwise(walls):
        mesh.triangles(np.stack([below[a], below[b], above[b]], axis=1))
        mesh.triangles(np.stack([below[a], above[b], above[a]], axis=1))
    return mesh.finish()


def divided(corners: Sequence[tuple[float, float]], fine: float) -> Floats:
    """Return an open polyline with its corners kept and its sides divided to about `fine`, (N, 2)."""
    knots = np.array(corners, dtype=np.float64)
    steps = [(a, b - a, segments(math.hypot(*(b - a)), fine)) for a, b in itertools.pairwise(knots)]
    sides = [a + way * even(count)[:, None] for a, way, count in steps]
    return np.concatenate([*sides, knots[-1:]])


def revolve(profile: Floats, fine: float, *, closed: bool = False) -> tuple[Floats, Ints]:
    """Return the body that a profile of (r, z) rows sweeps about the z axis, vertices (N, 3).

    The profile runs with the body on its right hand in the (r, z) plane: from the upper pole outwards and down to the
    lower pole, or, if `closed`, clockwise round. Each row becomes a ring of edges of about `fine`.
    """
    mesh = Mesher(3)
    rings: list[Ints] = []
    for r, z in profile.tolist():
        ring = circle(r, ring_count(r, fine)) if r > 0 else np.zeros((1, 2))
        rings.append(mesh.add(np.column_stack([ring, np.full(len(ring), z)])))
    for upper, lower in zip(rings, [*rings[1:], *rings[:1]] if closed else rings[1:], strict=False):
        mesh.triangles(zip_rings(upper, lower, even(len(upper)), even(len(lower))))
    return mesh.finish()
