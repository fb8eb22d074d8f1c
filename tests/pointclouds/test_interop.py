"""What goes to Open3D or trimesh and comes back is what went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from anosynth.errors import DataError
from anosynth.pointclouds import PointCloud
from anosynth.pointclouds._interop import from_open3d, from_trimesh, to_open3d, to_trimesh
from anosynth.seeding import as_rng

TRIANGLES = np.array([[0, 1, 2], [2, 1, 3], [5, 4, 0]])


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return as_rng(seed).random(int(np.prod(shape))).reshape(shape)


def cloud(dtype: Any = np.float64, mesh: bool = False, **attributes: Any) -> PointCloud:
    faces = TRIANGLES if mesh else None
    return PointCloud(numbers(6, 3).astype(dtype), numbers(6, 3, seed=1).astype(dtype), faces, attributes)


def floats() -> dict[str, Any]:
    return {name: numbers(6, seed=seed) for seed, name in enumerate(("red", "green", "blue"), 2)}


def bytes_() -> dict[str, Any]:
    return {name: (255 * value).astype(np.uint8) for name, value in floats().items()}


def fields() -> dict[str, Any]:
    kinds = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
    return {f"as_{kind}": (100 * numbers(6) - 20 * (kind[0] != "u")).astype(kind) for kind in kinds} | {
        "vector": numbers(6, 4),
        "matrix": numbers(6, 2, 2),
    }


def assert_same(one: PointCloud, two: PointCloud) -> None:
    """Both have the same fields, types and bytes; the order of attributes is not Open3D's to keep."""
    pairs = {name: (getattr(one, name), getattr(two, name)) for name in ("points", "normals", "faces")}
    assert set(one.attributes) == set(two.attributes)
    pairs |= {name: (one.attributes[name], two.attributes[name]) for name in one.attributes}
    for name, (a, b) in pairs.items():
        assert (a is None) == (b is None), name
        if a is not None and b is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), name
    assert one.unit == two.unit


@pytest.fixture(scope="module")
def open3d() -> Any:
    return pytest.importorskip("open3d", exc_type=ImportError)


