"""The base of all generators: how attempts, refusals, names and plug-ins work."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anosynth import generator as base
from anosynth.errors import DataError, Impossible, NotMade, ParameterError, UnknownGenerator
from anosynth.generator import Anomaly, Generator, camel, find, from_record, kebab, names
from anosynth.params import param
from anosynth.schema import generator_schema
from anosynth.seeding import as_rng


class Moody(Generator):
    """Succeeds at a given attempt."""

    family = "pointclouds"
    good: int = param(0, ge=0, help="the attempt that succeeds")

    def make(self, sample, rng):
        sample.append(rng.uniform())
        if len(sample) <= self.good:
            raise DataError(f"attempt {len(sample)} failed")
        one = np.ones(1)
        return Anomaly(sample, one > 0, one.astype(np.float32), one.astype(np.uint16), self, {"area": 1.0})


class Never(Generator):
    """Is impossible at once."""

    def make(self, sample, rng):
        sample.append(1)
        raise Impossible("no surface")


class Choosy(Generator):
    """Has values that must go together."""

    low: float = param(0.0, ge=0, help="low")
    high: float = param(1.0, ge=0, help="high")

    def check(self):
        if self.low > self.high:
            raise ParameterError(f"`low`: {self.low}: must not exceed `high`")


@pytest.mark.parametrize("good", [0, 1, 7])
def test_a_draw_that_fails_is_drawn_again_from_a_stream_of_its_own(good):
    seen: list[float] = []
    anomaly = Moody(good=good)(seen, rng=3)
    assert anomaly.stats == {"area": 1.0, "attempts": good + 1}
    assert len(set(seen)) == good + 1
    assert seen == [as_rng(3).child("attempt", i).uniform() for i in range(good + 1)]


def test_what_cannot_be_made_is_refused_after_the_stated_number_of_draws():
    seen: list[float] = []
    with pytest.raises(NotMade, match=r"^no `moody` could be made of it in 8 draws: attempt 8 failed$"):
        Moody(good=99)(seen, rng=3)
    assert len(seen) == Moody.attempts == 8


def test_what_no_draw_can_make_is_refused_at_once():
    seen: list[int] = []
    with pytest.raises(NotMade, match=r"^no `never` could be made of it: no surface$"):
        Never()(seen, rng=3)
    assert len(seen) == 1


def test_other_errors_pass():
    class Broken(Generator):
        def make(self, sample, rng):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken()(None, rng=1)
    with pytest.raises(TypeError, match="rng: str"):
        Moody()([], rng="7")
    with pytest.raises(NotImplementedError):
        Generator()(None)


def test_values_that_do_not_go_together():
    with pytest.raises(ParameterError, match=r"`low`: 2\.0: must not exceed `high`"):
        Choosy(low=2)
    assert Choosy(low=2, high=3).low == 2


def test_a_generator_is_frozen_hashable_and_equal_by_value():
    gen = Choosy(high=2)
    with pytest.raises(ValidationError):
        gen.high = 3
    assert gen == Choosy(high=2.0)
    assert gen != Choosy()
    assert len({gen, Choosy(high=2), Choosy()}) == 2
    assert Choosy.parameter_names() == ["low", "high"]


def test_same_seed_same_draw_whatever_type_it_has():
    runs = [Moody()([], rng=seed).sample for seed in (5, np.int64(5), as_rng(5))]
    assert runs[0] == runs[1] == runs[2]


@given(st.lists(st.text("abcxyz", min_size=2, max_size=5), min_size=1, max_size=4))
def test_names_go_both_ways(parts):
    name = "-".join(parts)
    assert kebab(camel(name)) == name


# Registry.


def test_every_module_of_the_package_is_a_generator_of_its_name():
    found = names("pointclouds")
    assert found == sorted(found)
    assert len(found) >= 17
    for name in found:
        cls = find("pointclouds", name)
        assert cls.name == name
        assert cls.family == "pointclouds"
        assert cls.__name__ == camel(name)


@pytest.mark.parametrize("name", ["dents", "Dent", "_base", "-base", "", "dent/..", "os", "..dent", "dent\n", "a" * 99])
def test_names_of_no_generator(name):
    with pytest.raises(UnknownGenerator, match="no generator `"):
        find("pointclouds", name)


def test_families_are_guessed():
    with pytest.raises(UnknownGenerator, match=r"no family `pointcloud`; did you mean `pointclouds`\?"):
        find("pointcloud", "dent")


def test_a_record_of_another_version_is_refused():
    record = find("pointclouds", "dent")().record()
    assert from_record(record) == find("pointclouds", "dent")()
    with pytest.raises(ParameterError, match=r"generator `dent`: version 99: this anosynth makes version \d+\nhint: "):
        from_record({**record, "version": 99})
    with pytest.raises(ParameterError, match="has no parameter `depth`"):
        from_record({**record, "depth": 1})


def test_other_packages_add_generators(monkeypatch):
    group = base.ENTRY_POINTS
    entries = [
        EntryPoint("my-moody", f"{__name__}:Moody", group),
        EntryPoint("other", f"{__name__}:Never", group),
        EntryPoint("broken", "no_such_module:Thing", group),
        EntryPoint("gone", f"{__name__}:Missing", group),
    ]
    monkeypatch.setattr(base, "entry_points", lambda group: entries)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(Moody, "name", Moody.name)
    found = names("pointclouds")
    assert "my-moody" in found
    assert not {"other", "broken", "gone"} & set(found)
    assert find("pointclouds", "my-moody") is Moody
    assert Moody().record()["generator"] == "my-moody"
    with pytest.raises(UnknownGenerator):
        find("pointclouds", "other")


# Schema: a few dozen lines of JSON Schema are all that is needed to check it.


def valid(value, schema) -> bool:
    """Check a value against the part of JSON Schema that anosynth's schemas use; fail on a keyword beyond it."""
    checks = [CHECKS[key](value, wanted, schema) for key, wanted in schema.items() if key not in NOTES]
    return all(checks)


