"""What the report says of a run as a whole: counts of the manifest, ranges of the recipe, and bounds of chance."""

from __future__ import annotations

import math
import random
import re
import statistics as of_python
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from scipy.stats import binom

from anosynth.recipe import Recipe
from anosynth.report import render
from anosynth.report._asked import _sizes_figure
from anosynth.report._bins import BINS, Kept, Places, Sizes, Spans
from anosynth.report._charts import sizes
from anosynth.report._text import compact, percent
from anosynth.report.statistics import Statistics, asked, binomial
from anosynth.run import write_report
from anosynth.run.manifest import line
from anosynth.seeding import stream

RECIPE = {
    "recipe": "mix",
    "family": "images",
    "generators": [
        {
            "generator": "scratch",
            "weight": 3,
            "strength": "0.2:0.4",
            "length": "0.1:0.6:log",
            "polarity": "dark|light",
        },
        {"generator": "spatter", "weight": 1, "droplets": "8:80"},
    ],
}


def run(number: int, seed: int = 0) -> tuple[dict, list[dict]]:
    """Return header and records of a made-up run whose values come from the recipe itself."""
    recipe, dice = Recipe.from_record(RECIPE), random.Random(seed)
    rows = []
    for i in range(number):
        generator = recipe.draw(stream(seed, "recipe", str(i), 0)).record()
        row = {"id": f"{i}.png", "generator": generator, "source": {"path": f"s/{i}.png"}}
        if dice.random() < 0.1:
            name = generator["generator"]
            why = f"s/{i}.png: no `{name}` could be made of it in 8 draws: {i % 9} pixels"
            rows.append({**row, "status": "skipped", "reason": why})
            continue
        y, x = dice.randrange(100), dice.randrange(200)
        rows.append(
            {
                **row,
                "status": "made",
                "split": dice.choice(["train", "test"]),
                "frame": (100, 200),
                "mask": {"area": dice.uniform(0.001, 0.1), "count": 7},
                "effect": {"min": -0.3, "max": 0.1, "mean_abs": dice.uniform(0.05, 0.4), "unit": "of full scale"},
                "instances": [{"id": 1, "box": [[y, x], [y, x]]}],
                "stats": {"attempts": dice.randrange(1, 4)},
            }
        )
    return {"recipe": recipe.record(), "split": [0.7, 0.1, 0.2], "foreground": "auto"}, rows


def gathered(header, rows) -> Statistics:
    seen = Statistics(header)
    for row in rows:
        seen.add(row)
    return seen


def test_all_counts_are_those_of_the_manifest():
    header, rows = run(400)
    seen = gathered(header, rows)
    made = [row for row in rows if row["status"] == "made"]
    assert seen.statuses == Counter(row["status"] for row in rows)
    for name, one in seen.generators.items():
        of_it = [row for row in made if row["generator"]["generator"] == name]
        assert one.made == len(of_it)
        assert one.skipped == sum(r["generator"]["generator"] == name for r in rows) - len(of_it)
        for key, drawn in one.drawn.items():
            assert drawn.total == len(of_it), key
        assert sum(one.area.counts.values()) == len(of_it)
    assert {name: sum(counts.values()) for name, counts in seen.splits.items()} == Counter(r["split"] for r in made)
    assert seen.attempts == Counter(row["stats"]["attempts"] for row in made)
    assert sum(reason.count for reason in seen.reasons.values()) == len(rows) - len(made)
    assert [reason.text.split(":")[0] for reason in seen.reasons.values()] == ["could not be made in 8 draws"]
    assert seen.places.total == len(made)
    assert seen.area.kept.median() == of_python.median(row["mask"]["area"] for row in made)


def test_ranges_are_those_of_the_recipe_and_draws_lie_in_them():
    header, rows = run(300)
    one = gathered(header, rows).generators["scratch"]
    assert one.share == 0.75
    strength, length = one.drawn["strength"], one.drawn["length"]
    assert [(low, high) for low, high, _ in strength.ranges] == [(0.2, 0.4)]
    assert (length.low, length.high, length.log) == (0.1, 0.6, True)
    assert one.drawn["polarity"].asked == {"dark": 0.5, "light": 0.5}
    assert set(one.drawn["polarity"].counts) == {"dark", "light"}
    assert all(drawn.outside == [0, 0] for drawn in (strength, length))
    assert one.fixed["severity"] == 1
    # Bins are equal in what the values were drawn uniformly in, so all of them are about as full.
    assert max(length.counts) < 4 * sum(length.counts) / len(length.counts)


