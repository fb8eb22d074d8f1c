"""The page of a ranking: what it says, that it is well formed and needs nothing from outside, and small pictures."""

from __future__ import annotations

import html.parser
import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anosynth.errors import DataError
from anosynth.rank._charts import Axis, figure, fixed, interval, spanning, with_ends
from anosynth.rank.missed import LONGEST, SHOWN, cloud_pictures, missed, photo_pictures
from anosynth.rank.page import page
from anosynth.seeding import as_rng

FIGURES = ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro")
VOID = {"meta", "link", "img", "br"}


def spread(value: float, wide: float = 0.03) -> dict[str, float]:
    return {"value": value, "low": value - wide, "high": min(value + wide, 1.0)}


def entry(name: str, role: str, value: float, kinds: tuple[str, ...]) -> dict[str, Any]:
    figures: dict[str, Any] = {figure: spread(value - 0.04 * at) for at, figure in enumerate(FIGURES)}
    by_kind: dict[str, dict[str, Any]] = {
        kind: {figure: spread(value - 0.04 * at - 0.1 * place, 0.08) for at, figure in enumerate(FIGURES)}
        for place, kind in enumerate(kinds)
    }
    if role == "floor":
        # It scores whole samples only.
        for found in (figures, *by_kind.values()):
            found.update(dict.fromkeys(("pixel_auroc", "pixel_ap", "aupro")))
    more = {"family": "images", "made": 288, "failed": 3, "validation": 0.97} if role == "recipe" else {}
    seeds = {name: [value - 0.01, value, value + 0.01] for name in figures}
    return {"name": name, "role": role, **more, "figures": figures, "kinds": by_kind, "seeds": seeds}


def coverage(easy: float, *, real: bool) -> dict[str, Any]:
    def rows(shift: float) -> dict[str, Any]:
        found: dict[str, Any] = {"subtle": spread(0.9 - shift / 4), "easy": spread(easy * shift / 3)}
        found |= {"duplicates": spread(0.06), "vendi": spread(11.0, 2.0), "vendi_share": spread(0.1)}
        found["distance"] = [0.5 + shift, 0.8 + shift, 1.0 + shift, 1.5 + 2 * shift, 2 + 5 * shift]
        return found

    sets = {"synthetic": rows(2.0), "control": rows(0.0)}
    if real:
        sets["real"] = rows(1.0)
        for name, value in (("synthetic", 0.4), ("control", 0.1)):
            sets[name] |= {measure: spread(value) for measure in ("precision", "recall", "density", "coverage")}
    return {"protocol": {"k": 5, "subtle_below": 1.8, "easy_above": 5.4}, "sets": sets}


def shortcut(value: float) -> dict[str, Any]:
    groups = {"noise": value - 0.1, "rim": value, "outside": 0.5}
    part = {**spread(value), "chance": 0.62, "groups": groups, "traces": {}, "pairs": 24, "sources": 24}
    return {"edits": part, "blend": {**part, **spread(0.52), "groups": groups}}


def record(recipes: tuple[str, ...] = ("photo-defects", "nsa", "cutpaste"), *, real: bool = True) -> dict[str, Any]:
    kinds = ("broken", "scratch", "stain")
    names = [*recipes, "knn", "mahalanobis", "grey"]
    roles = ["recipe"] * len(recipes) + ["line", "line", "floor"]
    found = [
        entry(name, role, 0.93 - 0.05 * at, kinds) for at, (name, role) in enumerate(zip(names, roles, strict=True))
    ]

    def less(a: str, b: str, value: float) -> dict[str, Any]:
        return {"a": a, "b": b, "value": value, "low": value - 0.05, "high": value + 0.05, "above": 0.93}

    against = [less(name, line, 0.08 - 0.07 * at) for at, name in enumerate(recipes) for line in ("knn", "mahalanobis")]
    looks = {name: {"coverage": coverage(0.3 + 0.2 * at, real=real), "shortcut": shortcut(0.6 + 0.15 * at)}
             for at, name in enumerate(recipes)}  # fmt: skip
    protocol = {
        "anosynth": "9.9", "family": "images", "backbone": "filters", "layers": [], "size": 256, "space": "whitened",
        "positional": True, "seeds": 3, "seed": 0, "made": 96, "foreground": "auto", "draws": 500, "level": 0.95,
        "head": {"hidden": 128, "steps": 300}, "recipes": {name: {"recipe": name} for name in recipes},
    }  # fmt: skip
    data = {"train": 140, "fit": 112, "validation": 28, "test": 60, "duplicates": 2, "real": {}}
    if not real:
        plain = [{**one, "figures": {}, "kinds": {}, "seeds": {}} for one in found if one["role"] == "recipe"]
        return {
            "protocol": protocol, "data": data, "skipped": [], "by": "", "best_line": None, "entries": plain,
            "pairs": [], "against": [], "looks": looks, "conclusion": ["no real defects were given"],
        }  # fmt: skip
    data["real"] = {kind: {"samples": 12 + at, "masks": 12} for at, kind in enumerate(kinds)}
    return {
        "protocol": protocol, "data": data, "by": "image_auroc", "best_line": "knn", "entries": found,
        "skipped": [{"path": "bad/<one>.png", "reason": "bad/<one>.png: cannot be read"}],
        "pairs": [less(recipes[0], name, 0.05) for name in recipes[1:]], "against": against, "looks": looks,
        "conclusion": ["photo-defects beats knn, the best line without synthesis: +0.080", "nsa is the next at -0.05"],
        "missed": {
            recipes[0]: missed(["a", "a2", "b/<x>.png", "c"], ["good", "good", "stain", "broken"], [5, 5, 4, 1]),
            recipes[-1]: missed(["a", "a2", "b"], ["good", "good", "stain"], [0.5, 0.5, 0.4]),
        },
    }  # fmt: skip


