"""What an export is, and how one is found and carried out."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from anosynth.errors import ParameterError, UnknownGenerator, WriteError, did_you_mean

if TYPE_CHECKING:
    from ._run import Entry, Run


@dataclass(frozen=True)
class Settings:
    """What a user may choose; each export says in `options` which of these it heeds.

    Attributes:
        link: hard links to the images of the run instead of copies, where the file system can.
        shard_size: samples in a tar, >= 1.
        license: of the source images, which what is made of them inherits.
        creator: who publishes the data set; `url` where, `published` when (YYYY-MM-DD). A run knows none of them.
    """

    link: bool = False
    shard_size: int = 1000
    license: str = "unknown"
    creator: str = ""
    url: str = ""
    published: str = ""


@dataclass
class Outcome:
    """What an export wrote: numbers of images by (split, "good" or "defective"), of defects, and what was lost."""

    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    instances: int = 0
    left_out: int = 0
    holes_lost: int = 0
    warnings: list[str] = field(default_factory=list)

    def count(self, entry: Entry, instances: int) -> None:
        self.images[entry.split, entry.label] += 1
        self.instances += instances

    def total(self, *, split: str = "", label: str = "") -> int:
        """Return the number of images of a split, of a label, of both, or of all."""
        return sum(n for (s, k), n in self.images.items() if split in ("", s) and label in ("", k))

    def record(self) -> dict[str, Any]:
        """Return it as JSON types."""
        splits = sorted({split for split, _ in self.images})
        return {
            "images": self.total(),
            "good": self.total(label="good"),
            "defective": self.total(label="defective"),
            "instances": self.instances,
            "splits": {split: self.total(split=split) for split in splits},
            "left_out": self.left_out,
            "holes_lost": self.holes_lost,
            "warnings": self.warnings,
        }


class Export:
    """Base of exports; instances hold nothing."""

    name: ClassVar[str] = ""
    options: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields of `Settings` that matter to it."""
    files: ClassVar[tuple[str, ...]] = ()
    """Where it writes nothing but these files, beside whatever is there; empty if it writes a folder of its own."""

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        """Write everything below `folder`; the caller puts it in its place.

        Raises:
            DataError: a file of the run is missing, damaged, or cannot be expressed in this form.
            WriteError: the disk refuses.
        """
        raise NotImplementedError


def export(
    name: str,
    out: Path,
    dest: Path,
    *,
    settings: Settings | None = None,
    root: Path | None = None,
    overwrite: bool = False,
) -> Outcome:
    """Export the finished run in `out` to the folder `dest`, which appears whole or stays as it was.

    Equal runs give equal bytes, however many shards or workers they had.

    Args:
        name: one of `export_names()`.
        dest: a folder that is empty, or an earlier export of this form (which is replaced), or any with `overwrite`.
        settings: what the form leaves to choose.
        root: where the sources are now; where the manifest says by default.

    Raises:
        UnknownGenerator: there is no such export.
        ParameterError: a setting was changed that the form has no use for.
        DataError: `out` is not a finished run of photos, or a file of it is missing or not what was written.
        WriteError: `dest` holds other files, or cannot be written to.
    """
    from ._dest import beside, staged
    from ._run import open_run

    form, settings = find_export(name), settings or Settings()
    _check_settings(form, settings)
    with open_run(out, root) as run:
        _check_place(form, run, dest)
        if form.files:
            with beside(dest, form.name, form.files, overwrite=overwrite) as folder:
                return form.write(run, folder, settings)
        with staged(dest, form.name, overwrite=overwrite) as folder:
            return form.write(run, folder, settings)


def export_names() -> list[str]:
    """Return the names of the exports, sorted, without importing any."""
    package = importlib.import_module("anosynth.export")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def find_export(name: str) -> Export:
    """Return the export of that name.

    Raises:
        UnknownGenerator: there is none.
    """
    if name not in export_names():
        raise UnknownGenerator(f"no export `{name}`{did_you_mean(name, export_names())}")
    module = importlib.import_module(f"anosynth.export.{name.replace('-', '_')}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Export) and value.name == name:
            return value()
    raise UnknownGenerator(f"module `{module.__name__}` holds no export `{name}`")


def _check_settings(form: Export, settings: Settings) -> None:
    if settings.shard_size < 1:
        raise ParameterError(f"--shard-size: {settings.shard_size}: must be >= 1")
    if settings.published and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", settings.published):
        raise ParameterError(f"--published: {settings.published}: expected a date such as 2026-03-31")
    plain = Settings()
    for name in vars(plain):
        if name not in form.options and getattr(settings, name) != getattr(plain, name):
            able = [other for other in export_names() if name in find_export(other).options]
            option = f"--{name.replace('_', '-')}"
            raise ParameterError(f"{option}: {form.name}: expected an export that heeds it: {', '.join(able)}")


def _check_place(form: Export, run: Run, dest: Path) -> None:
    target = dest.resolve()
    if form.files:
        return
    for folder, what in ((run.out.resolve(), "the run"), (run.root.resolve(), "the sources")):
        # What lies among the samples would be taken for samples by whoever reads or goes on with the run.
        if target == folder or folder in target.parents:
            raise WriteError(f"{dest}: lies in the folder of {what}\nhint: choose a folder of its own for DEST")
        if target in folder.parents:
            raise WriteError(f"{dest}: holds {what}\nhint: choose a folder of its own for DEST")
