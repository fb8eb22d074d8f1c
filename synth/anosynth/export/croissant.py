"""Croissant 1.1: a description of the run that catalogues of data sets read."""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth._version import __version__
from anosynth.errors import DataError
from anosynth.run.sinks import refuse_others

from ._base import Export, Outcome, Settings
from ._card import LIMITS, WARNING, Facts, licence_id
from ._croissant import CONTEXT, field, file_object, file_set, image_records
from ._run import Entry, Run
from ._text import defect_of

_TABLE = "croissant-samples.csv"
_TYPES = {"instances": "sc:Integer", "area": "sc:Float"}
_COLUMNS = (
    "id",
    "split",
    "label",
    "defect",
    "category",
    "instances",
    "area",
    "image",
    "image_sha256",
    "mask",
    "mask_sha256",
)
_MOST = 200
"""Patterns; layouts with a folder for each image get the folders above instead."""
_KNOWN = {
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "cc-by-nc-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "cc-by-nc-sa-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}


class Croissant(Export):
    """`croissant.json` and `croissant-samples.csv`, which lists every sample with the SHA-256 of its files.

    Croissant finds the files of a data set by patterns below its own folder, so DEST is OUT itself or a folder that it
    lies in, and the samples must be files. Good images of plain photos, which the run did not copy, are no part of it.
    """

    name: ClassVar[str] = "croissant"
    options: ClassVar[frozenset[str]] = frozenset(["license", "creator", "url", "published"])
    files: ClassVar[tuple[str, ...]] = (_TABLE, "croissant.json")

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        refuse_others(run.out, run.shards[0].sink)
        outcome, facts = Outcome(), Facts()
        home = folder.parent.resolve()
        prefix = PurePosixPath(Path(os.path.relpath(run.out.resolve(), home)).as_posix())
        if ".." in prefix.parts:
            raise DataError(f"{run.out}: not below DEST: expected DEST to be OUT or a folder that holds it")
        places: dict[str, set[str]] = {"sample": set(), "labels": set()}
        with (folder / _TABLE).open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            rows.writeheader()
            for entry in run.entries():
                facts.add(entry)
                if not entry.defective and not run.layout.holds_out:
                    outcome.left_out += 1
                    continue
                rows.writerow(_row(entry, prefix, places))
                outcome.count(entry, len(entry.defects))
        if outcome.left_out:
            outcome.warnings.append(
                f"{outcome.left_out} good images are not in OUT, so they are not described; imagefolder copies them"
            )
        unsaid = [f"--{name}" for name in ("creator", "url", "published") if not getattr(settings, name)]
        if unsaid:
            outcome.warnings.append(f"Croissant wants to know more than a run can say: {', '.join(unsaid)}")
        with (folder / "croissant.json").open("w", encoding="utf-8") as file:
            json.dump(_description(run, facts, settings, folder, prefix, places), file, indent=1, allow_nan=False)
            file.write("\n")
        return outcome


def _row(entry: Entry, prefix: PurePosixPath, places: dict[str, set[str]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": entry.name,
        "split": entry.split,
        "label": entry.label,
        "defect": defect_of(entry),
        "category": entry.category,
        "instances": len(entry.defects),
        "area": float(entry.record["mask"]["area"]) if entry.defective else 0.0,
    }
    for role, name in (("sample", "image"), ("labels", "mask")):
        output = next((output for output in entry.record["outputs"] if output["role"] == role), None)
        path = (prefix / output["path"]).as_posix() if output else ""
        row |= {name: path.encode("utf-8", "replace").decode(), f"{name}_sha256": output["sha256"] if output else ""}
        if output:
            places[role].add(PurePosixPath(path).parent.as_posix() + "/*" + PurePosixPath(path).suffix)
            if len(places[role]) > _MOST:
                places[role] = {_raised(place, len(prefix.parts) + 2) for place in places[role]}
    return row


def _raised(place: str, least: int) -> str:
    """Return the pattern of the folder above, unless that has fewer than `least` parts."""
    head, _, tail = place.rpartition("/*")
    parts = PurePosixPath(head).parts
    return f"{'/'.join(parts[: max(least, len(parts) - 1)])}/*{tail}"


def _description(
    run: Run, facts: Facts, settings: Settings, folder: Path, prefix: PurePosixPath, places: Mapping[str, set[str]]
) -> dict[str, Any]:
    manifests = [
        file_object(
            path.name, (prefix / path.name).as_posix(), path, "application/jsonlines", "One line for each sample"
        )
        for path in (shard.path for shard in run.shards)
    ]
    table = file_object(
        "samples-table", _TABLE, folder / _TABLE, "text/csv", "Every sample and the SHA-256 of its files"
    )
    images = file_set("image-files", _globs(places["sample"]), "Images, good and defective")
    masks = (
        [file_set("mask-files", _globs(places["labels"]), "Masks of the defective images")] if places["labels"] else []
    )
    header = run.header
    seeds = ", ".join(map(str, sorted(facts.seeds)))
    how = (
        f"anosynth {header['anosynth']}, scheme {header['scheme']}, seed {seeds}, layout {run.layout.name}, "
        f"recipe {json.dumps(header['recipe'], sort_keys=True)}"
    )
    about: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "images-with-synthetic-defects",
        "description": f"Images with synthetic defects and exact masks. {WARNING} Written by anosynth export.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": _KNOWN.get(licence_id(settings.license), settings.license),
        "keywords": ["anomaly detection", "synthetic", "defects", "anosynth"],
        "version": __version__,
        **({"url": settings.url} if settings.url else {}),
        **({"creator": {"@type": "sc:Organization", "name": settings.creator}} if settings.creator else {}),
        **({"datePublished": settings.published} if settings.published else {}),
        "rai:dataCollection": f"Computed, not photographed, from normal images ({header['fingerprint']}).",
        "rai:dataCollectionType": ["Synthetic data generation"],
        "rai:dataManipulationProtocol": how,
        "rai:dataAnnotationProtocol": ["A mask is the set of pixels that a defect changed by more than a floor."],
        "rai:machineAnnotationTools": [f"anosynth {header['anosynth']}"],
        "rai:dataUseCases": ["Training and threshold setting of defect detectors where defects are rare."],
        "rai:dataLimitations": [WARNING, *LIMITS],
        "rai:dataBiases": [
            f"Licence: the source images are under {settings.license}; what is made of them inherits it."
        ],
        "distribution": [*manifests, table, images, *masks],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "key": {"@id": "samples/id"},
                "field": [field("samples", name, _TYPES.get(name, "sc:Text"), "samples-table") for name in _COLUMNS],
            },
            image_records(prefix),
        ],
    }
    return about


def _globs(places: set[str]) -> list[str]:
    """Return patterns for the files in these folders, without those that another covers: `*` also stands for `/`."""
    found: list[str] = []
    for place in sorted(places):
        head, _, tail = place.rpartition("/*")
        pattern = f"{glob.escape(head)}/*{tail}" if head != "." else f"*{tail}"
        above = [f"{glob.escape(str(parent))}/*{tail}" for parent in PurePosixPath(head).parents]
        if not any(other in found for other in above):
            found.append(pattern)
    return found
