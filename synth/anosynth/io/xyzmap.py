"""Organised maps: TIFF of shape (H, W, 3) with one point per pixel, as MVTec 3D-AD has them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.io._strips import LZW, unpackable, unpacked
from anosynth.io._unpacking import check_unpacked
from anosynth.io.files import told
from anosynth.io.tiff import check_strips, opened_tiff
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]


def parse_xyz_tiff(data: bytes) -> PointCloud:
    """Read a float32 or float64 TIFF of shape (H, W, 3): x, y, z in the frame of the sensor.

    Invalid pixels are (0, 0, 0) or not finite; they stay, so that N = H * W in row-major order. The sensor is at the
    origin.

    Raises:
        DataError: the image has another shape or type, or is damaged.
    """
    image = _image(data)
    height, width = image.shape[:2]
    points = np.array(image.reshape(-1, 3), image.dtype.newbyteorder("="))
    return PointCloud(points, grid=(height, width), viewpoint=np.zeros(3))


def _image(data: bytes) -> Array:
    try:
        with opened_tiff(data) as file:
            series: Any = file.series[0]
            shape, dtype = tuple(series.shape), np.dtype(series.dtype)
            if len(file.series) != 1 or len(shape) != 3 or shape[2] != 3 or dtype not in (np.float32, np.float64):
                raise DataError(f"TIFF: {dtype} {shape}: expected one float32 image of shape (H, W, 3)")
            check_unpacked(len(data), int(series.nbytes), "TIFF")
            for page in series.pages:
                if page is not None and page.compression in (1, LZW, 8, 32946):
                    check_strips(page, len(data))
            page = series.pages[0]
            packed = page.compression == LZW and len(series.pages) == 1 and unpackable(page)
            image = unpacked(page, data) if packed else np.asarray(series.asarray())
    except DataError:
        raise
    # A damaged TIFF makes tifffile fail in many ways (struct, index, key, value, type errors, its own).
    except Exception as error:
        raise DataError(f"TIFF: cannot be read: {told(error)}") from None
    if image.shape != shape:
        raise DataError(f"TIFF: {image.shape}: expected {shape} by its tags")
    return image


def xyz_tiff_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield an uncompressed TIFF of shape (H, W, 3) with the cloud's points, bit for bit, no date and no names.

    Raises:
        WriteError: the cloud is not organised.
    """
    import tifffile

    if cloud.grid is None:
        raise WriteError("TIFF: a cloud without a grid: expected an organised map\nhint: write .ply or .pcd")
    stream = io.BytesIO()
    image = np.ascontiguousarray(cloud.points).reshape(*cloud.grid, 3)
    with tifffile.TiffWriter(stream, byteorder="<") as file:
        file.write(image, photometric="rgb", planarconfig="contig", metadata=None, software="", datetime=None)
    yield stream.getvalue()
