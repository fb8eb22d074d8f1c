"""Which real defects the heads of each recipe pass over, and pictures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._contest import Contest, Result, Scorer
from ._files import File
from ._samples import Judged

Pictures = dict[tuple[str, str], tuple[bytes, bytes]]


def missing(contest: Contest, results: Mapping[str, Result], recipes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return for each recipe what `missed.missed` says of it."""
    from .missed import missed

    names, kinds = [sample.name for sample in contest.samples], [sample.kind for sample in contest.samples]
    return {name: missed(names, kinds, results[name].whole.mean(axis=0)) for name in recipes}


def pictures(
    contest: Contest,
    heads: Mapping[str, Sequence[Scorer]],
    lost: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, File],
) -> Pictures:
    """Return for each sample that `lost` lists of a recipe its picture with the label, and that with the scores.

    Args:
        files: of the samples with real defects, by name.
    """
    found: Pictures = {}
    known = {sample.name: sample for sample in contest.samples if not sample.normal}
    for recipe, told in lost.items():
        listed = [known[one["name"]] for one in told["samples"] if one["name"] in files and one["name"] in known]
        if not listed:
            continue
        normal = [_map(heads[recipe], sample) for sample in contest.samples if sample.normal]
        scale = float(np.median([np.median(one) for one in normal])), float(max(one.max() for one in normal))
        for sample in listed:
            found[recipe, sample.name] = _drawn(sample, files[sample.name], _map(heads[recipe], sample), scale)
    return found


def _map(scorers: Sequence[Scorer], sample: Judged) -> Any:
    return np.mean([sample.expand(scorer(sample)) for scorer in scorers], axis=0)


def _drawn(sample: Judged, file: File, scores: Any, scale: tuple[float, float]) -> tuple[bytes, bytes]:
    from .missed import cloud_pictures, photo_pictures

    if len(sample.shape) == 1:
        from anosynth.io.clouds import read_cloud

        cloud = read_cloud(file.path)
        return cloud_pictures(cloud.points[cloud.valid], sample.truth, scores, scale)
    from anosynth.io.images import read_image

    return photo_pictures(read_image(file.path).colours, sample.truth, scores, scale)
