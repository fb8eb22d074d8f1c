"""Training on normal and synthetic features: losses by formula, one batch for both, no test data, no global state."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import ndimage  # noqa: E402

from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.features import Gaussian, GradientAscent, Hypersphere, PerlinMasked  # noqa: E402
from anosynth.features.refine import (  # noqa: E402
    MaskRefiner,
    RefinedBoundary,
    bce,
    centre_distance,
    dice,
    focal,
    l1_focal,
    refiner_loss,
    truncated_l1,
    upsampled,
)
from anosynth.metrics import auroc  # noqa: E402

LOSSES = ("bce", "truncated-l1", "l1-focal")
CHANNELS = 6


def features(count: int = 12, side: int = 4, seed: int = 0) -> torch.Tensor:
    """Normal features: a low-dimensional cloud, standard in a few directions and thin in the others."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, CHANNELS, side, side)) * np.array([3, 2, 1, 0.1, 0.1, 0.1])[:, None, None] + 5
    return torch.from_numpy(values.astype(np.float32))


def shifted(normal: torch.Tensor, rng):
    """The simplest synthesis: the right half of each image is moved along the last channel."""
    mask = torch.zeros(len(normal), 1, *normal.shape[2:], dtype=torch.bool)
    mask[..., normal.shape[3] // 2 :] = True
    step = torch.zeros(normal.shape[1])
    step[-1] = 4.0
    return normal + mask * step[:, None, None], mask, torch.ones(len(normal), dtype=torch.bool)


def odd(count: int = 8) -> torch.Tensor:
    """Images whose right half is off by four deviations of the last channel."""
    values = features(count, seed=7)
    values[:, -1, :, 2:] += 0.4
    return values


def small(**more) -> RefinedBoundary:
    return RefinedBoundary(CHANNELS, **{"hidden": 16, **more})


def numbers(size: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size) * 2)


# Losses


def test_bce_is_cross_entropy_of_both_classes():
    normal, fake = numbers(7), numbers(4, seed=1)
    p, q = torch.sigmoid(normal), torch.sigmoid(fake)
    assert float(bce(normal, fake)) == pytest.approx(float(-(1 - p).log().mean() - q.log().mean()))
    assert float(bce(torch.tensor([-200.0]), torch.tensor([200.0]))) == 0.0
    assert float(bce(torch.tensor([200.0]), torch.tensor([-200.0]))) == 400.0


def test_truncated_l1_by_hand():
    normal, fake = torch.tensor([-1.0, -0.5, 0.0, 1.0]), torch.tensor([2.0, 0.25, -1.0])
    assert float(truncated_l1(normal, fake)) == pytest.approx((0 + 0 + 0.5 + 1.5) / 4 + (0 + 0.25 + 1.5) / 3)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 4.0])
def test_focal_by_its_formula(gamma):
    logits, target = numbers(20), torch.arange(20) % 3 == 0
    p = torch.where(target, torch.sigmoid(logits), 1 - torch.sigmoid(logits))
    assert float(focal(logits, target, gamma)) == pytest.approx(float((-((1 - p) ** gamma) * p.log()).mean()))
    assert torch.isfinite(focal(torch.tensor([500.0, -500.0]), torch.tensor([1, 1]), gamma))


def test_l1_focal_is_a_sum():
    logits, target, image, labels = (
        numbers(12),
        torch.arange(12) % 4 == 0,
        numbers(3, 1),
        torch.tensor([True, False, True]),
    )
    expected = truncated_l1(logits[~target], logits[target]) + focal(logits, target) + focal(image, labels)
    assert float(l1_focal(logits, target, image, labels)) == pytest.approx(float(expected))


def test_a_class_without_a_cell_adds_nothing():
    normal, none = numbers(5), numbers(0)
    assert float(bce(normal, none)) == pytest.approx(float(torch.nn.functional.softplus(normal).mean()))
    assert float(truncated_l1(none, none)) == 0.0


