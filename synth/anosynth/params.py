"""Parameters: one declaration that validation, command line, JSON Schema, docs, manifest and recipes all read.

A value is written the same way in Python, JSON, YAML and on the command line:

    0.02                 a plain value
    0.005:0.03           a range, drawn uniformly            Python and JSON also (0.005, 0.03), [0.005, 0.03]
    0.005:0.03:log       a range, drawn uniformly in its logarithm
    local|solid          a choice, drawn with equal probability
    0.15mm, 12px, 3mm2   a length or an area with a unit (without one it is a fraction of the sample's own size)
"""

from __future__ import annotations

import math
import numbers
import operator
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union

from pydantic import BeforeValidator, Field
from pydantic.fields import FieldInfo

from anosynth.errors import ParameterError
from anosynth.seeding import Rng

METRES: Mapping[str, float] = {"um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "inch": 0.0254}
"""Length units and what one of them is in metres."""

_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": (">=", operator.ge),
    "exclusiveMinimum": (">", operator.gt),
    "maximum": ("<=", operator.le),
    "exclusiveMaximum": ("<", operator.lt),
}
# No digit can be taken by two parts of it: a long row of them would be divided in every way before it is refused.
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_LENGTH = re.compile(rf"({_NUMBER})\s*((?:{'|'.join(sorted([*METRES, 'px'], key=len, reverse=True))})2?)")


def param(
    default: Any,
    *,
    help: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    vary: tuple[Any, ...] | str | None = None,
    unit: str = "",
) -> Any:
    """Declare one parameter of a generator.

    Args:
        default: the value of a generator made without it.
        help: what it does, one line: shown by `--help`, the docs and the schema.
        ge, gt, le, lt: bounds, both for plain values and for the ends of ranges.
        vary: what a `Vary` draws from when it is not told otherwise; without it, the default stays.
        unit: what a plain number means ("of the bounding-box diagonal", "degrees", ...).
    """
    keys = dict(zip(_BOUNDS, (ge, gt, le, lt), strict=True))
    extra: dict[str, Any] = {key: bound for key, bound in keys.items() if bound is not None}
    if unit:
        extra["unit"] = unit
    if vary is not None:
        extra["vary"] = vary if isinstance(vary, str) else list(vary)
    return Field(default, description=help, json_schema_extra=extra)


