"""Training a discriminator of normal and synthetic features: PBAS's refined boundary, and the heads of its kin.

boundary = RefinedBoundary(features.shape[1])
boundary.fit(features, Hypersphere(k=0.25, over="batch").module())
maps, scores = boundary.maps(test, size=256), boundary.image_scores(test)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from anosynth.errors import DataError, ParameterError
from anosynth.seeding import Rng, RngLike, as_rng

from ._heads import Discriminator, ImageHead, Images, MaskRefiner, Scorer, checked, linear, rows_of, split, upsampled
from ._losses import bce, centre_distance, dice, focal, l1_focal, optimizers_of, refiner_loss, truncated_l1
from ._torch import nn, torch

__all__ = [
    "History",
    "MaskRefiner",
    "RefinedBoundary",
    "Synthesis",
    "bce",
    "centre_distance",
    "dice",
    "focal",
    "l1_focal",
    "refiner_loss",
    "truncated_l1",
    "upsampled",
]

Tensor = torch.Tensor
Loss = Literal["bce", "truncated-l1", "l1-focal"]

_LOSSES = get_args(Loss)
_AT_ONCE = 16


class Synthesis(Protocol):
    """What makes anomalies: a `FeatureSynthesis`, or any function of this form."""

    def __call__(self, features: Tensor, *, rng: Rng) -> Sequence[Any]:
        """Return features (B, C, H, W), mask (B, 1, H, W) of their anomalous cells, labels (B,), and what else."""


@dataclass(frozen=True)
class History:
    """How a training went.

    Attributes:
        losses: mean training loss of each epoch, the pull to the centres included.
        held_out: loss on the held-out normal images and the anomalies made of them after each epoch, without pull.
        best: the epoch whose weights were kept, the first being 0.
        training, holding: which images were trained on, and which were held out.
    """

    losses: tuple[float, ...]
    held_out: tuple[float, ...]
    best: int
    training: tuple[int, ...]
    holding: tuple[int, ...]


class RefinedBoundary(Scorer):
    """Adaptor and discriminator trained on normal features and synthetic anomalies of them.

    Features are standardised by channel, adapted by a linear layer, and told apart by Linear, BatchNorm,
    LeakyReLU(0.2), Linear. Normal and synthetic rows always go through the discriminator in ONE batch: forwarded one
    after the other, each would be normalised by its own statistics, and the very difference would be lost.

    Sources: loss "bce", BCE(D(u), 0) + BCE(D(a), 1) + pull x r with r the mean distance of normal rows to their
    centres: PBAS (Chen et al. 2025); "truncated-l1": SimpleNet (Liu et al. 2023); "l1-focal", with a head for images:
    SuperSimpleNet (Rolih et al. 2024). Optimisers and rates are theirs. Standardising, which makes distances and
    noise levels comparable between backbones, and early stopping on held-out normal images are ours: the papers
    choose the epoch by the test set.

    First weights and the order of images come from `seed` and not from global random state. The training itself is
    that of torch: equal on one machine with one number of threads, not to the last bit on another.

    Args:
        channels: C of the features.
        hidden: width of the discriminator; 1024 in the papers.
        loss: "bce", "truncated-l1" or "l1-focal".
        adapt: have the linear adaptor.
        standardize: subtract the mean of each channel and divide by its deviation, both of the training images.
        seed: of the first weights.

    Raises:
        ParameterError: a number is out of range, or there is no such loss.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 1024,
        loss: Loss = "bce",
        adapt: bool = True,
        standardize: bool = True,
        seed: RngLike = 0,
    ) -> None:
        super().__init__()
        for name, number in (("channels", channels), ("hidden", hidden)):
            if number < 1:
                raise ParameterError(f"`{name}`: {number}: must be >= 1")
        if loss not in _LOSSES:
            raise ParameterError(f"`loss`: {loss}: must be one of {', '.join(_LOSSES)}")
        rng = as_rng(seed)
        self.channels, self.loss, self.standardize = channels, loss, standardize
        self.adaptor = linear(channels, channels, rng.child("adaptor")) if adapt else nn.Identity()
        self.discriminator = Discriminator(channels, hidden, rng.child("discriminator"))
        self.image_head = ImageHead(channels, rng.child("image")) if loss == "l1-focal" else None
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def adapted(self, features: Tensor) -> Tensor:
        """Return (B, C, H, W) standardised and adapted features, of which anomalies are made."""
        values = checked(features, self.channels).to(self.mean.dtype)
        rows = rows_of((values - self.mean[:, None, None]) / self.std[:, None, None])
        out: Tensor = self.adaptor(rows)
        return out.view(len(values), *values.shape[2:], self.channels).permute(0, 3, 1, 2)

    def fit(
        self,
        features: Tensor | Sequence[Tensor],
        synthesize: Synthesis,
        *,
        held_out: float | Tensor | Sequence[Tensor] = 0.2,
        epochs: int = 100,
        batch: int = 8,
        patience: int = 10,
        pull: float = 1.0,
        rates: tuple[float, float] = (1e-4, 2e-4),
        seed: RngLike = 0,
    ) -> History:
        """Train on normal features, and keep the weights of the epoch that did best on held-out ones.

        A synthesis that learns and was not fitted is fitted first, to the training images under the first adaptor.

        Args:
            features: (N, C, H, W), or a sequence of (C, H, W), of any float dtype; all normal, on the module's device.
            synthesize: called with adapted features (B, C, H, W) and `rng`; see `Synthesis`.
            held_out: share of the images to hold out, or other normal features to stop by. Never test data.
            epochs: at most.
            batch: images of a step.
            patience: epochs without a better held-out loss after which training ends.
            pull: weight of the mean distance to the centres, if the synthesis has `centres`.
            rates: learning rates of adaptor and discriminator.
            seed: of the split, the order and the anomalies.

        Raises:
            DataError: fewer than two images, or a loss that is not finite.
            ParameterError: a number is out of range.
        """
        _check(epochs=epochs, batch=batch, patience=patience)
        rng = as_rng(seed)
        if isinstance(held_out, (int, float)):
            kept, aside = split(rng.child("split").permutation(len(features)).tolist(), float(held_out))
            held = Images(features, aside, self.channels)
        else:
            kept, aside, held = list(range(len(features))), [], Images(held_out, None, self.channels)
        train = Images(features, kept, self.channels)
        if not len(train) or not len(held):
            raise DataError(f"features: {len(features)} images: expected at least 2, to hold some out")
        self._prepare(train, synthesize, batch)
        heads = [*self.discriminator.parameters(), *(self.image_head.parameters() if self.image_head else ())]
        optimizers, schedulers = optimizers_of(self.loss, list(self.adaptor.parameters()), heads, rates, epochs)
        losses: list[float] = []
        scores: list[float] = []
        best, weights = 0, self.state_dict()
        for epoch in range(epochs):
            stream, found = rng.child("epoch", epoch), []
            self.train()
            for step, images in enumerate(train.batches(batch, stream.child("order"))):
                loss = self._loss(images, synthesize, stream.child("step", step), pull)
                for optimizer in optimizers:
                    optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                for optimizer in optimizers:
                    optimizer.step()
                found.append(float(loss.detach()) * len(images))
            for scheduler in schedulers:
                scheduler.step()
            losses.append(sum(found) / len(train))
            scores.append(self._held_out_loss(held, synthesize, rng.child("held-out"), batch))
            if not math.isfinite(losses[-1] + scores[-1]):
                raise DataError(f"training: epoch {epoch}: losses {losses[-1]:.3g} and {scores[-1]:.3g}: not finite")
            if epoch == 0 or scores[-1] < scores[best]:
                best, weights = epoch, copy.deepcopy(self.state_dict())
            if epoch - best >= patience:
                break
        self.load_state_dict(weights)
        self.train(False)
        return History(tuple(losses), tuple(scores), best, tuple(kept), tuple(aside))

    @torch.no_grad()
    def score(self, features: Tensor) -> Tensor:
        """Return (B, H, W) scores of patches: probabilities, or for "truncated-l1" scores around 0."""
        found = [self._scored(part)[0] for part in torch.split(checked(features, self.channels), _AT_ONCE)]
        logits = torch.cat(found)
        return logits if self.loss == "truncated-l1" else logits.sigmoid()

    @torch.no_grad()
    def image_scores(self, features: Tensor) -> Tensor:
        """Return (B,): the greatest patch score of each image, or for "l1-focal" what the head for images says."""
        if self.image_head is None:
            return super().image_scores(features)
        parts = torch.split(checked(features, self.channels), _AT_ONCE)
        return torch.cat([self._scored(part)[1] for part in parts]).sigmoid()

    def logits(self, adapted: Tensor) -> Tensor:
        """Return (K,) logits of (K, C) adapted rows, with gradients: what `gradient-ascent` takes as its scorer.

        The discriminator's batch statistics are used and not moved.
        """
        was = self.discriminator.training
        self.discriminator.train(False)
        try:
            found: Tensor = self.discriminator(adapted)
        finally:
            self.discriminator.train(was)
        return found

    def _scored(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the cells (B, H, W) and of the images (B,), by the statistics of training."""
        was = self.training
        self.train(False)
        try:
            return self._logits(self.adapted(features))
        finally:
            self.train(was)

    def _logits(self, adapted: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.discriminator(rows_of(adapted)).view(len(adapted), *adapted.shape[2:])
        if self.image_head is None:
            return cells, cells.flatten(1).amax(dim=1)
        return cells, self.image_head(adapted, cells[:, None])

    def _loss(self, images: Tensor, synthesize: Synthesis, rng: Rng, pull: float) -> Tensor:
        normal = self.adapted(images)
        with torch.enable_grad():
            fake, mask, labels, *_ = synthesize(normal, rng=rng)
        if fake.shape != normal.shape or mask.numel() * self.channels != normal.numel():
            shapes = f"{tuple(fake.shape)} and {tuple(mask.shape)}"
            raise DataError(f"synthesis: features and mask {shapes}: expected those of {tuple(normal.shape)}")
        cells, whole = self._logits(torch.cat([normal, fake]))
        target = torch.cat([torch.zeros_like(mask, dtype=torch.bool), mask > 0]).reshape(-1)
        flat = cells.reshape(-1)
        if self.loss == "l1-focal":
            truth = torch.as_tensor(labels, device=flat.device).reshape(-1) > 0
            loss = l1_focal(flat, target, whole, torch.cat([torch.zeros_like(truth), truth]))
        else:
            loss = (bce if self.loss == "bce" else truncated_l1)(flat[~target], flat[target])
        centres = getattr(synthesize, "centres", None)
        if pull and centres is not None:
            loss = loss + pull * centre_distance(rows_of(normal), centres).mean()
        return loss

    @torch.no_grad()
    def _held_out_loss(self, held: Images, synthesize: Synthesis, rng: Rng, batch: int) -> float:
        self.train(False)
        found = [
            float(self._loss(images, synthesize, rng.child(step), 0.0)) * len(images)
            for step, images in enumerate(held.batches(batch))
        ]
        return sum(found) / len(held)

    @torch.no_grad()
    def _prepare(self, train: Images, synthesize: Synthesis, batch: int) -> None:
        self.train(False)
        if self.standardize:
            # In two passes: the difference of large squares would lose what matters.
            self.mean.copy_(train.mean(lambda part: part, batch))
            spread = train.mean(lambda part: (part - self.mean[:, None, None]).square(), batch).sqrt()
            self.std.copy_(spread.masked_fill(spread == 0, 1.0))
        if not getattr(synthesize, "fitted", True):
            learner: Any = synthesize
            learner.fit(self.adapted(images) for images in train.batches(batch))


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ParameterError(f"`{name}`: {number}: must be >= 1")
