"""Files that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from anosynth.errors import WriteError

_LEFT_OVER = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp", re.DOTALL)

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EACCES: "no permission to write there: choose another output folder",
    errno.EPERM: "no permission to write there: choose another output folder",
    errno.EROFS: "the file system is read-only: choose another output folder",
    errno.ENOENT: "the folder does not exist: make it first",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` at the end of the block, or leaves no trace if that fails.

    The bytes go to `.NAME.<pid>.<random>.tmp` in the same folder, which is renamed over `path`; a reader sees the
    old file or the new one, never a part. The mode is that of any new file (0666 less the umask). The name need not
    be UTF-8.

    Raises:
        WriteError: the operating system refuses to create, fill or rename the file; what the block itself raises
            passes unchanged.
    """
    target = Path(path)
    try:
        temporary, descriptor = _create(target)
    except OSError as error:
        raise _explained(target, error) from error
    try:
        # Network file systems report a full disk as late as at the closing, so the file is closed before it is
        # renamed; the duplicate keeps the lock meanwhile, by which `sweep` knows that the file is alive.
        with os.fdopen(os.dup(descriptor), "wb") as file:
            yield file
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        # An error that names another file comes from the block (it was reading something), not from this file.
        own = (None, str(temporary), str(target))
        if isinstance(error, OSError) and not isinstance(error, WriteError) and error.filename in own:
            raise _explained(target, error) from error
        raise
    finally:
        os.close(descriptor)


def sweep(folder: str | os.PathLike[str]) -> int:
    """Remove the temporary files that killed runs left anywhere below `folder`; return how many there were.

    Files that another process is still writing are left alone, so that shards may share a folder. Symbolic links
    are not followed; a missing folder has nothing to sweep.
    """
    removed = 0
    for root, _, names in os.walk(folder):
        for name in names:
            if _LEFT_OVER.fullmatch(name) and _remove_if_dead(Path(root, name)):
                removed += 1
    return removed


def _create(target: Path) -> tuple[Path, int]:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    # A file name has at most 255 bytes, and one near that limit must still leave room for what is added to it.
    name = target.name if len(os.fsencode(target.name)) <= 200 else target.name[:48]
    while True:
        temporary = target.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # A sweep that came between creation and lock has taken the name away.
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)


def _remove_if_dead(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # A lock ends with its process, however that ended; a process id would be taken again by another one.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _explained(target: Path, error: OSError) -> WriteError:
    reason = (error.strerror or str(error)).lower()
    hint = _HINTS.get(error.errno or 0)
    return WriteError(f"{target}: cannot be written: {reason}" + (f"\nhint: {hint}" if hint else ""))
