"""The unit of the coordinates, where a comment of the file tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from anosynth.errors import ParameterError

UNITS = ("um", "mm", "cm", "m", "inch")
"""What `PointCloud.unit` may be."""

_SPELLINGS = {
    "um": "um|µm|microns?|micromet(?:er|re)s?",
    "mm": "mm|millimet(?:er|re)s?",
    "cm": "cm|centimet(?:er|re)s?",
    "m": "m|met(?:er|re)s?",
    "inch": "in|inch|inches",
}
_STATED = re.compile(
    r"\bunits?\s*[:= ]\s*(?:" + "|".join(f"(?P<{unit}>{words})" for unit, words in _SPELLINGS.items()) + r")\s*$",
    re.IGNORECASE,
)


def unit_in(comments: Iterable[bytes]) -> str | None:
    """Return the unit that a comment like `unit mm`, `units: mm` or `unit=millimetres` states, or None."""
    for comment in comments:
        found = _STATED.search(comment.decode("utf-8", "replace").strip())
        if found:
            return found.lastgroup
    return None


def checked_unit(unit: str | None) -> str | None:
    """Return `unit` if it is one of `UNITS` or None.

    Raises:
        ParameterError: it is not.
    """
    if unit is not None and unit not in UNITS:
        raise ParameterError(f"unit: `{unit}`: expected one of {', '.join(UNITS)}")
    return unit
