"""GLB (binary glTF 2.0) by way of trimesh: the geometry of all nodes, placed and joined."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class GlbDocument:
    """What is known of a GLB file besides its geometry: `note` says in words what will not come through."""

    note: str = ""


def parse_glb(data: bytes) -> PointCloud:
    """Read the bytes of a GLB file; points are float32 in the frame of the scene, in the order of its nodes.

    Raises:
        DataError: the file is damaged, needs other files, or has no points.
    """
    # The head of a file and that of its first chunk take 20 bytes.
    if len(data) < 20 or int.from_bytes(data[8:12], "little") != len(data):
        said = max(20, int.from_bytes(data[8:12], "little"))
        raise DataError(f"GLB: {len(data)} bytes: expected {said} by the header (is the file cut off?)")
    import trimesh

    try:
        # Without a resolver nothing outside these bytes can be read.
        scene = trimesh.load(io.BytesIO(data), file_type="glb", force="scene", process=False, resolver=None)
        places = [scene.graph[node] for node in scene.graph.nodes_geometry]
        parts = [_placed(matrix, scene.geometry[name]) for matrix, name in places]
    except DataError:
        raise
    # A damaged file makes trimesh fail in many ways (JSON, struct, key, index, value, type errors).
    except Exception as error:
        # What Python says of variables, types and indices is of no use to whoever has the file.
        told = str(error).splitlines()[0] if type(error) in (ValueError, RuntimeError) and str(error) else "damaged"
        raise DataError(f"GLB: cannot be read: {told}") from None
    if not sum(len(points) for points, _ in parts):
        raise DataError("GLB: no points: expected at least one")
    faces, before = [], 0
    for points, part in parts:
        faces.append(part + before)
        before += len(points)
    joined = np.concatenate(faces)
    note = "names, materials, colours, texture and normals are dropped"
    return PointCloud(
        points=np.concatenate([points for points, _ in parts]),
        faces=joined if len(joined) else None,
        document=GlbDocument(note + ("; several parts become one" if len(parts) > 1 else "")),
    )


def _placed(matrix: Any, part: Any) -> tuple[Array, Array]:
    points = np.asarray(part.vertices, np.float64)
    m = np.asarray(matrix, np.float64)
    # Sums of products written out: a matrix product's last bits would depend on the processor.
    moved = points[:, :1] * m[:3, 0] + points[:, 1:2] * m[:3, 1] + points[:, 2:3] * m[:3, 2] + m[:3, 3]
    faces = np.asarray(getattr(part, "faces", np.zeros((0, 3))), np.int64).reshape(-1, 3)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(points)):
        raise DataError(f"GLB: faces: expected indices from 0 to {len(points) - 1}")
    return moved.astype(np.float32), faces


def glb_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield a GLB file of one mesh: points as float32, faces.

    Raises:
        WriteError: the cloud has no faces.
    """
    if cloud.faces is None:
        raise WriteError("GLB: a cloud without faces: expected a mesh\nhint: write .ply or .pcd")
    import trimesh

    mesh = trimesh.Trimesh(cloud.points, cloud.faces, process=False)
    yield bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(mesh), include_normals=False))