def _length(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _LENGTH.fullmatch(value.strip())
    return f"{float(match[1])!r}{match[2]}" if match else value


def _of_units(*units: str) -> BeforeValidator:
    """Return the check of a number that may carry one of `units`."""
    expected = f"expected a number or a number with a unit ({', '.join(units)})"

    def check(value: Any) -> float | str:
        if type(value) is float:
            return value
        value = _length(value)
        if isinstance(value, str):
            match = _LENGTH.fullmatch(value)
            if match and match[2] in units:
                return value
            try:
                return float(value)
            except ValueError:
                raise ValueError(expected) from None
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(expected)
        try:
            return float(value)
        except OverflowError:
            return math.inf

    return BeforeValidator(check)


Length = Annotated[Union[float, str], _of_units(*METRES)]
"""A length: a float is a fraction of the bounding-box diagonal, a text such as "0.15mm" has its unit with it."""

Size = Annotated[Union[float, str], _of_units("px", *METRES)]
"""A length in a photo: a float is a fraction of the shorter side, "12px" and "0.3mm" have their unit with them."""

Area = Annotated[Union[float, str], _of_units("px2", *(f"{unit}2" for unit in METRES))]
"""An area in a photo: a float is a fraction of the photo, "200px2" and "0.5mm2" have their unit with them."""


def split_length(value: float | str) -> tuple[float, str | None]:
    """Return (number, unit); the unit is None for a fraction of the sample's own size."""
    if isinstance(value, str):
        match = _LENGTH.fullmatch(value)
        if match is None:
            raise ParameterError(f"length: {value!r}: expected a number with a unit ({', '.join(METRES)})")
        return float(match[1]), match[2]
    return float(value), None


def unit_of(value: Any) -> str | None:
    """Return the unit of a written length or area, or of the ends of a range; None if there is none."""
    value = value.low if isinstance(value, Range) else value
    match = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    return match[2] if match else None


def extra_of(field: FieldInfo) -> Mapping[str, Any]:
    """Return what `param` declared beside type, default and help."""
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def check_bounds(name: str, value: Any, field: FieldInfo) -> None:
    """Raise ParameterError if a number is not finite or outside the declared bounds of its field."""
    number, extra = value, extra_of(field)
    if isinstance(value, str) and _LENGTH.fullmatch(value):
        # Upper bounds are fractions of the sample's size, which is not known yet.
        number = split_length(value)[0]
        extra = {key: bound for key, bound in extra.items() if bound == 0}
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return
    if not -math.inf < number < math.inf:
        raise ParameterError(f"`{name}`: {shown(value)}: must be a finite number")
    for key, (sign, holds) in _BOUNDS.items():
        if key in extra and not holds(number, extra[key]):
            raise ParameterError(f"`{name}`: {shown(value)}: must be {sign} {extra[key]}{_range_text(extra)}")


def shown(value: Any) -> str:
    """Return a value as messages show it: short, however long or deeply nested it is."""
    text = str(value) if isinstance(value, (str, float)) else reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _range_text(extra: Mapping[str, Any]) -> str:
    low = extra.get("minimum", extra.get("exclusiveMinimum"))
    high = extra.get("maximum", extra.get("exclusiveMaximum"))
    return f" (allowed: {low} to {high})" if low is not None and high is not None else ""


@dataclass(frozen=True)
class Range:
    """Uniform from `low` to `high`, both plain numbers or both lengths in one unit; `log` for uniform in the logarithm.

    Whole-number parameters include both ends.
    """

    low: Any
    high: Any
    log: bool = False

    def ends(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    def draw(self, rng: Rng, *, whole: bool) -> Any:
        (low, unit), (high, _) = split_length(self.low), split_length(self.high)
        if whole and self.log:
            return min(int(rng.log_uniform(low, high + 1)), int(high))
        if whole:
            return rng.integer(int(low), int(high))
        value = rng.log_uniform(low, high) if self.log else rng.uniform(low, high)
        return value if unit is None else f"{value!r}{unit}"

    def __str__(self) -> str:
        return f"{self.low}:{self.high}" + (":log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One of `values`, with equal probability."""

    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        return self.values

    def draw(self, rng: Rng, *, whole: bool) -> Any:
        return self.values[rng.integer(0, len(self.values) - 1)]

    def __str__(self) -> str:
        return "|".join(str(value) for value in self.values)


def parse_value(name: str, value: Any) -> Any:
    """Turn any of the written forms into a plain value, a `Range` or a `Choice`.

    Raises:
        ParameterError: a range has no two ordered ends, a list is no range, or a choice has an empty part.
    """
    if isinstance(value, (Range, Choice)):
        return _checked(name, value)
    if isinstance(value, (list, tuple)):
        if len(value) == 2 or (len(value) == 3 and value[2] == "log"):
            return _checked(name, Range(value[0], value[1], log=len(value) == 3))
        example = "|".join(shown(part) for part in value[:6]) if len(value) > 1 else "a|b"
        raise ParameterError(
            f'`{name}`: {shown(list(value))}: a list is a range of two ends, [low, high] or [low, high, "log"]\n'
            f'hint: write a choice as "{example}"'
        )
    if not isinstance(value, str):
        return value
    text = value.strip()
    if "|" in text:
        parts = [part.strip() for part in text.split("|")]
        if not all(parts):
            raise ParameterError(f"`{name}`: {value}: a choice has an empty part; write it as a|b|c")
        return Choice(tuple(_scalar(part) for part in parts))
    if ":" in text:
        ends = [_scalar(part.strip()) for part in text.split(":")]
        if len(ends) == 2 or (len(ends) == 3 and ends[2] == "log"):
            return _checked(name, Range(ends[0], ends[1], log=len(ends) == 3))
        raise ParameterError(f"`{name}`: {value}: a range is written low:high or low:high:log")
    return _scalar(text)


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return _length(text)


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, Choice):
        return value
    low, high = _end(value.low), _end(value.high)
    try:
        (a, unit_a), (b, unit_b) = split_length(low), split_length(high)
    except (TypeError, ValueError, OverflowError):
        ends = f"{shown(value.low)}:{shown(value.high)}"
        raise ParameterError(f"`{name}`: {ends}: a range needs two numbers") from None
    if unit_a != unit_b:
        raise ParameterError(f"`{name}`: {value}: both ends of a range need the same unit")
    if not (math.isfinite(a) and math.isfinite(b)) or a > b:
        raise ParameterError(f"`{name}`: {value}: the low end of a range must not exceed the high end")
    if value.log and a <= 0:
        raise ParameterError(f"`{name}`: {value}: a log range needs ends > 0")
    return Range(low, high, value.log)


def _end(value: Any) -> Any:
    """Return an end of a range as a plain int, float or text, so that its written form says all of it."""
    if isinstance(value, int):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return _length(value)


def spell(value: Any) -> Any:
    """Return the one written form of a value: what recipes and manifests store."""
    return str(value) if isinstance(value, (Range, Choice)) else value
