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
from anosynth.run.manifest import manifests, read_lines
from anosynth.run.sinks import refuse_others
from anosynth.run.sound import told

from .pairs import Found, Sample


def header_layout(root: Path) -> str | None:
    """Return the layout of a data set that anosynth made, None of any other.

    Raises:
        DataError: its manifest cannot be read, or it is none of photos.
    """
    if not any(root.glob("manifest*.jsonl")):
        return None
    path = manifests(root)[0]
    header = next(read_lines(path), {})
    if header.get("kind") != "header" or not isinstance(header.get("layout"), str):
        return None
    with told(path, 1):
        family = find_layout(header["layout"]).family
    if family != "images":
        raise DataError(f"{root}: {header['layout']}: expected a data set of photos, as `anosynth images` makes them")
    refuse_others(root, header)
    return str(header["layout"])


def made(root: Path, layout: str) -> Found:
    """Return what the manifests in `root` name.

    Raises:
        DataError: a record is not what `anosynth images` writes.
    """
    found = Found(root, layout, made=True)
    named: set[str] = set()
    normals: dict[str, str] = {}
    for path in manifests(root):
        lines = read_lines(path, finished=True)
        header = next(lines, {})
        with told(path, 1):
            found.sources = root / header["root"]
            if why := unusable(header["root"]):
                raise DataError(f"{path}: the manifest names the root `{printable(header['root'])}`, {why}")
        for number, record in enumerate(lines, 2):
            with told(path, number):
                if record["status"] in ("made", "copied"):
                    _add(found, record, named, normals)
    if found.sources is not None and not find_layout(layout).holds_out:
        # Such runs leave the normal photos where they are.
        for source, split in sorted(normals.items()):
            with told(root):
                if (found.sources / source).is_file():
                    where = (found.sources / source).resolve().as_posix()
                    found.samples.append(Sample(where, split, origin=source))
    for file in walk(root, SUFFIXES):
        name = file.as_posix()
        if name not in named and file.parts[0] != ASIDE:
            found.strays.append(name)
    return found


def _add(found: Found, record: dict[str, Any], named: set[str], normals: dict[str, str]) -> None:
    outputs = [(str(output["role"]), str(output["path"])) for output in record["outputs"]]
    for _, path in outputs:
        if link := leading_out(found.root, inner(path, found.root)):
            raise DataError(f"{found.root}: the manifest names `{path}`, which lies outside: `{link}` is a link")
        named.add(sys.intern(path))
    source = inner(record["source"]["path"], found.root, "the source ", " the root")
    split = sys.intern(str(record.get("split", "")))
    path = next((path for role, path in outputs if role == "sample"), "")
    if not path:
        raise DataError(f"{found.root}: {printable(source)}: the manifest names no file with the role `sample`")
    category = sys.intern(str(record.get("category", "")))
    if record["status"] == "copied":
        found.samples.append(Sample(path, split, "good", category, tuple(_of(outputs, "truth")), source))
        return
    kind = sys.intern(str(record["generator"]["generator"]))
    masks = tuple(_of(outputs, "labels"))
    normals[source] = split
    found.samples.append(Sample(path, split, kind, category, masks, source, len(record.get("instances", []))))


def _of(outputs: list[tuple[str, str]], role: str) -> Iterator[str]:
    return (path for name, path in outputs if name == role or name.startswith(f"{role}-"))
