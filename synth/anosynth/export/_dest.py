"""Where exports go: written aside, then put in place at once, so that a reader never sees half of one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from anosynth._version import __version__
from anosynth.errors import WriteError
from anosynth.io.atomic import atomic_write
from anosynth.io.inner import inside

MARK = ".anosynth-export.jsonl"
"""The file of an export that says what it is and lists its files; readers of data sets pass over hidden files."""


@contextmanager
def staged(dest: Path, form: str, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder; at the end of the block it takes the place of `dest`, or goes if that fails.

    Raises:
        WriteError: `dest` holds other files than an earlier export of this form and `overwrite` is not given,
            another export is writing there, or the disk refuses.
    """
    place = dest.resolve()
    aside, old = (place.with_name(f".{place.name}.anosynth-{end}") for end in ("export", "old"))
    whole = _check(dest, place, form, overwrite)
    with _held(aside, dest), _refusals(dest):
        if old.exists():
            shutil.rmtree(old)
        yield aside
        _sign(aside, form)
        _put(aside, place, old, whole)


@contextmanager
def beside(dest: Path, form: str, names: Sequence[str], *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder, of which the files `names` are moved to `dest`, the last of them last.

    Raises:
        WriteError: one of them is there and not made by this export, and `overwrite` is not given; or the disk refuses.
    """
    for name in names:
        if not overwrite and (dest / name).exists() and not _signed(dest / name):
            raise WriteError(
                f"{dest / name}: is there and not made by `anosynth export {form}`\nhint: --overwrite replaces it"
            )
    aside = dest / f".anosynth-{form}"
    with _held(aside, dest), _refusals(dest):
        yield aside
        for name in names:
            (aside / name).replace(dest / name)


SIGNATURES = (b"anosynth export", b"id,split,label,defect,")
"""Of these, files that `beside` may replace hold one in their first 4 kB."""


def _signed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    return any(signature in start for signature in SIGNATURES)


def _check(dest: Path, place: Path, form: str, overwrite: bool) -> bool:
    """Return whether what is at `place` may be replaced as a whole: nothing, or an export and nothing else."""
    if not place.exists():
        return True
    if not place.is_dir():
        raise WriteError(f"{dest}: is not a folder")
    with _refusals(dest):
        if not any(place.iterdir()) or _is_own(place, form):
            return True
    if not overwrite:
        listed = {MARK, *_listed(place, form)}
        found = next((path for path in _files(place) if path not in listed), "a folder")
        raise WriteError(
            f"{dest}: holds files that are not of an earlier export to {form} ({found}, ...)\n"
            "hint: choose an empty folder, or --overwrite to write among them"
        )
    return False


def _is_own(place: Path, form: str) -> bool:
    """Tell whether a folder holds an export of this form, maybe not all of it, and no other file."""
    # There may be millions, so both are gone through in the one order that they have.
    listed = _listed(place, form)
    return (place / MARK).is_file() and all(path in listed for path in _files(place) if path != MARK)


def _listed(place: Path, form: str = "") -> Iterator[str]:
    """Yield the files that an export in a folder lists, of this form or of any; none that does not lie in it."""
    try:
        with (place / MARK).open("rb") as file:
            head = json.loads(next(file))
            if form in ("", head.get("format")):
                yield from (path for path in map(json.loads, file) if inside(place, path))
    except (OSError, ValueError, StopIteration, AttributeError, RecursionError):
        return


def _files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, relative, POSIX, folder by folder."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(top, name).relative_to(folder).as_posix()


def _sign(folder: Path, form: str) -> None:
    with atomic_write(folder.parent / f"{folder.name}.mark") as file:
        file.write(json.dumps({"kind": "export", "format": form, "anosynth": __version__}).encode() + b"\n")
        for path in _files(folder):
            file.write(json.dumps(path).encode() + b"\n")
    (folder.parent / f"{folder.name}.mark").replace(folder / MARK)


def _put(aside: Path, place: Path, old: Path, whole: bool) -> None:
    if whole:
        try:
            if place.exists() and any(place.iterdir()):
                place.rename(old)
            aside.rename(place)
        except OSError:
            # A mount point cannot be renamed; its content can still be moved.
            if not place.exists():
                if old.exists():
                    old.rename(place)
                raise
        else:
            shutil.rmtree(old, ignore_errors=True)
            return
    _merge(aside, place)


def _merge(aside: Path, place: Path) -> None:
    """Move the files one by one, the list of them last, after those of an earlier export have gone."""
    for path in _listed(place):
        (place / path).unlink(missing_ok=True)
    (place / MARK).unlink(missing_ok=True)
    for path in _files(aside):
        if path != MARK:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(aside / path, place / path)
    shutil.move(aside / MARK, place / MARK)
    shutil.rmtree(aside)


@contextmanager
def _held(aside: Path, dest: Path) -> Iterator[None]:
    """Hold an empty folder that no other export writes to meanwhile; what is left of it at the end goes.

    The lock ends with its process, so what a killed export left is taken over.
    """
    fresh = [folder for folder in aside.parents if not folder.exists()]
    with _refusals(dest):
        aside.mkdir(parents=True, exist_ok=True)
        guard = os.open(aside, os.O_RDONLY)
    try:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteError(
                f"{dest}: another export is writing there\nhint: wait for it, or choose another DEST"
            ) from None
        try:
            with _refusals(dest):
                _empty(aside)
            yield
        finally:
            # It may have been put in place, and another export have begun under its name.
            with suppress(OSError):
                if os.path.samestat(os.fstat(guard), aside.stat()):
                    shutil.rmtree(aside, ignore_errors=True)
                    for folder in fresh:
                        folder.rmdir()
    finally:
        os.close(guard)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _refusals(dest: Path) -> Iterator[None]:
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WriteError(f"{error.filename2 or error.filename or dest}: cannot be written: {reason}") from None
