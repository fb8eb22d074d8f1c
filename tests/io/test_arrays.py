"""Points in .npy and .npz files."""

from __future__ import annotations

import io
import pickle
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, drawn_clouds, floats, joined

from anosynth.errors import DataError
from anosynth.io.arrays import npy_chunks, npz_chunks, parse_npy, parse_npz
from anosynth.pointclouds._cloud import PointCloud

DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?"]
POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(compressed=False, **arrays):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def contents(data):
    with np.load(io.BytesIO(data)) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("order", ["C", "F"])
@given(array=st.sampled_from(["<f4", "<f8", ">f4", ">f8"]).flatmap(lambda d: floats(d, (5, 4))))
def test_npy_is_written_back_to_the_byte(order, array):
    data = saved(np.array(array, order=order))
    cloud = parse_npy(data)
    assert cloud.points.dtype.isnative
    assert cloud.points.astype(array.dtype).tobytes() == array[:, :3].tobytes()
    assert cloud.attributes["c4"].astype(array.dtype).tobytes() == array[:, 3].tobytes()
    assert joined(npy_chunks(cloud)) == data


def test_npy_holds_nothing_new():
    cloud = PointCloud(POINTS, attributes={"label": np.ones(4, np.uint8)})
    assert np.array_equal(np.load(io.BytesIO(joined(npy_chunks(cloud)))), POINTS)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 2)),
        np.zeros(3),
        np.zeros((2, 2, 3)),
        np.zeros((4, 3), int),
        np.zeros((4, 3), np.float16),
        np.zeros((4, 3), complex),
        np.zeros(4, [("x", "f4"), ("y", "f4"), ("z", "f4")]),
        np.zeros(()),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(DataError, match=r"array: .*expected float32 or float64 of shape \(N, 3 or more\)"):
        parse_npy(saved(array))


class Trap:
    def __reduce__(self):
        return print, ("sprung",)


def test_pickles_are_never_opened(capsys):
    traps = np.array([[Trap()] * 3] * 4, dtype=object)
    with pytest.raises(DataError, match="array: holds Python objects, and loading those could run code"):
        parse_npy(saved(traps))
    with pytest.raises(DataError, match="extra: holds Python objects, and loading those could run code"):
        parse_npz(zipped(points=POINTS, extra=traps))
    with pytest.raises(DataError):
        parse_npy(pickle.dumps(Trap()))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("compressed", [False, True])
@given(data=st.data())
def test_any_cloud_there_and_back(compressed, data):
    cloud = data.draw(drawn_clouds(DTYPES, widths=(1, 2)))
    first = parse_npz(joined(npz_chunks(cloud)))
    assert_same(first, cloud)
    arrays = contents(joined(npz_chunks(cloud)))
    again = parse_npz(zipped(compressed, **arrays))
    assert_same(again, cloud)
    written = joined(npz_chunks(again))
    assert again.document.compressed == compressed
    assert list(contents(written)) == list(arrays)
    assert joined(npz_chunks(parse_npz(written))) == written


def test_what_belongs_to_no_point_is_kept():
    data = zipped(camera=np.eye(4, dtype=">f8"), points=POINTS, name=np.array("part"), time=np.arange(4, dtype=">u2"))
    cloud = parse_npz(data)
    assert list(cloud.attributes) == ["camera", "time"]
    assert cloud.attributes["time"].dtype == np.uint16
    more = replace(cloud, attributes={**cloud.attributes, "label": np.ones(4, np.uint8)})
    after = contents(joined(npz_chunks(more)))
    assert list(after) == ["camera", "points", "name", "time", "label"]
    assert after["time"].dtype == ">u2"
    assert after["name"] == "part"


def test_points_may_have_another_name_and_more_columns():
    data = zipped(ids=np.arange(4), xyzi=np.arange(16.0).reshape(4, 4), other=np.zeros((4, 3)))
    cloud = parse_npz(data)
    assert cloud.points.tolist() == np.arange(16.0).reshape(4, 4)[:, :3].tolist()
    assert list(cloud.attributes) == ["c4", "ids", "other"]
    after = contents(joined(npz_chunks(cloud)))
    assert {name: value.tolist() for name, value in after.items()} == {
        name: value.tolist() for name, value in contents(data).items()
    }


def test_face_indices_keep_their_type():
    cloud = parse_npz(zipped(points=POINTS, faces=np.array([[0, 1, 3]], np.uint16)))
    assert cloud.faces.dtype == np.int64
    assert contents(joined(npz_chunks(cloud)))["faces"].dtype == np.uint16
    with pytest.raises(DataError, match="faces: expected indices from 0 to 3"):
        parse_npz(zipped(points=POINTS, faces=np.array([[0, 1, 4]])))


def test_zips_without_points_are_refused():
    with pytest.raises(DataError, match="arrays a, b: expected `points`"):
        parse_npz(zipped(a=np.zeros((4, 2)), b=np.zeros((4, 3), int)))
    with pytest.raises(DataError, match="points: int64"):
        parse_npz(zipped(points=np.zeros((4, 3), int), b=np.zeros((4, 3))))


def test_new_files_have_no_date():
    cloud = PointCloud(POINTS)
    with zipfile.ZipFile(io.BytesIO(joined(npz_chunks(cloud)))) as archive:
        assert [member.date_time for member in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_every_cut_is_refused():
    assert_every_cut_is_refused(parse_npy, saved(POINTS), DataError)
    for compressed in (False, True):
        data = zipped(compressed, points=POINTS, label=np.zeros(4, np.uint8))
        assert_every_cut_is_refused(parse_npz, data, DataError)


@given(junk=st.binary(max_size=30), at=st.integers(0, 150))
def test_damage_is_refused_or_read_but_never_crashes(junk, at):
    for data, parse in ((saved(POINTS), parse_npy), (zipped(points=POINTS), parse_npz)):
        for damaged in (data[:at] + junk + data[at:], data[:at] + junk + data[at + len(junk) :]):
            with suppress(DataError):
                parse(damaged)


def test_shapes_that_lie_are_refused():
    for lie in (b"(5, 3)", b"(3, 3)", b"(9999999999, 3)", b"(-4, 3)", b"(4, 9**9)", b"(4,)"):
        data = saved(POINTS)
        data = data.replace(b"(4, 3), }" + b" " * (len(lie) - 6), lie + b", }")
        with pytest.raises(DataError, match="array: "):
            parse_npy(data)
