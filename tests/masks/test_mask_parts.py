"""Cells that are dealt out, cells that a saliency map picks, and the way from samples to segments and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_kit import blocks, cut_shapes, digest

from anosynth.errors import DataError, ParameterError
from anosynth.masks import by_saliency, disjoint, expand, patches
from anosynth.seeding import as_rng


@settings(max_examples=100)
@given(cut=cut_shapes(), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_disjoint_sets_are_a_partition_into_cells(cut, share, seed):
    shape, cell = cut
    number = math.prod(math.ceil(size / step) for size, step in zip(shape, cell, strict=True))
    sets = 1 + int(share * (number - 1))
    masks = disjoint(shape, seed, cell=cell, sets=sets)
    assert masks.shape == (sets, *shape)
    assert masks.dtype == np.bool_
    assert (masks.sum(axis=0) == 1).all(), "two masks meet, or leave a hole"
    cells = patches(masks, cell)
    assert np.array_equal(expand(cells, shape, cell), masks), "a cell is cut"
    sizes = cells.reshape(sets, -1).sum(axis=1)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("cell", [2, 4, 8, 16])
def test_disjoint_hides_a_third_in_each(cell):
    masks = disjoint((48, 48), 0, cell=cell, sets=3)
    assert (masks.mean(axis=(1, 2)) == 1 / 3).all()


def test_disjoint_batches_are_their_samples():
    x = np.zeros((4, 3, 40, 33))
    whole = disjoint(x, 5)
    assert whole.shape == (4, 3, 40, 33)
    for i in range(4):
        assert np.array_equal(disjoint((40, 33), as_rng(5).child("sample", i)), whole[i])
    assert np.array_equal(disjoint((40, 33), 5, batch=4), whole)
    assert len({sample.tobytes() for sample in whole}) == 4
    assert disjoint(np.zeros((4, 40, 33, 7)), 5, channel_dim=-1, sets=2).shape == (4, 2, 40, 33)


def test_disjoint_bits_are_pinned():
    assert digest(disjoint((61, 47), 1, batch=2), disjoint((500,), 1, cell=3, sets=4)) == "8bca0c79c207e143"


@settings(max_examples=100)
@given(cut=cut_shapes(), seed=st.integers(0, 2**32), density=st.floats(0, 1))
def test_patches_are_the_maximum_and_expand_their_inverse(cut, seed, density):
    shape, segment = cut
    mask = np.random.default_rng(seed).random((2, *shape)) < density
    kept = mask.copy()
    cells = patches(mask, segment)
    for place, slices in blocks(shape, segment):
        for i in range(2):
            assert cells[(i, *place)] == mask[(i, *slices)].any()
    wide = expand(cells, shape, segment)
    assert (wide | ~mask).all(), "a sample got lost"
    assert np.array_equal(patches(wide, segment), cells)
    assert np.array_equal(mask, kept)


def test_patches_of_one_number():
    assert patches(np.ones((3, 7, 9), bool), 4, dims=2).shape == (3, 2, 3)
    assert patches(np.ones((7, 9), bool), 4).shape == (2, 3)
    assert patches(np.ones((5, 9), bool), (4,)).shape == (5, 3)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: patches(np.ones(9), 4), DataError, "mask: float64: expected bool\nhint: compare it"),
        (lambda: patches(np.ones(9, bool), 10), ParameterError, "segment: 10: larger than the sample of 9"),
        (lambda: patches(np.ones(9, bool), (2, 2)), ParameterError, "dims: 2: a mask of"),
        (lambda: expand(np.ones(4, bool), (9,), 4), DataError, r"mask: \(4,\): expected \(..., 3\) for samples of"),
        (lambda: expand(np.ones(3, bool), (9,), 10), ParameterError, "segment: 10: larger than the sample of 9"),
        (lambda: disjoint((9,), cell=3, sets=4), ParameterError, "sets: 4: expected 1 to 3, the number of cells"),
        (lambda: disjoint((9,), cell=3, sets=0), ParameterError, "sets: 0: expected 1 to 3"),
        (lambda: disjoint((9,), cell=16), ParameterError, "cell: 16: larger than the sample of 9"),
        (lambda: disjoint((9, 0)), ParameterError, r"shape: \(9, 0\): expected sizes"),
        (lambda: by_saliency(np.zeros((4, 4))), ParameterError, "threshold, quantile: expected one of the two"),
        (lambda: by_saliency(np.zeros((4, 4)), quantile=1.5), ParameterError, "quantile: 1.5: expected 0 to 1"),
        (lambda: by_saliency(np.zeros((4, 4)), quantile=math.nan), ParameterError, "quantile: nan: expected 0 to 1"),
        (lambda: by_saliency(np.zeros((4, 4)), threshold=math.nan), ParameterError, "threshold: nan: expected a fin"),
        (lambda: by_saliency(np.zeros((4, 4)), quantile=0.5, cell=5), ParameterError, "cell: .5, 5.: larger than"),
        (lambda: by_saliency(np.zeros((4, 4)), quantile=0.5, dilate=-1), ParameterError, "dilate: -1: expected at"),
        (lambda: by_saliency(np.zeros((4, 4)), quantile=0.5, pool="sum"), ParameterError, "pool: 'sum': expected"),
        (lambda: by_saliency(np.zeros(4), quantile=0.5), DataError, r"saliency: \(4,\): expected 2 dimensions"),
        (lambda: by_saliency(np.zeros((2, 2), complex), quantile=0.5), DataError, "saliency: complex128: expected"),
        (
            lambda: by_saliency(np.array([[0, 1], [math.nan, 0]]), quantile=0.5),
            DataError,
            r"saliency: nan at \(1, 0\): expected finite values",
        ),
    ],
)
def test_what_cannot_be_is_named(call, kind, text):
    with pytest.raises(kind, match=f"^{text}"):
        call()


def maps(shape: tuple[int, ...], seed: int, levels: int) -> np.ndarray:
    """Whole numbers, so that many are equal and sums are exact."""
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.float64)


@settings(max_examples=100)
@given(
    cut=cut_shapes(),
    seed=st.integers(0, 2**32),
    levels=st.integers(1, 6),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    dilate=st.integers(0, 2),
    by=st.sampled_from(["threshold", "quantile"]),
    pool=st.sampled_from(["mean", "max"]),
)
def test_the_mask_only_shrinks_as_the_threshold_grows(cut, seed, levels, ends, dilate, by, pool):
    shape, cell = cut
    saliency = maps(shape, seed, levels)
    scale = levels if by == "threshold" else 1
    how = {"cell": cell, "dims": len(shape), "pool": pool, "dilate": dilate}
    wide, narrow = (by_saliency(saliency, **{by: end * scale}, **how) for end in sorted(ends))
    assert (wide | ~narrow).all()
    assert np.array_equal(expand(patches(wide, cell), shape, cell), wide)
    bare = by_saliency(saliency, **{by: min(ends) * scale}, **{**how, "dilate": 0})
    grown = np.zeros_like(patches(bare, cell))
    for place in np.argwhere(patches(bare, cell)):
        grown[tuple(slice(max(0, i - dilate), i + dilate + 1) for i in place)] = True
    assert np.array_equal(patches(wide, cell), grown)


@settings(max_examples=80)
@given(cut=cut_shapes(), seed=st.integers(0, 2**32), quantile=st.floats(0, 1))
def test_a_quantile_is_an_exact_count_and_the_first_of_equals(cut, seed, quantile):
    shape, cell = cut
    saliency = maps(shape, seed, 3)
    inside = patches(by_saliency(saliency, quantile=quantile, cell=cell, dims=len(shape)), cell).reshape(-1)
    means = np.array([saliency[slices].mean() for _, slices in blocks(shape, cell)])
    ranked = sorted(range(len(means)), key=lambda i: (-means[i], i))
    count = math.floor((1 - quantile) * len(means) + 0.5)
    assert np.flatnonzero(inside).tolist() == sorted(ranked[:count])


def test_saliency_is_each_sample_s_own():
    saliency = np.stack([maps((12, 10), seed, 50) for seed in range(3)])
    whole = by_saliency(saliency, quantile=0.7, cell=2)
    for i in range(3):
        assert np.array_equal(by_saliency(saliency[i], quantile=0.7, cell=2), whole[i])
    assert np.array_equal(by_saliency(saliency, quantile=0.7, cell=2), whole)
    assert by_saliency(saliency, threshold=0).all()
    assert not by_saliency(saliency, threshold=1000).any()
