from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.report import _text, cloud_view, page, render

VOID = {"meta", "link", "input"}
ATTACKS = [
    "<script>alert(1)</script>",
    "</script><b onclick=x>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='x",
    "&lt;&amp;&#60;",
    "<!--",
    "]]>",
    "{{js}} {{title}} \\1",
    "javascript:alert(1)",
]


class Strict(HTMLParser):
    """A parser that refuses what a browser would silently repair."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"nothing is open at </{tag}>"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[self.tags[-1][1].get("id", "code")] = data
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        elif data.strip():
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def all(self, tag: str, **attrs: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attrs.items()}
        return [a for t, a in self.tags if t == tag and all(a.get(n) == v for n, v in wanted.items())]


def record(name: str = "dent/in_000", **change: Any) -> dict[str, Any]:
    whole = {
        "id": name,
        "status": "made",
        "source": {"path": "part/in_000.ply", "sha256": "00"},
        "generator": {"generator": "dent", "version": 1, "strength": 0.0213456, "octaves": 4, "blend": "add"},
        "seed": 0,
        "variant": 0,
        "outputs": [{"path": "dent/in_000.ply", "role": "sample", "sha256": "11"}],
        "mask": {"count": 1234, "area": 0.021},
        "effect": {"min": -0.5, "max": 0.8, "mean_abs": 0.2, "unit": "mm"},
        "instances": [{"id": 1, "type": "dent"}, {"id": 2, "type": "dent"}],
        "stats": {"spacing": 0.1, "attempts": 1},
    }
    return {**whole, **change}


@pytest.fixture(scope="module")
def view(torus, bump):
    return cloud_view(**bump(torus(3000), (40.0, 0.0, 0.0), 9.0, 2.5), unit="mm")


HEADER = {"anosynth": "0.1.0", "seed": 7, "recipe": [{"generator": "dent", "strength": "0.005:0.03"}]}


def test_a_plain_report_says_what_was_made(view):
    rows = [
        record(),
        record("good/a", status="copied", generator=None),
        record("x", status="skipped", reason="too flat"),
    ]
    seen = Strict(render("Rings & discs", HEADER, rows, {"dent/in_000": view}))
    text = " ".join(seen.texts)
    for said in ["Rings & discs", "anosynth 0.1.0 · seed 7", "2.1 %", "+0.8 mm", "0.02135", "1,234", "too flat"]:
        assert said in text, said
    assert "0.005:0.03" in text
    assert "made samples are drawn" not in text
    assert seen.all("a", href="#view-0")
    assert seen.all("article", id="view-0")
    assert {a["data-value"] for a in seen.all("button", class_="chip")} == {"made", "copied", "skipped", "dent"}
    assert [a["data-status"] for a in seen.all("tr") if a] == ["made", "copied", "skipped"]


def test_every_reference_inside_the_page_is_kept(view):
    seen = Strict(render("t", HEADER, [record(f"dent/{i}") for i in range(5)], {f"dent/{i}": view for i in (4, 1)}))
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    pointed = [
        a[name].lstrip("#") for _, a in seen.tags for name in ("for", "aria-labelledby", "data-source") if name in a
    ]
    pointed += [a["href"].lstrip("#") for a in seen.all("a")]
    assert set(pointed) <= set(ids)
    assert [a["aria-label"] for a in seen.all("article")] == ["dent/4", "dent/1"]
    assert all(a["type"] for a in seen.all("button"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_comes_from_outside_is_only_ever_text(attack, view):
    rows = [
        record(
            attack,
            status=attack,
            reason=attack,
            source={"path": attack},
            generator={"generator": attack, attack: attack, "nested": {attack: [attack]}},
            effect={"min": 0, "max": 1, "unit": attack},
        )
    ]
    views = {attack: {**view, "unit": attack, "kind": attack}}
    seen = Strict(render(attack, {"anosynth": attack, "seed": attack, attack: attack}, rows, views))
    harmless = {"generator": "dent", "strength": 1, "nested": 2}
    plain = Strict(render("t", {}, [record(status="odd", reason="r", generator=harmless)], {"dent/in_000": view}))
    shape = [tag for tag, _ in plain.tags]
    # The one harmless record has two instances and a mask; so has the hostile one.
    assert [tag for tag, _ in seen.tags] == shape
    assert not [name for _, a in seen.tags for name in a if name.startswith("on") or name == "src"]
    assert sum(attack in text for text in seen.texts) >= 8
    assert json.loads(seen.scripts["data-0"]) == views[attack]


@pytest.mark.parametrize("name", ["a\udc80b", "a\x00b", "a\x1bb", "a\uffffb"])
def test_names_that_html_cannot_hold_are_shown_with_a_replacement(name, view):
    text = render(name, {"anosynth": name}, [record(name, reason=name)], {name: view})
    seen = Strict(text.encode("utf-8").decode("utf-8"))
    assert seen.texts.count("a\ufffdb") >= 4
    assert name not in text
    assert seen.all("a", href="#view-0")


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=60)
def test_any_text_comes_back_as_it_went_in(name, reason):
    seen = Strict(render(name, {}, [record(name, status="skipped", reason=reason)], {}))
    assert _text.clean(name).strip() in "".join(seen.texts)
    assert _text.clean(reason).strip() in "".join(seen.texts)


def test_nothing_is_fetched_from_anywhere(view):
    text = render("t", HEADER, [record()], {"dent/in_000": view})
    seen = Strict(text)
    assert {a["href"] for _, a in seen.tags if "href" in a} == {"#view-0", "data:,"}
    code = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    for word in [
        "http:",
        "https:",
        "//",
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "eval(",
        "innerHTML",
    ]:
        assert word not in code, word
    assert {name for name, a in seen.tags if "src" in a or "srcset" in a or "style" in a} == set()


def test_the_policy_lets_only_this_style_and_script_run(view):
    seen = Strict(render("t", HEADER, [record()], {"dent/in_000": view}))
    (policy,) = seen.all("meta", http_equiv="Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy["content"].split(";"))

    def hashed(code: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() + "'"

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hashed(seen.scripts["code"])
    assert rules["style-src"] == hashed("".join(seen.styles))


def test_a_page_is_a_few_ten_kilobytes_around_its_views(view):
    assert len(render("t", {}, [], {})) < 80_000
    ten = render("t", {}, [record(str(i)) for i in range(10)], {str(i): view for i in range(10)})
    assert len(ten) < 80_000 + 10 * (len(json.dumps(view)) + 3000)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"id": "a"},
        {"id": 3, "status": "made"},
        {"id": "a", "status": "made", "generator": {}, "mask": {}, "effect": {}},
        {"id": "a", "generator": None, "mask": None, "effect": None, "source": None, "instances": None, "reason": None},
        {"id": "a", "effect": {"min": None, "max": float("nan")}, "mask": {"area": None, "count": None}},
        {"id": "a", "generator": {"generator": "dent", "x": None, "y": True, "z": float("inf")}},
    ],
)
def test_any_part_of_a_record_may_be_missing(row, view):
    seen = Strict(render("t", {}, [row], {"a": view}))
    assert len(seen.all("tr")) == 2
    assert "nan" not in " ".join(seen.texts).lower()


def test_what_is_left_out_is_said(view, monkeypatch):
    rows = [record(f"dent/{i}") for i in range(1200)]
    text = render("t", {}, rows, {"dent/0": view, "dent/1": view})
    assert "2 of 1,200 made samples are drawn." in text
    assert "the manifest has them all" not in text
    monkeypatch.setattr(page, "TABLE_ROWS", 100)
    rows[1199]["status"] = "skipped"
    seen = Strict(render("t", {}, rows, {}))
    listed = [a["data-status"] for a in seen.all("tr") if a]
    assert listed == ["made"] * 99 + ["skipped"]
    assert "100 of 1,200 samples; the manifest has them all." in seen.texts


def test_records_wait_for_their_rows_in_little_memory():
    listing = page._Listing({})
    wide = {f"parameter_{i}": [i / 7, {"low": i, "text": "text" * 5}] for i in range(40)}
    rows = [record(f"dent/{i}", generator={"generator": "dent", **wide, "drawn": i / 3}) for i in range(300)]
    tracemalloc.start()
    for row in rows:
        listing.add(row)
    held = tracemalloc.get_traced_memory()[0] / len(rows)
    tracemalloc.stop()
    assert held < len(json.dumps(rows[0])) / 2
    assert list(listing.listed()) == rows


def test_a_view_without_a_record_still_has_its_card(view):
    assert Strict(render("t", {}, [], {"lost": view})).all("article", aria_label="lost")


def test_a_view_that_javascript_cannot_read_is_refused(view):
    with pytest.raises(ValueError, match="not JSON compliant"):
        render("t", {}, [], {"a": {**view, "peak": float("nan")}})


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (-3, 3, "−3"),
        (1234567, 3, "1234567"),
        (0.0213456, 4, "0.02135"),
        (-0.5, 3, "−0.5"),
        (1234.56, 3, "1235"),
        (1e-5, 3, "1×10^−5"),
        (-2.5e9, 3, "−2.5×10^9"),
        (float("inf"), 3, "inf"),
        (True, 3, "True"),
        ("a", 3, "a"),
    ],
)
def test_numbers_are_short_and_right(value, digits, text):
    assert _text.number(value, digits) == text


@given(st.floats(-1e300, 1e300))
def test_a_shown_number_is_within_half_a_percent(value):
    shown = _text.number(value).replace("−", "-").replace("×10^", "e")
    assert float(shown) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("effect", "unit", "text"),
    [
        ({"min": -0.5, "max": 0.8}, "mm", "+0.8 mm"),
        ({"min": -0.9, "max": 0.8}, "mm", "−0.9 mm"),
        ({"min": -0.9}, None, "−0.9"),
        ({"min": 0.0, "max": 0.0}, "mm", "–"),
        ({}, "mm", "–"),
    ],
)
def test_the_peak_is_the_larger_end_with_its_sign(effect, unit, text):
    assert _text.signed(_text.peak(effect), unit) == text


def test_drawn_values_are_compact():
    assert _text.compact([0.123456, [1, "x"], {"a": None, "b": True}]) == "(0.1235, (1, x), {a: null, b: true})"


def test_json_in_a_script_cannot_end_it():
    text = _text.script_json({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}
    assert np.array_equal(json.loads(_text.script_json([1.5, 2])), [1.5, 2])


def test_a_page_without_views_has_no_empty_section(view):
    bare, drawn = (Strict(render("t", {}, [record()], views)) for views in ({}, {"dent/in_000": view}))
    hidden = [
        ["hidden" in tag for tag in page.all("section") if tag["aria-labelledby"] == "views-title"]
        for page in (bare, drawn)
    ]
    assert hidden == [[True], [False]]


@pytest.mark.parametrize(
    ("split", "given", "shown"),
    [([0.7, 0.1, 0.2], "train", True), ([1.0, 0.0, 0.0], "train", False), (None, "train", False), (None, None, False)],
)
def test_splits_are_shown_if_there_is_more_than_one(split, given, shown):
    row = {**record(), "split": given}
    assert ("<figcaption>Splits<" in render("t", {"split": split}, [row], {})) == shown


def test_what_never_varies_is_counted_in_words(view):
    entry = {"generator": "dent", "rim": "smooth", "sign": "in"}
    header = {"recipe": {"recipe": "x", "family": "pointclouds", "generators": [entry]}}
    for fixed, said in ((("rim",), "1 fixed value<"), (("rim", "sign"), "2 fixed values<")):
        drawn = {"generator": "dent", "strength": 0.1, **{name: entry[name] for name in fixed}}
        assert f"<summary>{said}" in render("t", header, [record(generator=drawn)], {"dent/in_000": view})
