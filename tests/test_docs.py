"""The documentation is true: its lines run, its pages hold what is declared, and it builds without warnings."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anosynth.datasets.layout import layout_names
from anosynth.errors import AnosynthError
from anosynth.export import export_names
from anosynth.generator import FAMILIES, find, names
from anosynth.recipe import recipe_names
from anosynth_cli.main import COMMANDS, run

HOME = Path(__file__).parent.parent
DOCS = HOME / "docs"
sys.path.insert(0, str(HOME / "tools"))

OURS = ["index", "start", "reproducibility", "labels", "recipes", "layouts", "training", "own-generator"]
"""Pages whose blocks `sh` and `python` all run, in their order, in one empty folder."""


def blocks(page: str, *kinds: str) -> list[tuple[str, str]]:
    """Return kind and text of the fenced blocks at the left margin, in their order."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [found for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if found[0] in kinds]


def lines(page: str) -> list[str]:
    return [line for _, text in blocks(page, "sh") for line in text.replace("\\\n", " ").splitlines() if line.strip()]


WITH_LINES = [page for page in OURS if lines(page)]
WITH_PYTHON = [page for page in OURS if blocks(page, "python")]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_LINES)
def test_every_command_line_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in lines(page):
        program, *words = shlex.split(line, comments=True)
        assert program == "anosynth", line
        if words[0] == "features":
            pytest.importorskip("torch")
        assert run(words) == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON)
def test_every_python_block_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    if page == "training":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(DOCS / "own"))
    space: dict[str, object] = {}
    printed = ""
    for kind, text in blocks(page, "python", "text"):
        if kind == "text":
            assert printed.strip() == text.strip()
            printed = ""
            continue
        assert printed == "", f"{page}: a block printed what the page does not show: {printed}"
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(text, page, "exec"), space)
        printed = out.getvalue()
    assert printed == ""


def test_the_three_lines_of_the_readme_run():
    from anosynth.toy.images import toy_image

    text = (HOME / "README.md").read_text(encoding="utf-8").partition("\n## On your own")[0]
    found = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    space = {"photo": toy_image("washer", 0)[0]}
    exec(found[0], space)
    assert space["anomaly"].mask.any()


def written_lines() -> list[tuple[str, str]]:
    """Return page and text of every command line of `anosynth` on any page, continued lines joined."""
    found = []
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        fenced = re.findall(r"^ *```(?:sh|console|bash)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
        prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
        indented = re.findall(r"^ {4}.*$", prose, re.MULTILINE)
        for line in "\n".join([*fenced, *indented]).replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line.startswith("anosynth "):
                found.append((path.relative_to(DOCS).as_posix(), line))
    return found


@pytest.mark.parametrize(("page", "line"), written_lines())
def test_every_written_line_has_options_that_exist(page, line, capsys):
    """On all pages, those too whose lines need data that nobody has at hand."""
    words = shlex.split(re.split(r"\s[|>]|&&", line)[0], comments=True)[1:]
    name = words[0]
    if name.startswith("-"):
        return
    assert name in COMMANDS, f"{page}: {line}"
    options = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    chosen = [words[i : i + 2] for i, word in enumerate(words) if word in ("--generator", "-g", "--recipe", "-r")]
    if any(pair[-1] == "glue" for pair in chosen):
        chosen, options = [], [option for option in options if option != "--strength"]
    with contextlib.suppress(AnosynthError):
        run([name, *(word for pair in chosen for word in pair), "--help"])
    known = capsys.readouterr().out
    for option in options:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known), f"{page}: {line}: {option}"


@pytest.mark.slow
def test_the_example_of_a_generator_is_found_by_its_entry_point(tmp_path):
    """As pip would install it: the module, and the entry points of its pyproject.toml as metadata."""
    site = tmp_path / "site"
    info = site / "my_defects-0.1.dist-info"
    info.mkdir(parents=True)
    shutil.copy(DOCS / "own" / "glue.py", site)
    text = (DOCS / "own" / "pyproject.toml").read_text()
    points = text.partition('[project.entry-points."anosynth.generators"]')[2].partition("\n[")[0]
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-defects\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[anosynth.generators]\n" + points.replace('"', ""))
    path = os.pathsep.join([str(site), str(HOME / "synth"), str(HOME / "cli")])

    def anosynth(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "anosynth_cli", *words],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    anosynth("toy", "mvtec", "toys", "--count", "2")
    assert "glue" in anosynth("list")
    assert "0.2:0.6" in anosynth("show", "glue")
    anosynth("images", "--generator", "glue", "--strength", "0.3:0.6", "toys/tablet/train/good", "out")
    assert "2 ok, 0 bad" in anosynth("verify", "out")
    assert "2 ok, 0 bad" in anosynth("replay", "out")


def test_pages_hold_every_generator_parameter_recipe_layout_and_command():
    from handbook import families, layouts, papers, reference

    for family in FAMILIES:
        if family == "features":
            pytest.importorskip("torch")
        page = families.page(family)
        for name in names(family):
            assert f"\n## {name}\n" in page
            assert f"pictures/{family}-{name}.png" in page
            for field in find(family, name).model_fields:
                assert f"| `{field}` |" in page
    table = papers.recipes()
    assert [name for name in recipe_names() if f"| `{name}` |" not in table] == []
    text = layouts.layouts() + layouts.exports()
    assert [name for name in [*layout_names(), *export_names()] if name not in text] == []
    text = reference.commands()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(COMMANDS)
    assert text.count("--help") > len(COMMANDS)