def test_dice_by_hand():
    predicted, mask = torch.tensor([[1.0, 0.5], [0.0, 0.0]]), torch.tensor([[True, False], [False, False]])
    expected = ((1 - 3 / (1.25 + 1 + 1)) + (1 - 1 / 1)) / 2
    assert float(dice(predicted, mask)) == pytest.approx(expected)
    restored, target = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    assert float(refiner_loss(predicted, mask)) == pytest.approx(0.5 * expected)
    assert float(refiner_loss(predicted, mask, restored, 3 * restored)) == pytest.approx(0.5 * expected + 4)
    assert float(refiner_loss(predicted, mask, restored, target, dice_weight=0)) == pytest.approx(1)


def test_centre_distance_goes_by_the_angle():
    centres = torch.tensor([[1.0, 0.0], [0.0, 10.0]])
    rows = torch.tensor([[0.4, 0.6], [5.0, 1.0], [0.0, 10.0]], dtype=torch.float32, requires_grad=True)
    found = centre_distance(rows, centres)
    # The first row is nearer to (1, 0), but of smaller angle to (0, 10).
    assert found.tolist() == pytest.approx([math.hypot(0.4, 9.4), math.hypot(4, 1), 0.0])
    found.sum().backward()
    assert torch.isfinite(rows.grad).all()
    assert rows.grad[2].tolist() == [0.0, 0.0]
    assert rows.grad[1].tolist() == pytest.approx([4 / math.hypot(4, 1), 1 / math.hypot(4, 1)])


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: bce(a, b),
        lambda a, b: truncated_l1(a, b),
        lambda a, b: focal(torch.cat([a, b]), torch.arange(7) > 2),
        lambda a, b: l1_focal(torch.cat([a, b]), torch.arange(7) > 2, a, torch.arange(3) > 1),
        lambda a, b: refiner_loss(a.sigmoid()[None], torch.tensor([[1, 0, 1]]), b, b.flip(0)),
        lambda a, b: centre_distance(b.view(2, 2), torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)),
    ],
)
def test_gradients_are_those_of_differences(loss):
    values = [numbers(3, 2).requires_grad_(), numbers(4, 3).requires_grad_()]
    assert torch.autograd.gradcheck(loss, values)


# The boundary


def test_normal_and_synthetic_rows_share_their_batch_statistics():
    boundary = small().train()
    apart = copy.deepcopy(boundary)
    images = features(4)
    loss = boundary._loss(images, shifted, None, 0.0).detach()
    normal = boundary.adapted(images).detach()
    fake, mask, _ = shifted(normal, None)
    rows = [maps.permute(0, 2, 3, 1).reshape(-1, CHANNELS) for maps in (normal, fake)]
    inside = mask.reshape(-1)
    layers = apart.requires_grad_(False).discriminator.layers
    together = layers(torch.cat(rows))[:, 0]
    target = torch.cat([torch.zeros_like(inside), inside])
    assert float(loss) == pytest.approx(float(bce(together[~target], together[target])), rel=1e-5)
    twice = torch.cat([layers(rows[0]), layers(rows[1])])[:, 0]
    assert abs(float(bce(twice[~target], twice[target])) - float(loss)) > 0.05
    # One forward moves the running mean once.
    assert int(boundary.discriminator.layers[1].num_batches_tracked) == 1