def test_values_outside_of_what_was_asked_are_told_apart():
    header, rows = run(40)
    made = [r for r in rows if r["status"] == "made" and r["generator"]["generator"] == "scratch"]
    made[0]["generator"]["strength"], made[1]["generator"]["strength"] = 0.05, 0.9
    assert gathered(header, rows).generators["scratch"].drawn["strength"].outside == [1, 1]
    text = render("t", header, rows, {})
    assert "; 2 outside" in text
    assert 'class="beyond"' in text


def test_the_page_says_what_was_counted():
    header, rows = run(200)
    seen, text = gathered(header, rows), render("t", header, iter(rows), {})
    lines = re.findall(r'data-generator="([^"]+)" data-made="(\d+)" data-drawn="(\d+)"', text)
    assert {name: (int(m), int(d)) for name, m, d in lines} == {
        name: (one.made, one.made + one.skipped) for name, one in seen.generators.items()
    }
    scratch = seen.generators["scratch"].drawn["strength"]
    about = (
        f"strength: {scratch.total} values from {compact(scratch.least)} to {compact(scratch.most)}, asked 0.2 to 0.4"
    )
    assert f'aria-label="{about}"' in text
    assert "asked 75 %, expected 150" in text
    assert "Mean change" in text
    assert "Largest change" in text
    assert "Peak height" not in text
    assert "middles of" in text
    # What never varies is said once, with the recipe.
    assert text.count("<i>severity</i>") == 2


def test_several_entries_of_a_generator_are_put_together():
    parts = [
        {"generator": "a", "weight": 1, "x": "0:1", "m": 1},
        {"generator": "a", "weight": 3, "x": "4:5", "m": "1|2"},
    ]
    one = asked({"generators": [*parts, {"generator": "b", "weight": 4}]})["a"]
    assert one.share == 0.5
    assert one.drawn["x"].ranges == [(0, 1, 0.25), (4, 5, 0.75)]
    assert one.drawn["m"].asked == {"1": 0.625, "2": 0.375}


@pytest.mark.parametrize("recipe", [None, [], "x", {}, {"generators": 3}, {"generators": [None, {}, {"generator": 1}]}])
def test_a_recipe_of_any_shape_does_no_harm(recipe):
    rows = [{"status": "made", "generator": {"generator": "x", "strength": "1:2:3"}}, {}, {"status": "skipped"}]
    assert "Asked and made" in render("t", {"recipe": recipe}, rows, {})


def test_nothing_made_is_no_section():
    assert "Asked and made" not in render("t", run(1)[0], [], {})


@given(st.integers(0, 400), st.floats(0.001, 0.999), st.sampled_from([0.2, 0.01, 0.0005]))
@settings(max_examples=80)
def test_bounds_of_chance_are_those_of_the_binomial_law(number, share, alpha):
    low, high = binomial(number, share, alpha)
    assert 0 <= low <= high <= number
    if number:
        assert binom.cdf(low - 1, number, share) <= alpha / 2 + 1e-9
        assert binom.sf(high, number, share) <= alpha / 2 + 1e-9
        assert binom.cdf(low, number, share) > alpha / 2 - 1e-9
        assert binom.sf(high - 1, number, share) > alpha / 2 - 1e-9


def test_expected_counts_add_up_and_a_wrong_mix_is_marked():
    header, rows = run(400)
    seen = gathered(header, rows)
    assert sum(seen.chance(one)[0] for one in seen.generators.values()) == pytest.approx(400)
    assert "within what chance leaves" in render("t", header, rows, {})
    wrong = [row for row in rows if row["generator"]["generator"] == "scratch"]
    text = render("t", header, wrong, {})
    assert "than chance explains: scratch, spatter." in text
    assert text.count("not by chance") == 2


@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=60))
def test_sizes_count_every_value_in_a_bin_that_holds_it(values):
    seen = Sizes()
    for value in values:
        seen.add(value)
    low, high, counts = seen.bins()
    assert sum(counts) == len(values)
    assert len(counts) <= BINS
    assert low <= min(values) * (1 + 1e-9)
    assert high >= max(values) * (1 - 1e-9)


