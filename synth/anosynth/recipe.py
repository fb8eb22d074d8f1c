"""Distributions over generators (`Vary`), weighted mixes of them (`Recipe`), and their YAML form.

recipe: my-mix
family: pointclouds
generators:
  - {generator: dent, weight: 2, strength: 0.005:0.03}
  - {generator: scratch, width: 0.3mm}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from anosynth.errors import DataError, ParameterError, UnknownGenerator, did_you_mean
from anosynth.generator import Generator, find
from anosynth.params import Choice, Range, check_bounds, extra_of, parse_value, shown, spell
from anosynth.seeding import Rng

MOST_WEIGHT = 1e9
"""The largest weight of a part, far from where sums of weights lose the small ones."""

LONGEST = 1_000_000
"""Bytes that a file of a recipe may have: thousands of generators."""


class Vary:
    """A distribution over the generators of one class.

    Parameters that are named keep or vary as told; the others vary over the range that their declaration gives. Those
    of plain text (folders, functions, places) keep one value.

    >>> from anosynth.pointclouds import Dent
    >>> from anosynth.seeding import as_rng
    >>> Vary(Dent, strength=(0.005, 0.03)).draw(as_rng(7)).name
    'dent'
    """

    def __init__(self, generator: type[Generator], **values: Any) -> None:
        self.generator = generator
        fields = generator.model_fields
        for name in values:
            if name not in fields:
                raise ParameterError(f"`{generator.name}` has no parameter `{name}`{did_you_mean(name, fields)}")
        self.values: dict[str, Any] = {}
        for name, field in fields.items():
            value = values.get(name, extra_of(field).get("vary", field.default))
            if field.annotation is not str:
                value = parse_value(name, value)
            # Text is what it is: paths and names may hold `:` and `|`, so that a choice could not be written down.
            elif isinstance(value, (Range, Choice)):
                raise ParameterError(f"`{name}`: {value}: must be one text")
            self.values[name] = value
        ends = {name: _ends(value) for name, value in self.values.items()}
        for name, field in fields.items():
            for number, end in enumerate(ends[name]):
                # Building a generator of each end, with like ends of what else was given, is the one check of types
                # and of values that must go together; a draw lies between checked ends.
                others = {other: ends[other][min(number, len(ends[other]) - 1)] for other in values}
                plain = getattr(generator(**{**others, name: end}), name)
                check_bounds(name, plain, field)
                if end is self.values[name]:
                    self.values[name] = plain
        self._whole = {name for name, field in fields.items() if field.annotation is int}

    def draw(self, rng: Rng) -> Generator:
        """Return the generator that `rng` decides; each parameter has its own stream, named after it."""
        return self.generator(
            **{
                name: value.draw(rng.child(name), whole=name in self._whole)
                if isinstance(value, (Range, Choice))
                else value
                for name, value in self.values.items()
            }
        )

    def record(self) -> dict[str, Any]:
        return {"generator": self.generator.name, **{name: spell(value) for name, value in self.values.items()}}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={spell(value)!r}" for name, value in self.values.items())
        return f"Vary({self.generator.__name__}, {inside})"


class Recipe:
    """A weighted mix of `Vary`: what data sets are made with.

    Args:
        parts: (weight, Vary) pairs; a bare Vary, Generator or Generator class counts as weight 1.
        name: how manifests call it.

    Raises:
        ParameterError: there are no parts, a weight is none, families are mixed, or a generator lacks what it needs.
    """

    def __init__(self, parts: Iterable[Any], name: str = "custom") -> None:
        self.name = name
        self.parts: list[tuple[float, Vary]] = [_part(part) for part in parts]
        if not self.parts:
            raise ParameterError(f"recipe `{name}`: no generators: needs at least one")
        families = {vary.generator.family for _, vary in self.parts}
        if len(families) > 1:
            raise ParameterError(f"recipe `{name}`: families {', '.join(sorted(families))}: all must be of one family")
        self.family = families.pop()
        for _, vary in self.parts:
            for field in getattr(vary.generator, "needs", ()):
                if not vary.values[field]:
                    about = vary.generator.model_fields[field].description
                    raise ParameterError(
                        f"`{field}`: not given: `{vary.generator.name}` needs it\nhint: --{field}: {about}"
                    )

    def draw(self, rng: Rng) -> Generator:
        """Return the generator that `rng` decides."""
        index = rng.child("part").choice([weight for weight, _ in self.parts])
        return self.parts[index][1].draw(rng.child("values", index))

    def record(self) -> dict[str, Any]:
        """Return the plain form that `from_record` reads; YAML and manifests hold it."""
        return {
            "recipe": self.name,
            "family": self.family,
            "generators": [{"weight": weight, **vary.record()} for weight, vary in self.parts],
        }

    @classmethod
    def from_record(cls, record: Any, where: str = "recipe") -> Recipe:
        """Make a recipe of its plain form.

        Raises:
            ParameterError: the form is not a recipe's; the message says where and what was expected.
            UnknownGenerator: it names a generator that does not exist.
        """
        if not isinstance(record, Mapping) or not isinstance(record.get("generators"), Sequence):
            raise ParameterError(f"{where}: expected a mapping with `family` and a list of `generators`")
        extra = set(record) - {"recipe", "family", "generators"}
        if extra:
            raise ParameterError(f"{where}: unknown key `{min(map(str, extra))}`: expected recipe, family, generators")
        family, name, parts = record.get("family", "pointclouds"), record.get("recipe", "custom"), []
        for key, text in (("family", family), ("recipe", name)):
            # Numbers and dates are names, too; what is nested may be of any size once it is written out.
            if isinstance(text, (Mapping, Sequence, Set)) and not isinstance(text, str):
                raise ParameterError(f"{where}: {key}: {shown(text)}: expected a name")
        for number, entry in enumerate(record["generators"], 1):
            if not isinstance(entry, Mapping) or not isinstance(entry.get("generator"), str):
                raise ParameterError(f"{where}: entry {number}: expected a mapping with `generator`")
            if not all(isinstance(key, str) for key in entry):
                raise ParameterError(f"{where}: entry {number}: parameter names must be text")
            values = {key: value for key, value in entry.items() if key not in ("generator", "weight")}
            parts.append((entry.get("weight", 1), Vary(find(str(family), entry["generator"]), **values)))
        return cls(parts, name=str(name))

    @classmethod
    def read(cls, name_or_path: str | Path) -> Recipe:
        """Read a named recipe ("3d-pnas") or a YAML file; only plain data is read, tags that build objects are refused.

        Raises:
            DataError: the file cannot be read or is not YAML.
            UnknownGenerator: it is neither a file nor a named recipe.
        """
        text_name = str(name_or_path)
        path = Path(name_or_path)
        if text_name in recipe_names():
            text = (resources.files("anosynth") / "recipes" / f"{text_name}.yaml").read_text(encoding="utf-8")
        elif path.is_file():
            try:
                size = path.stat().st_size
                if size > LONGEST:
                    raise DataError(f"{path}: {size} bytes: expected a recipe of at most {LONGEST}")
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{path}: cannot be read as a recipe: {error}") from None
        else:
            raise UnknownGenerator(f"no recipe file or name `{text_name}`{did_you_mean(text_name, recipe_names())}")
        return cls.from_record(load_yaml(text, text_name), where=text_name)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with anosynth, sorted."""
    folder = resources.files("anosynth") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_yaml(text: str, where: str) -> Any:
    """Read YAML as plain data with the scalars of YAML 1.2's core schema.

    YAML 1.1 reads `3:6` as 186 (base sixty), `1e-3` as text and `on` as true: ranges would silently become numbers.
    """
    try:
        return _Loader(text).get_single_data()
    except _YAML_ERRORS as error:
        raise DataError(f"{where}: not a recipe in plain YAML: {' '.join(str(error).split())}") from None


