"""Recipes: weights, YAML without YAML's traps, and the same mix after a round trip."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from anosynth.errors import DataError, ParameterError, UnknownGenerator
from anosynth.generator import find, names
from anosynth.params import Choice
from anosynth.pointclouds import Bulge, Dent, Scratch
from anosynth.recipe import Recipe, Vary, load_yaml, recipe_names
from anosynth.schema import generator_schema
from anosynth.seeding import Rng, as_rng

MIX = """
recipe: my-mix
family: pointclouds
generators:
  - {generator: dent, weight: 2, strength: 0.005:0.03}
  - {generator: scratch, width: 0.3mm, bend: [0, 0.5]}
  - {generator: perlin-surface, octaves: 3:6, sign: out|in, scale: [2, 5, log]}
"""


def drawn(recipe: Recipe, number: int) -> list[str]:
    return [recipe.draw(as_rng(seed)).name for seed in range(number)]


# Weights.


def test_generators_come_by_their_weights():
    counts = dict.fromkeys(("dent", "bulge", "scratch"), 0)
    for name in drawn(Recipe([(2, Dent), (0.5, Vary(Bulge)), (1.5, Scratch(length=0.3))]), 2000):
        counts[name] += 1
    assert stats.chisquare(list(counts.values()), [1000, 250, 750]).pvalue > 1e-3


def test_only_the_ratio_of_weights_counts():
    assert drawn(Recipe([(2, Dent), (6, Bulge)]), 200) == drawn(Recipe([(1, Dent), (3, Bulge)]), 200)


def test_a_generator_given_as_values_stays_as_it_is():
    gen = Scratch(length=0.3, bend=0.1)
    assert Recipe([gen]).draw(Rng(1)) == gen


def test_equal_parts_draw_different_values():
    made = [Recipe([Dent, Dent]).draw(as_rng(seed)) for seed in range(40)]
    assert len({gen.strength for gen in made}) == 40


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), 1e300, 10**400, "2", True, None])
def test_weights_that_are_none(weight):
    with pytest.raises(ParameterError, match=r"^`weight` of `dent`: .*: must be a number > 0 and <= 1e\+09$"):
        Recipe([(weight, Dent)])


def test_the_largest_weight_still_draws():
    assert set(drawn(Recipe([(1e9, Dent), (1e9, Bulge)]), 40)) == {"dent", "bulge"}


@pytest.mark.parametrize("part", ["dent", 3, (Dent, 2), None, (1, 2, 3)])
def test_parts_that_are_none(part):
    with pytest.raises(ParameterError, match=r"recipe part: .*: expected a Vary, a generator or"):
        Recipe([part])


def test_a_recipe_needs_a_part():
    with pytest.raises(ParameterError, match="recipe `x`: no generators: needs at least one"):
        Recipe([], name="x")


# Plain form.


def test_yaml_reads_as_it_is_written():
    recipe = Recipe.from_record(load_yaml(MIX, "mix"))
    assert recipe.name == "my-mix"
    by_hand = Recipe(
        [
            (2, Vary(Dent, strength=(0.005, 0.03))),
            Vary(Scratch, width="0.3mm", bend=(0, 0.5)),
            Vary(find("pointclouds", "perlin-surface"), octaves=(3, 6), sign="out|in", scale=(2, 5, "log")),
        ],
        name="my-mix",
    )
    assert recipe.record() == by_hand.record()


@given(st.integers(0, 2**32))
def test_record_and_back_draws_the_same(seed):
    recipe = Recipe.from_record(load_yaml(MIX, "mix"))
    record = json.loads(json.dumps(recipe.record(), allow_nan=False))
    again = Recipe.from_record(record)
    assert again.record() == record
    assert again.draw(as_rng(seed)) == recipe.draw(as_rng(seed))


@pytest.mark.parametrize("name", recipe_names())
def test_named_recipes_load_and_draw(name):
    recipe = Recipe.read(name)
    assert recipe.name == name
    assert Recipe.from_record(recipe.record()).record() == recipe.record()
    assert {recipe.draw(as_rng(seed)).name for seed in range(300)} == {vary.generator.name for _, vary in recipe.parts}


def test_there_are_the_recipes_of_the_documentation():
    assert {"3d-pnas", "all-defects", "machined", "po3ad", "r3d-ad"} <= set(recipe_names())


def test_a_file_is_read_like_a_name(tmp_path):
    path = tmp_path / "mix.yaml"
    path.write_text(MIX, encoding="utf-8")
    assert Recipe.read(path).record() == Recipe.from_record(load_yaml(MIX, "mix")).record()
    path.write_bytes(b"\xef\xbb\xbf" + MIX.encode())
    assert Recipe.read(str(path)).name == "my-mix"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "r: expected a mapping with `family` and a list of `generators`"),
        ([1], "r: expected a mapping"),
        ({"generators": "dent"}, "r: entry 1: expected a mapping with `generator`"),
        ({"generators": 3}, "r: expected a mapping"),
        ({"generators": []}, "no generators: needs at least one"),
        (
            {"generators": [{"generator": "dent"}], "seed": 1},
            "r: unknown key `seed`: expected recipe, family, generators",
        ),
        ({"generators": [{"generator": "dent"}], 1: 1}, "r: unknown key `1`"),
        ({"generators": ["dent"]}, "r: entry 1: expected a mapping with `generator`"),
        ({"generators": [{"generator": "dent"}, {"generator": 3}]}, "r: entry 2: expected a mapping with `generator`"),
        ({"generators": [{"generator": "dent", 3: 1}]}, "r: entry 1: parameter names must be text"),
        ({"generators": [{"generator": "dent", "strength": [1, 2, 3]}]}, "`strength`: [1, 2, 3]: a list is a range"),
        ({"generators": [{"generator": "dent", "strength": None}]}, "`strength`: None: expected a number"),
        ({"generators": [{"generator": "dent", "strenth": 1}]}, "did you mean `strength`?"),
        ({"generators": [{"generator": "dent", "weight": "2"}]}, "`weight` of `dent`: 2: must be a number"),
    ],
)
def test_forms_that_are_no_recipe(record, message):
    with pytest.raises(ParameterError) as caught:
        Recipe.from_record(record, where="r")
    assert message in str(caught.value)


def test_names_that_do_not_exist_are_guessed(tmp_path):
    for call, message in [
        (lambda: Recipe.read("machned"), "no recipe file or name `machned`; did you mean `machined`?"),
        (lambda: Recipe.read(tmp_path), "no recipe file or name"),
        (lambda: Recipe.from_record({"generators": [{"generator": "dnet"}]}), "did you mean `dent`?"),
        (lambda: Recipe.from_record({"generators": [{"generator": "../dent"}]}), "no generator `../dent`"),
        (lambda: Recipe.from_record({"family": "x", "generators": [{"generator": "dent"}]}), "no family `x`"),
    ]:
        with pytest.raises(UnknownGenerator) as caught:
            call()
        assert message in str(caught.value)


# YAML.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3:6", "3:6"),  # YAML 1.1: 186, base sixty
        ("0.5:1.5", "0.5:1.5"),
        ("1:30:59", "1:30:59"),
        ("1e-3", 0.001),  # YAML 1.1: text
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.5e3", -500.0),
        ("+3", 3),
        ("010", 10),  # YAML 1.1: 8
        ("09", 9),
        ("-007", -7),
        ("0x10", "0x10"),
        ("1_000", "1_000"),  # YAML 1.1: 1000
        ("on", "on"),  # YAML 1.1: true
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("2020-01-01", "2020-01-01"),  # YAML 1.1: a date
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("=", "="),
        ("<<", "<<"),
        ("0.15mm", "0.15mm"),
        ("out|in", "out|in"),
        ("'3'", "3"),
        ("[1, 2]", [1, 2]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = load_yaml(f"a: {text}", "w")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**9), 10**9))
def test_numbers_read_as_python_writes_them(number, whole):
    assert load_yaml(f"[{number!r}, {whole}]", "w") == [number, whole]


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.mkdir ['TARGET']",
        "!!python/object/new:os.mkdir ['TARGET']",
        "a: !!python/name:os.system",
        "a: !!python/module:os",
        "a: !mine 3",
        "a: [",
        "a: b: c",
        "a: 1\na: 2",
        "g: [{a: 1, b: 2, a: 3}]",
        "? [1]\n: 2",
        "--- 1\n--- 2",
        "a: *nowhere",
        "a: !!bool maybe",
        "a: !!int x",
        "a: !!float x",
        "a: !!timestamp x",
        "a: !!binary x",
        "\x00",
        "a: \x07",
        "\tx",
        "@",
        "[" * 5000,
        "{a: " * 5000,
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text, tmp_path):
    target = tmp_path / "made"
    with pytest.raises(DataError, match=r"^w: not a recipe in plain YAML: \S") as caught:
        load_yaml(text.replace("TARGET", str(target)), "w")
    assert "\n" not in str(caught.value)
    assert not target.exists()


@given(st.text(max_size=60))
def test_any_text_is_data_or_refused(text):
    with suppress(DataError):
        load_yaml(text, "w")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"x\.yaml: cannot be read as a recipe: "):
        Recipe.read(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnknownGenerator):
        Recipe.read(tmp_path / "pipe")


@pytest.mark.parametrize("name", names("pointclouds"))
def test_every_generator_varies_within_its_bounds(name):
    vary = Vary(find("pointclouds", name))
    made = [vary.draw(as_rng(seed)) for seed in range(50)]
    assert all(type(gen) is vary.generator for gen in made)
    assert len({json.dumps(gen.record()) for gen in made}) > 25, "a default recipe that does not vary"
    assert np.isfinite([value for gen in made for value in gen.model_dump().values() if isinstance(value, float)]).all()


# Plain text, and what a generator cannot do without.

TEXTS = ["a:b", "0.1:0.2", "5:1", "c|d", "|", "12px", "2024", "true", " spaced ", "C:\\data", "1:2:log"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_no_range_and_no_choice(text):
    bank = find("images", "defect-bank")
    vary = Vary(bank, bank=text, strength="0.5:0.7")
    assert vary.values["bank"] == text
    assert {vary.draw(as_rng(seed)).bank for seed in range(5)} == {text}
    recipe = Recipe([vary])
    again = Recipe.from_record(json.loads(json.dumps(recipe.record())))
    assert again.record() == recipe.record()
    assert again.draw(as_rng(3)) == recipe.draw(as_rng(3))
    assert Recipe([bank(bank=text)]).draw(as_rng(0)) == bank(bank=text)


def test_what_is_no_text_is_refused_for_one():
    bank = find("images", "defect-bank")
    for value in (5, True, ["a", "b"], ("a", "b"), Choice(("a", "b")), None):
        with pytest.raises(ParameterError, match="`bank`"):
            Vary(bank, bank=value)
    with pytest.raises(ParameterError, match=r"`centre`: 0\.1,0\.2\|0\.3,0\.4"):
        Vary(find("images", "stain"), centre="0.1,0.2|0.3,0.4")


def test_a_function_may_be_given_with_a_colon():
    vary = Vary(find("images", "external"), function="package.module:name")
    assert vary.draw(as_rng(0)).function == vary.record()["function"] == "package.module.name"


@pytest.mark.parametrize(("name", "needed"), [("defect-bank", "bank"), ("external", "function")])
def test_what_a_generator_needs_must_be_given(name, needed):
    cls = find("images", name)
    stain = find("images", "stain")
    for parts in ([cls], [stain, Vary(cls)], [(2, cls())]):
        with pytest.raises(ParameterError, match=rf"^`{needed}`: not given: `{name}` needs it\nhint: --{needed}: "):
            Recipe(parts)
    assert Recipe([Vary(cls, **{needed: "a.b"})]).draw(as_rng(0)).name == name


def test_schemas_say_that_text_is_text():
    properties = generator_schema(find("images", "defect-bank"))["properties"]
    assert properties["bank"]["anyOf"] == [{"type": "string"}]
    assert len(properties["blend"]["anyOf"]) == 2
    assert len(properties["strength"]["anyOf"]) == 4


def test_ranges_are_checked_together_with_what_else_was_given():
    codebook = find("features", "codebook-swap")
    assert Vary(codebook, skip=0.6, strength=(0.7, 1.0)).draw(as_rng(0)).skip == 0.6
    assert Vary(codebook, skip=(0.1, 0.6), strength=(0.7, 1.0)).draw(as_rng(0)).strength >= 0.7
    with pytest.raises(ParameterError, match=r"`skip`: 0\.6: must be < `strength`, 0\.2"):
        Vary(codebook, skip=0.6, strength=(0.2, 1.0))
