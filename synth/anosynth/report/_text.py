"""Text of the page: everything that came from outside passes through here."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

NONE = "–"
MINUS = "−"
_TIMES = "×"

# Control characters and lone surrogates (file names that are not UTF-8) cannot stand in an HTML file.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(value: object) -> str:
    """Return the value as text that any HTML file can hold; what it cannot hold becomes U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(value))


def escape(value: object) -> str:
    """Return the value as text for an element or a quoted attribute."""
    return html.escape(clean(value), quote=True)


def one_line(value: object) -> str:
    """Return a message with its hint on one line."""
    return str(value).replace("\nhint: ", "; ")


def script_json(value: object) -> str:
    """Return the value as JSON that may stand inside a script element.

    Raises:
        ValueError: a number in it is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def pretty_json(value: object) -> str:
    """Return the value as indented JSON for a reader's eyes; what JSON does not know is shown as text."""
    return escape(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is a mapping, else an empty one: any part of a record may be missing."""
    return value if isinstance(value, Mapping) else {}


def number(value: object, digits: int = 3) -> str:
    """Return a number in `digits` significant digits, with a true minus sign; anything else as it reads."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return clean(value)
    if isinstance(value, int):
        return str(value).replace("-", MINUS)
    if not math.isfinite(value):
        return str(value).replace("-", MINUS)
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}{_TIMES}10^{int(exponent)}"
        if 1.0 <= abs(value) < 1e7:
            text = f"{value:.0f}"
    return text.replace("-", MINUS)


def thousands(count: int) -> str:
    """Return a count with its digits in groups of three."""
    return f"{count:,}"


def is_number(value: object) -> TypeGuard[float]:
    """Return whether the value is a finite int or float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percent(fraction: object) -> str:
    """Return a share of one as a percentage."""
    if not is_number(fraction):
        return NONE
    return f"{number(100.0 * float(fraction))} %"


def peak(effect: Mapping[str, Any]) -> float | None:
    """Return the largest signed effect of a record by magnitude, or None."""
    ends = [float(end) for end in (effect.get("min"), effect.get("max")) if is_number(end)]
    return max(ends, key=abs, default=None)


def signed(value: float | None, unit: object = None) -> str:
    """Return a signed number with its unit, as far as they are known; no displacement at all reads as none."""
    if not value:
        return NONE
    sign = "+" if value > 0 else ""
    return f"{sign}{number(value)}" + (f" {clean(unit)}" if unit else "")


def compact(value: object) -> str:
    """Return a drawn value in few characters: numbers in four digits, nested values as short JSON."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number(value, 4)
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(compact(item) for item in value) + ")"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{clean(key)}: {compact(item)}" for key, item in value.items()) + "}"
    return clean(value)
