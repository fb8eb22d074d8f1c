"""The transform with a key."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import default_collate

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.generator import Anomaly, Generator
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import stream

from . import clouds, images
from ._items import Item, Untouched, beside, item_of

Drawable = Recipe | Vary | Generator | type[Generator]


class Synthesize:
    """The transform: a pure function of (sample, key, epoch) that makes a share of all samples anomalous.

    Args:
        recipe: what to draw anomalies from, of point clouds or of images; a Vary, a generator or a generator class
            will do.
        seed: 0 is a seed like any other.
        probability: that a sample becomes anomalous, in [0, 1]. Raising it leaves the anomalies there already as
            they are and adds others.
        foreground: of images, where defects may lie: "none" for anywhere, "auto" on the object as the command line
            does (found once for each image and process; the first time takes longer than a defect), or a function from
            pixels (H, W[, C]) to (H, W) bool, or None for anywhere, that depends on them alone. The foreground of an
            `Image` holds beside it.

    Raises:
        ParameterError: `probability` is out of range, `recipe` is nothing to draw from, or `foreground` is none.
    """

    def __init__(
        self,
        recipe: Drawable,
        *,
        seed: int = 0,
        probability: float = 0.5,
        foreground: str | images.Found = "none",
    ) -> None:
        if not 0 <= probability <= 1:
            raise ParameterError(f"`probability`: {probability}: must be in [0, 1]")
        self.recipe = recipe if isinstance(recipe, (Recipe, Generator)) else Recipe([recipe])
        if self.recipe.family == "features":
            raise ParameterError(
                "`recipe`: of features: must be of images or of point clouds\n"
                "hint: for features, the module() of a generator is what trains"
            )
        self.seed = operator.index(seed)
        self.probability = float(probability)
        self.foreground = images.Foreground(foreground)
        if foreground != "none" and not self.of_images:
            raise ParameterError(f"`foreground`: {foreground!r}: only images have one")

    @property
    def of_images(self) -> bool:
        """Whether samples are images, and not point clouds."""
        return self.recipe.family == "images"

    def __call__(self, sample: Any, key: str, epoch: int = 0) -> Item:
        """Return the sample as tensors that share no memory with it, on the device of a tensor that came in.

        Args:
            sample: a `PointCloud`, or (N, 3) float32 or float64 points as an array or tensor; or an `Image`, a PIL
                image, an array (H, W) or (H, W, C), or a tensor (C, H, W) or (H, W), of uint8, uint16 or float32 (0 to
                1). Gradients stop here.
            key: the sample's name.
            epoch: >= 0.

        Returns:
            `sample`, in the dtype that came in; `mask`, bool, what changed; `effect`, float32, the signed displacement
            in file units of clouds, the signed change as a share of full scale of images; `instances`, int32, 0 or the
            number of the defect; `label`, () int64, 1 if anomalous; `generator`, its name, or "".

            Of images `sample` is (C, H, W), and `mask`, `effect` and `instances` are (1, H, W). Of clouds they are
            (N, 3) and (N,); points that are not valid come out as they came in; generators that remove or add points
            change N.

        Raises:
            DataError: the sample is of another kind, whatever the draw says.
            ParameterError: `key` is no text.
        """
        return beside(item_of(self.anomaly(sample, key, epoch), self._family), sample)

    def batch(self, samples: Any, keys: Sequence[str], epoch: int = 0) -> Item:
        """Return what the samples become, stacked; each row is what it is alone, whatever stands beside it.

        Args:
            samples: (N, C, H, W) or (N, H, W) images or (N, P, 3) clouds as a tensor, or a sequence of samples.
            keys: their N names.
            epoch: >= 0.

        Returns:
            As of one sample, with N before all shapes; `generator` is a list of N names.

        Raises:
            ParameterError: there is not one key for each sample.
            DataError: a sample is of another kind, there are none, or they do not come out in one size and dtype.
        """
        names = list(keys)
        if isinstance(keys, str) or len(names) != len(samples):
            raise ParameterError(f"`keys`: {len(names)} names: must be one for each of the {len(samples)} samples")
        rows = samples.detach().cpu() if isinstance(samples, torch.Tensor) else samples
        items = [self(row, name, epoch) for row, name in zip(rows, names, strict=True)]
        forms = {(str(item["sample"].dtype), tuple(item["sample"].shape)) for item in items}
        if len(forms) != 1:
            found = ", ".join(f"{dtype} {shape}" for dtype, shape in sorted(forms)) or "no samples"
            raise DataError(f"batch: {found}: expected samples of one size and dtype")
        stacked: Item = default_collate(items)
        return beside(stacked, samples)

    def anomaly(self, sample: Any, key: str, epoch: int = 0) -> Anomaly | Untouched:
        """Return the `Anomaly` with all that is known about it, or the `Untouched` sample."""
        if not isinstance(key, str):
            raise ParameterError(f"`key`: {key!r}: must be a text\nhint: such as the path relative to the root")
        try:
            own = self._family.sample_of(sample)
        except DataError as error:
            raise DataError(f"sample `{key}`: {error}") from None
        return self.drawn(own, key, epoch)

    def drawn(self, own: Any, key: str, epoch: int) -> Anomaly | Untouched:
        """Return what becomes of a `PointCloud` or an `Image`; the streams are those of the command line."""
        if stream(self.seed, "torch.probability", key, epoch=epoch).uniform() >= self.probability:
            return Untouched(own)
        generator = self.recipe
        if isinstance(generator, Recipe):
            generator = generator.draw(stream(self.seed, "recipe", key, epoch=epoch))
        narrowed = self.foreground(own) if self.of_images else own
        try:
            return generator(narrowed, stream(self.seed, generator.name, key, epoch=epoch))
        except NotMade as error:
            return Untouched(own, str(error), generator)

    @property
    def _family(self) -> Any:
        return images if self.of_images else clouds