def number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def mapping(value, wanted, schema) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema["properties"]
    extra = set(value) - set(known)
    return not (extra and schema["additionalProperties"] is False) and all(
        valid(value[k], known[k]) for k in value if k in known
    )


NOTES = {"$schema", "title", "description", "default", "unit", "vary", "additionalProperties"}
KINDS = {"string": str, "integer": int, "array": list, "object": dict, "boolean": bool, "number": (int, float)}
CHECKS = {
    "type": lambda v, kind, _: isinstance(v, KINDS[kind]) and (kind == "boolean" or not isinstance(v, bool)),
    "const": lambda v, wanted, _: v == wanted,
    "enum": lambda v, wanted, _: v in wanted,
    "anyOf": lambda v, wanted, _: any(valid(v, each) for each in wanted),
    "minimum": lambda v, bound, _: not number(v) or v >= bound,
    "maximum": lambda v, bound, _: not number(v) or v <= bound,
    "exclusiveMinimum": lambda v, bound, _: not number(v) or v > bound,
    "exclusiveMaximum": lambda v, bound, _: not number(v) or v < bound,
    "pattern": lambda v, wanted, _: not isinstance(v, str) or re.search(wanted, v) is not None,
    "minItems": lambda v, bound, _: not isinstance(v, list) or len(v) >= bound,
    "maxItems": lambda v, bound, _: not isinstance(v, list) or len(v) <= bound,
    "prefixItems": lambda v, each, _: not isinstance(v, list) or all(map(valid, v, each)),
    "required": lambda v, keys, _: not isinstance(v, dict) or set(keys) <= set(v),
    "properties": mapping,
}


@pytest.mark.parametrize("name", names("pointclouds"))
def test_the_schema_takes_what_the_generator_takes_and_no_more(name):
    from anosynth.recipe import Vary

    cls = find("pointclouds", name)
    schema = generator_schema(cls)
    assert schema["title"] == name
    assert schema["description"]
    entry = {"weight": 2, **Vary(cls).record()}
    assert valid(entry, schema)
    drawn = {k: v for k, v in Vary(cls).draw(as_rng(1)).record().items() if k not in ("family", "version")}
    assert valid(drawn, schema)
    assert not valid({**entry, "no_such": 1}, schema)
    assert not valid({**entry, "generator": "other"}, schema)
    assert not valid({**entry, "weight": 0}, schema)
    assert not valid({k: v for k, v in entry.items() if k != "generator"}, schema)
    for field_name, field in cls.model_fields.items():
        about = schema["properties"][field_name]
        assert about["description"] == field.description
        assert about["default"] == field.default
        assert valid({**entry, field_name: field.default}, schema)
        assert not valid({**entry, field_name: None}, schema)
        if field.annotation in (int, float):
            assert valid({**entry, field_name: [field.default, field.default]}, schema)
            assert valid({**entry, field_name: f"{field.default}:{field.default}"}, schema)
            assert not valid({**entry, field_name: [1, 2, 3]}, schema)
            assert not valid({**entry, field_name: "many"}, schema)
            bound = field.json_schema_extra.get("maximum")
            if bound is not None:
                assert not valid({**entry, field_name: bound * 1.01 + 1}, schema)