def test_pull_is_the_mean_distance_to_the_centres():
    boundary = small().train()
    synthesis = Hypersphere(k=0.5, over="batch").module().fit([boundary.adapted(features()).detach()])
    images = features(4)
    plain, pulled = (float(copy.deepcopy(boundary)._loss(images, synthesis, 0, w).detach()) for w in (0.0, 2.0))
    rows = boundary.adapted(images).detach().permute(0, 2, 3, 1).reshape(-1, CHANNELS)
    unit = [x / x.norm(dim=1, keepdim=True) for x in (rows, synthesis.centres)]
    nearest = synthesis.centres[(unit[0] @ unit[1].T).argmax(dim=1)]
    assert pulled - plain == pytest.approx(2 * float((rows - nearest).norm(dim=1).mean()), rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns_what_it_is_shown(loss):
    boundary = small(loss=loss, adapt=False)
    history = boundary.fit(features(), shifted, epochs=30, batch=4, rates=(0.0, 1e-2))
    assert history.held_out[history.best] < 0.6 * history.held_out[0]
    test = torch.cat([features(8, seed=5), odd()])
    scores = boundary.score(test)
    assert scores.shape == (16, 4, 4)
    assert auroc(boundary.image_scores(test).numpy(), [0] * 8 + [1] * 8) > 0.95
    cells = torch.zeros(16, 4, 4, dtype=torch.bool)
    cells[8:, :, 2:] = True
    assert auroc(scores.numpy(), cells.numpy()) > 0.95
    if loss != "truncated-l1":
        assert 0 <= float(scores.min()) < 0.5 < float(scores.max()) <= 1
    if loss != "l1-focal":
        assert torch.equal(boundary.image_scores(test), scores.amax(dim=(1, 2)))


@pytest.mark.parametrize(
    "synthesis",
    [
        lambda b: Hypersphere(k=1.0, over="batch").module(),
        lambda b: Gaussian(std=0.5).module(),
        lambda b: PerlinMasked(inner="gaussian std=0.5", finest=1).module(),
        lambda b: GradientAscent(noise=0.5).module(scorer=b.logits),
    ],
)
def test_generators_of_the_family_fit_in(synthesis):
    boundary = small()
    made = synthesis(boundary)
    history = boundary.fit(features(), made, epochs=3, batch=4)
    assert made.fitted
    assert len(history.losses) == len(history.held_out) == 3
    assert torch.isfinite(boundary.score(odd())).all()


def test_a_synthesis_learns_from_adapted_training_images_alone():
    boundary, given = small(), []
    start = copy.deepcopy(boundary)

    class Learner:
        fitted = False

        def fit(self, batches):
            given.extend(batches)
            self.fitted = True

        def __call__(self, normal, rng):
            return shifted(normal, rng)

    history = boundary.fit(features(), Learner(), epochs=1, batch=4)
    seen = torch.cat(given)
    start.mean.copy_(boundary.mean)
    start.std.copy_(boundary.std)
    assert torch.allclose(seen, start.adapted(features()[list(history.training)]).detach(), atol=1e-5)


def test_the_adaptor_is_trained_too():
    for loss in LOSSES:
        boundary = small(loss=loss)
        first = boundary.adaptor.weight.detach().clone()
        boundary.fit(features(), shifted, epochs=1, rates=(1e-2, 1e-2))
        assert float((boundary.adaptor.weight - first).abs().max().detach()) > 1e-3


def test_standardised_by_training_images():
    values = features()
    boundary = small()
    history = boundary.fit(values, shifted, epochs=1)
    rows = values[list(history.training)].permute(1, 0, 2, 3).reshape(CHANNELS, -1)
    assert torch.allclose(boundary.mean, rows.mean(dim=1), atol=1e-5)
    assert torch.allclose(boundary.std, rows.std(dim=1, correction=0), atol=1e-5)
    plain = small(standardize=False, adapt=False)
    plain.fit(values, shifted, epochs=1)
    assert torch.equal(plain.adapted(values), values)


# Stopping


def test_stops_by_held_out_images_that_are_never_trained_on():
    marked = features()
    marked += torch.arange(12)[:, None, None, None] * 1e-3
    training, watched = set(), set()

    def spy(normal, rng):
        (training if normal.requires_grad else watched).update(normal.detach()[:, 0].sum(dim=(1, 2)).tolist())
        return shifted(normal, rng)

    boundary = small(standardize=False)
    # With rates of 0 the adaptor stays as it is, and an image can be told by its sum.
    history = boundary.fit(marked, spy, held_out=0.25, epochs=3, rates=(0.0, 0.0))
    assert len(history.holding) == 3
    assert sorted(history.training + history.holding) == list(range(12))
    assert len(training) >= 9
    assert len(watched) >= 3
    sums = boundary.adapted(marked).detach()[:, 0].sum(dim=(1, 2))
    near = [min(range(12), key=lambda i: abs(float(sums[i]) - value)) for value in watched]
    assert set(near) == set(history.holding)


def test_keeps_the_best_epoch_and_ends_after_patience():
    """The held-out images are of another kind: what training learns makes them worse."""
    other = features(4, seed=3)
    other[:, -1] += 8
    boundary, states = small(standardize=False, adapt=False), []

    def spy(normal, rng):
        if not boundary.training:
            states.append(copy.deepcopy(boundary.state_dict()))
        return shifted(normal, rng)

    history = boundary.fit(features(), spy, held_out=other, epochs=50, batch=4, patience=4, rates=(0.0, 1e-2))
    assert len(history.held_out) == history.best + 1 + 4 < 50
    assert history.held_out[history.best] == min(history.held_out)
    assert history.holding == ()
    kept = boundary.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[history.best].items())
    assert not all(torch.equal(kept[name], value) for name, value in states[-1].items())
    assert not boundary.training


