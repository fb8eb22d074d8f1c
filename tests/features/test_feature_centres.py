"""hypersphere, distance-guided and gradient-ascent: banks of centres and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_kit import CELLS, bits, fitted, normal_features, rows_of, scorer

from anosynth.errors import DataError, ParameterError
from anosynth.features import DistanceGuided, GradientAscent, Hypersphere


def parts(generator, x, seed=1, **how):
    """(u, a, c) as float64 arrays (B, P, C), the centres found here."""
    module = fitted(generator, **how)
    a = module(x, rng=seed).features
    u, centres = rows_of(x).double(), module.centres.double()
    if generator.assign == "position":
        c = centres.expand_as(u)
    elif generator.assign == "euclidean":
        c = centres[torch.cdist(u, centres.expand(len(u), -1, -1)).argmin(dim=2)]
    else:
        cosine = torch.nn.functional.normalize(u, dim=2) @ torch.nn.functional.normalize(centres, dim=1).T
        c = centres[cosine.argmax(dim=2)]
    return u.numpy(), rows_of(a).double().numpy(), c.numpy()


def norm(x):
    return np.linalg.norm(x, axis=-1)


@pytest.mark.parametrize("assign", ["cosine", "euclidean", "position"])
@pytest.mark.parametrize("k", [0.25, 1.0, 3.0])
def test_the_shift_is_k_radii_along_the_ray(assign, k):
    u, a, c = parts(Hypersphere(k=k, assign=assign), normal_features(3, 9))
    distance = norm(u - c)
    r = distance.mean(axis=1, keepdims=True)
    assert norm(a - u) == pytest.approx(np.broadcast_to(k * r, distance.shape), rel=1e-5)
    assert ((a - u) * (u - c)).sum(axis=2) / norm(a - u) / distance == pytest.approx(1, abs=1e-6)
    assert norm(a - c) == pytest.approx(distance + k * r, rel=1e-5)
    assert norm(a - c).mean(axis=1) == pytest.approx((1 + k) * r[:, 0], rel=1e-5)


def test_radii_are_quantiles_or_of_the_batch_if_told_so():
    x = normal_features(3, 9)
    u, a, c = parts(Hypersphere(radius="quantile", quantile=0.75, assign="position"), x)
    expected = 0.25 * np.quantile(norm(u - c), 0.75, axis=1)
    assert norm(a - u) == pytest.approx(np.broadcast_to(expected[:, None], (3, CELLS)), rel=1e-5)
    u, a, c = parts(Hypersphere(over="batch"), x)
    assert norm(a - u) == pytest.approx(0.25 * norm(u - c).mean(), rel=1e-5)
    module = fitted(Hypersphere())
    drawn = module(x, rng=1).drawn
    assert [float(values["radius"]) for values in drawn] == pytest.approx(norm(u - c).mean(axis=1), rel=1e-5)


@pytest.mark.parametrize("over", ["sample", "batch"])
@pytest.mark.parametrize("assign", ["cosine", "position"])
def test_in_a_mask_cells_move_as_they_do_without_one(over, assign):
    x = normal_features(3, 9)
    inside = torch.rand(3, 1, 6, 5, generator=torch.Generator().manual_seed(2)) > 0.5
    for generator in (Hypersphere(over=over, assign=assign), Hypersphere(over=over, assign=assign, detach_shift=False)):
        module = fitted(generator)
        free, bound = module(x, rng=1).features, module(x, mask=inside, rng=1).features
        assert bits(torch.where(inside, free, x)) == bits(bound)


def test_bounds_hold_where_they_are_asked_for():
    x = normal_features(4, 9)
    x[:, :, 0] *= 3
    u, a, c = parts(Hypersphere(k=0.5, nearest=1.0, farthest=1.5, assign="position"), x)
    r = norm(u - c).mean(axis=1, keepdims=True)
    wanted = np.clip(norm(u - c) + 0.5 * r, r, 1.5 * r)
    assert norm(a - c) == pytest.approx(wanted, rel=1e-5)
    assert (norm(u - c) + 0.5 * r > 1.5 * r).any()
    with pytest.raises(ParameterError, match=r"`farthest`: 1.0: must be 0 or at least `nearest`, 2.0"):
        Hypersphere(nearest=2.0, farthest=1.0)


def test_k_0_is_the_identity():
    x = normal_features(3, 9)
    out = fitted(Hypersphere(k=0.0))(x, rng=1)
    assert bits(out.features) == bits(x)
    assert not out.labels.any()


def test_a_cell_at_its_centre_stays_and_is_finite():
    module = fitted(Hypersphere(assign="position"))
    x = module.centres.T.reshape(1, 16, 6, 5).clone()
    assert bits(module(x, rng=1).features) == bits(x)
    x[0, :, 2:] += 1
    out = module(x, rng=1)
    assert torch.isfinite(out.features).all()
    assert out.mask[0, 0].sum() == 4 * 5
    loose = fitted(Hypersphere(assign="position", detach_shift=False))
    y = x.clone().requires_grad_()
    loose(y, rng=1).features.sum().backward()
    assert torch.isfinite(y.grad).all()


def test_scale_carries_over_and_a_move_does_not_by_cosine():
    x = normal_features(3, 9, apart=0.3)
    for assign in ("cosine", "euclidean", "position"):
        module = Hypersphere(assign=assign).module().fit([normal_features(4, apart=0.3)])
        plain = module(x, rng=1).features
        module.centres *= 4
        assert bits(module(x * 4, rng=1).features) == bits(plain * 4)
        module.centres /= 4
        module.centres += 100
        moved = module(x + 100, rng=1).features - 100
        assert torch.allclose(moved, plain, atol=1e-3) == (assign != "cosine")


def test_one_batch_gives_the_means_of_the_cells():
    batch = normal_features(4, 3)
    for bank in ("aligned", "cells"):
        module = Hypersphere(bank=bank).module().fit([batch])
        wanted = rows_of(batch).double().mean(dim=0)
        assert torch.allclose(module.centres.double(), wanted, rtol=1e-6, atol=1e-6)
    many = [normal_features(size, size) for size in (1, 5, 3)]
    module = Hypersphere(bank="cells").module().fit(many)
    assert torch.allclose(module.centres, rows_of(torch.cat(many)).mean(dim=0), atol=1e-6)
    assert module.seen.tolist() == [9]


def test_alignment_moves_the_centre_of_greatest_cosine_one_after_the_other():
    batches = [normal_features(2, seed, apart=0.3) for seed in range(3)]
    centres = rows_of(batches[0]).mean(dim=0).double()
    for batch in batches[1:]:
        means = rows_of(batch).mean(dim=0).double()
        cosine = torch.nn.functional.normalize(means, dim=1) @ torch.nn.functional.normalize(centres, dim=1).T
        chosen = cosine.argmax(dim=1)
        assert len(set(chosen.tolist())) < CELLS, "some centre is hit twice"
        for cell, place in enumerate(chosen):
            centres[place] = 0.9 * centres[place] + 0.1 * means[cell]
    module = Hypersphere().module().fit(batches)
    assert torch.allclose(module.centres.double(), centres, atol=1e-5)


def test_other_numbers_of_cells_go_by_similarity_but_not_by_position():
    rows = rows_of(normal_features(2, 9))[:, :7].contiguous()
    module = Hypersphere().module(channel_dim=2)
    module.load_state_dict(fitted(Hypersphere()).state_dict())
    assert module(rows, rng=1).mask.shape == (2, 7)
    module = Hypersphere(assign="position").module(channel_dim=2)
    module.load_state_dict(fitted(Hypersphere()).state_dict())
    with pytest.raises(DataError, match="features: 7 cells: `hypersphere` was fitted on 30"):
        module(rows, rng=1)


def test_gradients_of_the_shift():
    x = normal_features(2, 9).requires_grad_()
    weight = torch.randn(2, 16, 6, 5, generator=torch.Generator().manual_seed(1))
    for name in ("hypersphere", "distance-guided", "gradient-ascent"):
        x.grad = None
        (fitted(name)(x, rng=1).features * weight).sum().backward()
        assert torch.equal(x.grad, weight)
    small = [normal_features(2, seed, channels=3, grid=(2, 2)) for seed in range(2)]
    y = normal_features(1, 9, channels=3, grid=(2, 2)).double().requires_grad_()
    for generator in (
        Hypersphere(detach_shift=False),
        Hypersphere(detach_shift=False, over="batch"),
        Hypersphere(detach_shift=False, radius="quantile", nearest=0.9, farthest=1.3, assign="position"),
        DistanceGuided(detach_shift=False),
    ):
        module = generator.module().fit(small)
        assert torch.autograd.gradcheck(lambda values, module=module: module(values, rng=1).features, (y,))
    with pytest.raises(ParameterError, match="`detach_shift`: False: the path of an ascent has no gradient"):
        GradientAscent(detach_shift=False)


def test_noise_is_larger_near_the_centre():
    x = normal_features(3, 9)
    u, a, c = parts(DistanceGuided(std=0.1, k=0.8, assign="position"), x)
    u0, a0, _ = parts(DistanceGuided(std=0.1, k=0.0, assign="position"), x)
    noise = norm(a0 - u0)
    s = noise / norm(u - c)
    factor = 1 + 0.8 * (s / s.mean(axis=1, keepdims=True) - 1)
    assert norm(a - u) == pytest.approx(noise * factor, rel=1e-4)
    assert factor.mean(axis=1) == pytest.approx(1)
    assert np.corrcoef(factor.ravel(), norm(u - c).ravel())[0, 1] < -0.5


def test_guided_noise_at_the_very_centre_is_bounded():
    module = fitted(DistanceGuided(assign="position", k=1.0))
    x = module.centres.T.reshape(1, 16, 6, 5).clone()
    assert torch.isfinite(module(x, rng=1).features).all()
    x[0, :, 3:] += 1
    out = module(x, rng=1)
    assert torch.isfinite(out.features).all()
    assert (out.features - x).abs().max() < 0.015 * 7 * 2 / (15 / 30)
    faint = fitted(DistanceGuided(std=1e-30))(x, rng=1).features
    assert torch.isfinite(faint).all(), "the squares of the noise are all 0"


def test_the_path_on_a_linear_scorer_is_a_straight_line():
    x = normal_features(2, 9)
    weight = torch.linspace(-1, 1, 16)
    still = GradientAscent(steps=1, step_size=1e-9, every=50, least_shift=0.0, largest_shift=1e6, project="manifold")
    start = rows_of(still.module()(x, rng=1, scorer=scorer).features)
    far = GradientAscent(steps=7, step_size=0.1, every=50, least_shift=0.0, largest_shift=1e6, project="manifold")
    for of_logits in (scorer, lambda rows: torch.sigmoid(scorer(rows) * 0.1)[:, None]):
        end = rows_of(far.module(scorer=of_logits)(x, rng=1).features)
        assert torch.allclose(end - start, (-0.7 * weight / weight.norm()).expand_as(end), atol=1e-4)
    noise = (start - rows_of(x)).double()
    assert noise.std() == pytest.approx(0.015, rel=0.1)


@pytest.mark.parametrize("steps", [20, 3])
def test_after_the_last_step_it_lies_where_it_is_held(steps):
    x = normal_features(3, 9)
    u, a, c = parts(GradientAscent(steps=steps, step_size=0.5), x, scorer=scorer)
    r = np.quantile(norm(u - c), 0.75, axis=1, keepdims=True)
    assert (norm(a - c) >= r * (1 - 1e-5)).all()
    assert (norm(a - c) <= 2 * r * (1 + 1e-5)).all()
    assert (norm(a - c) > r * 1.01).any()
    held = GradientAscent(project="manifold", steps=steps, step_size=0.01).module(scorer=scorer)
    u, a = rows_of(x).numpy(), rows_of(held(x, rng=1).features).numpy()
    assert (norm(a - u) >= 0.5 * (1 - 1e-5)).all()
    assert (norm(a - u) <= 1 + 1e-5).all()


def test_a_discriminator_is_climbed_and_its_weights_get_no_gradient():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(16, 8), torch.nn.LeakyReLU(0.2), torch.nn.Linear(8, 1), torch.nn.Sigmoid()
    )
    x = normal_features(2, 9)
    one = GradientAscent(steps=1, step_size=1e-6, least_shift=0.0, project="manifold").module(scorer=net)
    many = GradientAscent(steps=30, step_size=0.05, least_shift=0.0, project="manifold").module(scorer=net)
    before, after = (net(rows_of(module(x, rng=1).features)).mean() for module in (one, many))
    assert after < before
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not many.state_dict()


def test_without_a_scorer_or_with_a_wrong_one_it_says_so():
    module, x = fitted("gradient-ascent", scorer=None), normal_features(2)
    with pytest.raises(DataError, match=r"`gradient-ascent`: no scorer: it needs one to climb\nhint: module\(scorer"):
        module(x)
    with pytest.raises(DataError, match=r"scorer: \(30, 2\): expected one score for each of 30 rows"):
        module(x, scorer=lambda rows: rows[:, :2])
    for wrong in (lambda rows: rows.detach().sum(dim=1), lambda rows: rows.detach().numpy().sum(axis=1)):
        with pytest.raises(DataError, match=r"scorer: .*: expected a tensor with a gradient\nhint: no `detach`"):
            module(x, scorer=wrong)
    for low, high in (("nearest", "farthest"), ("least_shift", "largest_shift")):
        with pytest.raises(ParameterError, match=f"`{low}`: 9.0: must be <= `{high}`"):
            GradientAscent(**{low: 9.0})