@given(st.integers(-50, 50), st.integers(0, 200), st.data())
def test_whole_numbers_have_bins_of_equal_width(low, more, data):
    seen = Spans([(low, low + more, 1.0)], log=False, unit=None)
    for value in range(low, low + more + 1):
        seen.add(value)
    assert seen.outside == [0, 0]
    assert len(seen.counts) <= BINS
    assert set(seen.counts[:-1]) <= {seen.wide}
    assert 1 <= seen.counts[-1] <= seen.wide


@given(st.floats(0.001, 10), st.floats(1.001, 100), st.booleans(), st.data())
def test_a_number_lies_in_the_bin_that_its_place_says(low, factor, log, data):
    high = low * factor
    seen = Spans([(low, high, 1.0)], log=log, unit=None)
    value = data.draw(st.floats(low, high))
    seen.add(value)
    part = math.log(value / low) / math.log(factor) if log else (value - low) / (high - low)
    assert abs(seen.counts.index(1) - min(part * BINS, BINS - 1)) <= 1 + 1e-6
    assert sum(seen.counts) == 1


def test_memory_stays_bounded_and_the_median_close():
    kept, dice = Kept(), random.Random(1)
    for _ in range(200_000):
        kept.add(dice.random())
    assert len(kept.values) <= 1 << 14
    assert kept.median() == pytest.approx(0.5, abs=0.02)
    seen = Statistics({})
    for i in range(3000):
        word = "".join(chr(97 + int(digit)) for digit in str(i))
        seen.add({"status": "skipped", "reason": word, "generator": {"generator": word}})
    assert len(seen.reasons) <= 41
    assert len(seen.generators) <= 500
    assert sum(reason.count for reason in seen.reasons.values()) == 3000


@given(st.floats(0, 1), st.floats(0, 1))
def test_places_lie_in_their_cell(row, column):
    places = Places(10)
    places.add(row, column)
    ((y, x),) = [(y, x) for y in range(10) for x in range(10) if places.counts[y][x]]
    assert (y, x) == (min(int(row * 10), 9), min(int(column * 10), 9))


def test_a_data_set_tells_the_size_of_its_photos(tmp_path):
    header, rows = run(12)
    rows = [{**row, "outputs": [{"role": "sample", "path": row["id"]}]} for row in rows]
    for row in rows:
        row.pop("frame", None)
    made = [row for row in rows if row["status"] == "made"]
    for row in made[1:]:
        Picture.new("L", (200, 100)).save(tmp_path / row["id"])
    made[1]["outputs"][0]["path"] = "../out.png"
    header = {**header, "kind": "header", "layout": "photos"}
    (tmp_path / "manifest.jsonl").write_bytes(b"".join(map(line, [header, *rows])))
    text = write_report(tmp_path, {}).read_text(encoding="utf-8")
    # One file is missing and another lies outside of the data set.
    assert f"middles of {len(made) - 2} defects in the frame" in text
    assert list(tmp_path.glob("*.html")) == [tmp_path / "report.html"]


@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=20), st.integers(0, 3))
def test_ends_of_sizes_are_the_least_and_the_largest_number(values, none):
    seen = Sizes()
    for value in [*values, *[0.0] * none]:
        seen.add(value)
    assert (seen.least, seen.most) == (min(values), max(values))


def test_a_histogram_shows_no_share_that_was_not_measured():
    seen = Sizes()
    for value in (0.0123, 0.4, 1.0):
        seen.add(value)
    text = _sizes_figure("Labelled area", seen, percent)
    assert "<span>1.23 %</span>" in text
    assert "<span>100 %</span>" in text
    assert "Labelled area of 3 samples, 1.23 % to 100 %" in text
    assert {"1.23", "40", "100"} == set(re.findall(r"([0-9.]+)(?: |&nbsp;)%", text))


def test_the_median_of_one_value_is_marked_in_its_bar():
    for value in (1.0, 0.5, 0.01):
        one, more = Sizes(), Sizes()
        one.add(value)
        assert re.findall(r'class="median" d="M([\d.]+) ', sizes(one, "")) == ["100"]
        for size in (value, value, 10 * value):
            more.add(size)
        [place] = re.findall(r'class="median" d="M([\d.]+) ', sizes(more, ""))
        assert float(place) < 40
