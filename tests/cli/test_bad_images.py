"""Photos as users really have them: each works, or costs one clear line that names it, and the others are made."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from command_kit import clear, encoded, fails_alone, grain, process, rows
from PIL import Image as Pillow

from anosynth.io.images import MAX_PIXELS, read_image
from anosynth.io.png import SIGNATURE, encode_png

FAST = "images --no-report -g stain --area 0.05"
ROW, COLUMN = np.mgrid[0:40, 0:56]
DRAW = np.random.default_rng(4)
RGB = np.stack([4 * COLUMN, 5 * ROW, 2 * (ROW + COLUMN)], axis=2).astype(np.uint8)
GREY = RGB[:, :, 2].copy()
NOISE = grain()
RGBA, FIVE = np.dstack([RGB, GREY + 1]), np.dstack([RGB, RGB[:, :, :2]])
DISC = np.hypot(ROW - 20, COLUMN - 28) < 15


def frames(form: str) -> bytes:
    more = [Pillow.fromarray(RGB[::-1].copy())]
    return encoded(RGB, form, save_all=True, append_images=more)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(height: int, width: int, depth: int = 8) -> bytes:
    """Return a PNG whose header promises far more than it holds."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def packed_tiff(bits: int, channels: int = 1) -> bytes:
    """Return a TIFF of 16 x 16 pixels of so many bits, packed without a gap, as some cameras write it."""
    data = DRAW.bytes(16 * 16 * bits * channels // 8)
    kind = 2 if channels == 3 else 1
    tags = [(256, 16), (257, 16), (258, bits), (259, 1), (262, kind), (273, 8), (277, channels), (278, 16)]
    tags.append((279, len(data)))
    folder = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags)) + folder + bytes(4)