def test_text_of_docstrings_stays_text():
    from handbook.words import cell, code, escaped

    assert escaped("a_b * c_d, |u| < `x_y` # 1") == r"a\_b \* c\_d, &#124;u&#124; &lt; `x_y` \# 1"
    assert "|" not in cell("a | b\n c")
    assert code("a|b") == "`a` &#124; `b`"
    assert code("") == ""


def test_every_generator_has_a_parameter_to_draw_it_by():
    pytest.importorskip("torch")
    from handbook import cloud_pictures, feature_pictures

    for family, driven in (("pointclouds", cloud_pictures.driven), ("features", feature_pictures.driven)):
        for name in names(family):
            field, values = driven(find(family, name))
            assert values[0] < values[1] < values[2], (name, field)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "name"), [("images", "pit"), ("pointclouds", "hole"), ("features", "copy-out")])
def test_a_picture_is_the_same_when_drawn_again(family, name):
    if family == "features":
        pytest.importorskip("torch")
    from handbook.pictures import FAMILIES as DRAWN

    first, again = (DRAWN[family](name)[0] for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape[2] == 3
    assert (first == again).all()


def test_the_outline_lies_outside_of_the_mask():
    from handbook.canvas import OUTLINE, outlined

    mask = np.zeros((20, 20), dtype=bool)
    mask[8:12, 8:12] = True
    before = np.zeros((20, 20, 3), dtype=np.uint8)
    after = outlined(before, mask)
    drawn = (after == OUTLINE).all(axis=2)
    assert not drawn[6:14, 8:12].any()
    assert not drawn[8:12, 6:14].any()
    assert drawn[5, 8:12].all()
    assert (before == 0).all()


def test_a_nearer_disc_hides_a_farther_one():
    from handbook.shaded import painted

    places = np.array([[10.0, 10.0, 0.0], [10.0, 10.0, 50.0]])
    normals = np.array([[0.0, 0.0, 1.0]] * 2)
    picture = painted(places, normals, np.array([[200.0, 0, 0], [0, 0, 200.0]]), 3.0, (20, 20), (255, 255, 255))
    assert picture[10, 10, 2] > 150
    assert picture[10, 10, 0] == 0
    assert (picture[0, 0] == 255).all()


def test_effects_have_their_colours():
    from handbook.shaded import NEUTRAL, OTHER, coloured

    effect = np.array([-1.0, 0.0, 1.0, 0.0])
    rgb = coloured(effect, np.array([True, False, True, True]), 1.0)
    assert rgb[0, 2] > rgb[0, 0], "inward is blue"
    assert rgb[2, 0] > rgb[2, 2], "outward is red"
    assert tuple(rgb[1]) == NEUTRAL
    assert tuple(rgb[3]) == OTHER


@pytest.mark.slow
def test_the_picture_of_the_readme_is_small_and_as_the_tools_draw_it():
    from handbook.montage import LIMIT, WHERE, montage
    from PIL import Image

    assert f"]({WHERE.as_posix()})" in (HOME / "README.md").read_text(encoding="utf-8")
    assert (HOME / WHERE).stat().st_size <= LIMIT
    kept = np.asarray(Image.open(HOME / WHERE).convert("RGB")).astype(int)
    drawn = montage().astype(int)
    assert kept.shape == drawn.shape
    assert np.abs(kept - drawn).mean() < 1, "stale: python tools/docs.py --picture"


def test_environment_variables_are_written_down():
    sources = [*HOME.glob("synth/anosynth/**/*.py"), *HOME.glob("cli/anosynth_cli/*.py")]
    used = {name for path in sources for name in re.findall(r"\bANOSYNTH_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in text] == []


SITE = """
import sys
sys.path.insert(0, {tools!r})
from pathlib import Path
from handbook import pictures
from handbook.canvas import saved
import numpy as np

def draw_all(missing=False):
    for file, _, _ in pictures.wanted():
        saved(np.zeros((2, 2, 3), dtype=np.uint8), pictures.FOLDER / file)

pictures.FOLDER, pictures.draw_all = Path("pictures").resolve(), draw_all
from handbook.build import arguments
from mkdocs.__main__ import cli
cli(arguments(Path("site")))
"""


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_fetches_nothing(tmp_path):
    """With blank pictures: the real ones take a minute, and the build itself draws them."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("torch")
    from handbook.build import fetched

    script = SITE.format(tools=str(HOME / "tools"))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert (site / "generators" / "images.html").exists()
    assert (site / "reference" / "recipe.schema.json").exists()
    unfilled = re.compile(r"^.*(?:<|&lt;)!-- [\w /.]+ --(?:>|&gt;).*$", re.MULTILINE)
    left = {page.name: unfilled.findall(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    assert {name: found for name, found in left.items() if found} == {}
    assert fetched(site) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://elsewhere.example/x.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.example/x.css">',
        '<link href="https://fonts.example/x" rel="preconnect">',
        '<img alt="x" src="http://elsewhere.example/x.png">',
        "@import url(https://elsewhere.example/x.css);",
        'a { background: url("https://elsewhere.example/x.png") }',
    ],
)
def test_what_would_be_fetched_is_found(text, tmp_path):
    from handbook.build import fetched

    (tmp_path / ("a.html" if text.startswith("<") else "a.css")).write_text(text)
    (tmp_path / "b.html").write_text('<a href="https://elsewhere.example/">a link</a><link rel="icon" href="x.png">')
    assert len(fetched(tmp_path)) == 1
