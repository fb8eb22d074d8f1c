"""The law of the normals, and that their bytes are the keyed stream's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import stats

from anosynth.features._normals import BITS, LARGEST, _tables, normals
from anosynth.seeding import Rng, as_rng


def test_the_law_is_the_normal_one():
    z = normals(as_rng(1), 1_000_000)
    assert z.dtype == np.float32
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert abs(z.mean()) < 4e-3
    assert z.astype(np.float64).var() == pytest.approx(1, abs=6e-3)
    # Far out, where a table of 65536 values alone would be empty.
    far = np.abs(normals(as_rng(2), 4_000_000)) > 4.4
    expected = 4_000_000 * 2 * stats.norm.sf(4.4)
    assert abs(far.sum() - expected) < 4 * expected**0.5


def test_the_stated_accuracy_holds_for_the_tables_themselves():
    middle, tail = (table.astype(np.float64) for table in _tables())
    ordered = np.sort(middle[1:-1])
    steps = np.arange(1, 65536) / 65536
    off = max(np.abs(stats.norm.cdf(ordered) - steps[:-1]).max(), np.abs(stats.norm.cdf(ordered) - steps[1:]).max())
    assert off < 1e-5
    variance = ((middle[1:-1] ** 2).sum() + 2 * (tail**2).mean()) / 65536
    fourth = ((middle[1:-1] ** 4).sum() + 2 * (tail**4).mean()) / 65536
    assert abs(variance - 1) < 3e-6
    assert abs(fourth / variance**2 - 3) < 7e-5
    assert tail.min() > np.delete(middle, -1).max()
    assert 6.3 < tail.max() < LARGEST
    for table in (middle, tail):
        assert (table * 2.0**BITS == np.rint(table * 2.0**BITS)).all()
    assert (middle == -middle[::-1]).all()


def test_neighbours_and_streams_are_independent():
    z = normals(as_rng(3), 400_000).astype(np.float64)
    for lag in (1, 2, 3, 4, 65536):
        assert abs((z[lag:] * z[:-lag]).mean()) < 4 / len(z) ** 0.5
    assert abs((z * normals(as_rng(4), 400_000)).mean()) < 4 / len(z) ** 0.5


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 32767, 32768, 32769, 65537, 200_001])
def test_a_longer_draw_begins_with_the_shorter_one_up_to_its_tails(count):
    long, short = normals(as_rng(5), 300_000), normals(as_rng(5), count)
    assert short.shape == (count,)
    middle = np.abs(long[:count]) < 4.1695
    assert (short[middle] == long[:count][middle]).all()


def test_it_depends_on_the_key_alone():
    rng = Rng(7)
    first = normals(rng, 1000)
    rng.random(5)
    assert (normals(rng, 1000) == first).all()
    assert (normals(Rng(8), 1000) != first).mean() > 0.99


def test_bytes_are_the_pinned_ones():
    made = normals(as_rng(0), 200_000)
    assert hashlib.sha256(made.astype("<f4").tobytes()).hexdigest()[:32] == PINNED


PINNED = "ffaff2788b229406094cc1c4146f605d"
