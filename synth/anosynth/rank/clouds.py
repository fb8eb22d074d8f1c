"""What the surface around each point of a cloud is like, at three scales, with no regard to pose, size or units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds import PointCloud
from anosynth.pointclouds._geometry.eigen import eigen3
from anosynth.pointclouds._geometry.knn import nearest
from anosynth.seeding import RngLike, as_rng

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = (2, 8, 32)
"""Steps of the walk at each scale: about 1.4, 2.8 and 5.6 point spacings standard deviation on a plane."""

PER_SCALE = (
    "variation",
    "linearity",
    "planarity",
    "height",
    "height size",
    "band",
    "normal spread",
    "off centre",
    "roughness",
    "density",
)
"""What each scale gives, in this order."""

_KNN = 12
_CHUNK = 1 << 13
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def cells_of(cloud: PointCloud | ArrayLike, *, steps: Sequence[int] = STEPS, knn: int = _KNN) -> NDArray[np.float32]:
    """Return (N, 10 S) float32 features of the surface around each point, S scales; invalid points have zeros.

    A neighbourhood is where a walk of so many steps ends that goes to one of the `knn` nearest points or stays, all
    with equal probability: it grows with the square root of the steps, costs the same at each point, and stays on its
    side of a wall thicker than the neighbours are far. Its moments come from products with one sparse matrix. With its
    mean m, its covariance with eigenvalues a >= b >= c and least axis n (turned outward), and R the median over the
    cloud of sqrt((a + b) / 2):

    - variation c / (a + b + c), linearity (a - b) / a, planarity (b - c) / a: Weinmann et al. 2015, Pauly et al. 2002.
    - height (p - m) n / R, the point above its surroundings, which is the mean curvature to first order, > 0 where the
      surface bulges outward; height size, its magnitude; band, the height of this scale's mean below that of the scale
      before.
    - normal spread, 1 - |mean of the finest scale's normals|; off centre, the part of p - m along the surface over R,
      large at borders; roughness, root mean square of the finest scale's heights over their median in the cloud;
      density, log of the mean distance to the outermost neighbour over its median in the cloud.

    Only positions count. The file's normals say which side is out where they are usable, and nothing more: normals that
    a defect did not turn would give it away. The choice and the walk are ours. Rotating, moving, scaling or reordering
    the cloud changes nothing but for rounding and ties among the nearest.

    Args:
        cloud: a `PointCloud`, or (N, 3) points.
        steps: of each scale, rising, >= 1.
        knn: neighbours, >= 4; fewer if the cloud has no more.

    Raises:
        ParameterError: `steps` or `knn` is out of range.
        DataError: the valid points span no surface, or are fewer than 6.
    """
    wanted = [int(step) for step in steps]
    if not wanted or wanted[0] < 1 or wanted != sorted(set(wanted)):
        raise ParameterError(f"`steps`: {list(steps)}: must be rising whole numbers >= 1")
    if knn < 4:
        raise ParameterError(f"`knn`: {knn}: must be >= 4")
    whole = cloud if isinstance(cloud, PointCloud) else PointCloud(_points(cloud))
    rows = np.flatnonzero(whole.valid)
    if len(rows) < 6:
        raise DataError(f"points: {len(rows)} valid among {len(whole)}: expected at least 6")
    out = np.zeros((len(whole), len(PER_SCALE) * len(wanted)), dtype=np.float32)
    out[rows] = _features(whole, rows, wanted, knn)
    return out


def names(steps: Sequence[int] = STEPS) -> list[str]:
    """Return what the columns of `cells_of` are called."""
    return [f"{name} at {step} steps" for step in steps for name in PER_SCALE]


def thinned(cloud: PointCloud, most: int, rng: RngLike = 0) -> tuple[Ints, Ints]:
    """Return the rows (n,) of at most `most` valid points, and for each of N points the place of the nearest in them.

    What is worked out on `points[rows]` is carried back to all points by `values[place]`; invalid points get that of
    the first one.

    Args:
        cloud: with valid points.
        most: >= 1.
        rng: decides which.
    """
    from scipy.spatial import cKDTree

    if most < 1:
        raise ParameterError(f"`most`: {most}: must be >= 1")
    valid = np.flatnonzero(cloud.valid).astype(np.int64)
    place = np.zeros(len(cloud), dtype=np.int64)
    if len(valid) <= most:
        place[valid] = np.arange(len(valid))
        return valid, place
    rows = valid[np.sort(as_rng(rng).permutation(len(valid))[:most])]
    tree = cKDTree(cloud.points[rows].astype(np.float64))
    for start in range(0, len(valid), _CHUNK):
        part = valid[start : start + _CHUNK]
        place[part] = tree.query(cloud.points[part].astype(np.float64))[1]
    return rows, place


def _points(given: ArrayLike) -> NDArray[Any]:
    points = np.asarray(given)
    return points if points.dtype in (np.float32, np.float64) else points.astype(np.float64)


def _features(cloud: PointCloud, rows: Ints, steps: Sequence[int], knn: int) -> Floats:
    points = cloud.points[rows].astype(np.float64)
    # From the middle and in spacings: sums of squares keep their digits wherever the cloud lies.
    points = (points - points.mean(axis=0)) / cloud.surface.spacing
    distance, neighbour = nearest(points, knn)
    if not np.isfinite(distance).all():
        raise DataError("points: too few different ones: expected a surface")
    walk = _walk(neighbour)
    outermost = distance[:, -1]
    held = np.column_stack([points, *(points[:, i] * points[:, j] for i, j in _PRODUCTS), outermost])
    now, scales, found = 0, [], list[Floats]()
    for step in steps:
        for _ in range(step - now):
            held = walk @ held
        now = step
        scales.append(held)
    first = _Scale(points, scales[0])
    normals = np.asarray(cloud.surface.outward(rows, first.least), dtype=np.float64)
    heights = _dot(points - first.mean, normals)
    carried, now = np.column_stack([normals, heights * heights]), 0
    usual, before = float(np.median(np.abs(heights))), points
    for step, moments in zip(steps, scales, strict=True):
        for _ in range(step - now):
            carried = walk @ carried
        now = step
        scale = _Scale(points, moments)
        # Over an edge the least axis of a wide neighbourhood says little of what is out: the mean normal decides.
        least = scale.least * np.where(_dot(scale.least, carried[:, :3]) < 0, -1.0, 1.0)[:, None]
        found += _of_scale(points, before, scale, least, carried, usual, moments[:, 9])
        before = scale.mean
    return np.column_stack(found)


def _of_scale(
    points: Floats, before: Floats, scale: _Scale, least: Floats, carried: Floats, usual: float, outermost: Floats
) -> list[Floats]:
    """Return the columns of one scale, in the order of `PER_SCALE`."""
    a, b, c = scale.values.T
    radius = float(np.median(np.sqrt((a + b) / 2))) or 1.0
    way = points - scale.mean
    height = _dot(way, least)
    along = way - height[:, None] * least
    widest = np.where(a > 0, a, 1.0)
    mean_normal = carried[:, :3]
    return [
        c / np.where(a + b + c > 0, a + b + c, 1.0),
        (a - b) / widest,
        (b - c) / widest,
        height / radius,
        np.abs(height) / radius,
        _dot(before - scale.mean, least) / radius,
        1.0 - np.sqrt(np.minimum(_dot(mean_normal, mean_normal), 1.0)),
        np.sqrt(_dot(along, along)) / radius,
        # Perfectly flat clouds have no heights but those of rounding.
        np.sqrt(carried[:, 3]) / max(usual, 1e-6),
        np.log(outermost / np.median(outermost)),
    ]


class _Scale:
    """Means (n, 3), eigenvalues (n, 3) falling, and least axes (n, 3) of the neighbourhoods of one scale."""

    def __init__(self, points: Floats, moments: Floats) -> None:
        self.mean = moments[:, :3]
        self.values, self.least = np.zeros((len(points), 3)), np.zeros((len(points), 3))
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            covariance = np.zeros((len(moments[part]), 3, 3))
            for column, (i, j) in enumerate(_PRODUCTS, start=3):
                covariance[:, i, j] = moments[part, column] - self.mean[part, i] * self.mean[part, j]
                covariance[:, j, i] = covariance[:, i, j]
            values, vectors = eigen3(covariance)
            self.values[part] = np.maximum(values[:, ::-1], 0.0)
            self.least[part] = vectors[:, :, 0]


def _walk(neighbour: Ints) -> Any:
    """Return the sparse (n, n) matrix of one step: to any of the neighbours (n, k), or nowhere."""
    from scipy.sparse import csr_array

    count, k = neighbour.shape
    columns = np.concatenate([np.arange(count)[:, None], neighbour], axis=1).astype(np.int32)
    starts = (np.arange(count + 1) * (k + 1)).astype(np.int32)
    data = np.full(count * (k + 1), 1.0 / (k + 1))
    return csr_array((data, columns.reshape(-1), starts), shape=(count, count))


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = np.einsum("ni,ni->n", a, b, optimize=False)
    return product
