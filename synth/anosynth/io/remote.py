"""Folders by URL (`s3://bucket/out`), through fsspec: files put there, read from there, and copied here.

Which schemes there are is a matter of what is installed: fsspec brings `file` and `memory`, s3fs brings `s3`, gcsfs
`gs`, adlfs `abfs`. Who one is, is said in the way of these libraries (environment, their files): never in a URL here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from anosynth.errors import AnosynthError, DataError, ParameterError, WriteError

from .atomic import atomic_write
from .inner import fault, printable

_URL = re.compile(r"([a-z][a-z0-9+.\-]+):/+(.*)", re.DOTALL)
_LOCAL = ("file", "local")

CACHE = "XDG_CACHE_HOME"
"""Environment variable: the folder in which copies are kept, in `anosynth/`; by default `~/.cache`."""


def url_of(path: str | os.PathLike[str]) -> str:
    """Return the URL that a path stands for, "" if it is one of this machine's; `Path` makes `s3:/b` of `s3://b`."""
    match = _URL.fullmatch(os.fspath(path))
    if match is None:
        return ""
    scheme, rest = match[1], match[2].rstrip("/")
    return f"{scheme}:///{rest}" if scheme in _LOCAL else f"{scheme}://{rest}"


def cache() -> Path:
    """Return the folder for copies of what lies elsewhere."""
    home = os.environ.get(CACHE)
    return (Path(home) if home else Path.home() / ".cache") / "anosynth"


@dataclass(frozen=True)
class Store:
    """A folder by URL; small and picklable. Names are relative to it, POSIX; what leads out of it is refused.

    Every method raises DataError, those that change something WriteError, if the store refuses.
    """

    url: str

    @property
    def of_this_process(self) -> bool:
        """Whether no other process sees what is put there."""
        return self.url.startswith("memory:")

    def put(self, file: Path, name: str) -> None:
        """Copy a file there, in place of what has its name."""
        fs, there = self._found(name)
        with self._said(name, WriteError, "cannot be written"):
            fs.put_file(str(file), there)

    def get(self, name: str, file: Path) -> bool:
        """Copy a file from there to a path of this machine, whole or not at all; return whether it is there."""
        fs, there = self._found(name)
        with self._said(name, DataError, "cannot be read"):
            try:
                with fs.open(there, "rb") as source, atomic_write(file) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except FileNotFoundError:
                return False
        return True

    def first_line(self, name: str) -> bytes:
        """Return the first line of a file, with its end; b"" if there is none."""
        fs, there = self._found(name)
        with self._said(name, DataError, "cannot be read"), fs.open(there, "rb") as source:
            found: bytes = source.readline()
            return found

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        fs, there = self._found(name)
        with self._said(name, WriteError, "cannot be removed"), suppress(FileNotFoundError):
            fs.rm_file(there)

    def sizes(self) -> dict[str, int]:
        """Return the files that lie directly in the folder and their sizes, and its folders as -1."""
        fs, there = self._found("")
        with self._said("", DataError, "cannot be listed"):
            fs.invalidate_cache()
            try:
                entries = fs.ls(there, detail=True)
            except FileNotFoundError:
                return {}
            found = {PurePosixPath(e["name"]).name: e["size"] if e["type"] == "file" else -1 for e in entries}
            # Some stores list the folder itself.
            if there.rstrip("/") in [e["name"] for e in entries]:
                found.pop(PurePosixPath(there).name, None)
            return found

    def stamps(self) -> dict[str, list[Any]]:
        """Return all files below the folder, with what changes when they do; of a URL of a file, "" and its stamp."""
        fs, there = self._found("")
        with self._said("", DataError, "cannot be listed"):
            fs.invalidate_cache()
            found = fs.find(there, detail=True)
        start = there.rstrip("/")
        names = {
            name: name[len(start) :].lstrip("/") for name in found if name == start or name.startswith(f"{start}/")
        }
        return {names[name]: _stamp(info) for name, info in sorted(found.items()) if name in names}

    def _found(self, name: str) -> tuple[Any, str]:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts:
            raise DataError(f"{self.url}: `{name}` lies outside")
        fs, there = _filesystem(self.url)
        return fs, f"{there.rstrip('/')}/{name}" if name else there

    @contextmanager
    def _said(self, name: str, kind: type[AnosynthError], what: str) -> Iterator[None]:
        try:
            yield
        except AnosynthError:
            raise
        except Exception as error:  # every store raises what its own library does
            reason = str(error).split("\n")[0] or type(error).__name__
            raise kind(f"{self.url}{f'/{name}' if name else ''}: {what}: {type(error).__name__}: {reason}") from None


def _filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ParameterError(f"{url}: fsspec is not installed\nhint: pip install 'anosynth[cluster]'") from None
    scheme = url.partition(":")[0]
    try:
        fs, there = url_to_fs(url, **({"auto_mkdir": True} if scheme in _LOCAL else {}))
    except ImportError as error:
        raise ParameterError(f"{url}: {str(error).split(chr(10))[0]}") from None
    except ValueError as error:
        raise ParameterError(f"{url}: {error}: expected a folder, or a URL that fsspec knows") from None
    return fs, str(there)


def _stamp(info: dict[str, Any]) -> list[Any]:
    names = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "created")
    return [info.get("size"), next((str(info[name]) for name in names if info.get(name) is not None), "")]


def mirror(url: str) -> Path:
    """Return a copy on this machine of a folder or file by URL, up to date; only what has changed is fetched.

    It is kept in the cache for the next time, by URL; a file is fetched again if its size or its ETag (or time) differ.

    Raises:
        DataError: there is nothing, it cannot be read, or a name in it leads elsewhere.
    """
    store = Store(url)
    home = cache() / "mirrors" / hashlib.sha256(url.encode()).hexdigest()[:16]
    stamps = store.stamps()
    if not stamps:
        raise DataError(f"{url}: no such file or folder")
    for name in stamps:
        if name and (why := fault(name)):
            raise DataError(f"{url}: holds `{printable(name)}`, {why}")
    single = list(stamps) == [""]
    folder = home / (PurePosixPath(url).name or "root")
    known = _known(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in known.keys() - stamps.keys():
            (folder / name).unlink(missing_ok=True)
        for name, stamp in stamps.items():
            target = folder / (name or PurePosixPath(url).name)
            if known.get(name) == stamp and target.is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            (Store(url.rpartition("/")[0]) if single else store).get(name or target.name, target)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{error.filename or home}: cannot be written: {error.strerror}") from None
    with atomic_write(home / "stamps.json") as file:
        file.write(json.dumps(stamps).encode())
    return folder / PurePosixPath(url).name if single else folder


def here(path: str | os.PathLike[str]) -> Path:
    """Return a path of this machine as it is, of a URL its mirror."""
    url = url_of(path)
    return mirror(url) if url else Path(path)


def _known(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / "stamps.json").read_bytes())
    except (OSError, ValueError):
        return {}
    names = found if isinstance(found, dict) else {}
    return {name: found[name] for name in names if not name or not fault(name)}
