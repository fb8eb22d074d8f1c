"""`FeatureSynthesis`: a generator as a `torch.nn.Module`, with what it learned as buffers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.recipe import Vary
from anosynth.seeding import Rng, RngLike, as_rng

from ._base import FeatureGenerator, template
from ._cells import Cells, Scorer
from ._masks import masks_of, saliencies_of
from ._rows import Grid, Layout, Tensor, changed, check_finite, layout_of
from ._torch import torch


class Synthesized(NamedTuple):
    """What `FeatureSynthesis` returns.

    Attributes:
        features: shape, dtype, device and memory layout of what went in.
        mask: (B, 1, H, W) bool if the grid is known, else (B, P): the cells that changed, and the known anomalies.
        labels: (B,) bool: samples with a cell in the mask.
        drawn: for each sample what was drawn for it.
    """

    features: Tensor
    mask: Tensor
    labels: Tensor
    drawn: list[dict[str, Any]]


class FeatureSynthesis(torch.nn.Module):
    """A feature generator for training loops: `fit` if it learns, then `forward`.

    What was learned are buffers: they follow `to()`, are saved by `state_dict()`, also into safetensors, and may be
    loaded into a module that was never fitted. There are no parameters, and no random state: every sample has a stream
    of its own, and its result depends neither on the other samples nor on their number.

    Args:
        generator: a feature generator; or a `Vary`, which draws one for each sample.
        channel_dim: which dimension the channels are; 1 for (B, C, H, W) and (N, C), 2 or -1 for (B, P, C).
        batch_dim: which dimension the samples are; (N, C) has none: it is one sample of N cells, or N / (H W) samples
            in a row if `grid` is given.
        grid: (H, W) of the cells, row by row, for layouts that do not tell.
        scorer: what `gradient-ascent` ascends; it is called, not kept as a submodule.
    """

    def __init__(
        self,
        generator: FeatureGenerator | Vary,
        *,
        channel_dim: int = 1,
        batch_dim: int = 0,
        grid: Grid | None = None,
        scorer: Scorer | None = None,
    ) -> None:
        super().__init__()
        family = generator.generator.family if isinstance(generator, Vary) else getattr(generator, "family", "")
        if family != FeatureGenerator.family:
            raise ParameterError(
                f"generator: {type(generator).__name__}: expected a feature generator or a Vary of one"
            )
        self.generator = generator
        self.channel_dim, self.batch_dim, self.grid = channel_dim, batch_dim, grid
        # In a tuple, because torch would take a module for a part of this one and save its weights twice.
        self._scorer = (scorer,)
        self._settled, self._batches = True, 0
        for name in self._names:
            self.register_buffer(name, torch.zeros(0))

    def forward(
        self,
        x: Tensor,
        mask: Any = None,
        rng: RngLike | Sequence[RngLike] = None,
        *,
        known: Any = None,
        saliency: Tensor | None = None,
        scorer: Scorer | None = None,
    ) -> Synthesized:
        """Return anomalous features; the input is never written to.

        Args:
            x: (B, C, H, W), (B, P, C) or (N, C) of any float dtype, laid out as the constructor was told.
            mask: where anomalies may lie: None for everywhere, or bool of (B, 1, h, w), (B, h, w), (h, w), (B, P) or
                (P,). Masks of pixels are pooled to the grid, a cell is inside if any of its pixels is.
            rng: one for all, of which each sample gets a child by its place in the batch, or a sequence of B: each
                sample's own. None draws fresh entropy.
            known: real anomalies, in any form of `mask`: left as they are, and part of the mask that is returned.
            saliency: (B, P) or (B, heads, P) attention, for the generators that pick cells by it; without it they go
                by the norms of the features.
            scorer: in place of the constructor's.

        Gradients are those of the generator; see its documentation and `detach_shift`.

        Raises:
            DataError: a shape does not fit, a value is not finite or does not stay so, or nothing was learned yet.
        """
        layout = layout_of(x, self.channel_dim, self.batch_dim, self.grid)
        streams = _streams(rng, layout.batch)
        with torch.autocast(device_type=x.device.type, enabled=False):
            rows = layout.rows(x)
            check_finite(rows)
            real = masks_of("known", known, layout, x.device)
            allowed = masks_of("mask", mask, layout, x.device)
            generators = [self._drawn(stream) for stream in streams]
            state = self.state()
            for generator in dict.fromkeys(generators):
                check_learned(generator, state, layout)
            free = [_free(i, allowed, real) for i in range(layout.batch)]
            salient = saliencies_of(saliency, layout)
            cells = [
                Cells(
                    rows=rows[i],
                    places=places_of(generator, layout.grid, free[i], stream, x, full=False),
                    grid=layout.grid,
                    state=state,
                    scorer=scorer or self.scorer,
                    saliency=salient[i],
                )
                for i, (generator, stream) in enumerate(zip(generators, streams, strict=True))
            ]
            made = synthesise(generators, cells, streams)
            out = [new.to(x.dtype) for new, _ in made]
            check_finite(out, f"the anomaly is too large for {str(x.dtype).removeprefix('torch.')}")
            features = layout.back(out, x)
            differ = torch.stack([changed(old.to(x.dtype), new) for old, new in zip(rows, out, strict=True)])
        inside = differ if real is None else differ | real
        drawn = [what for _, what in made]
        if isinstance(self.generator, Vary):
            drawn = [{**own.model_dump(), **what} for own, what in zip(generators, drawn, strict=True)]
        return Synthesized(features, inside.reshape(layout.mask_shape()), inside.any(dim=1), drawn)

    def fit(self, batches: Iterable[Tensor], rng: RngLike = 0) -> FeatureSynthesis:
        """Forget what was learned and learn from batches of normal features, in one pass; returns the module.

        Raises:
            DataError: there is no batch, a shape does not fit, or a value is not finite.
        """
        if isinstance(batches, torch.Tensor):
            raise DataError(f"fit: tensor {tuple(batches.shape)}: expected batches\nhint: fit([features])")
        for name in self._names:
            self._buffers[name] = torch.zeros(0)
        root, self._batches = as_rng(rng), 0
        for batch in batches:
            self.partial_fit(batch, rng=root)
        if not self._batches:
            raise DataError("fit: no features: expected at least one batch")
        self.state()
        return self

    def partial_fit(self, x: Tensor, rng: RngLike = 0) -> FeatureSynthesis:
        """Learn from one more batch of normal features, laid out as for `forward`; returns the module.

        Called for one batch after the other, with one `rng`, it learns what `fit` does.
        """
        layout = layout_of(x, self.channel_dim, self.batch_dim, self.grid)
        with torch.no_grad(), torch.autocast(device_type=x.device.type, enabled=False):
            rows = layout.rows(x)
            check_finite(rows)
            known = {name: value for name, value in self._learned().items() if value.numel()}
            if known and (why := self._template().misfit(known, layout.channels, layout.cells)):
                raise DataError(why)
            if self._names:
                own = as_rng(rng).child("batch", self._batches)
                self._keep(self._template().learn(known, torch.stack(rows), layout.grid, own))
                self._settled = False
            self._batches += 1
        return self

    @property
    def fitted(self) -> bool:
        """Whether there is nothing that it still has to learn before `forward`."""
        return all(value.numel() for value in self._learned().values())

    def state(self) -> dict[str, Tensor]:
        """Return what was learned, by name, as generators use it."""
        if not self._settled and self.fitted:
            with torch.no_grad():
                self._keep(self._template().settle(self._learned()))
            self._settled = True
        return self._learned()

    @property
    def scorer(self) -> Scorer | None:
        """What it was told to ascend."""
        return self._scorer[0]

    def extra_repr(self) -> str:
        return f"{self.generator!r}, channel_dim={self.channel_dim}, fitted={self.fitted}"

    @property
    def _names(self) -> tuple[str, ...]:
        return self._template().names_learned()

    def _learned(self) -> dict[str, Tensor]:
        return {name: value for name in self._names if (value := self._buffers[name]) is not None}

    def _keep(self, state: Mapping[str, Tensor]) -> None:
        for name in self._names:
            self._buffers[name] = state[name]

    def _template(self) -> FeatureGenerator:
        return self.generator if isinstance(self.generator, FeatureGenerator) else template(self.generator)

    def _drawn(self, stream: Rng) -> FeatureGenerator:
        if isinstance(self.generator, FeatureGenerator):
            return self.generator
        drawn = self.generator.draw(stream.child("values"))
        assert isinstance(drawn, FeatureGenerator)
        return drawn

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        self.state()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # The sizes are those of the features, which a module that was not fitted does not know.
        for name in self._names:
            value, own = state_dict.get(prefix + name), self._buffers[name]
            if isinstance(value, torch.Tensor) and own is not None:
                self._buffers[name] = torch.zeros_like(value, device=own.device)
        # As many samples were seen as batches, or more, so that no stream of a batch comes twice.
        seen = state_dict.get(prefix + "seen")
        self._settled, self._batches = True, int(seen[0]) if isinstance(seen, torch.Tensor) and seen.numel() else 0
        super()._load_from_state_dict(state_dict, prefix, *rest)


def synthesise(
    generators: Sequence[FeatureGenerator], cells: Sequence[Cells], streams: Sequence[Rng]
) -> list[tuple[Tensor, dict[str, Any]]]:
    """Return for each sample its (P, C) rows afterwards, and what was drawn."""
    out: list[tuple[Tensor, dict[str, Any]]] = [(sample.rows, {}) for sample in cells]
    alike: dict[FeatureGenerator, list[int]] = {}
    for i, generator in enumerate(generators):
        if cells[i].count:
            alike.setdefault(generator, []).append(i)
    for generator, places in alike.items():
        notes = generator.survey([cells[i] for i in places], [streams[i] for i in places])
        for i, note in zip(places, notes, strict=True):
            sample = replace(cells[i], notes=note)
            new, drawn = generator.perturb(sample, streams[i])
            out[i] = (new if sample.places is None else sample.rows.index_copy(0, sample.places, new), drawn)
    return out


def places_of(
    generator: FeatureGenerator, grid: Grid | None, free: Tensor | None, stream: Rng, like: Tensor, *, full: bool
) -> Tensor | None:
    """Return the cells that may change, (K,) int64 ascending, of those that are `free` (P,); None for all.

    They have the device of `like`.
    """
    region = generator.region(grid, stream.child("region"), full=full)
    if region is None:
        return None if free is None else free.nonzero()[:, 0]
    inside = torch.from_numpy(region.reshape(-1)).to(like.device)
    return (inside if free is None else inside & free).nonzero()[:, 0]


def check_learned(generator: FeatureGenerator, state: Mapping[str, Tensor], layout: Layout) -> None:
    """Raise Impossible if nothing was learned that the generator needs, or from features of other sizes."""
    for name in generator.names_learned():
        if name not in state or not state[name].numel():
            raise Impossible(
                f"`{generator.name}`: not fitted: it learns from normal features\n"
                "hint: fit its module(), and pass that in Features(values, module=...) if it is called by itself"
            )
    if why := generator.misfit(state, layout.channels, layout.cells):
        raise Impossible(why)


def _free(i: int, allowed: Tensor | None, real: Tensor | None) -> Tensor | None:
    if real is None:
        return None if allowed is None else allowed[i]
    return ~real[i] if allowed is None else allowed[i] & ~real[i]


def _streams(rng: Any, count: int) -> list[Rng]:
    if isinstance(rng, Sequence) and not isinstance(rng, str):
        if len(rng) != count:
            raise DataError(f"rng: {len(rng)} streams: expected one for each of the {count} samples")
        return [as_rng(one) for one in rng]
    root = as_rng(rng)
    return [root.child("sample", i) for i in range(count)]
