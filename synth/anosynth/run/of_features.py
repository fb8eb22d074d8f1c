"""What the run layer needs to know of features: a job is a whole file, whose samples are made one after the other.

The stream of sample i is the child ("sample", i) of the file's: its child "recipe" draws the generator, its child
"anomaly" the anomaly. So the line of a file, which names the mix, suffices for each sample; what was drawn for them is
a table beside it, because a line of a million samples would be no line.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anosynth.datasets.features import LABELS, MASKS, NORMAL, TABLES, FeaturesLayout
from anosynth.datasets.layout import Output
from anosynth.datasets.truth import placed
from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.features._base import template
from anosynth.generator import Anomaly, find
from anosynth.io.atomic import atomic_write
from anosynth.io.tensors import Stored, read_tensor, write_tensor
from anosynth.labels import Faith
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import Rng, stream

from ._fitting import begin, check, learned, learning
from ._maps import Maps
from .manifest import line

if TYPE_CHECKING:
    from anosynth.datasets.layout import Truth

    from .execute import Place
    from .plan import Job
    from .reading import FeatureReading

__all__ = ["begin", "check", "compare", "learning", "make_all", "mixed", "read", "reading"]


def reading(place: Place, key: str) -> tuple[Any, ...]:
    """Return what decides, beside the file, what is read."""
    return (place.reading.of_features,)


def read(path: Path, place: Place, key: str) -> Maps:
    """Return the samples of a source; of a photo, what the backbone makes of it when it is asked for."""
    return maps_of(path, place.reading.of_features)


def maps_of(path: Path, given: FeatureReading) -> Maps:
    """Return the samples of a file of features or, with a backbone, of a photo."""
    if given.backbone:
        return Maps(str(path), lambda: _of_photo(path, given), None, None)
    return Maps(str(path), lambda: read_tensor(path, given.key), given.channel_dim, given.grid)


def mixed(recipe: Recipe) -> dict[str, Any]:
    """Return the record of a mix that each sample draws from: of one generator flat, of several as a list of parts."""
    parts = [{"weight": weight, "version": vary.generator.version, **vary.record()} for weight, vary in recipe.parts]
    if len(parts) > 1:
        return {"generator": recipe.name, "family": recipe.family, "version": 1, "generators": parts}
    alone = {key: value for key, value in parts[0].items() if key != "weight"}
    return {**alone, "generator": parts[0]["generator"], "family": recipe.family}


def recipe_of(record: Mapping[str, Any]) -> Recipe:
    """Make of its record the mix that `mixed` was called on.

    Raises:
        ParameterError: a generator is of another version, whose bytes differ.
    """
    parts = []
    for part in record.get("generators", [record]):
        cls = find(record["family"], part["generator"])
        if part["version"] != cls.version:
            raise ParameterError(
                f"generator `{cls.name}`: version {part['version']}: this anosynth makes version {cls.version}\n"
                "hint: install the anosynth that the manifest's header names"
            )
        values = {key: value for key, value in part.items() if key in cls.model_fields}
        parts.append((part.get("weight", 1), Vary(cls, **values)))
    return Recipe(parts, name=str(record["generator"]))


def make_all(maps: Maps, job: Job, place: Place) -> tuple[list[Output], dict[str, Any]]:
    """Make and write all samples of a file, one at a time; return what was written, and what the line says of them.

    Raises:
        DataError: the file cannot be used, or none of its samples could be made; nothing is written then.
    """
    layout, out, target = place.layout, place.out, job.id
    assert isinstance(layout, FeaturesLayout)
    try:
        recipe = recipe_of(job.generator)
        modules = learned(place.reading.of_features, recipe)
        for index, module in modules.items():
            if why := template(recipe.parts[index][1]).misfit(module.state(), maps.channels, maps.cells):
                raise DataError(f"{maps.name}: {why}")
        stored = maps.stored
    except ImportError as error:
        raise DataError(str(error)) from None
    kind = Path(target).suffix.lstrip(".")
    paths = {folder: layout.beside(target, folder) for folder in (MASKS, LABELS)}
    table = layout.beside(target, TABLES, ".jsonl")
    seen, root = Tally(), stream(place.seed, job.generator["generator"], job.source.key, job.variant)
    with ExitStack() as files:
        write = files.enter_context(write_tensor(placed(out, target), stored.dtype, stored.shape, kind))
        masks = files.enter_context(write_tensor(placed(out, paths[MASKS]), "bool", maps.mask_shape))
        labels = files.enter_context(write_tensor(placed(out, paths[LABELS]), "bool", (len(maps),)))
        lines = files.enter_context(atomic_write(placed(out, table)))
        for i in range(len(maps)):
            before = maps.raw(i)
            anomaly, told = _made(maps, i, recipe, modules, root.child("sample", i))
            after = before if anomaly is None else maps.back(anomaly.sample.values)
            mask = np.zeros(maps.cells_shape, np.bool_) if anomaly is None else anomaly.mask.reshape(maps.cells_shape)
            seen.add(told, mask.size)
            for append, values in ((write, after), (masks, mask), (labels, np.array([anomaly is not None]))):
                append(values)
            lines.write(line({"sample": i, **told}))
        if not seen.made:
            raise DataError(f"{maps.name}: {seen.reason}")
        if place.reading.of_features.backbone:
            # What a network makes of a photo may differ in its last bits elsewhere; the labels refer to this.
            paths[NORMAL] = layout.beside(target, NORMAL, Path(target).suffix)
            normal = files.enter_context(write_tensor(placed(out, paths[NORMAL]), stored.dtype, stored.shape, kind))
            normal(stored.values)
    outputs = [Output("sample", target), *(Output(role, path) for role, path in paths.items()), Output(TABLES, table)]
    told = seen.told()
    return outputs, {**told, "stats": {**told["stats"], "read": str(maps)}}


def _made(maps: Maps, i: int, recipe: Recipe, modules: Mapping[int, Any], own: Rng) -> tuple[Anomaly | None, Any]:
    """Return the anomaly of one sample and its line of the table; None if it stays normal."""
    from anosynth.features import Features

    choice = own.child("recipe")
    index = choice.child("part").choice([weight for weight, _ in recipe.parts])
    generator = recipe.parts[index][1].draw(choice.child("values", index))
    sample = maps.sample(i)
    grid = maps.grid if len(maps.cells_shape) == 1 else None
    try:
        anomaly = generator(Features(sample, modules.get(index), grid=grid), own.child("anomaly"))
    except NotMade as error:
        return None, {"status": "skipped", "reason": str(error), "generator": generator.record()}
    lengths = anomaly.effect[anomaly.mask].astype(np.float64)
    return anomaly, {
        "status": "made",
        "generator": generator.record(),
        "mask": {"count": int(anomaly.mask.sum()), "area": anomaly.stats["area"]},
        "effect": {
            "min": float(lengths.min()),
            "max": float(lengths.max()),
            "mean_abs": float(lengths.mean()),
            "unit": None,
        },
        "stats": {key: value for key, value in anomaly.stats.items() if key != "area"},
    }


@dataclass
class Tally:
    """What the line of a file says of all its samples."""

    made: int = 0
    normal: int = 0
    labelled: int = 0
    cells: int = 0
    least: float = np.inf
    most: float = 0.0
    sum: float = 0.0
    reason: str = ""

    def add(self, told: Mapping[str, Any], cells: int) -> None:
        self.cells += cells
        if told["status"] == "skipped":
            self.normal += 1
            self.reason = self.reason or told["reason"]
            return
        count, effect = told["mask"]["count"], told["effect"]
        self.made += 1
        self.labelled += count
        self.least, self.most = min(self.least, effect["min"]), max(self.most, effect["max"])
        self.sum += effect["mean_abs"] * count

    def told(self) -> dict[str, Any]:
        stats: dict[str, Any] = {"samples": self.made + self.normal, "normal": self.normal}
        if self.normal:
            stats["reason"] = self.reason
        return {
            "mask": {"count": self.labelled, "area": self.labelled / self.cells},
            "effect": {"min": self.least, "max": self.most, "mean_abs": self.sum / self.labelled, "unit": None},
            "instances": [],
            "stats": stats,
        }


def compare(before: Maps, truth: Truth) -> Faith | str:
    """Compare masks and labels that were read back with what differs from the source, sample by sample."""
    written = truth.sample
    source = before if written.normal is None else before.instead(written.normal)
    after = source.instead(written.features)
    if after.stored.shape != source.stored.shape or after.stored.dtype != source.stored.dtype:
        own, given = after.stored, source.stored
        return f"{own.dtype} {own.shape}: does not fit the source's {given.dtype} {given.shape}"
    if truth.mask.shape != source.mask_shape or written.labels.shape != (len(source),):
        return f"masks {truth.mask.shape} and labels {written.labels.shape}: do not fit {source}"
    masks = truth.mask.reshape(len(source), *source.cells_shape)
    changes = labels = both = 0
    for i in range(len(source)):
        changed, mask = source.changed(source.raw(i), after.raw(i)), np.asarray(masks[i])
        if bool(written.labels[i]) != bool(mask.any()):
            return f"sample {i}: labelled {bool(written.labels[i])}, its mask says {bool(mask.any())}"
        changes, labels, both = (
            changes + int(changed.sum()),
            labels + int(mask.sum()),
            both + int((changed & mask).sum()),
        )
    return Faith(
        leak=(changes - both) / changes if changes else 0.0,
        dead=(labels - both) / labels if labels else 0.0,
        area=labels / masks.size,
    )


def _of_photo(path: Path, given: FeatureReading) -> Stored:
    """Return the features (C, H, W) of a photo."""
    try:
        from anosynth.features._torch import torch

        patches = network(given.backbone, given.layers, given.weights, given.dim)
    except ImportError as error:
        raise DataError(str(error)) from None
    from anosynth.io.images import read_image

    photo = read_image(path)
    pixels = photo.pixels.astype(np.float32) / np.float32(photo.white)
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    image = torch.from_numpy(np.ascontiguousarray(planes))[None]
    threads = torch.get_num_threads()
    # The last bits of a convolution depend on the number of threads, and a run must not depend on its workers.
    torch.set_num_threads(1)
    try:
        if given.size:
            side = (given.size, given.size)
            image = torch.nn.functional.interpolate(image, side, mode="bilinear", antialias=True).clamp(0, 1)
        values = patches(image)[0].numpy()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except RuntimeError as error:
        raise DataError(f"{path}: {tuple(image.shape[1:])}: {given.backbone} cannot take it: {error}") from None
    finally:
        torch.set_num_threads(threads)
    return Stored(values, "float32")


@functools.lru_cache(maxsize=1)
def network(name: str, layers: tuple[str, ...], weights: str, dim: int) -> Any:
    """Return what makes features of images; see `anosynth.features.backbone`."""
    from anosynth.features.backbone import Patches, backbone

    return Patches(backbone(name, layers=layers or None, weights=weights or None), target_dim=dim)
