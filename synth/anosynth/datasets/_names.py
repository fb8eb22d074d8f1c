"""What several layouts share about names: finding the files of a tree, numbers, and words that readers trip over."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anosynth.errors import DataError, ParameterError

from .layout import walk

_VARIANTS = 10_000


def entries(root: Path, suffixes: frozenset[str], pattern: str, expected: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the files under `root` whose relative POSIX path is `pattern`, with its named groups, sorted by path.

    Raises:
        DataError: there is none; the message says that one like `expected` should be.
    """
    shape, found = re.compile(pattern), False
    for path in walk(root, suffixes):
        match = shape.fullmatch(path.as_posix())
        if match:
            found = True
            if blocks(root, path):
                continue
            yield path, {name: value or "" for name, value in match.groupdict().items()}
    if not found:
        raise DataError(
            f"{root}: expected files such as {expected}, found none\n"
            "hint: the root is the folder that holds the first of these names"
        )


def blocks(root: Path, path: Path) -> bool:
    """Tell, with a remark, whether a path is a pipe, socket or device, which nobody shall wait for."""
    there = root / path
    if there.is_file() or not there.exists():
        return False
    remark(f"{there}: not a regular file: passed over")
    return True


def numbered(number: int, variant: int) -> str:
    """Return the number of variant `variant` of the source with that number: one that no other pair has.

    Raises:
        ParameterError: there are too many variants for the digits.
    """
    if variant >= _VARIANTS:
        raise ParameterError(f"--count: {variant + 1}: must be <= {_VARIANTS} in this layout")
    return f"{number:04d}{variant:04d}"


def claim(taken: dict[tuple[str, int], Path], root: Path, path: Path, category: str, number: int) -> None:
    """Note that the training sample `path` has this number in its category: its variants are named by it.

    Raises:
        DataError: another one has it, too.
    """
    other = taken.setdefault((category, number), path)
    if other != path:
        raise DataError(f"{root / path}: has the number of {other.name}: expected one of its own")


def claim_stem(taken: dict[Path, Path], root: Path, path: Path, stem: Path) -> None:
    """Note that the photo `path` is known by `stem`: its variants and their masks are named by it.

    Raises:
        DataError: another photo is, too.
    """
    other = taken.setdefault(stem, path)
    if other == path:
        return
    if other.parent == path.parent:
        raise DataError(
            f"{root / path}: differs from {other.name} in the suffix alone: their masks would have one name\n"
            "hint: rename one of them"
        )
    raise DataError(f"{root / path}: has the name of {other.as_posix()}: expected one of its own")


def remark(text: str) -> None:
    """Tell the user of something in the input that is passed over; without a logging set-up it goes to stderr."""
    logging.getLogger("anosynth").warning("%s", text)


def remark_masks(root: Path, missing: Sequence[Path], orphans: Sequence[Path]) -> None:
    """Remark on anomalous photos of the input without a mask, and on masks without a photo; paths relative to `root`.

    Neither is an input of anything, but readers of most sets pair by sorted names and refuse such a category.
    """
    if missing:
        remark(
            f"{root / missing[0]}: a photo of a defect without a mask{_more(missing)}: readers may refuse its category"
        )
    if orphans:
        remark(f"{root / orphans[0]}: a mask without a photo{_more(orphans)}: readers may refuse its category")


def _more(paths: Sequence[Path]) -> str:
    return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""


def letters(kind: str) -> str:
    """Return the letters of a defect's name: readers take them from between `_` and a number."""
    return re.sub("[^A-Za-z]", "", kind)


def check_words(text: str, misread: Mapping[str, str], where: str) -> None:
    """Refuse a name with a word in it that readers of the layout look for anywhere in a path.

    Raises:
        DataError: `text` contains a key of `misread`, whose value says what readers do with such a path.
    """
    for word, reading in misread.items():
        if word in text:
            raise DataError(f"{where}: contains `{word}`: readers of this layout {reading}")


def find_truth(root: Path, truth: Path, sample: Path) -> Path | None:
    """Return the ground truth of an anomalous sample, None if there is none for this one; both relative to the root.

    Raises:
        DataError: there is not even the folder that it should be in.
    """
    if (root / truth).is_file():
        return truth
    if not (root / truth.parent).is_dir():
        raise DataError(f"{root / truth}: no such folder: expected the ground truth of {sample.as_posix()} in it")
    return None