@pytest.mark.parametrize("mesh", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("colors", [{}, floats(), bytes_()], ids=["none", "float", "byte"])
def test_tensor_round_trip(open3d: Any, mesh: bool, dtype: Any, colors: dict[str, Any]) -> None:
    one = cloud(dtype, mesh, **colors, **fields())
    there = to_open3d(one, tensor=True)
    assert type(there) is (open3d.t.geometry.TriangleMesh if mesh else open3d.t.geometry.PointCloud)
    assert "red" not in (there.vertex if mesh else there.point)
    assert_same(from_open3d(there), one)


@pytest.mark.parametrize("mesh", [False, True])
@pytest.mark.parametrize("colors", [{}, floats()], ids=["none", "float"])
def test_legacy_round_trip(open3d: Any, mesh: bool, colors: dict[str, Any]) -> None:
    extra = {} if mesh else {"covariances": numbers(6, 3, 3)}
    one = cloud(mesh=mesh, **colors, **extra)
    there = to_open3d(one)
    assert type(there) is (open3d.geometry.TriangleMesh if mesh else open3d.geometry.PointCloud)
    assert (there.has_vertex_colors() if mesh else there.has_colors()) == bool(colors)
    assert_same(from_open3d(there), one)


def test_legacy_takes_what_it_can(open3d: Any) -> None:
    one = cloud(np.float32, **bytes_(), **fields(), covariances=numbers(6, 2))
    back = from_open3d(to_open3d(one))
    assert back.points.tobytes() == one.points.astype(np.float64).tobytes()
    assert set(back.attributes) == {"red", "green", "blue"}
    assert (np.rint(back.attributes["red"] * 255) == one.attributes["red"]).all()


def test_open3d_sees_the_values(open3d: Any) -> None:
    there = to_open3d(cloud(np.float32, **bytes_(), label=np.arange(6, dtype=np.uint8)), tensor=True)
    assert np.allclose(np.asarray(there.to_legacy().colors)[:, 1] * 255, bytes_()["green"], atol=1e-4)
    assert there.point["label"].shape == open3d.core.SizeVector([6, 1])
    mesh = to_open3d(cloud(mesh=True), tensor=True)
    assert (np.asarray(mesh.to_legacy().triangles) == TRIANGLES).all()


def test_files_of_open3d_keep_the_labels(open3d: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "part.ply")
    one = cloud(**bytes_(), label=np.array([0, 1, 0, 1, 1, 0], dtype=np.uint8))
    assert open3d.t.io.write_point_cloud(path, to_open3d(one, tensor=True))
    assert_same(from_open3d(open3d.t.io.read_point_cloud(path)), one)


def test_invalid_points_and_empty_clouds_travel(open3d: Any) -> None:
    points = numbers(6, 3)
    points[2] = np.nan
    for one in (PointCloud(points), PointCloud(np.zeros((0, 3)))):
        for there in (to_open3d(one), to_open3d(one, tensor=True)):
            assert_same(from_open3d(there), one)
        assert_same(from_trimesh(to_trimesh(one)), one)
    assert len(from_open3d(open3d.t.geometry.PointCloud())) == 0


def test_nothing_is_shared(open3d: Any) -> None:
    one = cloud(mesh=True, **bytes_(), label=np.zeros(6, dtype=np.uint8))
    points, colors = one.points.tobytes(), one.attributes["red"].tobytes()
    for value in (one.points, one.normals, one.faces, *one.attributes.values()):
        assert value is not None
        value.setflags(write=False)
    tensors, legacy, other = to_open3d(one, tensor=True), to_open3d(one), to_trimesh(one)
    tensors.vertex["positions"].numpy()[:] = 9
    np.asarray(legacy.vertices)[:] = 9
    other.vertices[:] = 9
    other.visual.vertex_colors[:] = 9
    assert (one.points.tobytes(), one.attributes["red"].tobytes()) == (points, colors)
    for there, back in ((tensors, from_open3d), (legacy, from_open3d), (other, from_trimesh)):
        copy = back(there)
        copy.points[:] = 5
        assert not (back(there).points == 5).any()


def test_odd_arrays_come_over(open3d: Any) -> None:
    swapped = numbers(6).astype(">f8")
    one = PointCloud(numbers(6, 3)[::-1], attributes={"big": swapped, "view": numbers(12)[::2]})
    back = from_open3d(to_open3d(one, tensor=True))
    assert (back.points == one.points).all()
    assert (back.attributes["big"] == swapped).all()
    assert (back.attributes["view"] == one.attributes["view"]).all()


def test_open3d_objects_of_derived_classes(open3d: Any) -> None:
    class Scan(open3d.geometry.PointCloud):  # type: ignore[misc]
        pass

    there = Scan(open3d.utility.Vector3dVector(numbers(6, 3)))
    assert (from_open3d(there).points == numbers(6, 3)).all()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"half": np.zeros(6, np.float16)}, "attribute `half`: float16: Open3D has no such type"),
        ({"word": np.array(["a"] * 6)}, "attribute `word`: <U1"),
        ({"normals": np.zeros((6, 3))}, "attribute `normals`: Open3D has normals of its own"),
    ],
)
def test_what_tensors_cannot_have_is_refused(open3d: Any, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        to_open3d(cloud(**attributes), tensor=True)
    assert message in str(caught.value)


def test_mesh_round_trip_through_trimesh() -> None:
    for colors in ({}, floats(), bytes_(), {**bytes_(), "alpha": np.arange(6, dtype=np.uint8)}):
        for unit in ("um", "mm", "cm", "m", "inch", None):
            plain = cloud(mesh=True, **colors, **fields())
            one = PointCloud(plain.points, plain.normals, plain.faces, plain.attributes, unit=unit)
            there = to_trimesh(one)
            assert type(there) is trimesh.Trimesh
            assert_same(from_trimesh(there), one)


def test_cloud_round_trip_through_trimesh() -> None:
    one = PointCloud(numbers(6, 3), attributes=bytes_(), unit="mm")
    there = to_trimesh(one)
    assert type(there) is trimesh.PointCloud
    assert_same(from_trimesh(there), one)
    assert_same(from_trimesh(to_trimesh(PointCloud(numbers(6, 3)))), PointCloud(numbers(6, 3)))


def test_trimesh_shows_every_kind_of_colour() -> None:
    expected = np.stack(list(bytes_().values()), axis=1)
    wide = {name: value.astype(np.uint16) * 257 for name, value in bytes_().items()}
    exact = {name: value / 255 for name, value in bytes_().items()}
    for colors in (bytes_(), wide, exact):
        for mesh in (False, True):
            made = to_trimesh(cloud(mesh=mesh, **colors))
            shown = made.visual.vertex_colors if mesh else made.colors
            assert (shown[:, :3] == expected).all()
            assert (shown[:, 3] == 255).all()
    uneven = {**floats(), "red": np.zeros(6, np.uint8)}
    assert to_trimesh(cloud(mesh=True, **uneven)).visual.kind is None


def test_trimesh_that_merges_nothing_and_computes_nothing() -> None:
    twice = np.repeat(numbers(3, 3), 2, axis=0)
    there = to_trimesh(PointCloud(twice, faces=TRIANGLES))
    assert there.vertices.shape == (6, 3)
    assert from_trimesh(there).normals is None
    box = from_trimesh(trimesh.creation.box())
    assert (len(box), box.faces is not None and len(box.faces), box.unit) == (8, 12, None)
    assert box.points.dtype == np.float64
    assert type(box.points) is np.ndarray


def test_trimesh_units_and_attributes_that_are_not_ours() -> None:
    there = trimesh.Trimesh(numbers(6, 3), TRIANGLES, process=False)
    there.vertex_attributes.update(odd=np.zeros(4), name=np.array(["a"] * 6), good=[1, 2, 3, 4, 5, 6])
    for name, unit in (("Millimeters", "mm"), ("in", "inch"), ("meter", "m"), ("feet", None), ("micron", "um")):
        there.units = name
        back = from_trimesh(there)
        assert back.unit == unit
        assert list(back.attributes) == ["good"]


def test_other_types_are_refused(open3d: Any) -> None:
    with pytest.raises(TypeError, match=r"from_open3d: numpy\.ndarray: expected PointCloud or TriangleMesh of open3d"):
        from_open3d(numbers(6, 3))
    with pytest.raises(TypeError, match="LineSet"):
        from_open3d(open3d.geometry.LineSet())
    with pytest.raises(TypeError, match=r"Scene.*\n.*to_mesh"):
        from_trimesh(trimesh.Scene())
    with pytest.raises(TypeError, match="PointCloud"):
        from_trimesh(open3d.geometry.PointCloud())


def test_reading_imports_neither_package() -> None:
    code = """
import sys
from anosynth.pointclouds import _interop
for read in (_interop.from_open3d, _interop.from_trimesh):
    try: read(object())
    except TypeError: pass
sys.exit("open3d" in sys.modules or "trimesh" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (None, "pip install 'anosynth[open3d]'"),
        (OSError("libusb-1.0.so.0: cannot open shared object file"), "apt-get install libusb-1.0-0 libgl1 libegl1"),
        (ImportError("libGL.so.1: cannot open", name="open3d.cpu.pybind"), "apt-get install libusb-1.0-0 libgl1"),
    ],
)
def test_without_open3d_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception | None, hint: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    if error is None:
        monkeypatch.setitem(sys.modules, "open3d", None)
    else:
        name = f", name={error.name!r}" if isinstance(error, ImportError) else ""
        (tmp_path / "open3d.py").write_text(f"raise {type(error).__name__}({str(error)!r}{name})\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "open3d", raising=False)
    with pytest.raises(ImportError) as caught:
        to_open3d(cloud())
    assert hint in str(caught.value)
