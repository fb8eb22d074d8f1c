"""Clouds from and to Open3D and trimesh objects; neither package is imported to read an object of the other.

    pcd = open3d.t.io.read_point_cloud("part.ply")
    anomaly = gen(from_open3d(pcd), rng=7)
    open3d.visualization.draw(to_open3d(anomaly.sample))

All arrays are copied, so that neither side ever writes into the other. What stays behind: `grid`, `viewpoint` and
`document` on the way out (Open3D: `unit` also), and on the way in all that is not per point (textures, the normals
and colours of triangles, metadata).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

COLORS = ("red", "green", "blue")
"""The attributes that hold a colour, as in PLY files; in [0, 1] if they are floats."""

_UNITS = {"um": "microns", "mm": "millimeters", "cm": "centimeters", "m": "meters", "inch": "inches"}


def from_open3d(obj: Any) -> PointCloud:
    """Make a `PointCloud` of an Open3D point cloud or triangle mesh, legacy or tensor.

    Points, normals and triangles come over bit for bit; legacy objects have float64 throughout, tensor objects keep
    their dtypes. Colours become the attributes `red`, `green` and `blue`, covariances the attribute `covariances`,
    and all further tensors attributes of their name, in the order of their names, (N, 1) as (N,).

    Raises:
        TypeError: `obj` is of another type.
        DataError: the positions are neither float32 nor float64.
    """
    module, kind = _class_of(obj, "open3d")
    mesh = kind == "TriangleMesh"
    if ".t." in module:
        return _from_tensors(obj.vertex if mesh else obj.point, obj.triangle if mesh else {})
    if mesh:
        points, normals, colors = obj.vertices, obj.vertex_normals, obj.vertex_colors
        known, extra = (obj.has_vertex_normals(), obj.has_vertex_colors()), {}
    else:
        points, normals, colors = obj.points, obj.normals, obj.colors
        known = obj.has_normals(), obj.has_colors()
        extra = {"covariances": np.array(obj.covariances)} if obj.has_covariances() else {}
    return PointCloud(
        np.array(points),
        np.array(normals) if known[0] else None,
        faces=np.array(obj.triangles, dtype=np.int64) if mesh else None,
        attributes={**(_split(np.asarray(colors)) if known[1] else {}), **extra},
    )


def to_open3d(cloud: PointCloud, *, tensor: bool = False) -> Any:
    """Make an Open3D object: a triangle mesh if the cloud has faces, else a point cloud.

    Args:
        cloud: labels travel as attributes, see `anosynth.datasets.truth.with_truth`.
        tensor: an `open3d.t.geometry` object, which holds every attribute in its own dtype, (N,) as (N, 1). The
            legacy objects hold float64 points, normals and colours (integer colours are divided by the largest
            value of their type) and a point cloud's covariances, and no other attribute.

    Raises:
        ImportError: Open3D is not installed or cannot be loaded; the message tells what to install.
        DataError: an attribute has a type or a name that Open3D's tensors cannot have.
    """
    open3d = _open3d()
    if tensor:
        return _to_tensors(open3d, cloud)

    def vectors(rows: Array) -> Any:
        # A copy, because Open3D refuses arrays that are read-only.
        return open3d.utility.Vector3dVector(np.array(rows, dtype=np.float64, order="C"))

    points = vectors(cloud.points)
    colors = _colors(cloud.attributes)
    covariances = cloud.attributes.get("covariances")
    if cloud.faces is not None:
        made = open3d.geometry.TriangleMesh(points, open3d.utility.Vector3iVector(cloud.faces.astype(np.int32)))
        names = "vertex_normals", "vertex_colors"
    else:
        made, names = open3d.geometry.PointCloud(points), ("normals", "colors")
        if covariances is not None and covariances.shape == (len(cloud), 3, 3):
            made.covariances = open3d.utility.Matrix3dVector(np.array(covariances, dtype=np.float64, order="C"))
    if cloud.normals is not None:
        setattr(made, names[0], vectors(cloud.normals))
    if colors is not None:
        setattr(made, names[1], vectors(_as_floats(colors)))
    return made


def from_trimesh(obj: Any) -> PointCloud:
    """Make a `PointCloud` of a `trimesh.Trimesh` or a `trimesh.PointCloud`.

    Vertices (float64), faces and per-vertex attributes come over bit for bit, in their order; normals if the mesh
    holds them already. Vertex colours become the uint8 attributes `red`, `green` and `blue`, and `alpha` if any is
    not opaque.

    Raises:
        TypeError: `obj` is of another type.
    """
    _, kind = _class_of(obj, "trimesh")
    mesh = kind == "Trimesh"
    points = np.array(obj.vertices, dtype=np.float64)
    attributes: dict[str, Array] = {}
    colors: Array = np.zeros(0)
    if obj.visual is not None and obj.visual.kind == "vertex":
        colors = np.asarray(obj.visual.vertex_colors if mesh else obj.colors)
    if colors.shape == (len(points), 4):
        attributes = _split(colors[:, :3])
        if (colors[:, 3] != 255).any():
            attributes["alpha"] = np.array(colors[:, 3])
    for name, value in getattr(obj, "vertex_attributes", {}).items():
        column = np.array(value)
        if column.ndim and len(column) == len(points) and column.dtype.kind in "biuf":
            attributes[str(name)] = column
    # Asking for `vertex_normals` would compute them; only normals that somebody gave are the mesh's own.
    normals = np.array(obj.vertex_normals) if mesh and "vertex_normals" in obj._cache else None
    faces = np.array(obj.faces, dtype=np.int64) if mesh else None
    return PointCloud(points, normals, faces, attributes, unit=_unit_of(getattr(obj, "units", None)))


def to_trimesh(cloud: PointCloud) -> Any:
    """Make a `trimesh.Trimesh` if the cloud has faces, else a `trimesh.PointCloud`.

    Nothing is merged or reordered; coordinates become float64. A mesh holds normals and every attribute, a
    `trimesh.PointCloud` only colours. Colours are shown as uint8; a mesh keeps others also as they are.

    Raises:
        ImportError: trimesh is not installed.
    """
    import trimesh

    colors, alpha = _colors(cloud.attributes), cloud.attributes.get("alpha")
    rgba = None if colors is None else np.full((len(cloud), 4), 255, dtype=np.uint8)
    shown: set[str] = set()
    if rgba is not None and colors is not None:
        rgba[:, :3] = _as_bytes(colors)
        shown = set(COLORS) if colors.dtype == np.uint8 else set()
        if alpha is not None and alpha.dtype == np.uint8 and alpha.ndim == 1:
            rgba[:, 3] = alpha
            shown.add("alpha")
    if cloud.faces is None:
        made = trimesh.PointCloud(np.array(cloud.points, dtype=np.float64), colors=rgba)
    else:
        made = trimesh.Trimesh(
            np.array(cloud.points, dtype=np.float64),
            np.array(cloud.faces),
            vertex_normals=None if cloud.normals is None else np.array(cloud.normals, dtype=np.float64),
            vertex_colors=rgba,
            vertex_attributes={name: np.array(v) for name, v in cloud.attributes.items() if name not in shown},
            process=False,
        )
    if cloud.unit is not None:
        made.units = _UNITS[cloud.unit]
    return made


def _class_of(obj: Any, package: str) -> tuple[str, str]:
    """Return module and name of the class of `package` that `obj` is an instance of."""
    known = {"open3d": ("PointCloud", "TriangleMesh"), "trimesh": ("PointCloud", "Trimesh")}[package]
    for cls in type(obj).__mro__:
        if cls.__module__.partition(".")[0] == package and cls.__name__ in known:
            return cls.__module__, cls.__name__
    kind = f"{type(obj).__module__}.{type(obj).__name__}"
    hint = "\nhint: Scene.to_mesh() joins its meshes into one" if kind.startswith("trimesh.scene") else ""
    raise TypeError(f"from_{package}: {kind}: expected {' or '.join(known)} of {package}{hint}")


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        hint = "pip install 'anosynth[open3d]'"
        if getattr(error, "name", None) != "open3d" and sys.platform.startswith("linux"):
            hint = "it needs system libraries: apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6"
        raise ImportError(f"open3d: cannot be loaded: {error}\nhint: {hint}") from error
    return open3d


def _from_tensors(fields: Any, triangle: Any) -> PointCloud:
    values = {str(name): np.array(fields[name].cpu().numpy()) for name in sorted(fields)}
    points = values.pop("positions", np.zeros((0, 3), dtype=np.float32))
    normals = values.pop("normals", None)
    colors = values.pop("colors", None)
    attributes: dict[str, Array] = {}
    if colors is not None:
        attributes = _split(colors) if colors.shape == (len(points), 3) else {"colors": colors}
    for name, value in values.items():
        attributes[name] = value[:, 0].copy() if value.ndim == 2 and value.shape[1] == 1 else value
    faces = np.array(triangle["indices"].cpu().numpy(), dtype=np.int64) if "indices" in triangle else None
    return PointCloud(points, normals, faces, attributes)


def _to_tensors(open3d: Any, cloud: PointCloud) -> Any:
    made = open3d.t.geometry.PointCloud() if cloud.faces is None else open3d.t.geometry.TriangleMesh()
    fields = made.point if cloud.faces is None else made.vertex
    colors = _colors(cloud.attributes)
    given = {"positions": cloud.points, "normals": cloud.normals, "colors": colors}
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in cloud.attributes.items():
        if colors is not None and name in COLORS:
            continue
        if name in values:
            raise DataError(f"attribute `{name}`: Open3D has {name} of its own: rename it")
        values[name] = value
    for name, value in values.items():
        fields[name] = _tensor(open3d, name, value)
    if cloud.faces is not None:
        made.triangle["indices"] = _tensor(open3d, "faces", cloud.faces)
    return made


def _tensor(open3d: Any, name: str, value: Array) -> Any:
    if value.dtype.kind not in "biu" and value.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise DataError(f"attribute `{name}`: {value.dtype}: Open3D has no such type")
    native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
    return open3d.core.Tensor(native[:, None] if native.ndim == 1 else native)


def _split(colors: Array) -> dict[str, Array]:
    return {name: np.array(colors[:, i]) for i, name in enumerate(COLORS)}


def _colors(attributes: Mapping[str, Array]) -> Array | None:
    """Return the (N, 3) colours, if there are three columns of one type."""
    columns = [attributes.get(name) for name in COLORS]
    found = [column for column in columns if column is not None and column.ndim == 1 and column.dtype.kind in "uif"]
    if len(found) < 3 or len({column.dtype for column in found}) > 1:
        return None
    return np.stack(found, axis=1)


def _as_floats(colors: Array) -> NDArray[np.float64]:
    floats = colors.astype(np.float64)
    return floats if colors.dtype.kind == "f" else floats / float(np.iinfo(colors.dtype).max)


def _as_bytes(colors: Array) -> NDArray[np.uint8]:
    if colors.dtype == np.uint8:
        return colors
    shades = np.nan_to_num(np.clip(_as_floats(colors), 0.0, 1.0), nan=0.0)
    return np.rint(shades * 255.0).astype(np.uint8)


def _unit_of(name: str | None) -> str | None:
    known = {"in": "inch"}
    for unit, plural in _UNITS.items():
        known[unit] = known[plural] = known[plural.removesuffix("s")] = unit
    return None if name is None else known.get(name.strip().lower())