def tiff(pixels, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def exif(orientation: int) -> Pillow.Exif:
    tags = Pillow.Exif()
    tags[274] = orientation
    return tags


PNG, JPEG, WEBP, BMP = (encoded(NOISE, form) for form in ("PNG", "JPEG", "WEBP", "BMP"))
TWELVE = bytes([0xFF, 0xD8, 0xFF, 0xC1, 0, 11, 12, 0, 40, 0, 56, 1, 1, 0x11, 0, 0xFF, 0xD9])

# name: (bytes, what the line must say)
BAD = {
    "cut.png": (PNG[: len(PNG) // 2], "PNG: ends in the middle"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "cannot be read"),
    "cut.webp": (WEBP[: len(WEBP) // 2], "cannot be read"),
    "cut.bmp": (BMP[: len(BMP) // 2], "cannot be read"),
    "cut.tif": (tiff(NOISE)[:4000], ""),
    "cut-in-header.png": (PNG[:20], "PNG: ends in the middle"),
    "flipped-bit.png": (PNG[:300] + bytes([PNG[300] ^ 1]) + PNG[301:], "does not fit its check sum"),
    "no-bytes.png": (b"", "an empty file (0 bytes)"),
    "no-bytes.jpg": (b"", "an empty file (0 bytes)"),
    "prose.png": (b"Dear Sir or Madam,\n", "not an image that can be read: expected PNG, JPEG, BMP, TIFF or WebP"),
    "zeros.tif": (bytes(5000), "not an image that can be read"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "not an image that can be read"),
    "animated.png": (frames("PNG"), "an animation: expected one picture"),
    "animated.webp": (frames("WEBP"), "2 frames or pages: expected one picture"),
    "pages.tif": (frames("TIFF"), "2 frames or pages: expected one picture"),
    "really-a-gif.png": (frames("GIF"), "not an image that can be read (GIF): expected PNG"),
    "really-heic.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90), "not an image that can be read (HEIC)"),
    "twelve-bits-colour.tif": (packed_tiff(12, 3), "TIFF: cannot be read: unknown"),
    "twelve-bits.jpg": (TWELVE, "12-bit"),
    "one-pixel.png": (encoded(RGB[:1, :1]), "1 x 1: expected at least 8 x 8"),
    "one-pixel-16.png": (encode_png(np.zeros((1, 1, 3), np.uint16)), "1 x 1: expected at least 8 x 8"),
    "seven.png": (encoded(RGB[:7]), "7 x 56: expected at least 8 x 8"),
    "seven.jpg": (encoded(RGB[:, :7], "JPEG"), "40 x 7: expected at least 8 x 8"),
    "bomb.png": (bomb(60_000, 60_000), f"expected at most {MAX_PIXELS} in all\nhint: --max-pixels allows more"),
    "bomb-16.png": (bomb(60_000, 60_000, 16), f"expected at most {MAX_PIXELS} in all\nhint: --max-pixels"),
    "no-pixels.png": (bomb(0, 0), ""),
    "doubles.tif": (tiff(np.zeros((40, 56))), "float64: expected uint8, uint16 or float32"),
    "counts.tif": (tiff(np.full((40, 56), 4e3, np.float32)), "expected 0 to 1\nhint: divide"),
    "volume.tif": (tiff(np.zeros((9, 40, 56), np.uint8)), "frames or pages"),
    "lab.tif": (encoded(RGB, "TIFF", mode="LAB"), "colours of kind LAB: expected grey, RGB, RGBA, CMYK or a palette"),
}  # fmt: skip

# name: (bytes, the shape that is written, its dtype)
GOOD = {
    "photo.png": (PNG, (40, 56, 3), np.uint8),
    "photo.jpg": (JPEG, (40, 56, 3), np.uint8),
    "photo.jfif": (JPEG, (40, 56, 3), np.uint8),
    "photo.bmp": (BMP, (40, 56, 3), np.uint8),
    "photo.webp": (WEBP, (40, 56, 3), np.uint8),
    "PHOTO.JPG": (JPEG, (40, 56, 3), np.uint8),
    "really-a-jpeg.png": (JPEG, (40, 56, 3), np.uint8),
    "palette.png": (encoded(RGB, mode="P"), (40, 56, 3), np.uint8),
    "clear-palette.png": (encoded(RGB, mode="P", transparency=bytes(range(1, 200))), (40, 56, 4), np.uint8),
    "cmyk.jpg": (encoded(RGB, "JPEG", mode="CMYK"), (40, 56, 3), np.uint8),
    "cmyk.tif": (encoded(RGB, "TIFF", mode="CMYK"), (40, 56, 3), np.uint8),
    "bits.png": (encoded(GREY > 90), (40, 56), np.uint8),
    "bits.tif": (encoded(GREY > 90, "TIFF"), (40, 56), np.uint8),
    "grey.jpg": (encoded(GREY, "JPEG"), (40, 56), np.uint8),
    "rgba.png": (encoded(RGBA), (40, 56, 4), np.uint8),
    "grey-alpha.png": (encoded(np.dstack([GREY, GREY + 1])), (40, 56, 2), np.uint8),
    "rgba.webp": (encoded(RGBA, "WEBP", lossless=True, exact=True), (40, 56, 4), np.uint8),
    "rgba.tif": (tiff(RGBA, photometric="rgb", extrasamples=["unassalpha"]), (40, 56, 4), np.uint8),
    "twelve-bits.tif": (packed_tiff(12), (16, 16), np.uint16),
    "sixteen.png": (encode_png(RGB.astype(np.uint16) * 257), (40, 56, 3), np.uint16),
    "twelve-in-sixteen.png": (encode_png(GREY.astype(np.uint16) * 16), (40, 56), np.uint16),
    "sixteen-alpha.png": (encode_png(RGBA.astype(np.uint16) * 257), (40, 56, 4), np.uint16),
    "sixteen.tif": (tiff(RGB.astype(np.uint16) * 200, photometric="rgb"), (40, 56, 3), np.uint16),
    "float.tif": (tiff(GREY.astype(np.float32) / 255), (40, 56), np.float32),
    "five.tif": (tiff(FIVE, photometric="minisblack", planarconfig="contig"), (40, 56, 5), np.uint8),
    "profile.png": (encoded(RGB, icc_profile=b"profile"), (40, 56, 3), np.uint8),
    "profile.jpg": (encoded(RGB, "JPEG", icc_profile=b"profile"), (40, 56, 3), np.uint8),
    "turned.jpg": (encoded(RGB, "JPEG", exif=exif(6)), (56, 40, 3), np.uint8),
    "turned.png": (encoded(RGB, exif=exif(8)), (56, 40, 3), np.uint8),
    "turned.tif": (tiff(RGB, photometric="rgb", extratags=[(274, "H", 1, 5, True)]), (56, 40, 3), np.uint8),
    "upside-down.jpg": (encoded(RGB, "JPEG", exif=exif(3)), (40, 56, 3), np.uint8),
    "least.png": (encoded(NOISE[:8, :8]), (8, 8, 3), np.uint8),
    "strip.png": (encoded(np.tile(NOISE[:8], (1, 9, 1))), (8, 504, 3), np.uint8),
    "black.png": (encoded(np.zeros((40, 56, 3), np.uint8)), (40, 56, 3), np.uint8),
    "white.tif": (tiff(np.ones((40, 56), np.float32)), (40, 56), np.float32),
}  # fmt: skip


@pytest.fixture
def home(here) -> Path:
    (here / "good").mkdir()
    return here


def put(folder: Path, **files: bytes) -> None:
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)


# Files.


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_alone_fails_in_one_clear_line(home, call, name):
    fails_alone(call, FAST, home / "good" / name, *BAD[name])


def test_bad_photos_cost_the_good_ones_nothing(home, call):
    for name, (data, _) in BAD.items():
        (home / "good" / name.replace(".", "-", name.count(".") - 1)).write_bytes(data)
    (home / "good" / "photo.png").write_bytes(PNG)
    code, out, err = call(f"{FAST} good out")
    skipped = sorted(line.split(": ")[1] for line in err.splitlines() if line.startswith("skipped"))
    assert (code, skipped) == (3, sorted(BAD))
    assert out == f"out: 1 anomalous sample, {len(BAD)} skipped\n"
    (home / "alone").mkdir()
    (home / "alone" / "photo.png").write_bytes(PNG)
    call(f"{FAST} alone other")
    place = "anomalous/photo_000.png"
    assert (home / "out" / place).read_bytes() == (home / "other" / place).read_bytes()
    assert call("verify out") == (0, f"{len(BAD) + 1} ok, 0 bad\n", "")
    assert call("replay out") == (0, "1 ok, 0 bad\n", "")


@pytest.mark.parametrize("name", GOOD)
def test_what_works_although_it_looks_odd(home, call, name):
    data, shape, dtype = GOOD[name]
    (home / "good" / name).write_bytes(data)
    code, out, err = call(f"{FAST} good out")
    assert (code, out, err) == (0, "out: 1 anomalous sample\n", "")
    [written] = (home / "out" / "anomalous").iterdir()
    stem, _, suffix = name.rpartition(".")
    assert written.name == f"{stem}_000{'.tiff' if suffix == 'tif' else '.png'}"
    before, after = read_image(home / "good" / name), read_image(written)
    assert (after.pixels.shape, after.pixels.dtype) == (shape, dtype)
    assert after.opacity == before.opacity == (len(shape) == 3 and shape[2] in (2, 4))
    mask = np.asarray(Pillow.open(home / "out" / "ground_truth" / f"{stem}_000.png"))
    # The mask has the size of the photo as it is meant to be seen, and its tag is gone from the sample.
    assert mask.shape == shape[:2]
    if "turned" in name:
        with Pillow.open(written) as picture:
            assert picture.getexif().get(274, 1) == 1
    changed = (after.pixels != before.pixels).reshape(*shape[:2], -1).any(axis=2)
    assert (changed == (mask == 255)).all()
    assert call("verify out") == (0, "1 ok, 0 bad\n", "")
    assert call("replay out") == (0, "1 ok, 0 bad\n", "")


def test_any_sizes_in_one_folder(home, call):
    for name, (data, _, _) in GOOD.items():
        (home / "good" / f"{name.replace('.', '-')}.{name.rpartition('.')[2]}").write_bytes(data)
    code, out, _ = call("images --no-report --seed 3 good out")
    made = len(list((home / "out" / "anomalous").iterdir()))
    assert code in (0, 3)
    assert made >= len(GOOD) - 4  # not every kind of defect fits on 8 x 8 pixels, or on a black photo
    assert out.startswith(f"out: {made} anomalous samples")
    assert call("verify out") == (0, f"{len(GOOD)} ok, 0 bad\n", "")


def test_opacity_stays_and_nothing_is_put_where_nothing_is_seen(home, call):
    pixels = np.dstack([NOISE, np.where(DISC, 200, 0).astype(np.uint8)])
    (home / "good" / "cut-out.png").write_bytes(encoded(pixels))
    (home / "good" / "blank.png").write_bytes(encoded(pixels * np.uint8([1, 1, 1, 0])))
    for how in ("auto", "none"):
        code, _, err = call(f"images --no-report --count 6 --foreground {how} good {how}")
        assert code == 3
        assert "skipped: blank.png: " in err
        assert "the foreground is empty" in err
        for path in (home / how / "anomalous").iterdir():
            after = np.asarray(Pillow.open(path))
            assert np.array_equal(after[:, :, 3], pixels[:, :, 3])
            assert np.array_equal(after[~DISC], pixels[~DISC])
        assert len(list((home / how / "anomalous").iterdir())) >= 5
        assert call(f"verify {how}")[0] == 0


def test_the_largest_photo_is_an_option(home, call):
    (home / "good" / "a.png").write_bytes(PNG)
    (home / "good" / "b.png").write_bytes(encoded(NOISE[:20]))
    code, _, err = call(f"{FAST} --max-pixels {20 * 56} good out")
    assert code == 3
    assert err == f"skipped: a.png: 40 x 56 pixels: expected at most {20 * 56} in all\nhint: --max-pixels allows more\n"
    header = json.loads((home / "out" / "manifest.jsonl").read_text().splitlines()[0])
    assert header["max_pixels"] == 20 * 56
    assert call("verify out")[0] == call("replay out")[0] == 0
    assert call(f"{FAST} --max-pixels {40 * 56} good out")[2].startswith(
        "error: out: holds a data set made with other settings or another input (differs in: max_pixels)"
    )
    assert call(f"{FAST} --max-pixels {40 * 56} good all")[0] == 0
    code, _, err = call(f"{FAST} --max-pixels 0 good none")
    assert code == 2
    assert "--max-pixels" in err


@pytest.mark.parametrize("largest", [100, 1, None])
def test_the_limit_of_pillow_is_none_of_ours(home, call, monkeypatch, largest):
    # What a program around us allows Pillow is its own business; ours is stated, and warnings are for programmers.
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", largest)
    for name in ("photo.png", "photo.jpg", "photo.bmp", "sixteen.png", "float.tif", "turned.jpg"):
        (home / "good" / f"{name.replace('.', '-')}.{name.rpartition('.')[2]}").write_bytes(GOOD[name][0])
    assert call(f"images -g stain --area 0.05 --roi {home}/good/photo-png.png good/photo-png.png out")[0] == 0
    code, out, err = call(f"{FAST} good out2")
    assert (code, out, err) == (0, "out2: 6 anomalous samples\n", "")
    assert call("verify out2") == (0, "6 ok, 0 bad\n", "")
    assert call("replay out2") == (0, "6 ok, 0 bad\n", "")
    assert call("export coco out2 coco")[0] == 0
    # What Pillow alone can unpack, it holds to its own limit.
    (home / "good" / "cmyk.tif").write_bytes(GOOD["cmyk.tif"][0])
    code, _, err = call(f"{FAST} good/cmyk.tif out3")
    more = "skipped: cmyk.tif: TIFF: more pixels than Pillow reads of this format: expected PNG or plain TIFF\n"
    assert (code, err) in ([(0, "")] if largest is None else [(1, more), (0, "")])  # some versions of it do not
    assert largest == Pillow.MAX_IMAGE_PIXELS


# Formats.


def test_formats_that_are_not_read_are_counted(home, call):
    put(home / "good", a_gif=frames("GIF"), b_PGM=b"P5 8 8 255\n" + bytes(64), c_heic=b"?", d_jp2=b"?", e_png=PNG)
    (home / "good" / "notes.txt").write_text("mine")
    code, out, err = call(f"{FAST} good out")
    expected = "expected PNG, JPEG, BMP, TIFF or WebP"
    assert (code, out) == (0, "out: 1 anomalous sample\n")
    assert err == f"good: passed over photos of other formats: 4 (a.gif, ...): {expected}\n"
    code, _, err = call(f"{FAST} good good/e.png out2")
    assert (code, err.count("passed over photos of other formats: 4")) == (0, 1)
    (home / "good" / "e.png").unlink()
    code, _, err = call(f"{FAST} good out3")
    assert code == 1
    alone = "error: good: photos of other formats alone: 4 (a.gif, ...)"
    assert err == f"{alone}: {expected}\nhint: convert them to PNG first\n"
    code, _, err = call(f"{FAST} good/a.gif good/b.PGM out4")
    assert code == 1
    assert err == (
        f"skipped: a.gif: not an image that can be read (GIF): {expected}\n"
        f"skipped: b.PGM: not an image that can be read: {expected}\n"
    )
    put(home / "good", a_png=PNG)
    code, _, err = call(f"{FAST} good/a.gif good/a.png out5")
    assert code == 3, "a format that is not read must not take the name of one that is"
    assert (home / "out5/anomalous/a_000.png").exists()
    assert "skipped: a.gif: differs from a.png in the suffix alone" in err


def test_the_format_of_samples(home, call):
    put(
        home / "good",
        a_jpg=JPEG,
        b_tif=tiff(RGB.astype(np.uint16) * 200, photometric="rgb"),
        c_tif=GOOD["float.tif"][0],
    )
    put(home / "good", d_png=GOOD["rgba.png"][0])
    suffixes = {"": [".png", ".tiff", ".tiff", ".png"], "tiff": [".tiff"] * 4}
    for name, expected in suffixes.items():
        out = f"out-{name}"
        line = f"{FAST} {f'--image-format {name}' if name else ''} good {out}"
        assert call(line)[:2] == (0, f"{out}: 4 anomalous samples\n")
        assert [path.suffix for path in sorted((home / out / "anomalous").iterdir())] == expected
        assert {path.suffix for path in (home / out / "ground_truth").iterdir()} == {".png"}
        assert call(f"verify {out}") == (0, "4 ok, 0 bad\n", "")
        assert call(f"replay {out}") == (0, "4 ok, 0 bad\n", "")
        assert call(line)[1] == f"{out}: 4 anomalous samples, 4 of them from an earlier run\n"
        header = json.loads((home / out / "manifest.jsonl").read_text().splitlines()[0])
        assert header["sample_format"] == (name or None)
    for path in (home / "out-tiff" / "anomalous").iterdir():
        other = home / "out-" / "anomalous" / f"{path.stem}.png"
        other = other if other.exists() else other.with_suffix(".tiff")
        assert np.array_equal(read_image(path).pixels, read_image(other).pixels)
        assert read_image(path).opacity == read_image(other).opacity
    code, _, err = call(f"{FAST} --image-format png good out-tiff")
    assert code == 1
    assert "differs in: sample_format" in err
    code, _, err = call(f"{FAST} --image-format png good out-png")
    assert code == 3
    assert err.startswith("skipped: c.tif: float32 of 1 channel: PNG holds 8 and 16 bit and up to 4 channels\nhint: ")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("name", ["jpeg", "JPG", "webp", "png "])
def test_formats_that_samples_cannot_have(home, call, name):
    (home / "good" / "a.png").write_bytes(PNG)
    code, out, err = call(f"{FAST} --image-format '{name}' good out")
    assert (code, out) == (2, "")
    assert err.startswith("error: --image-format: ")
    assert "png or tiff" in err
    assert ("changes pixels outside of the mask" in err) == name.lower().startswith("jp")
    assert not (home / "out").exists()


def test_a_data_set_has_formats_of_its_own(home, call):
    (home / "set/nut/train/good").mkdir(parents=True)
    (home / "set/nut/train/good/0.png").write_bytes(PNG)
    code, _, err = call(f"{FAST} --dataset mvtec --root set --image-format tiff out")
    assert code == 2
    assert err == "error: --image-format: tiff: the layout `mvtec` has formats of its own: leave it out\n"


def test_channels_that_png_would_take_for_opacity(home, call):
    infrared = tiff(np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unspecified"])
    (home / "good" / "a.tif").write_bytes(infrared)
    code, _, err = call(f"{FAST} --image-format png good out")
    assert code == 1
    assert err.startswith("skipped: a.tif: uint8 of 4 channels: PNG takes the last of them for opacity\nhint: ")
    assert call(f"{FAST} good out2")[0] == 0
    with tifffile.TiffFile(home / "out2/anomalous/a_000.tiff") as file:
        assert file.pages[0].extrasamples == (0,)


# What is no file.


@pytest.mark.slow
def test_pipes_for_masks_and_maps_do_not_hang(home):
    (home / "good" / "photo.png").write_bytes(PNG)
    os.mkfifo(home / "good" / "photo_mask.png")
    assert process(*FAST.split(), "good", "out").returncode == 1
    (home / "good" / "photo_mask.png").unlink()
    os.mkfifo(home / "pipe.png")
    done = process(*FAST.split(), "--roi", "pipe.png", "good/photo.png", "out2")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.slow
def test_a_large_photo_gives_no_warning(home):
    # 90 megapixels are more than what Pillow warns of; those of one grey pack into little.
    (home / "good" / "large.png").write_bytes(encode_png(np.full((9000, 10000), 128, np.uint8), flat=True))
    line = "images --no-report -g blank --fill black --area 200px2 --foreground none good out"
    for words in (line.split(), ["verify", "out"]):
        done = process(*words, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")


NAMES = ["größe.png", "gro\u0308ße.png", "名前.png", "🙂.png", "with space.png", "-dash.png", "new\nline.png"]
NAMES += ["a'b\"c.png", "[a].png", "$HOME.png", "a\\b.png", "two.dots.png", "IMG.PNG", "trailing .png"]


def test_photos_that_differ_in_the_suffix_alone(home, call):
    put(home / "good", a_bmp=BMP, a_jpg=JPEG, a_png=PNG, b_png=PNG)
    code, out, err = call(f"{FAST} good out")
    assert (code, out) == (3, "out: 2 anomalous samples, 2 skipped\n")
    for name in ("a.jpg", "a.png"):
        assert f"skipped: {name}: differs from a.bmp in the suffix alone: their masks would have one name\n" in err
    assert err.count("hint: rename one of them") == 2
    assert sorted(path.name for path in (home / "out/anomalous").iterdir()) == ["a_000.png", "b_000.png"]
    assert call("verify out") == (0, "4 ok, 0 bad\n", "")


# Folders and data sets.


def test_folders_without_normal_photos(home, call):
    for name, says in {
        "good": "error: good: no normal samples found\n",
        "none": "error: none: no such file\n",
    }.items():
        code, out, err = call(f"{FAST} {name} out")
        assert (code, out, err) == (1, "", says)
    put(home / "good", a_png=PNG)
    (home / "good" / "a_mask.png").write_bytes(encoded(np.uint8(DISC) * 255))
    code, _, err = call(f"{FAST} good out")
    assert code == 1
    assert "has a mask that shows a defect, as all photos here: expected normal photos\nhint: " in err
    assert not (home / "out").exists()


def test_masks_with_opacity_show_what_their_colours_show(home, call):
    put(home / "good", a_png=PNG, b_png=PNG)
    black = np.zeros((40, 56), np.uint8)
    for name, mask in {"a": black, "b": np.uint8(DISC) * 255}.items():
        (home / "good" / f"{name}_mask.png").write_bytes(encoded(np.dstack([mask, mask, mask, black + 255])))
    assert call(f"{FAST} good out")[0] == 0
    assert [path.name for path in (home / "out/anomalous").iterdir()] == ["a_000.png"]


def mvtec(root: Path, **more: bytes) -> Path:
    for number in range(4):
        for place in ("nut/train/good", "nut/test/good", "nut/test/bent"):
            (root / place).mkdir(parents=True, exist_ok=True)
            (root / place / f"{number:03d}.png").write_bytes(PNG)
        (root / "nut/ground_truth/bent").mkdir(parents=True, exist_ok=True)
        (root / f"nut/ground_truth/bent/{number:03d}_mask.png").write_bytes(encoded(np.uint8(DISC) * 255))
    for place, data in more.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(data)
    return root


SET = f"{FAST} --dataset mvtec --root set --held-out 0.5"


def test_bad_photos_in_a_data_set(home, call):
    mvtec(home / "set")
    assert call(f"{SET} out")[0] == 0
    sources = sorted({row["source"]["path"] for row in rows(home / "out") if row["status"] == "made"})
    assert len(sources) == 2
    (home / "set" / sources[0]).write_bytes(PNG[:90])
    code, out, err = call(f"{SET} out2")
    assert (code, out) == (3, "out2: 1 anomalous sample, 6 normal samples copied, 1 skipped\n")
    clear(err, sources[0])
    assert call("verify out2") == (0, "8 ok, 0 bad\n", "")


def test_masks_of_a_data_set_that_are_wrong_are_no_input(home, call):
    odd = {
        "nut/ground_truth/bent/000_mask.png": encoded(np.zeros((9, 9), np.uint8)),
        "nut/ground_truth/bent/001_mask.png": encoded(GREY),
        "nut/ground_truth/bent/002_mask.png": b"",
        "nut/ground_truth/bent/009_mask.png": encoded(GREY),
    }
    mvtec(home / "set", **odd)
    (home / "set/nut/ground_truth/bent/003_mask.png").unlink()
    code, out, err = call(f"{SET} out")
    assert (code, out) == (0, "out: 2 anomalous samples, 6 normal samples copied\n")
    first, second = err.splitlines()
    assert first.startswith("set/nut/test/bent/003.png: a photo of a defect without a mask")
    assert second.startswith("set/nut/ground_truth/bent/009_mask.png: a mask without a photo")
    assert call("verify out") == (0, "8 ok, 0 bad\n", "")


def test_categories_that_are_empty(home, call):
    mvtec(home / "set")
    (home / "set/cap/test/good").mkdir(parents=True)
    assert call(f"{SET} out")[::2] == (0, "")
    (home / "set/cap/test/good/0.png").write_bytes(PNG)
    code, _, err = call(f"{SET} out2")
    assert code == 0
    assert err == "set/cap: no normal training samples (categories: 1): no anomalies of them\n"
    code, _, err = call(f"{SET} --category cap out3")
    assert code == 1
    assert err.startswith("error: set: no normal samples found\nhint: ")
    code, _, err = call(f"{SET} --category cup out3")
    assert (code, err) == (1, "error: set: no category `cup`: it holds cap, nut\n")
    (home / "empty").mkdir()
    code, _, err = call(f"{FAST} --dataset mvtec --root empty out3")
    assert code == 1
    assert err.startswith("error: empty: expected files such as `bottle/train/good/000.png`, found none\nhint: ")
    assert not (home / "out3").exists()


# Options that speak of files.


@pytest.mark.parametrize("option", ["roi", "exclude", "prior", "foreground"])
def test_maps_that_are_wrong(home, call, option):
    put(home / "good", a_png=PNG, b_png=PNG)
    (home / "maps").mkdir()
    code, _, err = call(f"{FAST} --{option} nowhere good out")
    assert code == 1
    assert err.startswith(f"error: --{option}: nowhere: no such file or folder")
    assert not (home / "out").exists()
    (home / "maps" / "a.png").write_bytes(encoded(np.uint8(DISC) * 255))
    code, _, err = call(f"{FAST} --{option} maps good out")
    assert code == 3
    assert err == "skipped: b.png: no image of its name in maps: expected one\n"
    (home / "maps" / "b.png").write_bytes(encoded(np.ones((9, 9), np.uint8)))
    code, _, err = call(f"{FAST} --{option} maps good out2")
    assert code == 3
    assert err == "skipped: maps/b.png: 9 x 9: does not fit the 40 x 56 pixels of b.png\n"
    (home / "maps" / "b.png").write_bytes(b"Dear Sir")
    code, _, err = call(f"{FAST} --{option} maps good out3")
    assert code == 3
    assert err.startswith("skipped: maps/b.png: not an image that can be read: expected PNG")
    (home / "maps" / "b.png").write_bytes(encoded(np.full((40, 56), 255 * (option == "exclude"), np.uint8)))
    code, _, err = call(f"{FAST} --{option} maps good out4")
    assert code == 3
    assert err.startswith("skipped: b.png: no `stain` could be made of it: ")
    assert len(err.splitlines()) == 1
    (home / "maps" / "a_mask.png").write_bytes(encoded(np.uint8(DISC) * 255))
    code, _, err = call(f"{FAST} --{option} maps good out5")
    assert code == 1
    assert "skipped: a.png: 2 images of its name in maps: expected one\n" in err


def test_an_area_that_cannot_be_met(home, call):
    small = (np.hypot(ROW - 20, COLUMN - 28) < 3).astype(np.uint8) * 255
    (home / "roi.png").write_bytes(encoded(small))
    (home / "good" / "a.png").write_bytes(PNG)
    line = "images --no-report -g perlin-texture --roi roi.png"
    code, _, err = call(f"{line} --area 0.9 good out")
    assert (code, err) == (2, "error: `area`: 0.9: must be <= 0.5 (allowed: 0 to 0.5)\n")
    code, out, err = call(f"{line} --area 0.5 --foreground none good out")
    assert code in (0, 1)
    if code:
        assert len(err.splitlines()) <= 2
        assert err.startswith("skipped: a.png: no `perlin-texture` could be made of it")
    else:
        mask = np.asarray(Pillow.open(home / "out/ground_truth/a_000.png")) > 0
        assert not (mask & (small == 0)).any()
    (home / "roi.png").write_bytes(encoded(small * 0))
    code, out, err = call(f"{line} good out2")
    assert (code, out) == (1, "out2: 0 anomalous samples, 1 skipped\n")
    assert err.startswith("skipped: a.png: no `perlin-texture` could be made of it: the foreground is empty")


# Generators that cannot do without something.


@pytest.mark.parametrize(("generator", "option"), [("defect-bank", "bank"), ("external", "function")])
def test_what_a_generator_needs_is_said_at_the_start(home, call, generator, option):
    (home / "good" / "a.png").write_bytes(PNG)
    code, out, err = call(f"images --no-report -g {generator} good out")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: `{option}`: not given: `{generator}` needs it\nhint: --{option}: ")
    (home / "mix.yaml").write_text(f"family: images\ngenerators: [{{generator: stain}}, {{generator: {generator}}}]")
    assert call("images --no-report --recipe mix.yaml good out") == (code, out, err)
    assert not (home / "out").exists()


def test_texts_with_colons_and_bars_are_texts(home, call):
    put(home / "good", a_png=PNG)
    for name in ("a:b", "c|d", "1:2", "2024", "true"):
        bank = home / name
        bank.mkdir()
        (bank / "x.png").write_bytes(encoded(NOISE[::-1].copy()))
        (bank / "x_mask.png").write_bytes(encoded(np.uint8(DISC) * 255))
        code, _, err = call(f"images --no-report -g defect-bank --bank '{name}' good 'out {name}'")
        assert code == 0, err
        assert rows(home / f"out {name}")[0]["generator"]["bank"] == name
        assert call(f"replay 'out {name}'") == (0, "1 ok, 0 bad\n", "")
    code, _, err = call("images --no-report -g external --function needs:painted good out")
    assert code == 0, err
    assert rows(home / "out")[0]["generator"]["function"] == "needs.painted"


def test_a_bank_that_is_wrong(home, call):
    put(home / "good", a_png=PNG)
    for number, (mask, says) in enumerate(
        [
            (None, "/x.png: no mask: expected "),
            (b"", "/x_mask.png: an empty file (0 bytes)"),
            (encoded(GREY[:9]), "/x_mask.png: 9 x 56: does not fit "),
            (encoded(GREY * 0), "/x_mask.png: an empty mask"),
        ]
    ):
        bank = home / f"bank{number}"
        bank.mkdir()
        (bank / "x.png").write_bytes(PNG)
        if mask is not None:
            (bank / "x_mask.png").write_bytes(mask)
        code, _, err = call(f"images --no-report -g defect-bank --bank bank{number} good out{number}")
        assert code == 1
        assert err.startswith("skipped: a.png: no `defect-bank` could be made of it: ")
        assert says in err
        assert len(err.splitlines()) <= 2


# Tables of a whole data set.


TABLES = {
    "visa": ["split_csv/1cls.csv", "CATEGORY/image_anno.csv"],
    "mvtec-loco": ["CATEGORY/defects_config.json"],
    "real-iad": ["realiad_jsons/realiad_jsons/CATEGORY.json"],
    "mulsen": ["CATEGORY/RGB/GT/dent/data.csv"],
}


@pytest.mark.parametrize("layout", TABLES)
def test_a_table_that_is_gone_is_noticed(home, call, layout):
    code, _, err = call(f"toy {layout} set")
    assert code == 0, err
    command = "pointcloud -g dent --strength 0.02" if layout == "mulsen" else "images -g stain --area 0.05"
    assert call(f"{command} --no-report --dataset {layout} --root set out")[0] in (0, 3)
    code, printed, _ = call("verify out")
    assert (code, ", 0 bad" in printed) == (0, True), "a layout may name tables that it does not need"
    category = next(row["category"] for row in rows(home / "out") if row["status"] == "made")
    for place in TABLES[layout]:
        table = place.replace("CATEGORY", category)
        kept = (home / "out" / table).read_bytes()
        (home / "out" / table).unlink()
        code, printed, _ = call("verify out")
        assert code == 1
        assert printed.count("bad: ") == 1
        assert f"bad: {table}: this table is missing; " in printed
        # The same line writes it again.
        assert call(f"{command} --no-report --dataset {layout} --root set out")[0] in (0, 3)
        assert (home / "out" / table).read_bytes() == kept
        assert call("verify out")[0] == 0
