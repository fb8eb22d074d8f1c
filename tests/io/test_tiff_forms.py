"""TIFF in forms that cameras and editors write and Pillow would change: LZW of 16 bit, white as 0, odd tags."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import TiffImagePlugin

from anosynth.errors import DataError
from anosynth.io import _strips
from anosynth.io.clouds import read_cloud
from anosynth.io.images import read_image

DRAW = np.random.default_rng(8)
GREY = DRAW.integers(0, 1 << 16, (20, 30), dtype=np.uint16)
RGB = DRAW.integers(0, 1 << 16, (20, 30, 3), dtype=np.uint16)
RGBA = DRAW.integers(0, 1 << 16, (20, 30, 4), dtype=np.uint16)
EIGHT = (RGB >> 8).astype(np.uint8)
FLOATS = DRAW.random((20, 30, 3), dtype=np.float32)


def lzw(data):
    """Return LZW of TIFF that never uses its table: codes of 9 bit, cleared before they would become wider."""
    codes = [code for at in range(0, len(data), 250) for code in (256, *data[at : at + 250])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packed(pixels, order="<", rows=20, predictor=1, bits=None, compression=5, white=1):
    """Return a TIFF of `pixels` in strips of so many rows, in either byte order, with its directory in front."""
    stored = pixels
    if predictor == 2:
        stored = np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1]))
    stored = stored.astype(pixels.dtype.newbyteorder(order))
    strips = [stored[at : at + rows].tobytes() for at in range(0, len(stored), rows)]
    strips = [lzw(strip) for strip in strips] if compression == 5 else strips
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind, form = (2 if channels > 2 else white), 3 if pixels.dtype.kind == "f" else 1
    depth = bits or 8 * pixels.itemsize
    tags = [(256, 30), (257, 20), (258, *[depth] * channels), (259, compression), (262, kind), (273, *strips)]
    tags += [(277, channels), (278, rows), (279, *map(len, strips)), (317, predictor)]
    tags += [(338, 2)] if channels == 4 else []
    tags += [(339, *[form] * channels)]
    start = 8 + 2 + 12 * len(tags) + 4
    aside, directory = b"", struct.pack(f"{order}H", len(tags))
    place = start + sum(4 * len(values) for _, *values in tags)
    for tag, *values in tags:
        numbers = values
        if tag == 273:
            numbers = [place + sum(map(len, strips[:index])) for index in range(len(strips))]
        raw = struct.pack(f"{order}{len(numbers)}I", *numbers)
        directory += struct.pack(f"{order}HHI", tag, 4, len(numbers))
        directory += raw if len(raw) == 4 else struct.pack(f"{order}I", start + len(aside))
        aside += raw if len(raw) > 4 else b""
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return (head + directory + bytes(4) + aside).ljust(place, b"\0") + b"".join(strips)


def read(folder, data):
    (folder / "photo.tif").write_bytes(data)
    return read_image(folder / "photo.tif")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("rows", "predictor"), [(20, 1), (7, 1), (1, 2), (20, 2)])
@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA], ids=["grey", "rgb", "rgba"])
def test_lzw_of_16_bit_is_kept_bit_for_bit(tmp_path, pixels, rows, predictor, order):
    image = read(tmp_path, packed(pixels, order, rows, predictor))
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels, pixels)
    assert image.opacity == (pixels is RGBA)


def test_lzw_of_floats(tmp_path):
    assert np.array_equal(read(tmp_path, packed(FLOATS)).pixels, FLOATS)


@pytest.mark.parametrize("order", "<>")
def test_lzw_of_a_map(tmp_path, order):
    (tmp_path / "map.tiff").write_bytes(packed(FLOATS, order, rows=6))
    cloud = read_cloud(tmp_path / "map.tiff")
    assert cloud.grid == (20, 30)
    assert np.array_equal(cloud.points, FLOATS.reshape(-1, 3))
    assert cloud.points.dtype.isnative


@pytest.mark.parametrize("predictor", [1, 2])
def test_lzw_as_libtiff_writes_it(tmp_path, predictor):
    stream = io.BytesIO()
    smooth = np.add.outer(np.arange(300, dtype=np.uint16), np.arange(400, dtype=np.uint16)) * np.uint16(90)
    Pillow.fromarray(smooth).save(stream, "TIFF", compression="tiff_lzw", tiffinfo={317: predictor})
    assert np.array_equal(read(tmp_path, stream.getvalue()).pixels, smooth)


def test_black_is_packed_far_and_no_bomb(tmp_path):
    stream = io.BytesIO()
    black = np.zeros((2600, 2600), np.uint16)
    Pillow.fromarray(black).save(stream, "TIFF", compression="tiff_lzw", tiffinfo={278: 2600})
    assert black.nbytes > 1100 * len(stream.getvalue())
    assert not read(tmp_path, stream.getvalue()).pixels.any()


def test_lzw_that_ends_early(tmp_path):
    data = packed(RGB)
    with pytest.raises(DataError, match="ends in the middle"):
        read(tmp_path, data[: len(data) // 2])


def test_lzw_of_a_wrong_number_of_strips(tmp_path):
    data = packed(RGB, rows=10).replace(struct.pack("<HHII", 278, 4, 1, 10), struct.pack("<HHII", 278, 4, 1, 5))
    with pytest.raises(DataError, match="2 strips: expected one for each 5 of 20 rows"):
        read(tmp_path, data)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [1, 5])
def test_where_0_is_white(tmp_path, order, compression):
    image = read(tmp_path, packed(GREY, order, compression=compression, white=0))
    assert np.array_equal(image.pixels, 65535 - GREY)


def test_colours_of_16_bit_that_pillow_would_cut_are_refused(tmp_path):
    stream = io.BytesIO()
    tifffile.imwrite(stream, RGB, photometric="rgb")
    # A compression that tifffile does not know by itself and Pillow takes for LZW or other: WebP, ZSTD, LERC.
    data = stream.getvalue().replace(struct.pack("<HHIHH", 259, 3, 1, 1, 0), struct.pack("<HHIHH", 259, 3, 1, 50000, 0))
    with pytest.raises(DataError, match="more than 8 bit in a form that Pillow would change"):
        read(tmp_path, data)


@pytest.mark.parametrize("value", ["abc", (6, 6)])
def test_an_odd_orientation_is_none(tmp_path, value):
    stream = io.BytesIO()
    kind, count = ("s", 4) if isinstance(value, str) else ("H", 2)
    tifffile.imwrite(stream, RGB, photometric="rgb", extratags=[(274, kind, count, value, True)])
    assert np.array_equal(read(tmp_path, stream.getvalue()).pixels, RGB)


def test_a_file_whose_directory_is_cut_off_says_so(tmp_path):
    stream = io.BytesIO()
    Pillow.fromarray(GREY).save(stream, "TIFF", compression="tiff_lzw")
    with pytest.raises(DataError, match=r"no picture in it: expected one \(is the file cut off\?\)"):
        read(tmp_path, stream.getvalue()[:300])


@pytest.mark.parametrize("at_once", [1, 1500])
def test_strips_are_unpacked_some_at_once(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(_strips, "_AT_ONCE", at_once)
    for rows in (3, 20):
        assert np.array_equal(read(tmp_path, packed(RGB, rows=rows)).pixels, RGB)


def test_limits_on_pixels_are_named(tmp_path, monkeypatch):
    data = packed(RGB)
    (tmp_path / "photo.tif").write_bytes(data)
    with pytest.raises(DataError, match="expected at most 599 in all"):
        read_image(tmp_path / "photo.tif", largest=599)

    def refuses(_):
        raise Pillow.DecompressionBombError

    monkeypatch.setattr(TiffImagePlugin, "TiffImageFile", refuses)
    with pytest.raises(DataError, match="an LZW strip of 3600 bytes, which is more than Pillow takes\nhint: save"):
        read_image(tmp_path / "photo.tif")


@pytest.mark.parametrize(("pixels", "photometric"), [(RGB, "rgb"), (EIGHT, "rgb"), (EIGHT, "ycbcr")])
def test_a_preview_is_no_second_photo(tmp_path, pixels, photometric):
    for previews in ([1], [1, 1], [0], [1, 0]):
        with tifffile.TiffWriter(tmp_path / "photo.tif") as writer:
            writer.write(pixels, photometric=photometric)
            for subfiletype in previews:
                writer.write(pixels[::2, ::2], photometric=photometric, subfiletype=subfiletype)
        if 0 in previews:
            with pytest.raises(DataError, match="2 frames or pages: expected one picture"):
                read_image(tmp_path / "photo.tif")
        else:
            assert read_image(tmp_path / "photo.tif").shape == pixels.shape[:2]
