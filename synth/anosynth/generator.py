"""The base of all generators, what they return, and the registry that finds them.

A generator is a frozen record of plain values and a pure function of (sample, rng). Adding one means adding one file
to its family's package: a module `flat_spot.py` that holds a class `FlatSpot` is the generator `flat-spot`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from anosynth.errors import DataError, Impossible, NotMade, ParameterError, UnknownGenerator, did_you_mean
from anosynth.params import check_bounds, shown
from anosynth.seeding import Rng, RngLike, as_rng

FAMILIES: Mapping[str, str] = {
    "pointclouds": "anosynth.pointclouds",
    "images": "anosynth.images",
    "features": "anosynth.features",
}
"""The families and the packages in which their generators live, one module each."""

ENTRY_POINTS = "anosynth.generators"
"""Entry-point group by which other packages add generators: `my-dent = my_package.my_dent:MyDent`."""


@dataclass(frozen=True, eq=False)
class Anomaly:
    """What a generator returns: the changed sample and the truth about the change.

    Attributes:
        sample: the anomalous sample, of the type that went in.
        mask: bool, one per element of `sample`: what changed, no more and no less.
        effect: float32, one per element, signed: displacement along the outward normal in file units for clouds.
        instances: uint16, one per element: 0 for normal, else the number of the defect.
        generator: the generator that made it.
        stats: plain numbers and texts about how it was made (attempts, heights, areas).
        before: what the labels refer to: the input, for clouds the input with its mesh refined where the defect needed
            it (rows only appended).
        origin: for clouds, (N,) int64: the row of `before` that each element came from, -1 for new ones.
        removed: for clouds, (R,) int64: rows of `before` that are no longer there.
        grade: for photos, (H, W) float32 from 0 to 1: how anomalous each pixel is, of generators that grade their
            labels; 0 outside the mask.
    """

    sample: Any
    mask: NDArray[np.bool_]
    effect: NDArray[np.float32]
    instances: NDArray[np.uint16]
    generator: Generator
    stats: Mapping[str, Any] = field(default_factory=dict)
    before: Any = None
    origin: NDArray[np.int64] | None = None
    removed: NDArray[np.int64] | None = None
    grade: NDArray[np.float32] | None = None


class Generator(BaseModel):
    """A frozen record of parameters that turns (sample, rng) into an `Anomaly`.

    Subclasses declare their parameters as fields with `param` and write `make`. Unknown parameters and values out
    of range raise ParameterError, with the name, the value and the bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    family: ClassVar[str] = ""
    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    attempts: ClassVar[int] = 8

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls.name = kebab(cls.__name__)

    def __init__(self, **values: Any) -> None:
        fields = type(self).model_fields
        for name, value in values.items():
            # To pydantic true is 1, which would hide a slip such as `octaves: true`.
            if isinstance(value, (bool, np.bool_)) and name in fields and fields[name].annotation in (int, float):
                raise ParameterError(f"`{name}`: {value}: must be a number")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ParameterError(_first_problem(type(self), error)) from None
        for name, info in fields.items():
            check_bounds(name, getattr(self, name), info)
        self.check()

    def check(self) -> None:
        """Raise ParameterError if the values do not go together; nothing to check by default."""

    def make(self, sample: Any, rng: Rng) -> Anomaly:
        """Make one anomaly, or raise DataError if this draw cannot be made honestly."""
        raise NotImplementedError

    def __call__(self, sample: Any, rng: RngLike = None) -> Anomaly:
        """Return the anomaly that `rng` decides; the input is never written to.

        Draws that cannot be made honestly are drawn again, `attempts` times in all.

        Raises:
            NotMade: none of the draws could be made; the message tells why the last one failed.
        """
        root = as_rng(rng)
        problem = ""
        for attempt in range(self.attempts):
            try:
                anomaly = self.make(sample, root.child("attempt", attempt))
            except Impossible as error:
                raise NotMade(f"no `{self.name}` could be made of it: {error}") from None
            except DataError as error:
                problem = str(error)
                continue
            object.__setattr__(anomaly, "stats", {**anomaly.stats, "attempts": attempt + 1})
            return anomaly
        raise NotMade(f"no `{self.name}` could be made of it in {self.attempts} draws: {problem}")

    def record(self) -> dict[str, Any]:
        """Return the plain values from which `from_record` makes this generator again."""
        return {"generator": self.name, "family": self.family, "version": self.version, **self.model_dump()}

    @classmethod
    def parameter_names(cls) -> list[str]:
        return list(cls.model_fields)


