"""The transform without a key, for pipelines that hand over nothing but images."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.images import Image

from . import images
from ._items import Epoch, Item, beside, item_of
from ._synthesize import Drawable, Synthesize


class Transform:
    """A transform among others of an image pipeline: the pixels themselves are the key.

    What comes out is a pure function of (seed, epoch, pixels): neither worker nor order nor batch matter, and no
    random state is needed. One and the same image gets one and the same anomaly in an epoch, however often it comes;
    call `set_epoch` for others. Cut or turned otherwise it is another image: put this after all geometry whose result
    shall be seen, and before any normalisation, since floats are expected from 0 to 1.

    The image comes out as it came in: array (H, W[, C]), tensor ([C, ]H, W), PIL image (grey, RGB or with opacity, as
    files are read), `tv_tensors.Image` or `Image`; the labels as tensors (1, H, W) and () int64, beside arrays and
    `Image` as arrays (H, W) and int.

    - `transform(image)` returns (image, mask, label).
    - `transform(image, target, ...)` or `transform((image, target, ...))` returns (image, target, ..., mask, label).
    - `transform({"image": image, ...})` or `transform(image=image, ...)` returns a dict of all that came in with
      `image` in its new form and `mask`, `label`, `effect`, `instances` and `generator` as in `Synthesize`. A `mask`
      that came in is that of real defects, 0 where there is none: they keep their pixels, and the mask that comes out
      has both, as 0 and 1 in the dtype of the one that came in. A `label` that came in must be 0 or 1, and 1 stays.

    With torchvision, labels of PIL images and of `tv_tensors.Image` are `tv_tensors.Mask`, so that its later
    transforms move them along. It is never imported here.

    Args:
        recipe, seed, probability, foreground: see `Synthesize`; a recipe of images.
        epoch: the first epoch, >= 0.

    Raises:
        ParameterError: a value is out of range, or the recipe is not one of images.
    """

    def __init__(
        self,
        recipe: Drawable,
        *,
        seed: int = 0,
        probability: float = 0.5,
        foreground: str | images.Found = "none",
        epoch: int = 0,
    ) -> None:
        self.synthesize = Synthesize(recipe, seed=seed, probability=probability, foreground=foreground)
        if not self.synthesize.of_images:
            raise ParameterError("`recipe`: of point clouds: must be one of images")
        self._epoch = Epoch(epoch)

    @property
    def epoch(self) -> int:
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Draw other anomalies from now on, here and in workers that run already; call it between two epochs.

        Raises:
            ParameterError: `epoch` is negative.
        """
        self._epoch.set(epoch)

    def __call__(self, *inputs: Any, **entries: Any) -> Any:
        """Return the structure that came in, changed and with its labels: see the class.

        Raises:
            TypeError: there is no image, or it is given both ways.
            DataError: the image is of another kind or the mask of another size, whatever the draw says.
        """
        if bool(inputs) == bool(entries):
            raise TypeError("expected an image, a structure that begins with one, or `image=`")
        if entries or (len(inputs) == 1 and isinstance(inputs[0], Mapping)):
            sample = dict(entries or inputs[0])
            if "image" not in sample:
                raise TypeError(f"expected an entry `image`, got {', '.join(map(str, sample)) or 'none'}")
            return {**sample, **self._labelled(sample["image"], sample.get("mask"), sample.get("label"))}
        parts: Any = inputs[0] if len(inputs) == 1 else inputs
        image, *rest = parts if isinstance(parts, (tuple, list)) and parts else (parts,)
        made = self._labelled(image)
        out = [made["image"], *rest, made["mask"], made["label"]]
        return out if isinstance(parts, list) else tuple(out)

    def _labelled(self, image: Any, mask: Any = None, label: Any = None) -> Item:
        try:
            own = images.sample_of(image)
            real = None if mask is None else _real(mask, own.shape)
            known = _known(label)
        except DataError as error:
            raise DataError(f"image: {error}") from None
        # A defect over a real one could mend it, and its mask would be wrong.
        free = own if real is None else images.within(own, real == 0)
        found = self.synthesize.drawn(free, images.digest(own), self.epoch)
        item = beside(item_of(found, images), image)
        if real is not None:
            both = (real != 0) | item["mask"][0].cpu().numpy()
            item["mask"] = torch.from_numpy(both.astype(real.dtype)[None]).to(item["mask"].device)
        item["label"] |= known
        return _as_came(image, item)


def _real(mask: Any, shape: tuple[int, int]) -> NDArray[Any]:
    """Return a mask of any form as (H, W)."""
    values = np.asarray(mask.detach().cpu() if isinstance(mask, torch.Tensor) else mask)
    if values.shape == (1, *shape):
        values = values[0]
    elif values.shape == (*shape, 1):
        values = values[:, :, 0]
    if values.shape != shape or values.dtype.kind not in "buif":
        raise DataError(f"its mask {values.dtype} {values.shape}: expected numbers of {shape[0]} x {shape[1]} pixels")
    return values


def _known(label: Any) -> int:
    """Return the label of an image as 0 or 1."""
    number = np.asarray(0 if label is None else label.cpu() if isinstance(label, torch.Tensor) else label)
    if number.size == 1 and number.item() in (0, 1):
        return int(number.item())
    raise DataError(f"its label {label!r}: expected 0 or 1, normal or anomalous\nhint: give a class another name")


def _as_came(image: Any, item: Item) -> Item:
    """Return an item with its sample as `image`, in the form of what came in, and labels in the form beside it."""
    made: torch.Tensor = item.pop("sample")
    if isinstance(image, torch.Tensor):
        out: Any = made.reshape(image.shape)
    elif isinstance(image, (np.ndarray, Image)):
        pixels = _pixels(made)
        for name in ("mask", "effect", "instances"):
            item[name] = item[name][0].numpy()
        item["label"] = int(item["label"])
        if isinstance(image, np.ndarray):
            out = pixels.reshape(image.shape)
        else:
            out = replace(image, pixels=pixels.reshape(image.pixels.shape))
    else:
        from PIL import Image as Pillow

        out = Pillow.fromarray(_pixels(made))
    vision: Any = sys.modules.get("torchvision.tv_tensors")
    typed = vision is not None and isinstance(image, vision.Image)
    if typed or (vision is not None and images.is_pillow(image)):
        out = vision.wrap(out, like=image) if typed else out
        item.update({name: vision.Mask(item[name]) for name in ("mask", "effect", "instances")})
    return {"image": out, **item}


def _pixels(made: torch.Tensor) -> NDArray[Any]:
    pixels: NDArray[Any] = made.numpy()
    return pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
