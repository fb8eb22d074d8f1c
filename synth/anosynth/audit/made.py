"""Data sets of anosynth's own: their manifest says what belongs together, and what each sample was made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anosynth.datasets.layout import find_layout, walk
from anosynth.datasets.truth import ASIDE
from anosynth.errors import DataError
from anosynth.io.images import SUFFIXES
from anosynth.io.inner import inner, leading_out, printable, unusable
from anosynth.run.manifest import is_manifest, manifests, read_lines
from anosynth.run.shards import Shard
from anosynth.run.sound import told

from .pairs import Found, Sample


def header_layout(root: Path) -> str | None:
    """Return the layout of a data set that anosynth made, None of any other.

    Raises:
        DataError: its manifest cannot be read, or it is none of photos.
    """
    if not any(is_manifest(path.name) for path in root.glob("manifest*.jsonl")):
        return None
    path = manifests(root)[0]
    header = next(read_lines(path), {})
    if header.get("kind") != "header" or not isinstance(header.get("layout"), str):
        return None
    with told(path, 1):
        family = find_layout(header["layout"]).family
    if family != "images":
        raise DataError(f"{root}: {header['layout']}: expected a data set of photos, as `anosynth images` makes them")
    return str(header["layout"])


def made(root: Path, layout: str) -> Found:
    """Return what the manifests in `root` name.

    Raises:
        DataError: a record is not what `anosynth images` writes, or a sample is made by a function that it names.
    """
    found = Found(root, layout, made=True)
    named: set[str] = set()
    normals: dict[str, str] = {}
    for path in manifests(root):
        shard = _shard(path)
        found.sources = shard.home
        if isinstance(largest := shard.header.get("max_pixels"), int):
            found.largest = largest
        plain = shard.sink.name == "files"
        if not plain:
            found.shards.append(shard)
        for number, (start, record) in enumerate(shard.lines(), 2):
            with told(path, number):
                if record["status"] not in ("made", "copied"):
                    continue
                if not plain:
                    shard.allow(record, f"{path}: line {number}")
                named.update(map(sys.intern, shard.sink.paths(record)))
                sample = _sample(root, shard.sink.plain(record), (-1, 0) if plain else (len(found.shards) - 1, start))
                found.samples.append(sample)
                if record["status"] == "made":
                    normals[sample.origin] = sample.split
    if found.sources is not None and not find_layout(layout).holds_out:
        # Such runs leave the normal photos where they are.
        for source, split in sorted(normals.items()):
            with told(root):
                if (found.sources / source).is_file():
                    where = (found.sources / source).resolve().as_posix()
                    found.samples.append(Sample(where, split, origin=source))
                else:
                    found.away[source] = split
    for file in walk(root, SUFFIXES):
        name = file.as_posix()
        if name not in named and file.parts[0] != ASIDE:
            found.strays.append(name)
    return found


def _shard(path: Path) -> Shard:
    header = next(read_lines(path, finished=True), {})
    with told(path, 1):
        if why := unusable(header["root"]):
            raise DataError(f"{path}: the manifest names the root `{printable(header['root'])}`, {why}")
        return Shard(path, header)


def _sample(root: Path, record: dict[str, Any], line: tuple[int, int]) -> Sample:
    """Return the sample of a record as the sink `files` has it; `line` is where it stands, see `Sample`."""
    outputs = [(str(output["role"]), str(output["path"])) for output in record["outputs"]]
    for _, path in outputs:
        if link := leading_out(root, inner(path, root)):
            raise DataError(f"{root}: the manifest names `{path}`, which lies outside: `{link}` is a link")
    source = inner(record["source"]["path"], root, "the source ", " the root")
    split = sys.intern(str(record.get("split", "")))
    path = next((path for role, path in outputs if role == "sample"), "")
    if not path:
        raise DataError(f"{root}: {printable(source)}: the manifest names no file with the role `sample`")
    category = sys.intern(str(record.get("category", "")))
    if record["status"] == "copied":
        return Sample(path, split, "good", category, tuple(_of(outputs, "truth")), source, 0, True, *line)
    kind = sys.intern(str(record["generator"]["generator"]))
    masks, number = tuple(_of(outputs, "labels")), len(record.get("instances", []))
    return Sample(path, split, kind, category, masks, source, number, True, *line)


def _of(outputs: list[tuple[str, str]], role: str) -> Iterator[str]:
    return (path for name, path in outputs if name == role or name.startswith(f"{role}-"))