# What is no YAMLError comes from PyYAML's own constructors, for texts such as `!!bool maybe`.
_YAML_ERRORS = (
    yaml.YAMLError,
    RecursionError,
    ValueError,
    LookupError,
    AttributeError,
    OverflowError,
    TypeError,
)


class _Loader(yaml.SafeLoader):
    """A safe loader whose plain scalars follow YAML 1.2, and that refuses a key given twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is given twice", node.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # YAML 1.2 merges nothing by `<<`; a few lines of merges of merges would fill any memory.
        pass


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first) + [""] * (_tag == "null")
    )


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    # YAML 1.1 reads 010 as 8 and stumbles over 09.
    return int(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def _ends(value: Any) -> tuple[Any, ...]:
    return value.ends() if isinstance(value, (Range, Choice)) else (value,)


def _part(part: Any) -> tuple[float, Vary]:
    weight: Any = 1.0
    if isinstance(part, (tuple, list)) and len(part) == 2:
        weight, part = part
    if isinstance(part, Generator):
        part = Vary(type(part), **part.model_dump())
    elif isinstance(part, type) and issubclass(part, Generator):
        part = Vary(part)
    if not isinstance(part, Vary):
        hint = "\nhint: Recipe.read(name) reads a named recipe or a file" if isinstance(part, str) else ""
        raise ParameterError(f"recipe part: {part!r}: expected a Vary, a generator or (weight, Vary){hint}")
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= MOST_WEIGHT:
        raise ParameterError(
            f"`weight` of `{part.generator.name}`: {shown(weight)}: must be a number > 0 and <= {MOST_WEIGHT:g}"
        )
    return float(weight), part
