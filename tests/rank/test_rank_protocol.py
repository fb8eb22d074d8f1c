from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rank_sets import (
    recipe_of,
    sample,
    short,  # noqa: F401 - for all tests of this file
    write_good,
    write_real,
)

from anosynth.errors import DataError, ParameterError, UnknownGenerator
from anosynth.features import Gaussian
from anosynth.images import Image
from anosynth.io.images import read_image, write_image
from anosynth.rank import Outcome, Settings, _photos, rank
from anosynth.rank._contest import Figure
from anosynth.rank._files import File
from anosynth.rank._making import FeatureRecipe, Given, make, orders
from anosynth.rank._photos import Eye
from anosynth.rank._samples import GOOD
from anosynth.rank._space import learn
from anosynth.rank.outcome import FLOOR, LINE, RECIPE, Difference, Entry
from anosynth.rank.ranking import rank as ranking
from anosynth.rank.settings import chosen
from anosynth.rank.table import table
from anosynth.rank.verdict import conclusion
from anosynth.recipe import Recipe
from anosynth.seeding import stream

FAST = Settings(size=64, seeds=1, made=16, draws=60, looks=False)
HIDDEN = "mosaic"
OTHERS = ("scratch", "stain", "noise-patch", "dent")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("rank")
    return write_good(root / "good", 20), write_real(root / "real", recipe_of(HIDDEN, severity=0.5), 12)


@pytest.fixture(scope="module")
def outcome(folders: tuple[Path, Path]) -> Outcome:
    recipes = [recipe_of(name, severity=0.5) for name in (*OTHERS, HIDDEN)]
    return rank(folders[0], recipes, folders[1], FAST)


@pytest.fixture(scope="module")
def looked_at(folders: tuple[Path, Path]) -> Outcome:
    return rank(folders[0], ["stain", "mosaic"], None, replace(FAST, made=12))


def test_the_recipe_that_made_the_defects_comes_first(outcome: Outcome) -> None:
    first, second = outcome.of(RECIPE)[:2]
    assert first.name == HIDDEN
    assert len(outcome.of(RECIPE)) == 5
    figure, apart = first.figures["pixel_ap"], outcome.difference(HIDDEN, second.name)
    assert figure is not None
    assert figure.low <= figure.value <= figure.high
    assert figure.low > max(one.value("pixel_ap") for one in outcome.of(RECIPE)[1:])
    assert apart is not None
    assert apart.figure.value >= 0
    assert any(HIDDEN in sentence for sentence in outcome.conclusion)


def test_lines_and_the_floor_stand_beside(outcome: Outcome) -> None:
    assert {one.name for one in outcome.of(LINE)} >= {"mahalanobis", "knn"}
    assert [one.name for one in outcome.of(FLOOR)] == ["grey"]
    assert len(outcome.against) == 5 * (len(outcome.of(LINE)) + 1)
    assert len(outcome.pairs) == 10
    assert outcome.data == {
        "train": 14, "fit": 11, "validation": 3, "test": 6, "duplicates": 0,
        "real": {"x": {"samples": 12, "masks": 12}},
    }  # fmt: skip


def test_the_record_is_plain_and_the_table_complete(outcome: Outcome) -> None:
    record = outcome.record()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert record["looks"] == {}
    assert record["best_line"] == outcome.of(LINE)[0].name
    assert all(one["figures"]["aupro"] for one in record["entries"] if one["role"] != FLOOR)
    assert record["protocol"]["recipes"][HIDDEN]["family"] == "images"
    text = table(outcome)
    for name in (*OTHERS, HIDDEN, "(line) knn", "(floor) grey", "AUPRO@0.3", *outcome.conclusion):
        assert name in text


def test_the_same_line_gives_the_same_numbers(folders: tuple[Path, Path]) -> None:
    given = replace(FAST, made=6, draws=20)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    a = rank(folders[0], ["stain"], folders[1], given).record()
    assert torch.equal(torch.get_rng_state(), state)
    np.random.seed(3)  # noqa: NPY002 - global state must not matter
    torch.manual_seed(2)
    assert rank(folders[0], ["stain"], folders[1], given).record() == a
    other = rank(folders[0], ["stain"], folders[1], replace(given, seed=1)).record()
    assert other["entries"][0]["seeds"] != a["entries"][0]["seeds"]


