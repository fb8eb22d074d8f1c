"""Signs of normals where nothing but the points is known: propagation over flat pieces of the surface.

A minimum spanning tree carries signs from piece to piece (after Hoppe et al., Surface reconstruction from unorganized
points, 1992), but agreement between two normals n and m is measured after m was mirrored in the plane halfway between
the two places, at unit distance e: n.m - 2 (n.e)(m.e). It is 1 for any two normals of one circle, thus also around a
right-angled edge and straight through a wall, where n.m alone is 0 or has the wrong sign.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._geometry.cells import CHUNK, Floats, Ints, dot, narrow
from anosynth.pointclouds._geometry.normals import Pieces, flat_pieces

_NEIGHBOURS = 10
_FLAT = 0.1
_REACH = 3.0
_SURE = 0.25
_MIXED_COST = 2.0
_BLUR = 0.3
DIRECTIONS: Floats = np.array([d for d in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(d)])
DIRECTIONS /= np.sqrt((DIRECTIONS * DIRECTIONS).sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Orientation:
    """Pieces whose normals point outward, and the component of each: parts that got their sign independently."""

    pieces: Pieces
    label: Ints
    tree: Any
    blur: float

    @property
    def components(self) -> int:
        return int(self.label.max()) + 1

    def one_sided(self, sensor: Floats) -> float:
        """Return which share of the pieces shows the same side to `sensor` (3,) as the rest of its component."""
        facing = dot(self.pieces.normal, sensor - self.pieces.place) > 0
        front = np.bincount(self.label, facing)
        return float(np.maximum(front, np.bincount(self.label) - front).sum() / len(facing))

    def signs(self, rows: Ints, points: Floats, normals: Floats) -> Floats:
        """Return -1.0 or 1.0 for each of K unoriented unit normals (K, 3) at `points` (K, 3), rows (K,) of the cloud.

        A point in a flat piece takes its sign; any other point asks the pieces around, the nearest most.
        """
        piece = self.pieces.of_point[rows]
        along = dot(self.pieces.normal[piece], normals)
        sign = np.where(along < 0, -1.0, 1.0)
        unsure = np.flatnonzero((piece < 0) | (np.abs(along) < 0.5) | (self.pieces.flatness[piece] > _FLAT))
        for begin in range(0, len(unsure), CHUNK):
            part = unsure[begin : begin + CHUNK]
            sign[part] = self._vote(points[part], normals[part])
        return sign

    def _vote(self, points: Floats, normals: Floats) -> Floats:
        p = self.pieces
        distance, near = self.tree.query(points, k=min(8, len(p.place)))
        near = near.reshape(len(points), -1)
        agree = agreement(normals[:, None], p.normal[near], p.place[near] - points[:, None], self.blur)
        weight = np.abs(agree) / (distance.reshape(near.shape) ** 2 + 0.25 * p.scale[near] ** 2)
        weight /= 1.0 + 20.0 * p.flatness[near]
        return np.where((agree * weight).sum(axis=1) < 0, -1.0, 1.0)


def orient(columns: Floats, patch: float) -> Orientation:
    """Orient the surface through `columns` (3, M) float64, all coordinates >= 0.

    `patch` is the usual distance from a point to its 25th neighbour.
    """
    from scipy.spatial import cKDTree

    pieces = flat_pieces(columns, patch)
    tree = cKDTree(pieces.place)
    blur = _BLUR * patch
    first, second = _links(pieces, tree)
    way = pieces.place[second] - pieces.place[first]
    agree = agreement(pieces.normal[first], pieces.normal[second], way, blur)
    # A cube that clips both sides of a wall may look flat, across the wall; its neighbours know better.
    links = np.bincount(first, minlength=len(pieces.place)) + np.bincount(second, minlength=len(pieces.place))
    known = np.bincount(first, np.abs(agree), len(links)) + np.bincount(second, np.abs(agree), len(links))
    pieces = replace(pieces, flatness=pieces.flatness + 0.5 * (1.0 - known / np.maximum(links, 1)))
    cost = 1.0 - np.abs(agree) + _MIXED_COST * (pieces.flatness[first] + pieces.flatness[second])
    label, sign = _propagate(len(pieces.place), first, second, agree, cost)
    label, sign = _join(pieces, label, sign, tree)
    sign = _turned(pieces, label, sign)
    return Orientation(replace(pieces, normal=pieces.normal * sign[:, None]), label, tree, blur)


def agreement(n: Floats, m: Floats, way: Floats, blur: float = 0.0) -> Floats:
    """Return n.m - 2 (n.e)(m.e), e the unit vector along `way`, in [-1, 1]; arrays (..., 3) broadcast.

    Where `way` is not long against `blur`, its direction is noise and counts less. 0 where the two are parallel, but
    neither in one plane nor one behind the other: such a pair says nothing.
    """
    square, parallel = dot(way, way) + blur * blur, dot(n, m)
    across = dot(n, way) * dot(m, way) / np.where(square > 0, square, 1.0)
    askew = (np.abs(parallel) > 0.9) & (np.abs(across) > 0.06) & (np.abs(across) < 0.8)
    return np.where(askew, 0.0, parallel - 2.0 * across)


def _links(pieces: Pieces, tree: Any) -> tuple[Ints, Ints]:
    """Return the pairs of neighbouring pieces, each (E,)."""
    count = len(pieces.place)
    if count < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    distance, near = tree.query(pieces.place, k=min(_NEIGHBOURS + 1, count))
    first = np.repeat(np.arange(count), near.shape[1])
    second = near.ravel().astype(np.int64)
    keep = (first != second) & (distance.ravel() <= _REACH * np.maximum(pieces.scale[first], pieces.scale[second]))
    return first[keep], second[keep]


def _propagate(count: int, first: Ints, second: Ints, agree: Floats, cost: Floats) -> tuple[Ints, Floats]:
    """Return the component (Q,) and, relative to its first member, the sign (Q,) of each of `count` nodes."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    # scipy sorts the weights by an unstable sort and takes 0 for "no edge": ranks leave it neither ties nor zeros.
    rank = np.zeros(len(cost))
    rank[np.argsort(cost, kind="stable")] = np.arange(1.0, len(cost) + 1.0)
    shape = (count, count)
    forest = minimum_spanning_tree(csr_array((rank, (narrow(first), narrow(second))), shape=shape)).tocoo()
    label = connected_components(forest, directed=False)[1].astype(np.int64)
    seeds = np.unique(label, return_index=True)[1]
    # One root above all components makes one walk of many.
    row = np.concatenate([forest.row, np.full(len(seeds), count)])
    column = np.concatenate([forest.col, seeds])
    whole = csr_array((np.ones(len(row)), (narrow(row), narrow(column))), shape=(count + 1, count + 1))
    parent = breadth_first_order(whole, count, directed=False, return_predecessors=True)[1].astype(np.int64)
    parent[count] = count
    sign = np.ones(count + 1)
    sign[:count] = _edge_signs(count, first, second, agree, parent[:count])
    while np.any(parent != count):
        sign *= sign[parent]
        parent = parent[parent]
    return label, sign[:count]


