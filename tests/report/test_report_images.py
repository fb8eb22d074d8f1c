"""Views of images: what is packed comes back, fits, and is drawn by a real browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from anosynth.generator import Anomaly
from anosynth.images import Image, Scratch
from anosynth.images._base import Edit, ImageGenerator, labelled
from anosynth.images._shrink import shrunk
from anosynth.report import render
from anosynth.report.images import image_view

SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


class ByHand(ImageGenerator):
    """A defect made by the test itself"""


def textured(height, width, channels=3, kind="uint8", span=1.0, seed=0):
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = 0.5 + 0.2 * np.sin(y / 17.0) * np.cos(x / 23.0)
    shape = (height, width, channels) if channels else (height, width)
    values = (base[:, :, None] if channels else base) + 0.06 * draw.standard_normal(shape)
    if channels == 3:
        values = values * [1.0, 0.8, 0.5]
    values = np.clip(values, 0, 1) * span * SCALE[kind]
    return Image(values.astype(np.float32) if kind == "float32" else np.rint(values).astype(kind))


def spot(image, row, column, radius, shift):
    top, left = max(0, row - radius), max(0, column - radius)
    bottom, right = min(image.shape[0], row + radius), min(image.shape[1], column + radius)
    y, x = np.mgrid[top:bottom, left:right]
    alpha = (np.hypot(y - row, x - column) < radius).astype(np.float32)
    box = (top, left, bottom, right)
    return Edit(box, image.crop(box) + np.float32(shift), alpha)


def made(image, *spots) -> Anomaly:
    return labelled(ByHand(), image, [spot(image, *where) for where in spots])


def unpacked(view: dict[str, Any]) -> list[SimpleNamespace]:
    """Undo the packing from its description alone, pixel by pixel."""
    out = []
    for layer in view["layers"]:
        h, w = layer["size"]
        planes = view["channels"]

        def raw(name, layer=layer):
            return np.frombuffer(zlib.decompress(base64.b64decode(layer[name], validate=True)), np.uint8)

        values = np.zeros((planes, h + 1, w + 1), int)
        rest = raw("before").reshape(planes, h, w).astype(int)
        for y in range(h):
            for x in range(w):
                a, b, c = values[:, y + 1, x], values[:, y, x + 1], values[:, y, x]
                low, high = np.minimum(a, b), np.maximum(a, b)
                guess = np.where(c >= high, low, np.where(c <= low, high, a + b - c))
                values[:, y + 1, x + 1] = (rest[:, y, x] + guess) % 256
        q = values[:, 1:, 1:]
        if planes == 3:
            q = np.stack([(q[1] + q[0] - 128) % 256, q[0], (q[2] + q[0] - 128) % 256])
        after = (q + raw("after").reshape(planes, h, w)) % 256
        mask = np.unpackbits(raw("mask"))[: h * w].reshape(h, w).astype(bool)
        effect = raw("effect").view(np.int8).reshape(h, w) / 127 * view["peak"]
        low, high = view["window"] or (0.0, 1.0)
        before, after = (low + (high - low) * np.minimum(255, view["step"] * levels) / 255 for levels in (q, after))
        out.append(SimpleNamespace(box=layer["box"], before=before, after=after, mask=mask, effect=effect))
    return out


def expected(image: Image, box, size, window):
    top, left, bottom, right = box
    pixels = image.pixels[top:bottom, left:right].reshape(bottom - top, right - left, -1)
    pixels = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels.astype(float).mean(axis=2, keepdims=True)
    low, high = window or (0.0, 1.0)
    return np.clip(np.moveaxis(shrunk(pixels, size) / image.white, 2, 0), low, high)


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "span"), [("uint8", 1.0), ("uint16", 1.0), ("uint16", 0.05), ("float32", 1.0)])
def test_what_is_packed_comes_back_within_half_a_step(channels, kind, span):
    image = textured(60, 83, channels, kind, span)
    anomaly = made(image, (30, 40, 9, 0.3 * span + 0.02))
    view = image_view(anomaly)
    (whole,) = unpacked(view)
    low, high = view["window"] or (0.0, 1.0)
    assert (view["window"] is None) == (span == 1.0 and (kind == "uint8" or high - low == 1.0))
    assert view["channels"] == (3 if channels >= 3 else 1)
    tolerance = 0.5 * view["step"] / 255 * (high - low) * 1.001 + 1e-6
    for got, sample in ((whole.before, anomaly.before), (whole.after, anomaly.sample)):
        assert np.abs(got - expected(sample, whole.box, (60, 83), view["window"])).max() <= tolerance
    assert np.array_equal(whole.mask, anomaly.mask)
    assert np.abs(whole.effect - anomaly.effect).max() <= 0.5 / 127 * view["peak"] * 1.001
    assert view["peak"] == pytest.approx(float(np.abs(anomaly.effect).max()))
    assert view["area"] == anomaly.mask.mean()
    assert view["size"] == [60, 83]


def test_a_large_photo_is_averaged_and_its_small_defect_shown_as_it_is():
    image = textured(900, 1300)
    anomaly = made(image, (200, 1000, 12, 0.35))
    view = image_view(anomaly)
    whole, close = unpacked(view)
    assert max(whole.mask.shape) <= 360
    top, left, bottom, right = close.box
    assert (bottom - top, right - left) == close.mask.shape
    assert view["focus"] == close.box
    assert np.array_equal(close.mask, anomaly.mask[top:bottom, left:right])
    assert close.mask.sum() == anomaly.mask.sum()
    for layer in (whole, close):
        difference = layer.after - expected(anomaly.sample, layer.box, layer.mask.shape, None)
        assert np.abs(difference).max() <= 0.5 * view["step"] / 255 + 1e-6


def test_a_very_large_photo_is_shown_as_its_pixels_average():
    image = with_part(textured(1600, 2400, 0), 0.5)
    anomaly = made(image, (1597, 700, 30, 0.3))
    view = image_view(anomaly)
    whole, close = unpacked(view)
    assert np.array_equal(close.mask, anomaly.mask[close.box[0] : close.box[2], close.box[1] : close.box[3]])
    size = whole.mask.shape
    for got, sample in ((whole.before, anomaly.before), (whole.after, anomaly.sample)):
        away = np.abs(got - expected(sample, whole.box, size, view["window"]))
        # Pixels on the edge of two cells are shared by blocks.
        assert away.mean() < 0.25 * view["step"] / 255 + 0.005
    cover = shrunk(anomaly.mask.astype(np.uint8), size)
    assert whole.mask[cover > 0.01].all()
    assert whole.mask.sum() < 1.6 * (cover > 0.01).sum()
    assert np.array_equal(whole.before[:, ~whole.mask], whole.after[:, ~whole.mask])


@pytest.mark.parametrize("labelled_too", [True, False])
def test_changes_beyond_the_label_and_labels_without_a_change_are_shown(labelled_too):
    before = np.full((90, 120), 100, np.uint8)
    after = before.copy()
    after[5, 7] = after[80, 110] = 200
    mask = np.zeros((90, 120), bool)
    if labelled_too:
        mask[40:50, 60:70] = True
    effect = np.where(mask, 0.1, 0).astype(np.float32)
    view = image_view(Anomaly(Image(after), mask, effect, mask.astype(np.uint16), ByHand(), before=Image(before)))
    whole = unpacked(view)[0]
    assert np.array_equal(whole.mask, mask)
    assert np.abs(whole.after[0] - after / 255).max() <= 0.5 * view["step"] / 255 + 1e-6


def test_a_defect_of_a_hair_is_not_averaged_away():
    image = textured(800, 800, 0)
    pixels = image.pixels.copy()
    pixels[400, 100:700] = 255
    mask = pixels != image.pixels
    effect = np.where(mask, 0.5, 0).astype(np.float32)
    view = image_view(Anomaly(Image(pixels), mask, effect, mask.astype(np.uint16), ByHand(), before=image))
    whole = unpacked(view)[0]
    assert whole.mask.sum() > 200
    assert np.abs(whole.effect[whole.mask] - 0.5).max() < 1e-6
    assert (whole.effect[~whole.mask] == 0).all()


def test_far_apart_defects_are_both_labelled_and_the_larger_is_enlarged():
    image = textured(1000, 1000)
    view = image_view(made(image, (80, 80, 10, 0.3), (900, 900, 16, -0.3)))
    assert view["instances"] == 2
    whole, close = unpacked(view)
    rows = np.flatnonzero(whole.mask.any(axis=1))
    assert rows[0] < 0.1 * len(whole.mask)
    assert rows[-1] > 0.88 * len(whole.mask)
    assert close.box[0] < 884 < 916 < close.box[2]
    assert np.sign(whole.effect[rows[0]]).max() == 1
    assert np.sign(whole.effect[rows[-1]]).min() == -1


@pytest.mark.parametrize("kind", ["noise", "changed", "long", "flat", "tiny"])
def test_size_is_bounded(kind):
    draw = np.random.default_rng(1)
    shape = {"long": (9, 3000, 3), "tiny": (8, 8)}.get(kind, (700, 720, 3))
    pixels = draw.integers(0, 256, shape).astype(np.uint8)
    if kind == "flat":
        pixels[:] = 0
    after = draw.integers(0, 256, shape).astype(np.uint8) if kind == "changed" else pixels.copy()
    if kind != "changed":
        after[2:6, 2:6] ^= 128
    mask = (after != pixels).reshape(*shape[:2], -1).any(axis=2)
    anomaly = Anomaly(
        Image(after),
        mask,
        np.where(mask, 0.5, 0).astype(np.float32),
        mask.astype(np.uint16),
        ByHand(),
        before=Image(pixels),
    )
    view = image_view(anomaly)
    assert len(json.dumps(view)) < 120_000
    assert len(unpacked(view)[0].mask) > 0


def test_no_effect_numbers_that_are_none_and_bare_pixels_do_no_harm():
    pixels = textured(40, 50, 3, "float32").pixels.copy()
    pixels[3, 4] = np.nan
    pixels[5, 6] = np.inf
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:20] = True
    effect = np.full((40, 50), np.nan, np.float32)
    view = image_view(Anomaly(pixels, mask, effect, mask.astype(np.uint16), ByHand(), before=pixels))
    assert view["peak"] == 0
    json.dumps(view, allow_nan=False)
    empty = image_view(Anomaly(pixels, mask & False, effect, (mask & False).astype(np.uint16), ByHand(), before=pixels))
    assert empty["focus"] == [0, 0, 40, 50]


def test_the_same_input_gives_the_same_bytes_and_is_left_alone():
    anomaly = made(textured(300, 420), (100, 100, 20, 0.3))
    kept = [array.copy() for array in (anomaly.before.pixels, anomaly.sample.pixels, anomaly.mask, anomaly.effect)]
    assert json.dumps(image_view(anomaly)) == json.dumps(image_view(anomaly))
    now = (anomaly.before.pixels, anomaly.sample.pixels, anomaly.mask, anomaly.effect)
    assert all(np.array_equal(a, b) for a, b in zip(kept, now, strict=True))


@given(st.integers(8, 500), st.integers(8, 500), st.data())
@settings(max_examples=40)
def test_the_close_up_holds_a_small_defect_and_lies_in_the_photo(height, width, data):
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    pixels = np.zeros((height, width), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[row : row + 5, column : column + 5] = True
    after = np.where(mask, 200, pixels).astype(np.uint8)
    effect = np.where(mask, 200 / 255, 0).astype(np.float32)
    view = image_view(Anomaly(Image(after), mask, effect, mask.astype(np.uint16), ByHand(), before=Image(pixels)))
    top, left, bottom, right = view["focus"]
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    assert mask[top:bottom, left:right].sum() == mask.sum()


def rows(views):
    return [{"id": name, "status": "made", "generator": {"generator": name}} for name in views]


def browse(text, tmp_path, *flags):
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
    if browser is None:
        pytest.skip("no chromium on PATH")
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    sizes = ["--hide-scrollbars", "--window-size=1100,1600", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *fixed, *sizes, *flags, (tmp_path / "report.html").as_uri()]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout


@pytest.mark.slow
def test_the_browser_unpacks_and_draws_what_was_packed(tmp_path):
    red = Image(np.full((300, 400, 3), (200, 40, 40), np.uint8))
    grey = textured(64, 64, 0)
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3)).astype(np.uint8)
    views = {
        "red": image_view(made(red, (150, 200, 60, 0.2))),
        "grey": image_view(made(grey, (30, 30, 12, 0.3))),
        "noise": image_view(made(Image(noise), (300, 400, 20, 0.3))),
    }
    text = render("Photos", {}, rows(views), views)
    page = browse(text, tmp_path, "--dump-dom").decode("utf-8")
    opening = re.search(r"<html[^>]*>", page)
    assert opening is not None
    assert dict(re.findall(r'data-([a-z]+)="([^"]*)"', opening.group())) == {
        "ready": "3",
        "views": "3",
        "shown": "3 3",
    }
    assert "400 × 300 px" in page
    browse(text, tmp_path, f"--screenshot={tmp_path / 'page.png'}", "--blink-settings=preferredColorScheme=1")
    picture = np.asarray(Picture.open(tmp_path / "page.png").convert("RGB")).astype(int)

    def of(colour, near=3):
        return (np.abs(picture - colour) <= near).all(axis=2)

    card = of((200, 40, 40), 5).sum()
    disc = of((251, 91, 91), 5).sum()
    # The disc takes pi 60^2 of 300 x 400 pixels, wherever the page puts them and however large.
    assert card > 20_000
    assert disc / (card + disc) == pytest.approx(np.pi * 60**2 / (300 * 400), rel=0.2)
    assert of((0, 158, 115), 12).sum() > 200


def with_part(image, share=0.5):
    inside = np.zeros(image.shape, bool)
    inside[:, : round(share * image.shape[1])] = True
    return Image(image.pixels, foreground=inside)


def test_where_defects_may_lie_comes_back_and_costs_little():
    photo = textured(700, 900)
    plain, view = (image_view(made(image, (300, 200, 12, 0.3))) for image in (photo, with_part(photo, 0.5)))
    assert plain["foreground"] is None
    assert view["foreground"] == 0.5
    for layer, bare in zip(view["layers"], plain["layers"], strict=True):
        h, w = layer["size"]
        packed = np.frombuffer(zlib.decompress(base64.b64decode(layer["foreground"])), np.uint8)
        inside = np.unpackbits(packed)[: h * w].reshape(h, w).astype(bool)
        left, right = layer["box"][1], layer["box"][3]
        columns = left + (np.arange(w) + 0.5) * (right - left) / w
        sure = np.abs(columns - 450) > (right - left) / w
        assert (inside == (columns < 450))[:, sure].all()
        assert "foreground" not in bare
    assert len(json.dumps(view)) < min(120_000, len(json.dumps(plain)) + 4000)


def test_the_share_of_the_foreground_is_told_of_each_sample():
    photo = textured(64, 80)
    assert made(with_part(photo, 0.25), (30, 12, 8, 0.3)).stats["foreground"] == 0.25
    assert "foreground" not in made(photo, (30, 12, 8, 0.3)).stats
    solid = np.full((64, 80, 1), 255, np.uint8)
    solid[:16] = 0
    sample = Image(np.concatenate([photo.pixels, solid], axis=2), opacity=True)
    assert Scratch()(sample, rng=1).stats["foreground"] == 0.75


def test_the_foreground_is_summed_up_by_photo_over_all_records():
    photo = textured(64, 64)
    drawn = {"a": with_part(photo, 0.5), "b": with_part(photo, 0.5), "c": photo}
    views = {name: image_view(made(image, (30, 12, 8, 0.3))) for name, image in drawn.items()}
    # Four photos: two samples of the first, one of each other; of the last there is no view.
    told = {"a": ("1", 0.5), "b": ("1", 0.5), "c": ("2", None), "d": ("3", 0.2), "e": ("4", 0.25)}
    records = [
        {**row, "source": {"path": told[row["id"]][0]}, "stats": {"foreground": told[row["id"]][1]}}
        for row in rows(told)
    ]
    records.append({"id": "f", "status": "skipped", "source": {"path": "5"}})
    text = render("Photos", {"foreground": "auto"}, records, views)
    assert "<b>3 of 4</b>" in text
    assert "<b>25 %</b> <span>of the frame is the part (median), 20 % to 50 %</span>" in text
    assert "part found <span>2</span>" in text
    assert "whole image <span>1</span>" in text
    assert [text.count(f'data-part="{kind}"') for kind in ("part found", "whole image")] == [2, 1]
    assert "Drag to turn" not in text
    assert "<b>3 of 4</b>" in render("Photos", {}, records, {})
    assert "Foreground" not in render("Photos", {}, rows(views), {})


@pytest.mark.slow
def test_the_toggles_and_filters_of_photos_do_what_they_say(tmp_path):
    photo = Image(np.full((200, 200, 3), 120, np.uint8))
    views = {
        "part": image_view(made(with_part(photo, 0.5), (100, 50, 30, 0.2))),
        "whole": image_view(made(photo, (100, 50, 30, 0.2))),
    }
    records = [{**row, "split": split} for row, split in zip(rows(views), ["train", "test"], strict=True)]
    text = render("Photos", {"foreground": "auto"}, records, views)
    # The policy of the page lets no script of the test's in.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    script = """<script>
    const out = [], $ = (q) => document.querySelector(q), root = document.documentElement;
    const click = (q) => { $(q).click(); out.push(root.dataset.shown); };
    const mode = (name) => {
      [...$("#all-modes").querySelectorAll("button")].find((b) => b.textContent === name).click();
      /* Printing draws all views at once. */
      dispatchEvent(new Event("beforeprint"));
      const c = $("#view-0 canvas"), paper = c.getContext("2d");
      const at = (x, y) => [...paper.getImageData(x * c.width, y * c.height, 1, 1).data];
      /* The photo is a square in the middle of a wider canvas; its defect lies left of its middle. */
      const side = c.height / c.width, x = (u) => 0.5 + (u - 0.5) * side;
      return [at(x(0.25), 0.5), at(x(0.45), 0.1), at(x(0.8), 0.5)].map((p) => p.slice(0, 3).join(" ")).join("|");
    };
    addEventListener("load", () => {
      click('[data-value="train"]'); click("#clear"); click('[data-value="whole image"]'); click('[data-value="test"]');
      click("#clear");
      for (const name of ["before", "after", "difference", "mask"]) out.push(mode(name));
      out.push(String($("#view-1 .part").hidden), $("#view-0 .part").getAttribute("aria-pressed"));
      $("#outlines").click();
      out.push($("#view-0 .part").getAttribute("aria-pressed"), mode("before"));
      out.push(String(document.querySelectorAll(".gen:not([open])").length));
      document.body.textContent = `<${out.join(";")}>`;
    });
    </script></body>"""
    page = browse(text.replace("</body>", script), tmp_path, "--dump-dom").decode()
    told = re.search(r"&lt;(.*?)&gt;", page)
    assert told is not None, page[-2000:]
    got = told.group(1).split(";")
    assert got[:5] == ["1 1", "2 2", "2 1", "1 1", "2 2"]
    assert got[5] == "120 120 120|120 120 120|120 120 120"
    assert got[6] == "171 171 171|120 120 120|120 120 120"
    assert got[7] == "255 255 255|0 0 0|0 0 0"
    assert got[8] == "255 255 255|0 0 0|0 0 0"
    assert got[9:12] == ["true", "false", "true"]
    # What lies outside of the part is darkened.
    inside, above, outside = (int(rgb.split()[0]) for rgb in got[12].split("|"))
    assert (inside, above) == (120, 120)
    assert outside < 80
    assert got[13] == "0"


@pytest.mark.slow
def test_the_page_unpacks_every_kind_of_zlib_stream(tmp_path):
    draw = np.random.default_rng(3)
    contents = [
        draw.integers(0, 256, 70_000).astype(np.uint8).tobytes(),
        draw.normal(0, 3, 50_000).astype(np.int8).tobytes(),
        b"abcdefgh" * 9000 + bytes(range(256)) * 200 + b"x" * 1000,
        bytes(draw.integers(0, 4, 33_000).astype(np.uint8)) * 2,
        b"a",
        b"",
    ]
    packed, kinds = [], set()
    for content in contents:
        for level, strategy in [
            (0, zlib.Z_DEFAULT_STRATEGY),
            (9, zlib.Z_DEFAULT_STRATEGY),
            (6, zlib.Z_RLE),
            (9, zlib.Z_FIXED),
        ]:
            packer = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
            stream = packer.compress(content) + packer.flush()
            kinds.add((stream[2] >> 1) & 3)
            text = [base64.b64encode(raw).decode() for raw in (stream, content)]
            packed.append([text[0], text[1], len(content)])
    assert kinds == {0, 1, 2}
    source = "".join((files("anosynth.report") / name).read_text() for name in ("cloud.js", "inflate.js"))
    check = f"""const right = {json.dumps(packed)}.filter(([stream, content, size]) => {{
        const got = inflate(unpack(stream, Uint8Array), size), wanted = unpack(content, Uint8Array);
        return got.length === size && got.every((value, i) => value === wanted[i]);
    }}).length;
    document.body.textContent = `right ${{right}}`;"""
    page = browse(f"<!doctype html><body><script>{source}{check}</script></body>", tmp_path, "--dump-dom").decode()
    assert f"right {len(packed)}<" in page


@pytest.mark.slow
def test_a_damaged_picture_is_reported_and_spares_the_others(tmp_path):
    good = image_view(made(textured(64, 64), (30, 30, 12, 0.3)))
    layer = good["layers"][0]
    short = base64.b64encode(base64.b64decode(layer["before"])[:300]).decode()
    views = {"bad": {**good, "layers": [{**layer, "before": short}]}, "good": good}
    page = browse(render("Photos", {}, rows(views), views), tmp_path, "--dump-dom").decode("utf-8")
    assert 'data-ready="1"' in page
    assert "a packed picture" in page
    assert "This view cannot be drawn." in page


def test_names_stay_text_and_the_policy_stays_closed():
    attack = "</script><img src=x onerror=alert(1)>"
    view = image_view(made(textured(64, 64), (30, 30, 12, 0.3)))
    text = render(attack, {}, rows({attack: view}), {attack: view})
    assert "<img" not in text
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    assert len(render("t", {}, [], {})) < 80_000