def pictures(name: str = "photo-defects") -> dict[tuple[str, str], tuple[bytes, bytes]]:
    side = 96
    grey = 120 + 30 * as_rng(1).normal(side * side).reshape(side, side)
    pixels = np.clip(np.repeat(grey[:, :, None], 3, axis=2), 0, 255).astype(np.uint8)
    truth = np.zeros((side, side), dtype=bool)
    truth[30:50, 40:70] = True
    scores = np.zeros((24, 24))
    scores[16:20, 3:8] = 3.0
    return {(name, "b/<x>.png"): photo_pictures(pixels, truth, scores, (0.0, 2.0))}


class Checker(html.parser.HTMLParser):
    """Fails unless every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.used: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.used += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.open
    return checker


@pytest.mark.parametrize("found", [record(), record(real=False), record(("one",)), {}, {"by": "", "looks": None}])
def test_the_page_is_well_formed_and_needs_nothing_else(found):
    text = page(found)
    read(text)
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "style=" not in text
    assert "nan" not in " ".join(read(text).text).lower().split()


def test_the_conclusion_comes_first_and_as_a_sentence():
    text = page(record())
    assert '<p class="lead">photo-defects beats knn, the best line without synthesis: +0.080.</p>' in text
    assert text.index("lead") < text.index("<h2>Figures")
    assert "<li>nsa is the next at −0.05.</li>" in text
    # Names stay as they are written, other sentences begin with a capital.
    assert '<p class="lead">No real' in page(record(real=False))


def test_names_from_outside_are_escaped():
    found = record(("<b>bold</b>", "two"))
    found["conclusion"] = ["<script>x</script>"]
    text = page(found, pictures("<b>bold</b>"))
    assert "<b>bold" not in text
    assert "<script" not in text
    assert "bad/&lt;one&gt;.png" in text


def test_figures_differences_and_kinds_are_all_there():
    seen = " ".join(" ".join(read(page(record())).text).split())
    for words in (
        "0.930 0.900 to 0.960",
        "beats it",
        "unclear",
        "loses" if False else "less knn",
        "photo-defects",
        "288",
    ):
        assert words in seen
    assert "By kind of defect: image AUROC" in seen
    for kind, count in (("broken", 12), ("scratch", 13), ("stain", 14)):
        assert f"{kind} ({count})" in seen
    # The floor has no maps.
    assert "grey (floor)" in seen
    assert "ahead in 93 %" in seen


def test_the_best_recipe_of_a_kind_is_bold_and_lines_are_not():
    rows = re.findall(r'<tr class="(\w+)"><th scope="row">([^<]+)</th>(.*?)</tr>', page(record()))
    heat = [(role, name, body) for role, name, body in rows if 'class="h' in body]
    assert any("<b>" in body for role, name, body in heat if name == "photo-defects")
    assert not any("<b>" in body for role, _, body in heat if role != "recipe")


def test_a_losing_recipe_is_called_so():
    found = record()
    found["against"][0] |= {"value": -0.1, "low": -0.2, "high": -0.05}
    assert '<span class="bad">loses</span>' in page(found)


def test_without_real_defects_nothing_is_judged():
    seen = " ".join(read(page(record(real=False))).text)
    assert "without real defects" in seen
    assert "Figures" not in seen
    assert "Coverage of the real defects" not in seen
    assert "How far the anomalies lie from normal" in seen
    assert "Near-duplicates" in seen


def test_what_was_missed_is_shown_with_its_pictures():
    text = page(record(), pictures())
    assert text.count("data:image/jpeg") == 2
    seen = " ".join(read(text).text)
    assert "photo-defects: 2 of 2 missed" in seen
    assert "100 % of normal samples score as high" in seen
    assert "Left with the outline" in seen
    assert "Left with the outline" not in page(record())


def test_rows_stand_where_their_values_are():
    drawn = interval(Axis(0.5, 1.0), {"value": 0.75, "low": 0.5, "high": 1.0}, "x", lines=[("best", 0.75)])
    assert '<path class="best" d="M500 0V26"/>' in drawn
    assert '<path class="dot" d="M500 13h.01"/>' in drawn
    assert '<path class="interval" d="M10 13H990"/>' in drawn
    # What lies beyond an end stands at it.
    assert Axis(0.5, 1.0).at(7) == 990
    assert Axis(0.1, 10.0, log=True).at(1.0) == pytest.approx(500)


def test_the_axis_holds_all_values():
    assert spanning([0.71, 0.93]).low == pytest.approx(0.7)
    assert spanning([0.71, 0.93]).high == pytest.approx(0.95)
    assert spanning([0.999]).low == pytest.approx(0.95)
    assert (spanning([]).low, spanning([]).high) == (0, 1)
    assert spanning([1.0]).high == 1
    assert spanning([0.3]).high == pytest.approx(0.35)
    assert spanning([-0.2]).low == 0


def test_figures_read_well():
    assert [figure(value) for value in (0.5, 1.0, -0.0001, 0.123456, None, float("nan"))] == [
        "0.5", "1", "0", "0.123", "–", "–",
    ]  # fmt: skip
    assert fixed(-0.02, sign=True) == "−0.020"
    assert fixed(0.02, sign=True) == "+0.020"
    assert with_ends(None) == "–"


def test_missed_are_those_that_normal_samples_outscore():
    names = [f"n{at}" for at in range(20)] + ["found", "level", "lost", "worse"]
    kinds = ["good"] * 20 + ["dent"] * 4
    scores = [*range(20), 25, 19, 18, 2]
    found = missed(names, kinds, scores)
    # One of twenty is as high as `level`: five in a hundred, which is allowed.
    assert [one["name"] for one in found["samples"]] == ["worse", "lost"]
    assert found["count"] == 2
    assert found["of"] == 4
    assert found["samples"][0]["above"] == 0.9
    many = missed(["g", "h", *map(str, range(50))], ["good"] * 2 + ["dent"] * 50, [1.0] * 2 + [0.0] * 50)
    assert many["count"] == 50
    assert len(many["samples"]) == SHOWN
    # A single odd one of a few normal samples does not have all defects missed.
    assert missed(["g", "h", "d"], ["good", "good", "dent"], [9.0, 0.0, 1.0])["count"] == 0
    with pytest.raises(DataError, match="some of them normal"):
        missed(["a"], ["dent"], [1.0])


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("shape", [(30, 40), (300, 500, 3), (64, 64, 4), (33, 20, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pictures_are_small_and_of_any_kind_of_photo(shape, dtype):
    pixels = np.full(shape, 0.5 if dtype == np.float32 else np.iinfo(dtype).max // 2, dtype=dtype)
    truth = np.zeros(shape[:2], dtype=bool)
    truth[10:14, 10:14] = True
    for data in photo_pictures(pixels, truth, np.zeros((4, 4)), (0.0, 1.0)):
        picture = decoded(data)
        assert max(picture.shape[:2]) == min(LONGEST, max(shape[:2]))
        assert picture.shape[2] == 3


def test_the_outline_covers_nothing_and_the_map_is_where_the_scores_are():
    labelled, mapped = (decoded(data).astype(int) for data in pictures()[("photo-defects", "b/<x>.png")])
    green = labelled[:, :, 1] - labelled[:, :, 0] > 90
    assert green[29, 40:70].all()
    assert green[50, 40:70].all()
    assert not green[31:49, 41:69].any()
    orange = (mapped[:, :, 0] - mapped[:, :, 2]) > 100
    assert orange[65:79, 13:31].all()
    orange[63:81, 11:33] = False
    assert not orange.any()


def test_clouds_are_seen_from_their_broad_side():
    x, y, z = as_rng(2).random(9000).reshape(3, -1)
    points = np.stack([x * 2, z * 0.01, y], axis=1)
    truth = x > 0.8
    labelled, mapped = (decoded(data) for data in cloud_pictures(points, truth, truth * 2.0, (0.0, 1.0)))
    assert labelled.shape[1] == pytest.approx(LONGEST, abs=3)
    assert labelled.shape[0] == pytest.approx(LONGEST / 2, abs=8)
    green = labelled[:, :, 1].astype(int) - labelled[:, :, 0] > 100
    columns = np.nonzero(green.any(axis=0))[0]
    # One end of the long axis, whichever side it points to.
    assert columns.max() - columns.min() < 0.25 * LONGEST
    assert (mapped[:, :, 0].astype(int) - mapped[:, :, 2] > 100).any()
