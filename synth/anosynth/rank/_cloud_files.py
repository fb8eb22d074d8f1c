"""Which clouds are normal, which show real defects, and where their labels are, by names alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anosynth.audit.pairs import GOOD as GOOD_NAMES
from anosynth.datasets.folder import SUFFIXES
from anosynth.datasets.layout import Layout, find_layout, layout_names, walk
from anosynth.errors import DataError, UnknownGenerator, did_you_mean

from ._files import File, kind_by_folder
from ._samples import GOOD

_MESHES = frozenset([".glb", ".obj", ".off", ".stl"])
_TABLES = frozenset([".asc", ".csv", ".png", ".txt", ".xyz"])
_LABELS = frozenset(["ground_truth", "gt", "labels", "masks"])
"""Names of folders, in lower case, that hold labels."""


def good(root: Path) -> list[File]:
    """Return the normal clouds under `root`: of a data set those to train on, else all.

    Raises:
        DataError: there are none.
    """
    known = data_set(root)
    if known is None:
        known = [(File(root / path, path.as_posix()), "train") for path in _clouds(root)]
    training = [file for file, split in known if split == "train" and file.kind == GOOD]
    if not training:
        raise DataError(f"{root}: holds no normal samples")
    return _alike(training)


def real(root: Path, layout: str, masks: Path | None) -> list[File]:
    """Return the clouds to judge on under `root`; see `_files.real_files`."""
    known = data_set(root, layout) if masks is None else None
    if known is not None:
        return _alike([file for file, split in known if split != "train" or file.kind != GOOD])
    clouds, files = _clouds(root), []
    tables = _tables(root if masks is None else masks, apart=masks is not None)
    for path in clouds:
        normal = GOOD_NAMES.intersection(part.lower() for part in path.parts[:-1])
        beside = (root / path).with_name(f"{path.name}.labels.txt")
        own = beside if beside.is_file() else _table_of(path, tables)
        kind = GOOD if normal else kind_by_folder(path)
        files.append(File(root / path, path.as_posix(), kind, () if own is None else (own,)))
    if masks is not None and not any(file.masks for file in files):
        raise DataError(f"{masks}: no table is called as one of the {len(files)} clouds of {root}")
    return _alike(files)


def data_set(root: Path, layout: str = "") -> list[tuple[File, str]] | None:
    """Return the samples of a data set of clouds with their splits; None if `root` is in no layout that is known.

    The folder of a single category counts as well as that of all.

    Raises:
        UnknownGenerator: there is no such layout of clouds.
        DataError: what lies there does not fit the layout that was asked for.
    """
    layouts = [one for name in layout_names() if (one := find_layout(name)).family == "pointclouds"]
    if layout and layout not in [one.name for one in layouts]:
        names = [one.name for one in layouts]
        raise UnknownGenerator(f"no layout of point clouds `{layout}`{did_you_mean(layout, names)}")
    first: DataError | None = None
    for one in layouts:
        if layout in ("", one.name):
            for base in _bases(root):
                try:
                    if found := _samples(one, base, root):
                        return found
                except DataError as error:
                    first = first or error
    if layout and first is not None:
        raise first
    return None


def _bases(root: Path) -> list[Path]:
    """Return the folders that may be the data set's own, if `root` is one or one of its categories."""
    above = root.resolve().parent
    # No one's home is searched: what stands beside a category is categories.
    if _category(root) and all(_category(path) for path in above.iterdir() if path.is_dir() and path.name[0] != "."):
        return [root, above.parent if above.name == "pcd" else above]
    return [root]


def _category(folder: Path) -> bool:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return {"train", "test"} <= names or "Pointcloud" in names


def _samples(layout: Layout, base: Path, root: Path) -> list[tuple[File, str]]:
    found, within = [], root.resolve()
    for one in layout.samples(base):
        path = base / one.path
        if base == root or within in path.parents:
            name = one.path.as_posix() if base == root else path.relative_to(within).as_posix()
            truth = () if one.truth is None else (base / one.truth,)
            at = path if base == root else root / name
            found.append((File(at, name, one.kind, truth, problem=one.problem), one.split))
    return found


def _clouds(root: Path) -> list[Path]:
    """Return the clouds under `root` that are no labels of others, relative to it."""
    return [
        path
        for path in walk(root, SUFFIXES)
        # Tables of labels lie beside clouds of formats that cannot hold them.
        if not path.name.endswith((".labels.txt", ".removed.txt"))
        and not _LABELS.intersection(part.lower() for part in path.parts[:-1])
    ]


def _tables(root: Path, *, apart: bool) -> dict[str, list[Path]]:
    """Return files of labels by the ends of their paths without suffix, "b" and "a/b" for `a/b.txt`."""
    found: dict[str, list[Path]] = {}
    for path in walk(root, _TABLES):
        if apart or _LABELS.intersection(part.lower() for part in path.parts[:-1]):
            for name in _ends(path):
                found.setdefault(name, []).append(root / path)
    return found


def _table_of(path: Path, tables: dict[str, list[Path]]) -> Path | None:
    for name in _ends(path):
        if len(tables.get(name, [])) == 1:
            return tables[name][0]
    return None


def _ends(path: Path) -> list[str]:
    return ["/".join((*path.parts[:-1], path.stem)[-count:]) for count in (2, 1) if count <= len(path.parts)]


def _alike(files: Sequence[File]) -> list[File]:
    """Return the files, sorted; meshes among scans cannot be used, as the nominal shape of a part."""
    meshes = [file for file in files if file.path.suffix.lower() in _MESHES]
    if 0 < len(meshes) < len(files):
        odd = "a mesh among scans: its corners lie unlike the points of a scan"
        files = [replace(file, problem=odd) if file in meshes else file for file in files]
    return sorted(files, key=lambda file: file.name)