def from_record(record: Mapping[str, Any]) -> Generator:
    """Make the generator of a manifest record again.

    Raises:
        UnknownGenerator: there is none of that name.
        ParameterError: it is of another version, whose bytes differ, or a value is missing or out of range.
    """
    for key, kind in (("family", str), ("generator", str), ("version", int)):
        if not isinstance(record.get(key), kind):
            raise ParameterError(f"`{key}` of a generator: {shown(record.get(key))}: expected {_WRITTEN[kind]}")
    cls = find(record["family"], record["generator"])
    if record["version"] != cls.version:
        raise ParameterError(
            f"generator `{cls.name}`: version {record['version']}: this anosynth makes version {cls.version}\n"
            "hint: install the anosynth that the manifest's header names"
        )
    return cls(**{k: v for k, v in record.items() if k not in ("generator", "family", "version")})


_WRITTEN = {str: "text", int: "a whole number"}


def names(family: str) -> list[str]:
    """Return the names of all generators of a family, sorted, without importing any."""
    package = importlib.import_module(FAMILIES[family])
    other = getattr(package, "NO_GENERATORS", ())
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    own = {name.replace("_", "-") for name in modules if name not in other}
    return sorted(own | {entry.name for entry in entry_points(group=ENTRY_POINTS) if _in_family(entry.value, family)})


def find(family: str, name: str) -> type[Generator]:
    """Return the generator class of that name.

    Raises:
        UnknownGenerator: there is none; the message names the closest one.
    """
    if family not in FAMILIES:
        raise UnknownGenerator(f"no family `{family}`{did_you_mean(family, FAMILIES)}")
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        home = f"{FAMILIES[family]}.{name.replace('-', '_')}"
        try:
            return _class_in(importlib.import_module(home), name)
        except ModuleNotFoundError as error:
            if error.name != home:
                raise
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            cls = entry.load()
            if isinstance(cls, type) and issubclass(cls, Generator) and cls.family == family:
                cls.name = name
                return cls
    raise UnknownGenerator(f"no generator `{name}` among the {family}{did_you_mean(name, names(family))}")


def lazily(family: str, module: str, name: str) -> type[Generator]:
    """Return the generator class `name` for a package's `__getattr__`, which imports its module alone.

    Raises:
        AttributeError: the family has no such generator.
    """
    if name[:1].isupper() and camel(kebab(name)) == name:
        try:
            return find(family, kebab(name))
        except UnknownGenerator as error:
            raise AttributeError(f"module {module!r} has no {name!r}: {error}") from None
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def kebab(camel: str) -> str:
    """`FlatSpot` -> `flat-spot`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", camel).lower()


def camel(kebab_name: str) -> str:
    """`flat-spot` -> `FlatSpot`."""
    return "".join(part.capitalize() for part in kebab_name.split("-"))


def _class_in(module: Any, name: str) -> type[Generator]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Generator) and value.__module__ == module.__name__:
            return value
    raise UnknownGenerator(f"module `{module.__name__}` holds no class `{camel(name)}`")


def _in_family(target: str, family: str) -> bool:
    # The class must be loaded to know its family; a broken plug-in must not take the command down with it.
    try:
        module, _, attribute = target.partition(":")
        return getattr(getattr(importlib.import_module(module), attribute), "family", None) == family
    except (ImportError, AttributeError):
        return False


def _first_problem(cls: type[Generator], error: ValidationError) -> str:
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else cls.name
    if problem["type"] == "extra_forbidden":
        return f"`{cls.name}` has no parameter `{name}`{did_you_mean(name, cls.model_fields)}"
    value = shown(problem.get("input"))
    if problem["type"] == "literal_error":
        return f"`{name}`: {value}: must be one of {problem['ctx']['expected'].replace(chr(39), '`')}"
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"`{name}`: {value}: must be {text}" if not text.startswith("expected") else f"`{name}`: {value}: {text}"