def _edge_signs(count: int, first: Ints, second: Ints, agree: Floats, parent: Ints) -> Floats:
    """Return the sign of the link from each node to its parent, 1 where the parent is the common root."""
    key = np.minimum(first, second) * (count + 1) + np.maximum(first, second)
    order = np.argsort(key, kind="stable")
    node = np.arange(count)
    wanted = np.minimum(node, parent) * (count + 1) + np.maximum(node, parent)
    if len(key) == 0:
        return np.ones(count)
    at = order[np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)]
    return np.where((key[at] == wanted) & (agree[at] < 0), -1.0, 1.0)


def _join(pieces: Pieces, label: Ints, sign: Floats, tree: Any) -> tuple[Ints, Floats]:
    """Tie components that cannot tell inside from outside (flat sheets, crumbs) to their nearest neighbours.

    The two faces of a plate whose rim was not scanned say nothing each, but together they do.
    """
    while label.max() > 0:
        total, weight = _extreme_votes(pieces, label, sign)
        unsure = (np.abs(total) < _SURE * weight) | (np.bincount(label) <= _NEIGHBOURS)
        if not unsure.any():
            break
        first, second, agree, distance = _bridges(pieces, label, sign, unsure, tree)
        merged, turn = _propagate(len(unsure), first, second, agree, distance)
        sign = sign * turn[label]
        label = merged[label]
    return label, sign


def _extreme_votes(pieces: Pieces, label: Ints, sign: Floats) -> tuple[Floats, Floats]:
    """Return, per component, the sum over directions d of n.d at its farthest piece along d, and that of |n.d|."""
    total, weight = np.zeros(label.max() + 1), np.zeros(label.max() + 1)
    for direction, extreme in zip(DIRECTIONS, _extremes(pieces.place, label), strict=True):
        vote = dot(pieces.normal[extreme], direction) * sign[extreme]
        total += vote
        weight += np.abs(vote)
    return total, weight


def _extremes(place: Floats, label: Ints) -> Ints:
    """Return the farthest piece of each component along each direction, the first of equals: (26, C)."""
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(label.max() + 1))
    found = np.zeros((len(DIRECTIONS), len(starts)), dtype=np.int64)
    for extreme, direction in zip(found, DIRECTIONS, strict=True):
        along = dot(place[order], direction)
        best = np.flatnonzero(along == np.maximum.reduceat(along, starts)[label[order]])[::-1]
        extreme[label[order[best]]] = order[best]
    return found