def test_held_out_anomalies_are_the_same_in_every_epoch():
    keys = {}

    def spy(normal, rng):
        if not normal.requires_grad:
            keys.setdefault("held", []).append(rng.key)
        else:
            keys.setdefault("train", []).append(rng.key)
        return shifted(normal, rng)

    small().fit(features(), spy, epochs=4, batch=4)
    assert len(keys["held"]) == 4
    assert len(set(keys["held"])) == 1
    assert len(set(keys["train"])) == len(keys["train"]) == 12


# Randomness


@pytest.mark.parametrize("loss", LOSSES)
def test_the_seed_decides_everything_and_global_state_nothing(loss):
    def run(seed: int, state: int) -> list[torch.Tensor]:
        torch.manual_seed(state)
        np.random.seed(state)  # noqa: NPY002
        before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        boundary = small(loss=loss, seed=seed)
        boundary.fit(features(), Gaussian(std=0.5).module(), epochs=2, batch=4, seed=seed)
        scores = boundary.score(odd())
        assert torch.equal(before, torch.get_rng_state())
        assert (before_numpy == np.random.get_state()[1]).all()  # noqa: NPY002
        return [*boundary.state_dict().values(), scores]

    one, again, other = run(1, 10), run(1, 20), run(2, 10)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[-1], other[-1])


def test_first_weights_are_xavier_normal():
    weight = RefinedBoundary(400, hidden=8).adaptor.weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / 800), rel=0.01)
    assert abs(float(weight.mean())) < 1e-3
    kurtosis = float((weight**4).mean() / weight.var() ** 2)
    assert kurtosis == pytest.approx(3, abs=0.05)
    first, second = RefinedBoundary(6), RefinedBoundary(6, loss="l1-focal")
    assert torch.equal(first.adaptor.weight, second.adaptor.weight)
    assert not torch.equal(first.adaptor.weight, RefinedBoundary(6, seed=1).adaptor.weight)


# Scores


def test_scoring_moves_nothing_and_does_not_depend_on_the_batch():
    boundary = small(loss="l1-focal")
    boundary.fit(features(), shifted, epochs=1)
    boundary.train()
    before = copy.deepcopy(boundary.state_dict())
    test = features(40, seed=4)
    whole, images = boundary.score(test), boundary.image_scores(test)
    assert boundary.training
    assert all(torch.equal(value, before[name]) for name, value in boundary.state_dict().items())
    assert torch.allclose(whole[3:5], boundary.score(test[3:5]), atol=1e-6)
    assert torch.allclose(images[3:5], boundary.image_scores(test[3:5]), atol=1e-6)
    assert not whole.requires_grad
    # Half precision is one part in two thousand, and of the odd one of these channels that is a lot.
    assert boundary.score(test.half()).dtype == torch.float32


def test_logits_have_gradients_and_move_no_statistics():
    boundary = small().train()
    before = copy.deepcopy(boundary.state_dict())
    rows = torch.ones(5, CHANNELS, requires_grad=True)
    boundary.logits(rows).sum().backward()
    assert float(rows.grad.abs().sum()) > 0
    assert all(torch.equal(value, before[name]) for name, value in boundary.state_dict().items())
    assert boundary.discriminator.training