def test_nothing_learned_depends_on_the_test(folders: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_real(tmp_path / "other", recipe_of("stain"), 5)
    given = replace(FAST, made=8, draws=30)
    a, b = (rank(folders[0], ["scratch"], real, given) for real in (folders[1], other))
    assert a.of(RECIPE)[0].validation == b.of(RECIPE)[0].validation
    assert a.of(RECIPE)[0].made == b.of(RECIPE)[0].made
    assert a.of(RECIPE)[0].value("image_auroc") != b.of(RECIPE)[0].value("image_auroc")


def test_copies_are_neither_trained_on_nor_judged(folders: tuple[Path, Path], tmp_path: Path) -> None:
    good, real = write_good(tmp_path / "good", 12), write_real(tmp_path / "real", recipe_of("stain"), 3)
    for number in range(3):
        image = read_image(good / f"{number:03d}.png")
        write_image(good / f"copy{number}.png", image)
    (real / "test/good").mkdir()
    write_image(real / "test/good/a.png", read_image(good / "000.png"))
    write_image(real / "test/good/b.png", Image(read_image(good / "001.png").pixels[:, ::-1].copy()))
    found = rank(good, ["stain"], real, replace(FAST, made=4, draws=20))
    # Of twelve one is among the test samples; a third of eleven is held out, and two more are those of --real.
    assert found.data["duplicates"] == 3
    assert (found.data["train"], found.data["test"]) == (8, 3 + 2)


def test_a_sample_is_never_its_own_reference_by_name(folders: tuple[Path, Path]) -> None:
    # Test samples may be called as training samples are: they live in other folders.
    training = [sample(f"{number:03d}.png", GOOD, source=f"{number:03d}.png") for number in range(9)]
    space = learn(training, align="cell")
    test = sample("000.png", "x")
    assert torch.equal(space.residual(test), torch.from_numpy(test.rows).double() - space.mean)


def test_masks_are_optional(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real = tmp_path / "real"
    for number, path in enumerate(sorted((folders[1] / "test/x").iterdir())[:6]):
        target = real / ("one" if number % 2 else "two") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    found = rank(folders[0], ["stain", "mosaic"], real, replace(FAST, made=4, draws=20))
    assert found.data["real"] == {kind: {"samples": 3, "masks": 0} for kind in ("one", "two")}
    best = found.of(RECIPE)[0]
    assert best.figures["image_auroc"] is not None
    assert best.figures["pixel_auroc"] is None
    assert set(best.kinds) == set(found.kinds) == {"one", "two"}
    for kind, (apart,) in found.kinds.items():
        values = [next(one for one in found.entries if one.name == name).kinds[kind] for name in (apart.a, apart.b)]
        first, second = (one["image_auroc"].value for one in values)
        assert (apart.a, apart.figure.value) == (best.name, pytest.approx(first - second))


def test_without_real_defects_it_says_what_anomalies_look_like(looked_at: Outcome) -> None:
    found = looked_at
    assert (found.by, found.pairs, found.missed) == ("", (), {})
    assert [one.name for one in found.entries] == ["stain", "mosaic"]
    assert set(found.looks["stain"]) == {"coverage", "shortcut"}
    assert found.looks["stain"]["coverage"]["sets"]["synthetic"]["vendi"]["value"] > 1
    assert "no real defects were given" in found.conclusion[0]
    assert "stain" in table(found)
    json.dumps(found.record(), allow_nan=False)


def test_feature_recipes_change_the_cells_that_they_label(folders: tuple[Path, Path]) -> None:
    normal = [sample(f"n{number}", GOOD, side=8, source=f"n{number}") for number in range(6)]
    space = learn(normal)
    recipe = chosen(["perlin-masked"], "images")[0]
    made = FeatureRecipe(recipe, space, normal).make(normal[2], 0, 0)
    assert not isinstance(made, str)
    moved = np.abs(made.cells - normal[2].cells).max(axis=2) > 1e-4
    assert made.cover is not None
    assert np.array_equal(moved, made.cover > 0)
    assert made.source == "n2"
    strong = FeatureRecipe(Recipe([Gaussian(std=2.0)]), space, normal).make(normal[0], 0, 0)
    assert not isinstance(strong, str)
    # Standardised features: the deviation of the noise is that of the channel.
    assert float((strong.cells - normal[0].cells).std()) == pytest.approx(2.0, rel=0.1)
    found = rank(folders[0], ["hypersphere"], folders[1], replace(FAST, made=6, draws=20))
    assert found.of(RECIPE)[0].family == "features"


def test_anomalies_are_those_of_the_command_line(folders: tuple[Path, Path]) -> None:
    recipe = recipe_of("stain")
    from anosynth.rank._files import File

    file = File(folders[0] / "003.png", "003.png")
    order = orders(recipe, [file], 5, 1)[0]
    assert order.variant == 0
    made = make(Given("images", Eye(size=64), "none"), order)
    assert not isinstance(made, str)
    generator = recipe.draw(stream(5, "recipe", "003.png"))
    wanted = generator(read_image(file.path), stream(5, "stain", "003.png"))
    assert np.array_equal(made.cells, Eye(size=64).cells(wanted.sample))


@pytest.mark.parametrize(
    ("recipes", "error", "text"),
    [
        (["drem"], UnknownGenerator, "did you mean `draem`"),
        ([], ParameterError, "at least one"),
        (["stain", "stain"], ParameterError, "given twice"),
        (["3d-pnas"], ParameterError, "of pointclouds: the samples are images"),
    ],
)
def test_recipes_are_refused_in_words(recipes: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        chosen(recipes, "images")


def test_recipe_files_are_called_as_the_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("recipe: mine\nfamily: images\ngenerators: [{generator: stain}]\n")
    found = chosen([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")], "images")
    assert [one.name for one in found] == ["a", "b"]


def test_too_little_is_refused_in_words(folders: tuple[Path, Path], tmp_path: Path) -> None:
    few = write_good(tmp_path / "few", 5)
    with pytest.raises(DataError, match="normal samples: 5: expected at least 8"):
        rank(few, ["stain"], folders[1], FAST)
    with pytest.raises(DataError, match="5 of them in --real, too"):
        ranking(write_good(tmp_path / "same", 5), ["stain"], write_good(tmp_path / "other", 5), FAST)
    one = write_real(tmp_path / "one", recipe_of("stain"), 1)
    with pytest.raises(DataError, match="real defects: 1 that can be used"):
        rank(folders[0], ["stain"], one, FAST)
    for wrong in ({"size": 3}, {"seeds": 0}, {"by": "auroc"}, {"held_out": 0.9}, {"space": "x"}, {"align": "x"}):
        with pytest.raises(ParameterError, match=f"`{next(iter(wrong))}`"):
            rank(folders[0], ["stain"], None, replace(FAST, **wrong))


def test_the_conclusion_says_when_synthesis_does_not_pay(outcome: Outcome) -> None:
    def moved(by: float) -> Outcome:
        line = outcome.of(LINE)[0].name
        against = [
            replace(one, figure=replace(one.figure, value=by, low=by - 0.05, high=by + 0.05)) if one.b == line else one
            for one in outcome.against
        ]
        return replace(outcome, against=tuple(against))

    line = outcome.of(LINE)[0].name
    assert conclusion(moved(-0.2))[0].startswith(f"no recipe beats {line} here: ")
    assert conclusion(moved(0.01))[0].startswith(f"no recipe beats {line} here beyond doubt")
    assert conclusion(moved(0.2))[0].startswith(f"{outcome.of(RECIPE)[0].name} beats {line}")
    assert math.isfinite(outcome.of(RECIPE)[0].validation)


def test_the_conclusion_knows_ceilings_floors_and_kinds(outcome: Outcome) -> None:
    def lifted(one: Entry, value: float, **more: object) -> Entry:
        return replace(one, figures={**one.figures, "image_auroc": Figure(value, value, value)}, **more)

    top = replace(outcome, entries=tuple(lifted(one, 1.0) for one in outcome.entries))
    assert any("at its ceiling" in sentence for sentence in conclusion(top))
    low = replace(outcome, entries=tuple(lifted(one, 0.7) for one in outcome.entries))
    assert not any("at its ceiling" in sentence for sentence in conclusion(low))
    first, second = outcome.of(RECIPE)[:2]
    grey = replace(outcome.difference(first.name, "grey"), figure=Figure(-0.1, -0.2, 0.1))
    against = tuple(grey if one.b == "grey" and one.a == first.name else one for one in outcome.against)
    assert any("global statistics alone reach 0.700" in text for text in conclusion(replace(low, against=against)))
    kinds = {
        first.name: {"x": {"image_auroc": Figure(0.5, 0, 1)}},
        second.name: {"x": {"image_auroc": Figure(0.9, 0, 1)}},
    }
    split = replace(outcome, entries=tuple(replace(one, kinds=kinds.get(one.name, {})) for one in outcome.entries))
    for high, told in ((-0.1, True), (0.1, False)):
        apart = Difference(first.name, second.name, Figure(-0.4, -0.6, high), 0.0)
        text = f"for x, {second.name} does better: 0.900 against 0.500 of {first.name}"
        assert (text in conclusion(replace(split, kinds={"x": (apart,)}))) is told


def test_workers_change_nothing(folders: tuple[Path, Path]) -> None:
    given = replace(FAST, made=4, draws=20)
    alone = rank(folders[0], ["stain"], folders[1], given).record()
    assert rank(folders[0], ["stain"], folders[1], replace(given, workers=2)).record() == alone


def test_anomalies_without_a_labelled_cell_have_no_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    from anosynth.rank import looks

    normal = [replace(sample(f"n{number}", "good"), source=f"n{number}") for number in range(6)]
    made = [sample(f"m{number}", "x", source=f"n{number}", shift=2.0) for number in range(6)]
    blank = [replace(one, cover=np.zeros_like(one.cover)) for one in made]
    unknown = [replace(one, cover=None) for one in made]
    assert looks._coverage(made, normal, []) is not None
    assert looks._coverage(blank, normal, []) is None
    assert looks._coverage(unknown, normal, []) is None
    # Real defects that no cell shows take nothing from what is known of the others.
    found = looks._coverage(made, normal, blank)
    assert found is not None
    assert "real" not in found["sets"]


def test_millimetres_need_a_scale_and_go_by_the_pixels_of_the_file(tmp_path: Path) -> None:
    good = write_good(tmp_path / "good", 8, size=256)
    asked = [recipe_of("scratch", width="0.4mm")]
    with pytest.raises(ParameterError, match=r"recipe `scratch`: `width`: 0.4mm: what a pixel measures is not known"):
        rank(good, asked, None, Settings(size=64, made=4))
    with pytest.raises(ParameterError, match="`mm_per_px`: 0: must be a number > 0"):
        rank(good, asked, None, Settings(size=64, made=4, mm_per_px=0))
    with pytest.raises(ParameterError, match="`unit`: of point clouds"):
        rank(good, asked, None, Settings(size=64, made=4, unit="mm"))
    outcome = rank(good, asked, None, Settings(size=64, made=4, mm_per_px=0.1))
    assert outcome.protocol["mm_per_px"] == 0.1
    # The photo is halved, so that a pixel measures twice as much.
    file = File(good / "000.png", "000.png")
    assert _photos.source(file, Eye(size=64), "none", 0.1).mm_per_px == pytest.approx(0.2)
    assert _photos.source(file, Eye(size=256), "none", 0.1).mm_per_px == 0.1


def test_shares_are_written_as_elsewhere(outcome: Outcome) -> None:
    sets = {"subtle": {"value": 0.514}, "easy": {"value": 0.9}, "duplicates": {"value": 0.31}}
    looks = {"x": {"coverage": {"sets": {"synthetic": sets}}, "shortcut": None}}
    said = "\n".join(conclusion(replace(outcome, by="", looks=looks)))
    assert "x: 51 % of its" in said
    assert "x: 90 % of its" in said
    assert "x: 31 % of its" in said