def _bridges(
    pieces: Pieces, label: Ints, sign: Floats, unsure: NDArray[np.bool_], tree: Any
) -> tuple[Ints, Ints, Floats, Floats]:
    """Return one link (from, to, agreement, distance) from each unsure component to its nearest other one."""
    from scipy.spatial import cKDTree

    here = np.flatnonzero(unsure[label])
    distance, near = tree.query(pieces.place[here], k=min(32, len(label)))
    foreign = label[near] != label[here][:, None]
    at = foreign.argmax(axis=1)
    has, rows = foreign.any(axis=1), np.arange(len(here))
    other, gap = np.where(has, near[rows, at], -1), np.where(has, distance[rows, at], np.inf)
    links = []
    for component in np.flatnonzero(unsure):
        mine = np.flatnonzero(label[here] == component)
        if not has[mine].any():
            rest = np.flatnonzero(label != component)
            gap[mine], found = cKDTree(pieces.place[rest]).query(pieces.place[here[mine]])
            other[mine] = rest[found]
        nearest = mine[np.argmin(gap[mine])]
        target = label[other[nearest]]
        pair = mine[(gap[mine] <= 2.0 * gap[nearest]) & (other[mine] >= 0)]
        pair = pair[label[other[pair]] == target]
        a, b = here[pair], other[pair]
        agree = agreement(pieces.normal[a], pieces.normal[b], pieces.place[b] - pieces.place[a]) * sign[a] * sign[b]
        links.append((int(component), int(target), float((agree * np.abs(agree)).sum()), float(gap[nearest])))
    first, second, together, gaps = zip(*links, strict=True)
    return np.array(first), np.array(second), np.array(together), np.array(gaps)


def _turned(pieces: Pieces, label: Ints, sign: Floats) -> Floats:
    """Return `sign` with every component turned outward."""
    total, weight = _extreme_votes(pieces, label, sign)
    turn = np.where(total < 0, -1.0, 1.0)
    for component in np.flatnonzero(np.abs(total) <= 0.02 * weight):
        # A flat sheet: any sign is right, this one does not hang on rounding.
        mean = (pieces.normal * sign[:, None])[label == component].sum(axis=0)
        turn[component] = -1.0 if mean[np.argmax(np.abs(mean))] < 0 else 1.0
    sign = sign * turn[label]
    return sign * _cavities(pieces, label, sign)[label]


def _cavities(pieces: Pieces, label: Ints, sign: Floats) -> Floats:
    """Return -1 for components that lie inside the material of a larger one (a bore, a hollow), 1 for all others: (C,).

    From the farthest piece along each direction, the first foreign sheet ahead tells whether the way leaves material.
    A sheet farther off than half the component's own size does not count: furniture in a room is no cavity.
    """
    turn = np.ones(label.max() + 1)
    if len(turn) == 1:
        return turn
    extremes = _extremes(pieces.place, label)
    # Opposite directions stand at opposite ends of the list.
    size = dot(pieces.place[extremes] - pieces.place[extremes[::-1]], DIRECTIONS[:, None]).max(axis=0)
    outward = pieces.normal * sign[:, None]
    for component in np.argsort(-size, kind="stable")[1:]:
        mine = extremes[:, component]
        middle = pieces.place[mine].mean(axis=0)
        near = np.abs(pieces.place - middle).max(axis=1) <= 1.5 * size[component]
        larger = np.flatnonzero(near & (size[label] > size[component]))
        if len(larger) == 0:
            continue
        reach = 0.5 * float(size[component])
        inside = np.array(
            [_leaves(pieces, outward, larger, p, d, reach) for p, d in zip(mine, DIRECTIONS, strict=True)]
        )
        weight = np.abs(dot(outward[mine], DIRECTIONS))
        # A table below an object is no enclosure: material has to lie on both sides.
        if weight[inside & inside[::-1]].sum() > weight.sum() / 3.0:
            turn[component] = -1.0
            outward[label == component] *= -1.0
    return turn


def _leaves(pieces: Pieces, outward: Floats, others: Ints, piece: int, direction: Floats, reach: float) -> bool:
    """Tell whether the first of `others` that a ray from `piece` meets within `reach` has its back to the ray."""
    way = pieces.place[others] - pieces.place[piece]
    along = dot(way, direction)
    beside = dot(way, way) - along * along
    ahead = np.flatnonzero((along > 0) & (along <= reach) & (beside <= pieces.scale[others] ** 2))
    if len(ahead) == 0:
        return False
    first = others[ahead[np.argmin(along[ahead])]]
    return bool(dot(outward[first], direction) > 0)
