"""Organised maps in TIFF files."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, floats, joined

from anosynth.errors import DataError, WriteError
from anosynth.io.xyzmap import parse_xyz_tiff, xyz_tiff_chunks
from anosynth.pointclouds._cloud import PointCloud


def tiff(image, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, photometric=options.pop("photometric", "minisblack"), **options)
    return stream.getvalue()


def image(height=4, width=6):
    values = np.random.default_rng(0).normal(size=(height, width, 3)).astype(np.float32)
    values[0], values[2, 3] = 0, np.nan
    return values


def test_a_map_is_understood():
    values = image()
    cloud = parse_xyz_tiff(tiff(values))
    assert cloud.grid == (4, 6)
    assert cloud.viewpoint.tolist() == [0, 0, 0]
    assert cloud.points.tobytes() == values.tobytes()
    assert np.flatnonzero(~cloud.valid).tolist() == [0, 1, 2, 3, 4, 5, 15]


@given(data=st.data())
def test_all_bits_there_and_back(data):
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    points = data.draw(floats(data.draw(st.sampled_from(["f4", "f8"])), (height * width, 3)))
    cloud = PointCloud(points, grid=(height, width), viewpoint=np.zeros(3))
    written = joined(xyz_tiff_chunks(cloud))
    again = parse_xyz_tiff(written)
    assert_same(again, cloud)
    assert joined(xyz_tiff_chunks(again)) == written
    theirs = tifffile.imread(io.BytesIO(written))
    assert theirs.reshape(-1, 3).tobytes() == points.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "rgb"},
        {"photometric": "rgb", "rowsperstrip": 1},
        {"photometric": "rgb", "compression": "zlib"},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib"},
    ],
)
def test_any_manner_of_storing(options):
    assert parse_xyz_tiff(tiff(image(), **options)).points.tobytes() == image().tobytes()


def test_nothing_but_pixels_is_written():
    written = joined(xyz_tiff_chunks(parse_xyz_tiff(tiff(image(), datetime=True, software="x"))))
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        names = {tag.name for tag in file.pages[0].tags}
    assert not names & {"DateTime", "Software", "ImageDescription", "HostComputer"}


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 6), np.float32),
        np.zeros((4, 6, 4), np.float32),
        np.zeros((3, 4, 6), np.float32),
        np.zeros((4, 6, 3), np.uint16),
        np.zeros((4, 6, 3), np.float16),
        np.zeros((2, 4, 6, 3), np.float32),
    ],
)
def test_other_images_are_refused(values):
    with pytest.raises(DataError, match=r"TIFF: .*expected one float32 image of shape \(H, W, 3\)"):
        parse_xyz_tiff(tiff(values))


@pytest.mark.parametrize("options", [{"photometric": "rgb", "compression": "zlib"}, {"photometric": "rgb"}])
def test_every_cut_is_refused(options):
    assert_every_cut_is_refused(parse_xyz_tiff, tiff(image(), **options), DataError)
    cloud = parse_xyz_tiff(tiff(image()))
    assert_every_cut_is_refused(parse_xyz_tiff, joined(xyz_tiff_chunks(cloud)), DataError)


@given(junk=st.binary(max_size=30), at=st.integers(0, 300))
def test_damage_is_refused_or_read_but_never_crashes(junk, at):
    data = tiff(image())
    with suppress(DataError):
        parse_xyz_tiff(data[:at] + junk + data[at + len(junk) :])


def test_a_cloud_without_a_grid_is_refused():
    with pytest.raises(WriteError, match=r"expected an organised map\nhint: write"):
        joined(xyz_tiff_chunks(PointCloud(np.zeros((4, 3)))))
