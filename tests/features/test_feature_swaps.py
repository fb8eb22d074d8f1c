"""patch-shuffle, copy-out, codebook-swap, prototype-swap, and the transport that learns prototypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_kit import CELLS, GRID, bits, fitted, normal_features, rows_of
from scipy import stats
from scipy.optimize import linprog

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.features import CodebookSwap, CopyOut, Features, PatchShuffle, PrototypeSwap
from anosynth.features._transport import fused_cost, sinkhorn


def numbered(batch: int = 3) -> torch.Tensor:
    """(B, 1, 6, 5): every cell holds its own number."""
    return torch.arange(1.0, CELLS + 1).reshape(1, 1, *GRID).expand(batch, -1, -1, -1).contiguous()


@pytest.mark.parametrize("area", [0.01, 0.1, 0.5, 1.0])
def test_shuffled_cells_change_places_and_none_stays(area):
    out = PatchShuffle(area=area).module()(numbered(20), rng=1)
    places = out.features.flatten(1).long()
    assert (places.sort(dim=1).values == torch.arange(1, CELLS + 1)).all(), "a permutation"
    assert (out.mask.flatten(1).sum(dim=1) == max(2, round(area * CELLS))).all()
    if area == 0.1:
        assert stats.chisquare(np.bincount(out.mask.flatten(1).nonzero()[:, 1], minlength=CELLS)).pvalue > 0.001


def test_copies_come_from_other_cells_anywhere():
    out = CopyOut(area=0.2, select="random").module()(numbered(400), rng=1)
    assert (out.mask.flatten(1).sum(dim=1) == 6).all()
    source = out.features.flatten(1)[out.mask.flatten(1)]
    assert set(source.long().tolist()) == set(range(1, CELLS + 1))
    assert stats.chisquare(np.bincount(source.long() - 1)).pvalue > 0.001
    salient = CopyOut(area=0.1).module()(numbered(2), rng=1).mask.flatten(1)
    assert salient.nonzero()[:, 1].tolist() == [27, 28, 29] * 2


def test_swaps_stay_inside_the_mask_but_copies_come_from_anywhere():
    mask = torch.zeros(GRID, dtype=torch.bool)
    mask[:2, :2] = True
    out = PatchShuffle(area=1.0).module()(numbered(5), mask=mask, rng=1)
    assert set(out.features[:, 0, :2, :2].flatten().tolist()) == {1.0, 2.0, 6.0, 7.0}
    copies = CopyOut(area=1.0).module()(numbered(50), mask=mask, rng=1)
    assert set(copies.features[:, 0, :2, :2].flatten().tolist()) > {1.0, 2.0, 6.0, 7.0}


def test_a_single_cell_has_nothing_to_swap_with():
    mask = torch.zeros(GRID, dtype=torch.bool)
    mask[0, 0] = True
    out = PatchShuffle().module()(numbered(2), mask=mask, rng=1)
    assert not out.labels.any()
    with pytest.raises(NotMade, match="no `patch-shuffle` could be made of it in 8 draws: no cell changed"):
        PatchShuffle()(Features(numbered(1)[0], mask=mask))
    with pytest.raises(NotMade, match="no `copy-out` could be made"):
        CopyOut()(torch.ones(3, 1, 1))


def test_gradients_go_where_the_features_came_from():
    x = numbered(1).requires_grad_()
    out = PatchShuffle(area=0.5).module()(x, rng=1).features
    weight = torch.arange(float(CELLS)).reshape(out.shape)
    (out * weight).sum().backward()
    source = out.detach().flatten().long() - 1
    assert torch.equal(x.grad.flatten()[source], weight.flatten())


def test_codewords_are_taken_bit_for_bit_from_the_ranks_asked_for():
    x = normal_features(4, 9)
    module = fitted(CodebookSwap(strength=0.3, skip=0.1, codewords=50))
    codes = module.codes
    assert codes.shape == (50, 16)
    known = {bits(row) for row in codes}
    rows = rows_of(x)
    out = rows_of(module(x, rng=1).features)
    assert all(bits(row) in known for row in out.reshape(-1, 16))
    distance = torch.cdist(rows.double(), codes.double().expand(4, -1, -1))
    rank = (distance < torch.cdist(out.double(), rows.double()).diagonal(dim1=1, dim2=2)[..., None] - 1e-9).sum(dim=2)
    assert rank.min() == 5
    assert rank.max() == 15
    counts = np.bincount(rank.flatten(), minlength=16)[5:]
    assert stats.chisquare(counts).pvalue > 0.01
    with pytest.raises(ParameterError, match=r"`skip`: 0.5: must be < `strength`, 0.2"):
        CodebookSwap(strength=0.2, skip=0.5)


def test_the_codebook_is_a_fair_sample_and_may_come_from_elsewhere():
    seen = rows_of(torch.cat([normal_features(4, seed) for seed in range(3)])).reshape(-1, 16)
    module = fitted(CodebookSwap(codewords=64))
    assert {bits(row) for row in module.codes} <= {bits(row) for row in seen}
    assert int(module.seen[0]) == len(seen)
    own = CodebookSwap(strength=1.0, skip=0.0).module()
    own.load_state_dict({"codes": torch.eye(16) * 5, "seen": torch.tensor([16])})
    out = rows_of(own(normal_features(2), rng=1).features)
    assert (out.sum(dim=2) == 5).all()
    assert (out.max(dim=2).values == 5).all()


@pytest.mark.parametrize("shape", [(7, 5), (20, 31)])
def test_plans_have_uniform_marginals(shape):
    cost = torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plan = sinkhorn(cost, 0.01, 5000)
    assert torch.allclose(plan.sum(dim=0), torch.full((shape[1],), 1 / shape[1], dtype=torch.float64), atol=1e-12)
    assert torch.allclose(plan.sum(dim=1), torch.full((shape[0],), 1 / shape[0], dtype=torch.float64), atol=1e-6)
    assert torch.isfinite(sinkhorn(cost, 1e-5, 50)).all()


def test_with_little_entropy_the_plan_is_that_of_linear_programming():
    draw = torch.Generator().manual_seed(4)
    cost = torch.rand(5, 4, dtype=torch.float64, generator=draw)
    rows = np.kron(np.eye(5), np.ones(4))
    columns = np.kron(np.ones(5), np.eye(4))
    best = linprog(cost.numpy().ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[np.full(5, 0.2), np.full(4, 0.25)])
    above = [float((sinkhorn(cost, reg, 200_000) * cost).sum()) - best.fun for reg in (0.1, 0.01, 0.001)]
    assert above[0] > above[1] > above[2] - 1e-9
    assert 0 <= above[2] + 1e-7 < 1e-3
    assert np.abs(sinkhorn(cost, 0.001, 200_000).numpy().ravel() - best.x).max() < 0.01


def test_the_cost_takes_features_places_or_both():
    draw = torch.Generator().manual_seed(2)
    f, p = torch.randn(6, 3, generator=draw), torch.randn(4, 3, generator=draw)
    x, y = torch.rand(6, 2, generator=draw), torch.rand(4, 2, generator=draw)
    shuffled = y[torch.tensor([2, 0, 3, 1])]
    assert torch.equal(fused_cost(f, p, x, y, 0.0), fused_cost(f, p, x, shuffled, 0.0))
    assert torch.equal(fused_cost(f, p, x, y, 1.0), fused_cost(-f, p * 3, x, y, 1.0))
    cosine = 1 - torch.nn.functional.cosine_similarity(f[:, None].double(), p[None].double(), dim=2)
    apart = (x[:, None] - y[None]).double().norm(dim=2)
    wanted = 0.7 * cosine / cosine.max() + 0.3 * apart / apart.max()
    assert torch.allclose(fused_cost(f, p, x, y, 0.3), wanted)


def test_prototypes_move_towards_their_barycentre():
    x = normal_features(6, 1)
    means = rows_of(x).mean(dim=0)
    # By places alone, each prototype is coupled with the features of its own cell.
    module = PrototypeSwap(alpha=1.0, momentum=1.0, reg=0.001, rounds=2000).module().fit([x])
    assert torch.allclose(module.bank, means, atol=1e-3)
    module.partial_fit(x + 1)
    assert torch.allclose(module.bank, means + 1, atol=1e-3)
    # By features alone, each prototype becomes a mean of some of them.
    module = PrototypeSwap(alpha=0.0, momentum=0.5).module().fit([x] * 30)
    near = torch.cdist(module.bank, rows_of(x).reshape(-1, 16)).min(dim=1).values
    assert near.mean() < torch.cdist(torch.zeros(1, 16), rows_of(x).reshape(-1, 16)).mean() / 2
    still = PrototypeSwap(momentum=1e-9).module().fit([x])
    assert ((still.bank > -1e-6) & (still.bank < 1 + 1e-6)).all()
    assert stats.kstest(still.bank.flatten(), "uniform").pvalue > 0.01


@pytest.mark.parametrize(("distance", "prototypes"), [(0.3, 1), (0.5, 1), (0.3, 3)])
def test_swapped_prototypes_are_of_the_bank_far_away_and_alike_in_norm(distance, prototypes):
    x = normal_features(4, 9)
    module = fitted(PrototypeSwap(distance=distance, candidates=3, prototypes=prototypes))
    out = rows_of(module(x, rng=1).features)
    of = {bits(row): place for place, row in enumerate(module.bank)}
    place = torch.tensor([[of[bits(row)] for row in sample] for sample in out])
    cells = torch.arange(CELLS).double()
    centre = torch.stack([(cells.div(5, rounding_mode="floor") + 0.5) / 6, (cells % 5 + 0.5) / 5], dim=1)
    centres = centre.repeat(prototypes, 1)
    apart = (centres[place] - centre[None]).norm(dim=2)
    assert (apart >= distance - 1e-6).all()
    norms = module.bank.norm(dim=1)
    allowed = (centre[:, None] - centres[None]).norm(dim=2) >= distance - 1e-6
    for i in range(4):
        off = (rows_of(x)[i].norm(dim=1)[:, None] - norms[None]).abs().masked_fill(~allowed, 1e9)
        rank = (off < off.gather(1, place[i][:, None]) - 1e-6).sum(dim=1)
        assert rank.max() < 3
        assert rank.max() > 0


def test_cells_from_which_nothing_is_far_enough_stay():
    module, x = fitted(PrototypeSwap(distance=0.7)), normal_features(2, 9)
    out = module(x, rng=1)
    assert out.mask[:, 0, 0, 0].all()
    assert not out.mask[:, 0, 2:4, 2].any()


def test_global_prototypes_need_no_grid_and_local_ones_do():
    rows = rows_of(normal_features(3))
    assert PrototypeSwap(alpha=0.0).module(channel_dim=2).fit([rows])(rows, rng=1).labels.all()
    with pytest.raises(DataError, match="cells without a grid: the prototypes need one"):
        PrototypeSwap().module(channel_dim=2).fit([rows])
    with pytest.raises(DataError, match=r"features: 12 cells: `prototype-swap` was fitted on 30"):
        fitted(PrototypeSwap())(normal_features(1, grid=(3, 4)))
