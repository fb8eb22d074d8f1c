"""Licence-free toy data made on the spot: parts, scans and depth maps to try everything with.

A kind is a name in `MAKERS`; to add one is to add an entry there.
"""

from __future__ import annotations

import filecmp
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anosynth.errors import ParameterError, UnknownGenerator, WriteError, did_you_mean

_TABLES = frozenset([".csv", ".json"])
"""Suffixes of what lists the files of a data set, and grows with it."""

Maker = Callable[[Path, int, int, int], "list[Path]"]
"""Writes files under a folder that exists, from (folder, seed, count, points); returns their paths."""

SCAN_NOISE = 0.02
"""Standard deviation of a toy scan's noise, in mm."""

# Facets of a millimetre leave the curved parts less than half the noise from round.
_SCAN_FINE = 1.0


def make_toy(kind: str, out: str | Path, *, seed: int = 0, count: int = 4, points: int = 20_000) -> list[Path]:
    """Write toy data under the folder `out`, which is made if need be, and return the files' paths in sorted order.

    Part kinds give `<kind>_000.ply` ... (scans in mm with normals and intensity, each of a part with its own
    dimensions) and `<kind>_nominal.stl`; `depth-map` gives `depth_000.tiff` with `depth_000_rgb.png` .... A file
    depends on the seed and its own name alone: a greater `count` adds files and changes none but tables. Data sets have
    `count` normal training samples a category, and half as many of each sort of test samples, with ground truth. No
    other file is overwritten: all are made before the first takes its place.

    Args:
        kind: one of `KINDS`.
        out: the folder.
        seed: 0 is a seed like any other.
        count: samples of each kind, >= 1.
        points: points of each scan, >= 1; depth maps and photos have their own grid.

    Raises:
        UnknownGenerator: there is no such kind.
        ParameterError: `count` or `points` is less than 1.
        WriteError: a file cannot be written, or one of its name with other bytes is there.
    """
    if kind not in MAKERS:
        raise UnknownGenerator(f"no toy `{kind}`{did_you_mean(kind, MAKERS)}")
    for name, value in [("count", count), ("points", points)]:
        if value < 1:
            raise ParameterError(f"{name}: {value}: expected at least 1")
    folder = Path(out)
    with _stage(folder) as stage:
        made = sorted(path.relative_to(stage) for path in MAKERS[kind][1](stage, seed, count, points))
        for path in made:
            if path.suffix not in _TABLES and _differs(folder / path, stage / path):
                raise WriteError(
                    f"{folder / path}: is there already, and is another file\nhint: choose a folder of its own for toys"
                )
        for path in made:
            try:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (stage / path).replace(folder / path)
            except OSError as error:
                raise WriteError(f"{folder / path}: cannot be written to: {error.strerror}") from error
    return [folder / path for path in made]


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """Yield an empty folder in `folder`, which is made if need be; what is left in it at the end is gone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = tempfile.TemporaryDirectory(prefix=".anosynth-toy-", dir=folder)
    except OSError as error:
        raise WriteError(f"out: {folder}: expected a folder or a place for one: {error.strerror}") from error
    with stage as path:
        yield Path(path)


def _differs(there: Path, made: Path) -> bool:
    return there.is_file() and not filecmp.cmp(there, made, shallow=False)


def _part(name: str) -> Maker:
    def make(folder: Path, seed: int, count: int, points: int) -> list[Path]:
        from anosynth.io.clouds import write_cloud
        from anosynth.seeding import stream
        from anosynth.toy.clouds import scan
        from anosynth.toy.meshes import PARTS

        nominal = folder / f"{name}_nominal.stl"
        write_cloud(nominal, PARTS[name](seed, variation=0.0))
        written = [nominal]
        for index in range(count):
            path = folder / f"{name}_{index:03d}.ply"
            rng = stream(seed, "toy", path.name)
            mesh = PARTS[name](rng.child("mesh"), fine=_SCAN_FINE)
            write_cloud(path, scan(mesh, points, rng.child("scan"), noise=SCAN_NOISE))
            written.append(path)
        return written

    return make


def _depth(folder: Path, seed: int, count: int, points: int) -> list[Path]:
    from PIL import Image

    from anosynth.io.atomic import atomic_write
    from anosynth.io.clouds import write_cloud
    from anosynth.seeding import stream
    from anosynth.toy.depth import depth_map

    written = []
    for index in range(count):
        path, picture_path = folder / f"depth_{index:03d}.tiff", folder / f"depth_{index:03d}_rgb.png"
        cloud, picture = depth_map(stream(seed, "toy", path.name))
        write_cloud(path, cloud)
        with atomic_write(picture_path) as file:
            Image.fromarray(picture).save(file, format="PNG")
        written += [path, picture_path]
    return written


def _parts(folder: Path, seed: int, count: int, points: int) -> list[Path]:
    return [path for name in _PARTS for path in _part(name)(folder, seed, count, points)]


def _layout(name: str) -> Maker:
    def make(folder: Path, seed: int, count: int, points: int) -> list[Path]:
        from anosynth.toy.layouts import make_layout

        return make_layout(name, folder, seed=seed, count=count, points=points)

    return make


def _photos(name: str) -> Maker:
    def make(folder: Path, seed: int, count: int, points: int) -> list[Path]:
        from anosynth.toy.photo_sets import make_photos

        return make_photos(name, folder, seed=seed, count=count)

    return make


_PARTS = {
    "plate": "flange plate with four bores and a centre bore, 100 x 60 x 8 mm",
    "shaft": "turned shaft with steps, groove and chamfers, 120 mm long",
    "gear": "spur gear with 18 teeth and a bore, 40 mm across",
    "bracket": "L bracket bent from 5 mm sheet, two bores",
    "shell": "doubly curved thin shell, 2 mm thick",
    "torus": "ring of round section, 108 mm across",
}

_LAYOUTS = {
    "mvtec3d": "data set in the layout of MVTec 3D-AD: organised maps of cookies with pictures",
    "real3d": "data set in the layout of Real3D-AD: scans of brackets and rings",
    "anomaly-shapenet": "data set in the layout of Anomaly-ShapeNet: scans of brackets and rings",
    "mulsen": "data set in the layout of MulSen-AD: meshes of brackets and rings with pictures",
    "minishift": "data set in the layout of MiniShift: scans of brackets and rings, three levels of defects",
}

_PHOTO_SETS = {
    "washer": "photos of brushed washers: good ones, and defective ones with masks",
    "fabric": "photos of a twill: good ones, and defective ones with masks",
    "tablet": "photos of speckled tablets: good ones, and defective ones with masks",
    "mvtec": "data set in the layout of MVTec AD: photos of washers, fabric and tablets",
    "mvtec-loco": "data set in the layout of MVTec LOCO AD: photos of tablets and washers, some with a part too many",
    "mpdd": "data set in the layout of MPDD: the photos of `mvtec`",
    "visa": "data set in the layout of VisA: photos of washers, fabric and tablets as JPEG",
    "btad": "data set in the layout of BTAD: photos of washers, fabric and tablets as BMP and PNG",
    "real-iad": "data set in the layout of Real-IAD: tablets and washers, five views each, as JPEG",
}

MAKERS: dict[str, tuple[str, Maker]] = {
    **{name: (text, _part(name)) for name, text in _PARTS.items()},
    "depth-map": ("organised XYZ map with its picture: a cookie on a table, in metres", _depth),
    "parts": ("all of the parts: " + ", ".join(_PARTS), _parts),
    **{name: (text, _layout(name)) for name, text in _LAYOUTS.items()},
    **{name: (text, _photos(name)) for name, text in _PHOTO_SETS.items()},
}
"""Every kind by name: a line about it, and what makes it."""

KINDS: dict[str, str] = {name: text for name, (text, _) in MAKERS.items()}
"""Every kind's line by name."""
