"""Poisson blending against a sparse direct solution and against what seamless means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from anosynth.images._poisson import clone, fast_side, solve


def laplacian(h, w):
    """The five-point Laplacian on h x w unknowns with zeros all round, assembled entry by entry."""
    rows, columns, values = [], [], []
    for y in range(h):
        for x in range(w):
            rows.append(y * w + x)
            columns.append(y * w + x)
            values.append(-4.0)
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < h and 0 <= u < w:
                    rows.append(y * w + x)
                    columns.append(v * w + u)
                    values.append(1.0)
    return coo_array((values, (rows, columns)), shape=(h * w, h * w)).tocsr()


def pixels(h, w, channels=3, seed=0):
    return np.random.default_rng(seed).random((h, w, channels)).astype(np.float32)


def direct(source, destination, keep):
    """Solve for f itself, not for f - destination: `keep(axis, guidance, own)` chooses the guidance."""
    s, d = source.astype(np.float64), destination.astype(np.float64)
    v = [keep(np.diff(s, axis=axis), np.diff(d, axis=axis)) for axis in (0, 1)]
    right = np.diff(v[0][:, 1:-1], axis=0) + np.diff(v[1][1:-1], axis=1)
    right[0] -= d[0, 1:-1]
    right[-1] -= d[-1, 1:-1]
    right[:, 0] -= d[1:-1, 0]
    right[:, -1] -= d[1:-1, -1]
    h, w, channels = right.shape
    out = d.copy()
    matrix = laplacian(h, w)
    for c in range(channels):
        out[1:-1, 1:-1, c] = spsolve(matrix, right[:, :, c].ravel()).reshape(h, w)
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (12, 5), (23, 31)])
def test_the_sine_transform_solves_the_equation(shape):
    right = np.random.default_rng(1).standard_normal((*shape, 2))
    matrix = laplacian(*shape)
    expected = np.stack([spsolve(matrix, right[:, :, c].ravel()).reshape(shape) for c in (0, 1)], axis=2)
    assert np.abs(solve(right) - expected).max() < 1e-9


@pytest.mark.parametrize("shape", [(9, 9, 1), (17, 26, 3), (12, 40, 5)])
def test_normal_clone_is_the_direct_solution(shape):
    source, destination = pixels(*shape), pixels(*shape, seed=1)
    expected = direct(source, destination, lambda guidance, own: guidance)
    assert np.abs(clone(source, destination) - expected).max() < 1e-6


def test_mixed_clone_takes_the_stronger_difference_of_all_channels_at_once():
    source, destination = pixels(17, 26), pixels(17, 26, seed=1)

    def stronger(guidance, own):
        return np.where(((guidance**2).sum(2) > (own**2).sum(2))[:, :, None], guidance, own)

    expected = direct(source, destination, stronger)
    assert np.abs(clone(source, destination, mixed=True) - expected).max() < 1e-6


@settings(max_examples=30)
@given(st.integers(3, 20), st.integers(3, 20), st.floats(-0.5, 0.5), st.booleans())
def test_a_source_that_is_only_lighter_changes_nothing(h, w, lift, mixed):
    destination = pixels(h, w)
    assert np.abs(clone(destination + np.float32(lift), destination, mixed=mixed) - destination).max() < 1e-6


def test_a_flat_source_smooths_and_in_a_mixed_clone_does_nothing():
    destination = pixels(20, 20)
    flat = np.full_like(destination, 0.3)
    assert (clone(flat, destination, mixed=True) == destination).all()
    smooth = clone(flat, destination)
    mean = (smooth[:-2, 1:-1] + smooth[2:, 1:-1] + smooth[1:-1, :-2] + smooth[1:-1, 2:]) / 4
    assert np.abs(mean - smooth[1:-1, 1:-1]).max() < 1e-6


def test_the_border_keeps_its_bits_and_nothing_is_written_to():
    source, destination = pixels(15, 11), pixels(15, 11, seed=1)
    copies = source.copy(), destination.copy()
    out = clone(source, destination)
    for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert (out[side] == destination[side]).all()
    assert (source == copies[0]).all()
    assert (destination == copies[1]).all()
    assert out.dtype == np.float32
    assert (clone(source[:2], destination[:2]) == destination[:2]).all()


def test_structure_arrives_where_it_was_in_the_source():
    """No ghost shift: an impulse in the source is an impulse at the same pixel, and falls off from there."""
    destination = np.full((31, 31, 1), 0.5, np.float32)
    source = destination.copy()
    source[9, 20] += 0.3
    out = clone(source, destination)
    assert np.abs(out - source).max() < 1e-6


def test_outside_a_mask_the_change_is_harmonic_and_inside_the_source_counts():
    source, destination = pixels(24, 24, 1), pixels(24, 24, 1, seed=1)
    mask = np.zeros((24, 24), dtype=bool)
    mask[8:16, 8:16] = True
    change = (clone(source, destination, mask=mask) - destination)[:, :, 0].astype(np.float64)
    lap = change[:-2, 1:-1] + change[2:, 1:-1] + change[1:-1, :-2] + change[1:-1, 2:] - 4 * change[1:-1, 1:-1]
    outside = ~mask[1:-1, 1:-1]
    assert np.abs(lap[outside]).max() < 1e-6
    assert np.abs(lap[~outside]).max() > 0.1
    assert (clone(source, destination, mask=np.zeros_like(mask)) == destination).all()
    assert np.abs(clone(source, destination, mask=~np.zeros_like(mask)) - clone(source, destination)).max() == 0


def test_fast_sides_have_small_factors_and_lose_little():
    for side in range(3, 400):
        fast = fast_side(side)
        rest = fast - 1
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1
        assert side * 0.85 <= fast <= side or side < 10
