"""The page in a real browser: it draws, it says so, and it says when it could not."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anosynth.report import cloud_view, render

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1100,2200",
]


@pytest.fixture(scope="module")
def views(torus, plate, bump) -> dict[str, Any]:
    hole = plate(20_000)[0]
    keep = np.linalg.norm(hole[:, :2] - [60, 40], axis=1) > 9
    count = int(keep.sum())
    return {
        "bump": cloud_view(**bump(torus(20_000), (28.0, -24.0, 5.0), 9.0, 2.5), unit="mm"),
        "dent": cloud_view(**bump(plate(20_000), (70.0, 30.0, 0.0), 14.0, -3.0)),
        "hole": cloud_view(hole, hole[keep], np.zeros(count), np.zeros(count, bool)),
    }


def browse(text: str, tmp_path: Path, *flags: str) -> bytes:
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
    if browser is None:
        pytest.skip("no chromium on PATH")
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [browser, *FLAGS, profile, *flags, (tmp_path / "report.html").as_uri()]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout


def status(text: str, tmp_path: Path) -> dict[str, str]:
    page = browse(text, tmp_path, "--dump-dom").decode("utf-8")
    opening = re.search(r"<html[^>]*>", page)
    assert opening, page[:200]
    return dict(re.findall(r'data-([a-z]+)="([^"]*)"', opening.group()))


def rows(views: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": name, "status": "made", "generator": {"generator": name}} for name in views]


def test_all_views_on_the_screen_are_drawn_without_an_error(views, tmp_path):
    assert status(render("Parts", {}, rows(views), views), tmp_path) == {"ready": "3", "views": "3", "shown": "3 3"}


def test_a_page_without_views_has_no_error(tmp_path):
    assert status(render("Parts", {}, [{}], {}), tmp_path) == {"ready": "0", "views": "0", "shown": "1 0"}


def test_one_damaged_view_is_reported_and_spares_the_others(views, tmp_path):
    broken = {"broken": {**views["bump"], "plain": "no base64!"}, "other": {"kind": "unheard of"}, **views}
    told = status(render("Parts", {}, rows(broken), broken), tmp_path)
    assert told["ready"] == "3"
    assert told["views"] == "4"
    assert "atob" in told["error"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_bump_is_red_the_dent_is_blue_and_the_hole_is_orange(dark, views, tmp_path):
    # Charts of what was made have colours of their own.
    text = render("Parts", {}, [{**row, "status": "copied"} for row in rows(views)], views)
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    browse(text, tmp_path, f"--screenshot={tmp_path / 'page.png'}", scheme)
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "page.png").read_bytes())).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert (picture[5, 5].sum() < 200) == dark
    left, middle, right = np.array_split(np.arange(picture.shape[1]), 3)
    # Bright enough to be neither text nor ground.
    reds = (red > 90) & (red > 1.8 * green) & (red > 1.8 * blue)
    blues = (blue > 90) & (blue > 1.5 * red) & (blue > 1.2 * green)
    oranges = (red > 190) & (green > 100) & (green < 180) & (blue < 90)
    # The legends' bars hold a few hundred pixels of the other colour.
    assert reds[:, left].sum() > blues[:, left].sum() + 800
    assert blues[:, middle].sum() > reds[:, middle].sum() + 800
    assert oranges[:, right].sum() > max(oranges[:, left].sum(), oranges[:, middle].sum()) + 400
