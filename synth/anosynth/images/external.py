"""A function of the user's own, a diffusion model's for one, on a region that is drawn, blended and labelled here."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator

from anosynth.errors import Impossible, ParameterError
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._outline import Outline, outlined
from ._sample import Array, Image, Mask
from ._seats import oriented

_EXPECTED = "expected `package.module.name` of a function (image, mask, rng) -> image"


def _named(value: Any) -> Any:
    """Return the one written form of a function: `package.module.name`."""
    if callable(value):
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if not module or not name.isidentifier():
            raise ValueError(f"{_EXPECTED}, at the top of its module: a lambda or an inner one has no such name")
        if getattr(importlib.import_module(module), name, None) is not value:
            raise ValueError(f"{_EXPECTED}: `{module}.{name}` is something else")
        return f"{module}.{name}"
    if isinstance(value, str):
        text = value.strip().replace(":", ".", 1)
        if text and not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", text):
            raise ValueError(_EXPECTED)
        return text
    raise ValueError(_EXPECTED)


class External(ImageGenerator):
    """Region handed to a function of your own, such as a diffusion model's

    function(image, mask, rng) -> image gets a copy of all pixels, (H, W) or (H, W, C) in the dtype of the file and
    without opacity, the region (H, W) bool, and a `numpy.random.Generator` that depends on seed, image and variant
    alone; it returns all pixels in the same shape and dtype. What it changed outside of the region is dropped; inside,
    its pixels are laid over the image, with an edge that fades over `softness`. The mask is what visibly changed, as
    ever.

    The function is imported by its name, so it has to be importable where samples are made and made again; modules in
    the current folder are with PYTHONPATH=. set. In Python, `function` may be the function itself, at the top of its
    module. A recipe that names a function runs it: take it only from who may run code. Manifests run none, unless
    asked to.

    Ours; no model comes with it.
    """

    needs: ClassVar[tuple[str, ...]] = ("function",)
    calls: ClassVar[tuple[str, ...]] = ("function",)
    """Parameters that name what is run, which manifests may not say unasked."""

    function: Annotated[str, BeforeValidator(_named)] = param(
        "", help="`package.module.name` of (image, mask, rng) -> image"
    )
    area: Area = param(0.03, gt=0, le=0.5, vary=(0.005, 0.08), unit="of the image", help="area of the region")
    elongation: float = param(1.0, ge=1, le=20, vary=(1.0, 2.5), help="ratio of the longer to the shorter side")
    orientation: float = oriented("the longer side")
    outline: Outline = param("blob", vary="rectangle|ellipse|blob", help="shape of the region")
    softness: float = param(0.0, ge=0, le=1, help="share of the region's radius over which its edge fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        function = resolved(self.function)
        box, alpha = outlined(
            image,
            rng,
            free,
            outline=self.outline,
            area=self.area,
            aspect=self.elongation,
            softness=self.softness,
            orientation=self.orientation,
        )
        top, left, bottom, right = box
        region = np.zeros(image.shape, dtype=np.bool_)
        region[top:bottom, left:right] = alpha > 0
        draws = np.random.Generator(np.random.Philox(key=rng.child("function").key))
        try:
            made = function(image.pixels.copy(), region, draws)
        # Whatever a function of the user's raises is the user's to know, with its place and without our frames.
        except Exception as error:
            raise Impossible(f"{self.function}: {type(error).__name__}: {error}{_place(error)}") from error
        part = checked(made, image, self.function)[top:bottom, left:right].astype(np.float32)
        pixels = part.reshape(*alpha.shape, image.channels) / np.float32(image.white)
        return Edit(box, pixels, alpha)


def resolved(name: str) -> Callable[[Array, Mask, np.random.Generator], Any]:
    """Return the function `package.module.name`.

    Raises:
        ParameterError: no function is named.
        Impossible: its module cannot be imported or has none of that name.
    """
    if not name:
        raise ParameterError(f"`function`: none: {_EXPECTED}")
    module, _, attribute = name.rpartition(".")
    try:
        home = importlib.import_module(module)
    except Exception as error:  # importing runs the user's code
        raise Impossible(
            f"{name}: cannot be imported: {type(error).__name__}: {error}\n"
            "hint: PYTHONPATH=. lets modules in the current folder be found"
        ) from None
    function = getattr(home, attribute, None)
    if not callable(function):
        raise Impossible(f"{name}: `{module}` has no function `{attribute}`")
    return function  # type: ignore[no-any-return]


def checked(made: Any, image: Image, name: str) -> Array:
    """Return what a function made if it is an image like the one it got.

    Raises:
        Impossible: it has another shape or dtype, or pixels that are no numbers.
    """
    wanted = image.pixels
    if not isinstance(made, np.ndarray):
        raise Impossible(f"{name}: returned {type(made).__name__}: expected {wanted.dtype} {wanted.shape}")
    if made.shape != wanted.shape or made.dtype != wanted.dtype:
        raise Impossible(f"{name}: returned {made.dtype} {made.shape}: expected {wanted.dtype} {wanted.shape}")
    if made.dtype == np.float32 and not np.isfinite(made).all():
        raise Impossible(f"{name}: returned pixels that are not finite: expected numbers from 0 to 1")
    return made


def _place(error: BaseException) -> str:
    """Return where in the user's own file it happened, if anywhere."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
