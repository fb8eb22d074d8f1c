"""Scores that need no synthetic anomaly: how far a patch is from normal ones. What training must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from anosynth.errors import DataError, ParameterError
from anosynth.seeding import RngLike, as_rng

from ._heads import Images, Scorer, checked, rows_of
from ._torch import torch

Tensor = torch.Tensor

_AT_ONCE = 4096


class _Learned(Scorer):
    """Base of scorers that keep what they learned as buffers, also when loaded without a fit."""

    learns: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.learns:
            self.register_buffer(name, torch.zeros(0))

    def _known(self, name: str) -> Tensor:
        value = self._buffers[name]
        if value is None or not value.numel():
            raise DataError(f"{type(self).__name__}: not fitted: it learns from normal features")
        return value

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name in self.learns:
            value, own = state_dict.get(prefix + name), self._buffers[name]
            if isinstance(value, torch.Tensor) and own is not None:
                self._buffers[name] = torch.zeros_like(value, device=own.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class GaussianBaseline(_Learned):
    """Mahalanobis distance from the Gaussian of normal features: sqrt((u - m)' S^-1 (u - m))

    S = (1 - shrinkage) cov + (shrinkage tr(cov) / C + epsilon) I. With `per` "cell" each cell of the grid has a mean
    and a covariance of its own, over the images (PaDiM, Defard et al. 2021, which takes epsilon 0.01 and no
    shrinkage); with "image" one Gaussian is that of all cells. H W C^2 numbers are kept for cells: choose C by
    `Patches(target_dim=...)`.

    Args:
        per: "cell", for parts that lie alike in all images, or "image".
        shrinkage: weight of the sphere in the covariance, in [0, 1]; what keeps few images from passing for exact.
        epsilon: added to the diagonal, in squared feature units, > 0 if shrinkage is 0.
    """

    learns = ("mean", "factor")
    mean: Tensor
    factor: Tensor

    def __init__(
        self, per: Literal["cell", "image"] = "cell", *, shrinkage: float = 0.1, epsilon: float = 1e-6
    ) -> None:
        super().__init__()
        if per not in ("cell", "image"):
            raise ParameterError(f"`per`: {per}: must be cell or image")
        if not 0 <= shrinkage <= 1:
            raise ParameterError(f"`shrinkage`: {shrinkage}: must be in [0, 1]")
        if not epsilon >= 0:
            raise ParameterError(f"`epsilon`: {epsilon}: must be >= 0")
        self.per, self.shrinkage, self.epsilon = per, shrinkage, epsilon

    @torch.no_grad()
    def fit(self, features: Tensor | Sequence[Tensor]) -> GaussianBaseline:
        """Learn from normal features (N, C, H, W), or a sequence of (C, H, W); returns the scorer.

        Raises:
            DataError: features of another shape or not finite, or a covariance that cannot be inverted.
        """
        values = _all(features)
        count, channels = values.shape[:2]
        self.mean = values.mean(dim=0 if self.per == "cell" else (0, 2, 3))
        if self.per == "image":
            self.factor = self._factor(rows_of(values) - self.mean)[None]
            return self
        # Cell by cell, because all samples of all cells in double precision are many times the features.
        centred = (values - self.mean).permute(2, 3, 0, 1).reshape(-1, count, channels)
        self.factor = torch.stack([self._factor(cell) for cell in centred])
        return self

    @torch.no_grad()
    def score(self, features: Tensor) -> Tensor:
        """Return (B, H, W) Mahalanobis distances."""
        factor, mean = self._known("factor"), self._known("mean")
        grid = mean.shape[1:] if self.per == "cell" else None
        values = checked(features, mean.shape[0], grid).to(mean.dtype)
        count, channels, height, width = values.shape
        centred = values - (mean if self.per == "cell" else mean[:, None, None])
        if self.per == "image":
            whitened: Tensor = torch.linalg.solve_triangular(factor[0], rows_of(centred).T, upper=False)
            return whitened.square().sum(dim=0).sqrt().view(count, height, width)
        cells = centred.permute(2, 3, 1, 0).reshape(-1, channels, count)
        whitened = torch.linalg.solve_triangular(factor, cells, upper=False)
        distances: Tensor = whitened.square().sum(dim=1).sqrt()
        return distances.T.reshape(count, height, width)

    def _factor(self, centred: Tensor) -> Tensor:
        """Return the lower Cholesky factor of the covariance of (N, C) rows of mean 0."""
        rows = centred.double()
        covariance = rows.T @ rows / max(len(rows) - 1, 1)
        sphere = self.shrinkage * float(covariance.diagonal().mean()) + self.epsilon
        covariance = (1 - self.shrinkage) * covariance
        covariance.diagonal().add_(sphere)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed):
            raise DataError(f"features: {len(rows)} rows of {rows.shape[1]} channels: too few for a covariance")
        return torch.as_tensor(factor, dtype=centred.dtype)


class NearestBaseline(_Learned):
    """Mean Euclidean distance to the k nearest patches of a bank of normal ones (PatchCore without its coreset)

    Args:
        k: neighbours, >= 1.
        limit: patches in the bank; more are thinned out to this number at random.
        seed: of the thinning.
    """

    learns = ("bank",)
    bank: Tensor

    def __init__(self, k: int = 1, *, limit: int = 20_000, seed: RngLike = 0) -> None:
        super().__init__()
        if not 1 <= k <= limit:
            raise ParameterError(f"`k`: {k}: must be >= 1 and <= `limit`, {limit}")
        self.k, self.limit, self._rng = k, limit, as_rng(seed)

    @torch.no_grad()
    def fit(self, features: Tensor | Sequence[Tensor]) -> NearestBaseline:
        """Learn from normal features (N, C, H, W), or a sequence of (C, H, W); returns the scorer.

        Raises:
            DataError: features of another shape or not finite, or fewer than k patches.
        """
        rows = rows_of(_all(features))
        if len(rows) < self.k:
            raise DataError(f"features: {len(rows)} patches: expected at least k, {self.k}")
        if len(rows) > self.limit:
            chosen = torch.from_numpy(self._rng.child("bank").permutation(len(rows))[: self.limit])
            rows = rows[chosen.sort().values.to(rows.device)]
        self.bank = rows.contiguous()
        return self

    @torch.no_grad()
    def score(self, features: Tensor) -> Tensor:
        """Return (B, H, W) mean distances."""
        bank = self._known("bank")
        values = checked(features, bank.shape[1]).to(bank.dtype)
        squares = bank.square().sum(dim=1)
        found = []
        for rows in torch.split(rows_of(values), max(1, _AT_ONCE * _AT_ONCE // len(bank))):
            # Half the squared distance, less what is the same for all of the bank: the same order, one product.
            near = (squares / 2 - rows @ bank.T).topk(self.k, dim=1, largest=False).indices
            # The difference itself: from the product, the distance to an equal patch would not be 0.
            gaps = [(rows - bank[near[:, place]]).square().sum(dim=1).sqrt() for place in range(self.k)]
            found.append(torch.stack(gaps).mean(dim=0))
        return torch.cat(found).view(len(values), *values.shape[2:])


def _all(features: Tensor | Sequence[Tensor]) -> Tensor:
    if not len(features):
        raise DataError("features: none: expected at least one image")
    return torch.cat(list(Images(features, None).batches(64)))
