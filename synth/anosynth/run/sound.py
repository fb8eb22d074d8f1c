"""What a line of a manifest has to be before anything is done with what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anosynth.errors import AnosynthError, DataError, ParameterError, UnknownGenerator
from anosynth.generator import find
from anosynth.io.inner import inner, printable, unusable
from anosynth.recipe import MOST_WEIGHT

from .splits import SPLITS

_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, OSError, RecursionError)
"""What comes of values that nobody expects. Only what is read of a manifest is done under this."""

_SOURCE = {"path": str, "sha256": str}
_NEEDED: dict[str, dict[str, Any]] = {
    "made": {
        "outputs": list,
        "source": _SOURCE,
        "category": str,
        "split": str,
        "generator": {"generator": str, "family": str, "version": int},
        "seed": int,
        "variant": int,
        "mask": {"count": int},
        "instances": list,
    },
    "copied": {"outputs": list, "source": _SOURCE, "category": str, "split": str},
    "skipped": {"reason": str, "source": {"path": str}},
}
"""What is read of the records of each status, beside their ids."""


_HEADER = {"kind": str, "layout": str, "root": str, "seed": int, "recipe": {"generators": list}}


@contextmanager
def told(path: Path, number: int = 0) -> Iterator[None]:
    """Say of which manifest, and which line of it, it is that has something which nobody understands.

    Raises:
        DataError: in place of whatever an odd value leads to.
    """
    where = f"{path}: line {number}" if number else str(path)
    try:
        yield
    except (ParameterError, UnknownGenerator) as error:
        # What a manifest says is not what the user said.
        raise DataError(f"{where}: {error}") from None
    except AnosynthError:
        raise
    except KeyError as error:
        raise DataError(f"{where}: a record lacks {printable(str(error))}: not a manifest of this anosynth") from None
    except _ODD as error:
        raise DataError(f"{where}: {printable(str(error))}: not a manifest of this anosynth") from None


def check_header(header: Mapping[str, Any], where: object, more: Mapping[str, Any] | None = None) -> None:
    """Make sure of the first line of a manifest, as far as samples are read by it.

    Args:
        more: further keys that are needed, and their types.

    Raises:
        DataError: it is none of anosynth's.
    """
    _check_types(header, {**_HEADER, **(more or {})}, where)
    if why := unusable(header["root"]):
        raise DataError(f"{where}: the manifest names the root `{printable(header['root'])}`, {why}")
    for part in header["recipe"]["generators"]:
        _check_types({"generators": part}, {"generators": {"generator": str}}, where, "recipe.")
        if not isinstance(weight := part.get("weight", 1), (int, float)) or not 0 < weight <= MOST_WEIGHT:
            raise DataError(f"{where}: the manifest names the weight {printable(weight)}: expected a number > 0")


def check(record: Mapping[str, Any], where: object) -> None:
    """Make sure of a record as the sink `files` has it: what it is made of, and that its paths lead nowhere else.

    Args:
        where: the manifest and its line, or the folder, for the message.

    Raises:
        DataError: it is not one of anosynth's, or of a version without splits.
    """
    _check_types(record, {"status": str, "id": str}, where)
    status = record["status"]
    needed = _NEEDED.get(status)
    if needed is None:
        raise DataError(f"{where}: a record has the status '{printable(status)}': expected made, copied or skipped")
    inner(record["id"], where)
    if "split" not in record and "split" in needed:
        raise DataError(
            f"{where}: {printable(record['id'])}: the manifest has no splits: an older anosynth made it\n"
            "hint: make the data set again, with --overwrite"
        )
    _check_types(record, needed, where)
    inner(record["source"]["path"], where, "the source ", " the root")
    if status == "skipped":
        return
    if record["split"] not in SPLITS:
        raise DataError(f"{where}: split {printable(record['split'])}: expected train, validation or test")
    if record["category"]:
        inner(record["category"], where, "the category ")
    if not record["outputs"]:
        raise DataError(f"{where}: `outputs` of a record has none: not a manifest of this anosynth")
    if not record["source"]["sha256"].isascii():
        raise DataError(f"{where}: `source.sha256` of a record is no hash: not a manifest of this anosynth")
    for output in record["outputs"]:
        _check_types({"output": output}, {"output": {"role": str, "path": str, "sha256": str}}, where)
        inner(output["path"], where)
    if status == "made" and record["mask"]["count"] < 1:
        raise DataError(f"{where}: a made record without labels: not a manifest of this anosynth")
    for part in record["instances"] if status == "made" else []:
        _check_types({"instance": part}, {"instance": {"id": int, "type": str, "count": int}}, where)
        if not part["type"].isprintable():
            raise DataError(f"{where}: a defect of the type `{printable(part['type'])}`: expected one line of text")


def _check_types(values: Mapping[str, Any], needed: Mapping[str, Any], where: object, home: str = "") -> None:
    for key, kind in needed.items():
        if key not in values:
            raise DataError(f"{where}: a record lacks '{key}': not a manifest of this anosynth")
        value, wanted = values[key], dict if isinstance(kind, dict) else kind
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise DataError(
                f"{where}: `{home}{key}` of a record is no {wanted.__name__}: {printable(value)}: "
                "not a manifest of this anosynth"
            )
        if isinstance(kind, dict):
            _check_types(value, kind, where, f"{home}{key}.")


def refuse_functions(generator: Mapping[str, Any], foreground: str, where: object) -> None:
    """Refuse to run functions that a manifest names: whoever wrote it would choose what runs on this machine.

    Args:
        generator: the generator of a record, or none.
        foreground: the function that finds the part in photos, "" if it is none.

    Raises:
        DataError: there is one.
    """
    names = [foreground, *_functions(generator)] if generator else []
    for name in filter(None, names):
        raise DataError(
            f"{where}: names the function `{printable(name)}`, which making samples again would run: "
            "expected --run-functions (in Python: functions=True)\n"
            "hint: give it if you would run what the maker of this data set names"
        )


def _functions(generator: Mapping[str, Any]) -> Iterator[str]:
    for part in generator.get("generators", [generator]):
        # What is not known here cannot be made, which is said elsewhere.
        with suppress(UnknownGenerator):
            for name in getattr(find(generator["family"], part["generator"]), "calls", ()):
                yield str(part.get(name, ""))
