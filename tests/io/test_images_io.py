"""Photos: every type kept bit for bit, other readers agree with what is written, damage is named."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from anosynth.errors import DataError, WriteError
from anosynth.images import Image
from anosynth.io._pictures import Origin
from anosynth.io.images import (
    image_digest,
    limited,
    read_image,
    read_mask,
    write_image,
    write_map,
    write_mask,
)
from anosynth.io.png import SIGNATURE, chunks, decode_png16, encode_png

LARGEST = 1 << 20
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def noise(dtype, shape, seed=0):
    draw = np.random.default_rng(seed)
    if dtype == np.float32:
        return draw.random(shape, dtype=np.float32)
    return draw.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def smooth(height=40, width=56):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([4 * x, 5 * y, 2 * (x + y)], axis=2).astype(np.uint8)


def encoded(picture, form, **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def file(folder, data, name="photo.bin"):
    (folder / name).write_bytes(data)
    return folder / name


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(pixels, filters):
    """Filter the lines of 16 bit pixels (H, W, C) by the PNG standard, one byte after the other."""
    height, width = pixels.shape[:2]
    rows = [list(row.astype(">u2").tobytes()) for row in pixels]
    step = len(rows[0]) // width
    data = bytearray()
    for y in range(height):
        kind = filters[y % len(filters)]
        data.append(kind)
        for i, value in enumerate(rows[y]):
            a = rows[y][i - step] if i >= step else 0
            b = rows[y - 1][i] if y else 0
            c = rows[y - 1][i - step] if y and i >= step else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            data.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(data)


def png16(pixels, filters, *, interlaced=False, extra=b""):
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, interlaced)
    parts = [pixels[r::dr, c::dc] for r, c, dr, dc in PASSES] if interlaced else [pixels]
    data = zlib.compress(b"".join(filtered(part, filters) for part in parts if part.size))
    half = len(data) // 2
    body = chunk(b"IDAT", data[:half]) + chunk(b"IDAT", data[half:])
    return SIGNATURE + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".TIF"])
def test_what_is_written_is_read(tmp_path, dtype, channels, suffix):
    pixels = noise(dtype, (17, 33, channels) if channels else (17, 33))
    path = tmp_path / f"photo{suffix}"
    if suffix == ".png" and (channels > 4 or dtype == np.float32):
        with pytest.raises(WriteError, match=r"photo.png: PNG: .*: expected uint8 or uint16 with 1 to 4 chan"):
            write_image(path, Image(pixels))
        assert not path.exists()
        return
    write_image(path, Image(pixels))
    image = read_image(path)
    expected = pixels[:, :, 0] if channels == 1 else pixels
    assert (image.pixels.dtype, image.pixels.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(image.pixels, expected)
    assert image.pixels.flags.writeable
    assert image.document == Origin("PNG" if suffix == ".png" else "TIFF")
    assert image_digest(image) == image_digest(Image(pixels))
    first = path.read_bytes()
    write_image(path, image)
    assert path.read_bytes() == first


@pytest.mark.parametrize(("channels", "mode"), [(0, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_pillow_reads_8_bit(tmp_path, channels, mode):
    pixels = noise(np.uint8, (31, 9, channels) if channels else (31, 9))
    write_image(tmp_path / "a.png", Image(pixels))
    with Pillow.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
        assert np.array_equal(np.asarray(picture), pixels)


def test_pillow_reads_grey_of_16_bit(tmp_path):
    pixels = noise(np.uint16, (20, 30))
    write_image(tmp_path / "a.png", Image(pixels))
    with Pillow.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture).astype(np.uint16), pixels)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_pillow_reads_the_upper_byte_of_16_bit(tmp_path, channels):
    # Pillow cuts colour down to 8 bit, which checks the order of channels and bytes by another reader.
    pixels = noise(np.uint16, (20, 30, channels))
    write_image(tmp_path / "a.png", Image(pixels))
    with Pillow.open(tmp_path / "a.png") as picture:
        seen = np.asarray(picture)
    upper = (pixels >> 8).astype(np.uint8)
    if channels == 2 and seen.shape[2] == 4:
        seen = seen[:, :, 2:]
    assert np.array_equal(seen, upper)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 3, 4, 6])
def test_tifffile_reads(tmp_path, dtype, channels):
    pixels = noise(dtype, (12, 15, channels) if channels else (12, 15))
    write_image(tmp_path / "a.tiff", Image(pixels))
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), pixels)


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(8, 12), st.integers(8, 12))))
@settings(max_examples=30)
def test_png_of_any_grey(pixels):
    with Pillow.open(io.BytesIO(encode_png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture).astype(pixels.dtype), pixels)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 4), st.booleans(), st.integers(0, 99))
@settings(max_examples=40)
def test_all_filters_of_16_bit(filters, channels, interlaced, seed):
    draw = np.random.default_rng(seed)
    shape = (*draw.integers(1, 14, 2).tolist(), channels)
    # Half smooth, half noise, so that every branch of the Paeth predictor is taken.
    pixels = (np.indices(shape).sum(axis=0) * 700 + draw.integers(0, 900, shape)).astype(np.uint16)
    found = decode_png16(png16(pixels, filters, interlaced=interlaced), largest=LARGEST)
    assert found.dtype == np.uint16
    assert np.array_equal(found, pixels[:, :, 0] if channels == 1 else pixels)


def test_a_mask_is_8_bit_of_one_channel(tmp_path):
    mask = noise(np.uint8, (30, 41)) > 200
    write_mask(tmp_path / "m.png", mask)
    with Pillow.open(tmp_path / "m.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), np.where(mask, 255, 0))


@pytest.mark.parametrize("top", [3, 255, 256, 65535])
def test_a_map_takes_the_bits_it_needs(tmp_path, top):
    numbers = np.arange(120, dtype=np.uint16).reshape(10, 12)
    numbers[4, 5] = top
    numbers = np.minimum(numbers, np.uint16(top))
    write_map(tmp_path / "m.png", numbers)
    found = read_image(tmp_path / "m.png").pixels
    assert found.dtype == (np.uint8 if top <= 255 else np.uint16)
    assert np.array_equal(found, numbers)


def test_only_lossless_suffixes_are_written(tmp_path):
    with pytest.raises(WriteError, match=r"suffix `.jpg`: expected .png or .tiff"):
        write_image(tmp_path / "a.jpg", Image(smooth()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mode", "target", "form", "note"),
    [
        ("1", "L", "PNG", None),
        ("L", "L", "BMP", None),
        ("P", "RGB", "PNG", None),
        ("RGB", "RGB", "BMP", None),
        ("RGB", "RGB", "JPEG", None),
        ("L", "L", "JPEG", None),
        ("CMYK", "RGB", "JPEG", "CMYK converted to RGB without a profile"),
        ("CMYK", "RGB", "TIFF", "CMYK converted to RGB without a profile"),
        ("P", "RGB", "TIFF", None),
        ("1", "L", "TIFF", None),
        ("RGBA", "RGBA", "PNG", None),
        ("LA", "LA", "PNG", None),
    ],
)
def test_modes(tmp_path, mode, target, form, note):
    picture = Pillow.fromarray(smooth()).convert(mode)
    data = encoded(picture, form)
    with Pillow.open(io.BytesIO(data)) as again:
        expected = np.asarray(again.convert(target))
    image = read_image(file(tmp_path, data))
    assert np.array_equal(image.pixels, expected)
    assert image.document == Origin(form, (note,) if note else ())


OPACITY = [
    ("LA", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("RGBA", "WEBP", {"lossless": True}),
    ("RGBA", "TIFF", {}),
    ("RGBA", "TIFF", {"compression": "tiff_lzw"}),
    ("LA", "TIFF", {}),
]


@pytest.mark.parametrize(("mode", "form", "options"), OPACITY)
def test_opacity_is_told_and_kept(tmp_path, mode, form, options):
    picture = Pillow.fromarray(smooth()).convert(mode)
    picture.putalpha(Pillow.fromarray(smooth()[:, :, 0].copy()))
    image = read_image(file(tmp_path, encoded(picture, form, **options)))
    assert image.opacity
    assert np.array_equal(image.pixels[:, :, -1], smooth()[:, :, 0])
    for suffix in (".png", ".tiff"):
        write_image(tmp_path / f"again{suffix}", image)
        again = read_image(tmp_path / f"again{suffix}")
        assert again.opacity
        assert np.array_equal(again.pixels, image.pixels)
        with Pillow.open(tmp_path / f"again{suffix}") as seen:
            assert seen.mode == mode


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 3, 4, 5])
@pytest.mark.parametrize("opacity", [False, True])
def test_tiff_says_what_the_last_channel_is(tmp_path, dtype, channels, opacity):
    pixels = noise(dtype, (12, 15, channels))
    write_image(tmp_path / "a.tiff", Image(pixels, opacity=opacity))
    again = read_image(tmp_path / "a.tiff")
    assert (again.opacity, again.pixels.tobytes()) == (opacity, pixels.tobytes())
    with tifffile.TiffFile(tmp_path / "a.tiff") as found:
        assert (2 in found.pages[0].extrasamples) == opacity
        assert np.array_equal(found.pages[0].asarray(), pixels)


def test_png_of_16_bit_has_opacity_too(tmp_path):
    for channels in (0, 2, 3, 4):
        pixels = noise(np.uint16, (12, 15, channels) if channels else (12, 15))
        assert read_image(file(tmp_path, encode_png(pixels))).opacity == (channels in (2, 4))


def test_other_channels_are_no_opacity(tmp_path):
    for extra in (["unspecified"], ["unassalpha", "unspecified"]):
        pixels = noise(np.uint8, (12, 15, 3 + len(extra)))
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=extra)
        assert not read_image(tmp_path / "a.tif").opacity


def test_a_palette_with_transparency_has_alpha(tmp_path):
    picture = Pillow.fromarray(smooth()).convert("P")
    image = read_image(file(tmp_path, encoded(picture, "PNG", transparency=bytes(range(200)))))
    assert image.channels == 4
    assert image.document.notes == ()
    assert np.array_equal(image.pixels, np.asarray(Pillow.open(tmp_path / "photo.bin").convert("RGBA")))


def test_what_is_dropped_is_said(tmp_path):
    picture = Pillow.fromarray(smooth())
    image = read_image(file(tmp_path, encoded(picture, "PNG", icc_profile=b"profile", transparency=(1, 2, 3))))
    assert np.array_equal(image.pixels, smooth())
    assert set(image.document.notes) == {"colour profile dropped", "transparent colour dropped"}
    pixels = noise(np.uint16, (9, 9, 3))
    data = png16(pixels, [1], extra=chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile")))
    assert read_image(file(tmp_path, data)).document == Origin("PNG", ("colour profile dropped",))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"])
def test_packed_tiff(tmp_path, compression):
    data = encoded(Pillow.fromarray(smooth()), "TIFF", compression=compression)
    assert np.array_equal(read_image(file(tmp_path, data)).pixels, smooth())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_of_others(tmp_path, dtype, byteorder):
    pixels = noise(dtype, (16, 24, 3))
    for options in [{"planarconfig": "separate"}, {"tile": (16, 16)}, {"rowsperstrip": 3}, {"bigtiff": True}]:
        big = options.pop("bigtiff", False)
        source = pixels.transpose(2, 0, 1) if "planarconfig" in options else pixels
        with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=byteorder, bigtiff=big) as writer:
            writer.write(source, photometric="rgb", **options)
        found = read_image(tmp_path / "a.tif").pixels
        assert found.dtype == dtype
        assert found.dtype.isnative
        assert np.array_equal(found, pixels)


@pytest.mark.parametrize("tags", [b"", b"garbage", b"II*\0\x08\0\0\0\xff\xff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damaged_tags_of_a_camera_are_no_damage_of_the_photo(tmp_path, dtype, tags):
    data = encode_png(noise(dtype, (12, 20, 3)))
    assert np.array_equal(
        read_image(file(tmp_path, data[:33] + chunk(b"eXIf", tags) + data[33:])).pixels, noise(dtype, (12, 20, 3))
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "PNG16", "TIFF", "LZW"])
def test_orientation_is_applied_once(tmp_path, orientation, form):
    turn = [None, None, 0, 3, 1, 5, 4, 6, 2][orientation]  # of Pillow's Transpose
    exif = Pillow.Exif()
    exif[274] = orientation
    pixels = smooth()
    if form == "PNG16":
        pixels = noise(np.uint16, (12, 20, 3))
        data = png16(pixels, [0], extra=chunk(b"eXIf", exif.tobytes()[6:]))
    elif form == "TIFF":
        tifffile.imwrite(tmp_path / "t.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
        data = (tmp_path / "t.tif").read_bytes()
    elif form == "LZW":
        data = encoded(Pillow.fromarray(pixels), "TIFF", compression="tiff_lzw", tiffinfo={274: orientation})
    else:
        data = encoded(Pillow.fromarray(pixels), form, exif=exif, **({"quality": 100} if form == "JPEG" else {}))
    planes = [Pillow.fromarray(plane) for plane in np.moveaxis(pixels, 2, 0)]
    turned = np.stack([np.asarray(p if turn is None else p.transpose(Pillow.Transpose(turn))) for p in planes], axis=2)
    found = read_image(file(tmp_path, data)).pixels
    assert found.shape == turned.shape
    assert np.abs(found.astype(int) - turned).max() <= (12 if form == "JPEG" else 0)
    write_image(tmp_path / "again.png", Image(found))
    assert np.array_equal(read_image(tmp_path / "again.png").pixels, found)


def sample(form):
    if form == "PNG16":
        return png16(noise(np.uint16, (12, 14, 3)), [4, 3])
    if form == "float":
        stream = io.BytesIO()
        tifffile.imwrite(stream, noise(np.float32, (12, 14)))
        return stream.getvalue()
    pixels = noise(np.uint8, (24, 28, 3)) // 2 + smooth(24, 28) // 2
    return encoded(Pillow.fromarray(pixels), form.split("-")[0], **({"compression": "tiff_lzw"} if "-" in form else {}))


def read_or_message(path):
    try:
        return read_image(path).pixels
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("form", ["PNG", "PNG16", "JPEG", "BMP", "TIFF", "TIFF-lzw", "float", "WEBP"])
def test_every_cut_is_refused(tmp_path, form):
    data = sample(form)
    whole = read_image(file(tmp_path, data)).pixels
    for size in sorted({1, 2, 4, 8, 9, 30, len(data) - 1, len(data) - 5, *range(40, len(data), len(data) // 23)}):
        path = file(tmp_path, data[:size])
        found = read_or_message(path)
        if isinstance(found, str):
            assert found.startswith(f"{path}: ")
            assert len(found.splitlines()) == 1
        else:
            # The last bytes of some formats say nothing about the pixels.
            assert np.array_equal(found, whole)
            assert size > 0.9 * len(data)


@pytest.mark.parametrize("form", ["PNG", "PNG16", "JPEG", "BMP", "TIFF", "float"])
def test_damage_is_a_data_error_or_an_image(tmp_path, form):
    data, draw = sample(form), np.random.default_rng(5)
    for _ in range(60):
        bad = bytearray(data)
        for place in draw.integers(0, len(bad), 3):
            bad[place] = draw.integers(256)
        try:
            read_image(file(tmp_path, bytes(bad)), largest=LARGEST)
        except DataError:
            continue


def test_a_flipped_bit_of_a_png_is_found(tmp_path):
    data = bytearray(sample("PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(DataError, match="IDAT: does not fit its check sum"):
        read_image(file(tmp_path, bytes(data)))


def test_what_is_no_photo(tmp_path):
    for data, match in [
        (b"", r"an empty file \(0 bytes\): expected a photo"),
        (b"no picture at all, but a text", "not an image that can be read: expected PNG, JPEG, BMP, TIFF or WebP"),
        (encoded(Pillow.fromarray(smooth()), "GIF"), "not an image that can be read"),
        (encoded(Pillow.fromarray(smooth()[:1, :1]), "PNG"), "1 x 1: expected at least 8 x 8"),
        (encode_png(noise(np.uint16, (1, 1, 3))), "1 x 1: expected at least 8 x 8"),
    ]:
        with pytest.raises(DataError, match=match) as caught:
            read_image(file(tmp_path, data))
        assert str(tmp_path / "photo.bin") in str(caught.value)
    with pytest.raises(DataError, match="a folder: expected a file"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "none.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="a pipe: expected a file"):
        read_image(tmp_path / "pipe.png")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_several_frames(tmp_path, form):
    frames = [Pillow.fromarray(smooth()), Pillow.fromarray(smooth()[::-1].copy())]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="expected one picture"):
        read_image(file(tmp_path, data))


def test_the_preview_of_a_camera_is_no_second_photo(tmp_path):
    photo, preview = Pillow.fromarray(smooth()), Pillow.fromarray(smooth(16, 16))
    data = encoded(photo, "MPO", save_all=True, append_images=[preview])
    image = read_image(file(tmp_path, data))
    assert image.document.format == "MPO"
    assert image.shape == (40, 56)


@pytest.mark.parametrize("form", ["PNG", "PNG16", "JPEG", "TIFF"])
def test_too_many_pixels(tmp_path, form):
    path = file(tmp_path, sample(form))
    size = np.prod(read_image(path).shape)
    assert read_image(path, largest=int(size)).shape
    with pytest.raises(DataError, match=rf"pixels: expected at most {size - 1} in all"):
        read_image(path, largest=int(size - 1))


def test_a_limit_for_all_that_is_read_in_a_block(tmp_path):
    path = file(tmp_path, sample("PNG"))
    with limited(24 * 28 - 1):
        for read in (read_image, read_mask):
            with pytest.raises(DataError, match=rf"expected at most {24 * 28 - 1} in all\nhint: --max-pixels"):
                read(path)
        assert read_image(path, largest=24 * 28).shape == (24, 28)
        with limited(24 * 28):
            assert read_image(path).shape == (24, 28)
    assert read_image(path).shape == (24, 28)


@pytest.mark.parametrize("form", ["PNG", "PNG16", "JPEG", "BMP", "TIFF", "float"])
def test_the_limit_does_not_hang_on_pillow(tmp_path, monkeypatch, form):
    path = file(tmp_path, sample(form))
    expected = read_image(path).pixels
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 20)
    assert np.array_equal(read_image(path).pixels, expected)


def test_a_bomb_is_refused_by_its_header(tmp_path):
    for depth in (8, 16):
        header = struct.pack(">IIBBBBB", 60_000, 60_000, depth, 2, 0, 0, 0)
        data = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
        with pytest.raises(DataError, match="expected at most 250000000"):
            read_image(file(tmp_path, data))


@pytest.mark.parametrize(
    ("pixels", "match"),
    [
        (np.full((9, 9), 300, np.float32), "float32 from 300 to 300: expected 0 to 1\nhint"),
        (np.full((9, 9), np.nan, np.float32), "float32 from nan to nan"),
        (np.zeros((9, 9), np.float64), "float64: expected uint8, uint16 or float32"),
        (np.zeros((9, 9), np.int16), "int16: expected uint8"),
    ],
)
def test_values_of_another_scale(tmp_path, pixels, match):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(DataError, match=match):
        read_image(tmp_path / "a.tif")


def test_a_little_overshoot_is_no_other_scale(tmp_path):
    pixels = np.linspace(-0.2, 1.3, 100, dtype=np.float32).reshape(10, 10)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_digest():
    pixels = np.arange(192, dtype=np.uint16).reshape(8, 8, 3)
    expected = hashlib.sha256(b'["<u2", [8, 8, 3]]\n' + pixels.astype("<u2").tobytes()).hexdigest()
    assert image_digest(Image(pixels)) == expected
    other = {image_digest(Image(p)) for p in (pixels.astype(np.uint8), pixels.transpose(1, 0, 2), pixels[:, :, 0])}
    assert expected not in other
    assert len(other) == 3


def test_chunks_end_at_iend():
    data = sample("PNG")
    assert [kind for kind, _ in chunks(data + b"rubbish")][-1] == b"IEND"
