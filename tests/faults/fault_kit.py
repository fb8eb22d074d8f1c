"""Runs of the real command in forked processes, with a fault at any of the calls by which they change the disk.

`counted` says how many such calls there are; the fault is then put at each of them in turn. Forking after everything
has been imported makes a run cost hundredths of a second, so that every place can be tried.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import io
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TIMEOUT = 60
KILLED = -signal.SIGKILL

Fault = Callable[[int, str, str, Callable[[], int]], Any]
"""Called with the number of a call from 1, its kind, its path, and for a write what writes half of it, before the call
is made. For a write it may return how many bytes were taken, as a disk that is nearly full does."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (of a killed one, the signal as a negative number) and what it said."""

    code: int
    out: str
    err: str


def forked(words: Sequence[str], fault: Fault | None = None, aside: Path | None = None) -> Ended:
    """Run a line of the command in a process of its own, with `fault` at each call that changes the disk."""
    return wait(fork(words, fault, aside))


def fork(words: Sequence[str], fault: Fault | None = None, aside: Path | None = None) -> tuple[int, Path]:
    """Start such a run; return what `wait` needs."""
    import anosynth_cli.main

    place = aside or _aside(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of numpy's own make Python warn of forks; they hold no locks of ours
        child = os.fork()
    if child:
        return child, place
    code = 70
    try:
        os.setsid()
        for stream, name in ((1, "out"), (2, "err")):
            target = os.open(f"{place}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(target, stream)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        if fault is not None:
            patch(fault)
        code = anosynth_cli.main.run([str(word) for word in words])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(started: tuple[int, Path]) -> Ended:
    """Return how a run ended; one that does not is killed, and fails the test."""
    child, place = started
    until = time.monotonic() + TIMEOUT
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"hangs: {said(place)}")
        time.sleep(0.002)
    return Ended(os.waitstatus_to_exitcode(status), *said(place))


def said(place: Path) -> tuple[str, str]:
    texts = []
    for name in ("out", "err"):
        path = Path(f"{place}.{name}")
        texts.append(path.read_text(errors="replace") if path.exists() else "")
    return texts[0], texts[1]


_numbers = iter(range(1 << 30))


def _aside(words: Sequence[str]) -> Path:
    out = Path(str(words[-1]))
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.parent / f"said-{next(_numbers)}"


class _Raw(io.FileIO):
    """A file whose every write is a call that may fail."""

    tell: Any = None

    def write(self, data: Any) -> int:
        raw = super()
        taken = type(self).tell("write", str(self.name), lambda: raw.write(memoryview(data)[: len(data) // 2]))
        return int(taken or raw.write(data))


_CALLS = (
    "open",
    "rename",
    "replace",
    "fsync",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "link",
    "symlink",
    "truncate",
    "write",
)


def patch(fault: Fault) -> None:
    """Put `fault` before every call of this process that changes the disk. There is no way back."""
    number = 0
    real_open = io.open

    def tell(kind: str, path: str, half: Callable[[], int] = lambda: 0) -> Any:
        nonlocal number
        number += 1
        return fault(number, kind, path, half)

    def watched(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*given: Any, **more: Any) -> Any:
            if name != "open" or (given[1] if len(given) > 1 else more.get("flags", 0)) & (os.O_CREAT | os.O_WRONLY):
                tell("create" if name == "open" else name, str(given[0]) if given else "")
            return real(*given, **more)

        return call

    def opened(file: Any, mode: str = "r", buffering: int = -1, *given: Any, **more: Any) -> Any:
        if "b" not in mode or not set(mode) & set("wax+") or (isinstance(file, int) and file < 3):
            return real_open(file, mode, buffering, *given, **more)
        if not isinstance(file, int):
            tell("create", str(file))
        raw = _Raw(file, mode.replace("b", ""), **more)
        if buffering == 0:
            return raw
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    _Raw.tell = staticmethod(tell)
    for name in _CALLS:
        setattr(os, name, watched(name))
    io.open = opened  # type: ignore[assignment]
    builtins.open = opened  # type: ignore[assignment]


def kill_at(place: int) -> Fault:
    """Return the fault of a kill before call `place`; a write is torn in the middle."""

    def fault(number: int, kind: str, path: str, half: Callable[[], int]) -> None:
        if number == place:
            half()
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def fail_at(place: int, code: int, *, for_good: bool) -> Fault:
    """Return the fault of a call that the system refuses: that one alone, or all from there that need room.

    Of a write the first half is taken before the rest is refused.
    """
    short = False

    def fault(number: int, kind: str, path: str, half: Callable[[], int]) -> int:
        nonlocal short
        if kind == "write" and number == place:
            taken = half()
            short = taken > 0
            if taken:
                return taken
        if number == place or short or (for_good and number > place and kind in ("write", "create", "mkdir")):
            short = False
            raise OSError(code, os.strerror(code), *([] if kind in ("write", "fsync") else [path]))
        return 0

    return fault


def counted(words: Sequence[str], note: Path) -> list[tuple[str, str]]:
    """Run a line undisturbed and return the kind and path of each of its calls."""
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    write = os.write

    def fault(number: int, kind: str, path: str, half: Callable[[], int]) -> None:
        write(descriptor, json.dumps([kind, path]).encode() + b"\n")

    ended = forked(words, fault)
    os.close(descriptor)
    assert ended.code == 0, ended
    return [tuple(json.loads(line)) for line in note.read_text().splitlines()]


def tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file by its path, hidden ones too."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def samples(folder: Path) -> dict[str, str]:
    """Return those files that are neither of the manifest's nor left over from a kill."""
    return {
        name: digest for name, digest in tree(folder).items() if "manifest" not in name and not name.endswith(".tmp")
    }


def photos(home: Path, number: int = 3) -> list[str]:
    """Make small photos in `home` and return the line that makes anomalies of them, without OUT."""
    from anosynth.images import Image
    from anosynth.io.images import write_image

    home.mkdir()
    for index in range(number):
        draw = np.random.default_rng(index)
        row, column = np.mgrid[0:24, 0:30]
        pixels = (100 + 3 * row + 2 * column)[:, :, None] + draw.integers(0, 20, (24, 30, 3))
        write_image(home / f"p{index}.png", Image(pixels.astype(np.uint8)))
    return ["images", "-g", "stain", "--area", "0.05", "--foreground", "none", "--seed", "3", str(home)]


def clouds(home: Path, number: int = 3) -> list[str]:
    """Make small clouds in `home` and return the line that makes anomalies of them, without OUT."""
    from anosynth.io.clouds import write_cloud
    from anosynth.pointclouds import PointCloud

    home.mkdir()
    for index in range(number):
        draw = np.random.default_rng(index)
        xy = draw.uniform(0, 40, (150, 2))
        z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + index)
        write_cloud(home / f"p{index}.xyz", PointCloud(np.column_stack([xy, z]), unit="mm"))
    return ["pointcloud", "-g", "perlin-surface", "--area", "0.1:0.2", "--seed", "3", str(home)]


INPUTS = {"images": photos, "pointcloud": clouds}


def warm(line: Sequence[str], out: Path) -> None:
    """Run a line in this process, so that nothing is left to be imported in forked ones."""
    import anosynth_cli.main

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert anosynth_cli.main.run([*map(str, line), str(out)]) == 0
