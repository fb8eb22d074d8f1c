"""What the workers of a cluster must have in common with the driver, and how they look at it: see `cluster`."""

from __future__ import annotations

import fcntl
import importlib
import os
import pickle
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anosynth._version import __version__
from anosynth.datasets._names import remark
from anosynth.errors import AnosynthError, DataError, WriteError
from anosynth.generator import find
from anosynth.io.remote import url_of

if TYPE_CHECKING:
    from .engines import Records
    from .plan import Batch, Plan

_NAMED = 5


@dataclass(frozen=True)
class Terms:
    """What a worker must have in common with the driver.

    Attributes:
        folder: the driver's current folder, if some of the paths are relative to it; else "".
        mark: absolute path of the hidden file in OUT; "" if OUT is no folder.
        paths: files and folders that must be there.
        generators: (family, name, version) of the recipe.
    """

    version: str
    folder: str
    mark: str
    paths: tuple[str, ...]
    generators: tuple[tuple[str, str, int], ...]


@contextmanager
def mark(out: Path | str) -> Iterator[str]:
    """Yield the path of a hidden file in OUT that is there as long as the driver is.

    After a kill it is swept by the next run like any temporary file, for its lock has ended with its process.
    """
    if url_of(out):
        yield ""
        return
    path = Path(out).absolute() / f".engine.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        file = path.open("wb")
    except OSError as error:
        raise WriteError(f"{out}: cannot be written to: {error.strerror}") from None
    try:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield str(path)
    finally:
        path.unlink(missing_ok=True)
        file.close()


def terms_of(plan: Plan, out: Path | str, mark: str) -> Terms:
    paths = [str(plan.root)]
    paths += [str(plan.root / source.path) for source in plan.sources[:1] if not source.problem]
    given = [value for part in (plan.reading, plan.reading.features) if part for value in vars(part).values()]
    drawn = [value for _, vary in plan.recipe.parts for value in vary.values.values()]
    # A text of a recipe may be a folder of textures as well as a name.
    paths += [value for value in (*given, *drawn) if isinstance(value, str) and value and Path(value).exists()]
    relative = any(not Path(path).is_absolute() for path in (*paths, *([str(out)] if mark else [])))
    parts = [(vary.generator.family, vary.generator.name, vary.generator.version) for _, vary in plan.recipe.parts]
    folder = str(Path.cwd()) if relative else ""
    return Terms(__version__, folder, mark, tuple(dict.fromkeys(paths)), tuple(sorted(set(parts))))


def check(client: Any, terms: Terms) -> None:
    """Raise DataError if a worker does not meet the terms; one of another version is not asked for more."""
    # Asked in words that any worker understands, whatever it has installed.
    problems = _answers(client, eval, "__import__('anosynth._version', fromlist=['_']).__version__")
    problems = {
        worker: _versions(found, __version__) if isinstance(found, str) else "anosynth is not installed there"
        for worker, found in problems.items()
        if found != __version__
    }
    if not problems:
        problems = {worker: found for worker, found in _answers(client, unfit, terms).items() if found}
    if problems:
        lines = [f"worker {worker}: {problem}" for worker, problem in sorted(problems.items())]
        more = f"\nand {len(lines) - _NAMED} more workers" if len(lines) > _NAMED else ""
        raise DataError("\n".join(_once(lines[:_NAMED])) + more)


def remark_slow(client: Any) -> None:
    """Remark on workers that dask has started with its own setting of malloc, which is made for other work."""
    found = _answers(client, eval, "__import__('os').environ.get('MALLOC_TRIM_THRESHOLD_')")
    slow = sum(1 for value in found.values() if value == "65536")
    if slow:
        remark(
            f"{slow} of {len(found)} workers are up to twice as slow as they could be, by dask's setting of malloc\n"
            "hint: start them with MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=268435456 dask worker ..."
        )


def _answers(client: Any, question: Any, *given: Any) -> dict[str, Any]:
    """Ask all workers and return their answers, or errors; who has left meanwhile is not asked."""
    found: Mapping[str, Any] = client.run(question, *given, on_error="return")
    return {worker: answer for worker, answer in found.items() if not isinstance(answer, OSError)}


def _once(problems: Iterable[str]) -> Iterator[str]:
    """Yield the problems, and the hints that they share after the last of them."""
    hints: dict[str, None] = {}
    for problem in problems:
        text, _, hint = problem.partition("\nhint: ")
        hints.setdefault(hint)
        yield text
    yield from (f"hint: {hint}" for hint in hints if hint)


_turn = threading.Lock()
_fit: set[Terms] = set()


def do(packed: bytes) -> list[Records]:
    """Do a chunk in a worker, one at a time in each process: what is read of a source is kept for its next variant."""
    chunk: list[Batch]
    chunk, work, terms = pickle.loads(packed)
    found: list[Records] = []
    with _turn:
        if terms not in _fit:
            if problem := unfit(terms):
                raise DataError(f"a worker on {_host()}: {problem}")
            _fit.add(terms)
        with _inside(terms.folder):
            for batch in chunk:
                if terms.mark and not Path(terms.mark).exists():
                    break
                found.append(work(batch))
    return found


def unfit(terms: Terms) -> str:
    """Return why this process cannot do what the driver would, or "" if it can."""
    if terms.version != __version__:
        return _versions(__version__, terms.version)
    if terms.folder and not Path(terms.folder).is_dir():
        return f"no folder {terms.folder}, which the paths of this line are relative to\nhint: {_SAME}"
    if terms.mark and not Path(terms.mark).exists():
        return f"does not see what is in {Path(terms.mark).parent}\nhint: {_SAME}"
    for path in terms.paths:
        if not Path(terms.folder, path).exists():
            return f"no {path} there\nhint: {_SAME}"
    for family, name, version in terms.generators:
        try:
            own = find(family, name).version
            if family == "features":
                importlib.import_module("anosynth.features._torch")
        except (AnosynthError, ImportError) as error:
            return f"lacks what the recipe needs: {error}"
        if own != version:
            return f"has version {own} of `{name}`, the driver {version}: expected the same"
    return ""


_SAME = "workers need the same paths: put input and OUT on a shared file system, under the same name everywhere"


def _versions(there: str, here: str) -> str:
    return f"has anosynth {there}, the driver {here}: expected the same\nhint: pip install anosynth=={here} there"


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = Path.cwd() if folder else None
    if folder:
        os.chdir(folder)
    try:
        yield
    finally:
        if before is not None:
            os.chdir(before)


def _host() -> str:
    return os.uname().nodename
