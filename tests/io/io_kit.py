"""What the tests of the readers and writers share: equality to the bit, and clouds drawn by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anosynth.pointclouds._cloud import PointCloud


def joined(chunks):
    return b"".join(chunks)


def assert_same(one, two):
    """The arrays of two clouds are equal to the bit, and their attributes stand in the same order."""
    assert list(one.attributes) == list(two.attributes)
    pairs = [("points", one.points, two.points), ("normals", one.normals, two.normals), ("faces", one.faces, two.faces)]
    pairs += [(name, one.attributes[name], two.attributes[name]) for name in one.attributes]
    for name, a, b in pairs:
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), name
    assert one.grid == two.grid


def floats(dtype, shape, *, nan_payload=True):
    """Floats of any bits; without `nan_payload` text can carry them, which knows only one not-a-number."""
    width = np.dtype(dtype).itemsize * 8
    if nan_payload:
        return hnp.arrays(f"u{width // 8}", shape).map(lambda bits: bits.view(dtype))
    return hnp.arrays(dtype, shape, elements=st.floats(width=width, allow_nan=False))


def any_array(dtype, shape, **options):
    return floats(dtype, shape, **options) if np.dtype(dtype).kind == "f" else hnp.arrays(dtype, shape)


@st.composite
def drawn_clouds(draw, dtypes, *, faces=True, nan_payload=True, widths=(1,)):
    """Clouds of 1 to 9 points with attributes of the given dtypes, up to the given number of values per point."""
    rows = draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["f4", "f8"]))
    attributes = {}
    for index, dtype in enumerate(draw(st.lists(st.sampled_from(dtypes), max_size=4))):
        width = draw(st.sampled_from(widths))
        shape = (rows,) if width == 1 else (rows, width)
        attributes[f"field{index}"] = draw(any_array(dtype, shape, nan_payload=nan_payload))
    normals = draw(st.none() | floats(draw(st.sampled_from(["f4", "f8"])), (rows, 3), nan_payload=nan_payload))
    corners = hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.just(3)), elements=st.integers(0, rows - 1))
    return PointCloud(
        draw(floats(kind, (rows, 3), nan_payload=nan_payload)),
        normals=normals,
        faces=draw(st.none() | corners) if faces else None,
        attributes=attributes,
    )


def assert_every_cut_is_refused(parse, data, errors, *, step=7):
    """Whatever is cut off the end of a file, its reader says so, and in no other way."""
    for size in range(0, len(data), step):
        try:
            cloud = parse(data[:size])
        except errors:
            continue
        raise AssertionError(f"the first {size} of {len(data)} bytes were read as {len(cloud)} points")
