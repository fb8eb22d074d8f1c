"""Leak, dead share and changed rows, each against a slow and plain count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anosynth.labels import Faith, changed_rows, faith

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


@given(pairs)
def test_faith_counts_what_a_loop_counts(both):
    changed, mask = np.array(both, dtype=bool).reshape(-1, 2).T
    leaked = sum(c and not m for c, m in both)
    dead = sum(m and not c for c, m in both)
    changes, labels = sum(c for c, _ in both), sum(m for _, m in both)
    found = faith(changed, mask)
    assert found.leak * changes == pytest.approx(leaked)
    assert found.dead * labels == pytest.approx(dead)
    assert found.area * len(both) == pytest.approx(labels)
    assert 0 <= found.leak <= 1
    assert 0 <= found.dead <= 1


def test_a_mask_that_is_what_changed_is_faithful():
    mask = np.array([True, False, True, False])
    assert faith(mask, mask) == Faith(leak=0.0, dead=0.0, area=0.5)
    assert faith(~mask, mask) == Faith(leak=1.0, dead=1.0, area=0.5)
    assert faith(mask, np.zeros(4, bool)) == Faith(leak=1.0, dead=0.0, area=0.0)
    assert faith(np.zeros(4, bool), mask) == Faith(leak=0.0, dead=1.0, area=0.5)


@given(
    arrays(np.float32, (6, 3), elements=st.floats(-2, 2, width=32)),
    arrays(np.bool_, (6, 3)),
    st.sampled_from([np.float32, np.float64]),
)
def test_changed_rows_are_those_with_a_changed_bit(before, touched, dtype):
    before = before.astype(dtype)
    after = np.where(touched, np.nextafter(before, dtype(9)), before)
    assert (changed_rows(before, after) == touched.any(axis=1)).all()


def test_bits_decide_not_values():
    nan = np.array([[np.nan, 0.0, 1.0], [np.inf, -0.0, 1.0]])
    assert not changed_rows(nan, nan.copy()).any()
    other = nan.copy()
    other[1, 1] = 0.0
    assert changed_rows(nan, other).tolist() == [False, True]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 2, 2)])
def test_any_shape_any_stride(shape):
    before = np.arange(np.prod(shape) * 2, dtype=np.int16).reshape(*shape, 2)[..., 0]
    after = before.copy()
    after[3] += 1
    assert not before.flags.c_contiguous or shape == (5, 1)
    assert changed_rows(before, after).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("shape", [(0, 3), (0,), (4, 0)])
def test_nothing_at_all_has_not_changed(shape):
    found = changed_rows(np.zeros(shape), np.zeros(shape))
    assert found.dtype == np.bool_
    assert found.shape == shape[:1]
    assert not found.any()