def test_a_saved_boundary_scores_alike(tmp_path):
    boundary = small()
    boundary.fit(features(), shifted, epochs=2)
    torch.save(boundary.state_dict(), tmp_path / "boundary.pt")
    other = small(seed=9)
    other.load_state_dict(torch.load(tmp_path / "boundary.pt", weights_only=True))
    assert torch.equal(boundary.score(odd()), other.score(odd()))


@pytest.mark.parametrize(
    ("shape", "size", "sigma"), [((4, 5), (40, 30), 4.0), ((3, 3), (6, 50), 4.0), ((8, 8), (8, 8), 1.3)]
)
def test_maps_are_smoothed_as_scipy_does(shape, size, sigma):
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape)))
    flat = upsampled(scores, size, 0.0)
    expected = np.stack([ndimage.gaussian_filter(one, sigma) for one in flat.numpy()])
    assert np.allclose(upsampled(scores, size, sigma).numpy(), expected, atol=1e-12)
    assert torch.equal(upsampled(scores, shape, 0.0), scores)
    assert torch.equal(flat, torch.nn.functional.interpolate(scores[:, None], size=size, mode="bilinear")[:, 0])


# OneNIP's refiner


def test_mask_refiner_finds_what_was_restored():
    head = MaskRefiner(CHANNELS, 16)
    state = torch.get_rng_state()
    assert torch.equal(MaskRefiner(CHANNELS, 16).layers[0].weight, head.layers[0].weight)
    assert torch.equal(state, torch.get_rng_state())
    normal = features(8)
    damaged, mask, _ = shifted(normal, None)
    wide = mask.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        predicted = head(normal, damaged)
        loss = refiner_loss(predicted, wide)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert predicted.shape == (8, 1, 16, 16)
    assert losses[-1] < 0.2 * losses[0]
    head.eval()
    assert auroc(head(normal, damaged).detach().numpy(), wide.numpy()) > 0.98
    names = [type(layer).__name__ for layer in head.layers]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "ConvTranspose2d"]
    assert names == [*block, *block, "Conv2d"]
    assert torch.equal(head(normal, damaged), head(damaged, normal))


# Messages


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: RefinedBoundary(0), ParameterError, "`channels`: 0: must be >= 1"),
        (lambda: RefinedBoundary(3, loss="mse"), ParameterError, "`loss`: mse: must be one of bce, truncated-l1, l1"),
        (lambda: small().fit(features(), shifted, epochs=0), ParameterError, "`epochs`: 0: must be >= 1"),
        (
            lambda: small().fit(features(), shifted, held_out=1.0),
            ParameterError,
            "`held_out`: 1.0: must be > 0 and < 1",
        ),
        (lambda: small().fit(features(1), shifted), DataError, "features: 1 images: expected at least 2"),
        (
            lambda: small().fit([*features(6), *features(6, side=3)], shifted),
            DataError,
            r"features: \(6, 3, 3\) and \(6, 4, 4\): expected one size",
        ),
        (lambda: small().fit(features()[:, :4], shifted), DataError, "features: 4 channels: expected 6"),
        (lambda: small().fit(features() * torch.nan, shifted), DataError, "features: NaN or infinite"),
        (lambda: small().score(features()[0]), DataError, r"features: \(6, 4, 4\): expected a tensor \(B, C, H, W\)"),
        (lambda: small().score(features().long()), DataError, "features: torch.int64: expected floats"),
        (
            lambda: small().fit(features(), lambda u, rng: (u * torch.inf, u[:, :1] > 0, None)),
            DataError,
            "training: epoch 0: losses .*not finite",
        ),
        (
            lambda: small().fit(features(), lambda u, rng: (u[:, :, :2], u[:, :1] > 0, None)),
            DataError,
            r"synthesis: features and mask .*: expected those of \(8, 6, 4, 4\)",
        ),
        (lambda: upsampled(torch.zeros(1, 2, 2), 0), ParameterError, "must be >= 1"),
    ],
)
def test_messages(call, error, text):
    with pytest.raises(error, match=text):
        call()
