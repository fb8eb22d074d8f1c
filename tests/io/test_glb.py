"""GLB by way of trimesh."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, joined

from anosynth.errors import DataError, WriteError
from anosynth.io.glb import glb_chunks, parse_glb
from anosynth.pointclouds._cloud import PointCloud


def sphere():
    mesh = trimesh.creation.icosphere(1)
    return PointCloud(mesh.vertices.astype(np.float32), faces=mesh.faces.astype(np.int64))


def test_there_and_back():
    cloud = sphere()
    data = joined(glb_chunks(cloud))
    again = parse_glb(data)
    assert_same(again, cloud)
    assert joined(glb_chunks(again)) == data


def test_nodes_are_placed_and_joined():
    corners = np.array([[1.0, 2, 4], [8, 16, 32], [64, 128, 256]])
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.Trimesh(corners, [[0, 1, 2]], process=False))
    matrix = np.array([[0, -2, 0, 10], [2, 0, 1, 20], [0, 0, 2, 30], [0, 0, 0, 1.0]])
    scene.add_geometry(trimesh.Trimesh(corners, [[0, 2, 1]], process=False), transform=matrix)
    scene.add_geometry(trimesh.PointCloud([[7.0, 8, 9]]))
    cloud = parse_glb(scene.export(file_type="glb"))
    moved = trimesh.transform_points(corners[[0, 2, 1]], matrix)
    triangles = cloud.points[cloud.faces].tolist()
    assert len(cloud) == 7
    assert sorted(triangles) == sorted([corners.tolist(), moved.tolist()])
    assert [7, 8, 9] in cloud.points.tolist()
    assert "several parts become one" in cloud.document.note


def test_files_outside_are_never_read(tmp_path):
    data = joined(glb_chunks(sphere()))
    size = struct.unpack("<I", data[12:16])[0]
    tree = json.loads(data[20 : 20 + size])
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(tree["buffers"][0]["byteLength"]))
    tree["buffers"][0]["uri"] = str(secret)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    lone = b"glTF" + struct.pack("<II", 2, 20 + len(text)) + struct.pack("<I", len(text)) + b"JSON" + text
    with pytest.raises(DataError, match="GLB: "):
        parse_glb(lone)


def test_every_cut_is_refused():
    data = joined(glb_chunks(sphere()))
    assert_every_cut_is_refused(parse_glb, data, DataError, step=7)
    # Even if the length in the header is mended.
    for size in range(12, len(data), 97):
        with pytest.raises(DataError):
            parse_glb(data[:8] + struct.pack("<I", size) + data[12:size])


@given(junk=st.binary(max_size=20), at=st.integers(0, 1500))
def test_damage_is_refused_or_read_but_never_crashes(junk, at):
    data = joined(glb_chunks(sphere()))
    with suppress(DataError):
        parse_glb(data[:at] + junk + data[at + len(junk) :])


def test_a_cloud_without_faces_is_refused():
    with pytest.raises(WriteError, match="expected a mesh"):
        joined(glb_chunks(PointCloud(np.zeros((3, 3)))))
