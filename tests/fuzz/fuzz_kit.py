"""Valid files of every form that is read, the ways in which they are damaged, and what reads them."""

from __future__ import annotations

import io
import json
import re
import signal
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from anosynth.errors import AnosynthError, WriteError

Bytes = bytes
Choose = Callable[[int], int]
"""Gives a whole number from 0 to below its argument: hypothesis, a generator or a fuzzer decides which."""

PIXELS = 1 << 20
"""Of a photo; what is above it is refused by its header."""

HANG = 20
"""Seconds after which a reader of a file of a few kilobytes counts as hanging."""

_CLOUDS = ("ply", "pcd", "npy", "npz", "xyz", "csv", "tiff", "stl", "obj", "off", "glb")
_PHOTOS = ("png", "jpg", "bmp", "webp", "tif")
_TENSORS = ("npy", "npz", "pt", "safetensors")
_TEXTS = ("recipe", "yaml", "value", "manifest", "table-csv", "table-json", "labels")
FORMS = (
    *(f"cloud-{suffix}" for suffix in _CLOUDS),
    *(f"photo-{suffix}" for suffix in _PHOTOS),
    *(f"tensor-{suffix}" for suffix in _TENSORS),
    "state-safetensors",
    *_TEXTS,
)


class Hangs(BaseException):
    """A reader did not come back; no `Exception`, so that no reader takes it for a damaged file."""


@contextmanager
def hurried(seconds: int = HANG) -> Iterator[None]:
    """Raise `Hangs` if the block takes longer."""

    def stop(*_: object) -> None:
        raise Hangs(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# What is read, and by what.


@lru_cache(maxsize=1)
def _folder() -> Path:
    keep.append(tempfile.TemporaryDirectory(prefix="fuzz-"))
    return Path(keep[-1].name)


keep: list[Any] = []


def attempt(form: str, data: bytes) -> Any:
    """Return what is read of `data`, or the AnosynthError that refuses it; anything else that is raised is a bug."""
    try:
        return _reader(form)(data)
    except AnosynthError as error:
        refusal = error
    assert str(refusal).strip(), "an error without a word"
    assert "Traceback" not in str(refusal)
    return refusal


@lru_cache(maxsize=64)
def _reader(form: str) -> Callable[[bytes], Any]:
    kind, _, suffix = form.partition("-")
    if kind in ("cloud", "photo", "tensor", "state"):
        from anosynth.io.images import read_image
        from anosynth.io.tensors import read_state

        reads = {"cloud": _cloud, "photo": partial(read_image, largest=PIXELS), "tensor": _tensor, "state": read_state}[
            kind
        ]
        return partial(_from_file, reads, f"damaged.{suffix}")
    return {
        "recipe": partial(_from_file, _recipe, "damaged.yaml"),
        "yaml": _yaml,
        "value": _value,
        "manifest": partial(_from_file, _manifest, "manifest.jsonl"),
        "table-csv": partial(_from_file, _csv, "damaged.csv"),
        "table-json": partial(_from_file, _json, "damaged.json"),
        "labels": partial(_from_file, _labels, "damaged.txt"),
    }[form]


def _from_file(reads: Callable[[Path], Any], name: str, data: bytes) -> Any:
    path = _folder() / name
    path.write_bytes(data)
    return reads(path)


def _cloud(path: Path) -> Any:
    """Read a cloud; what is read must be fit to be written, and to be read again."""
    from anosynth.io.clouds import cloud_digest, read_cloud, write_cloud

    cloud = read_cloud(path)
    cloud_digest(cloud)
    again = path.with_name(f"again{path.suffix}")
    try:
        write_cloud(again, cloud)
    except WriteError:
        return cloud
    if cloud.faces is not None and path.suffix in (".stl", ".glb"):
        return cloud
    back = read_cloud(again)
    assert len(back) == len(cloud), f"{len(cloud)} points were written and {len(back)} read again"
    return cloud


def _tensor(path: Path) -> Any:
    from anosynth.io.tensors import read_tensor

    stored = read_tensor(path)
    # Mapped from the disk: damage may show as late as when the values are looked at.
    return np.array(stored.values.reshape(-1)[:64]), np.array(stored.values.reshape(-1)[-64:])


def _recipe(path: Path) -> Any:
    from anosynth.recipe import Recipe
    from anosynth.seeding import as_rng

    recipe = Recipe.read(path)
    assert json.loads(json.dumps(recipe.record(), allow_nan=False)) == recipe.record()
    recipe.draw(as_rng(1))
    return recipe


def _yaml(data: bytes) -> Any:
    from anosynth.recipe import load_yaml

    return load_yaml(data.decode("utf-8", "replace"), "damaged")


def _value(data: bytes) -> Any:
    from anosynth.pointclouds import Dent
    from anosynth.recipe import Vary
    from anosynth.seeding import as_rng

    text = data.decode("utf-8", "replace")
    found = Vary(Dent, strength=text)
    found.draw(as_rng(1))
    again = Vary(Dent, **{k: v for k, v in found.record().items() if k != "generator"})
    assert again.record() == found.record(), "the written form says something else"
    return found


def _manifest(path: Path) -> Any:
    from anosynth.run.manifest import read_lines

    return list(read_lines(path, finished=True))


def _csv(path: Path) -> Any:
    from anosynth.datasets._tables import read_csv

    return read_csv(path, ("object", "split", "label", "image", "mask"))


def _json(path: Path) -> Any:
    from anosynth.datasets._tables import read_json

    return read_json(path)


def _labels(path: Path) -> Any:
    from anosynth.datasets.truth import read_table

    return read_table(path, 3, " ", header="label height instance")


# Valid files.


@lru_cache(maxsize=64)
def seeds(form: str) -> tuple[bytes, ...]:
    """Return small valid files of a form."""
    kind, _, suffix = form.partition("-")
    if kind == "cloud":
        return tuple(_clouds(suffix))
    if kind == "photo":
        return tuple(_photos(suffix))
    if kind in ("tensor", "state"):
        return tuple(_tensors(suffix, kind))
    return tuple(_texts(form))


def _clouds(suffix: str) -> Iterator[bytes]:
    from anosynth.io.clouds import write_cloud
    from anosynth.pointclouds import PointCloud

    draw = np.random.default_rng(1)
    points = draw.normal(size=(12, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    more = {"label": np.arange(12, dtype=np.uint8), "height": points[:, 0].copy()}
    plain = PointCloud(points)
    full = PointCloud(points, normals=points[::-1].copy(), faces=faces, attributes=more, unit="mm")
    grid = PointCloud(points, grid=(3, 4), viewpoint=np.zeros(3))
    for cloud in {"tiff": [grid], "stl": [full], "glb": [full]}.get(suffix, [plain, full, grid]):
        path = _folder() / f"seed.{suffix}"
        write_cloud(path, cloud)
        yield path.read_bytes()
    yield from _OTHER_CLOUDS.get(suffix, ())


_ASCII_PLY = b"""ply
format ascii 1.0
comment unit mm
element vertex 4
property float x
property double y
property float z
property uchar label
element face 2
property list uchar int vertex_indices
property float quality
element edge 1
property int vertex1
property int vertex2
end_header
0 0 0 1
1 0 0.5 2
0 1 1e-3 3
1 1 nan 4
4 0 1 3 2 0.5
3 0 1 2 0.25
0 1
"""
_BIG_PLY = (
    b"ply\nformat binary_big_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    b"element face 2\nproperty list uchar int vertex_indices\nproperty list ushort float texcoord\nend_header\n"
    + struct.pack(">9f", *range(9))
    + struct.pack(">B3iH6f", 3, 0, 1, 2, 6, *range(6))
    + struct.pack(">B4iH2f", 4, 0, 1, 2, 0, 2, *range(2))
)
_PCD = b"""# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z intensity _ tag
SIZE 4 4 4 4 1 8
TYPE F F F F U U
COUNT 1 1 1 1 2 1
WIDTH 2
HEIGHT 2
VIEWPOINT 0 0 0 1 0 0 0
POINTS 4
DATA ascii
0 0 0 1.5 0 0 18446744073709551615
1 0 0 2.5 0 0 2
0 1 0 nan 0 0 3
1 1 0 -1 0 0 4
"""


def _compressed_pcd() -> bytes:
    from anosynth.io._lzf import compress

    head = (
        b"VERSION .7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 40\nHEIGHT 1\n"
        b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 40\nDATA binary_compressed\n"
    )
    whole = np.repeat(np.arange(40, dtype="<f4"), 3).tobytes() + bytes(160)
    packed = compress(whole)
    return head + struct.pack("<2I", len(packed), len(whole)) + packed


_ASCII_STL = b"""solid part
 facet normal 0 0 1
  outer loop
   vertex 0 0 0
   vertex 1 0 0
   vertex 0 1e0 -0.0
  endloop
 endfacet
endsolid part
"""
_OBJ = b"""# unit mm
mtllib part.mtl
v 0 0 0 1 0 0
v 1 0 0 0 1 0
v 0 1 0 0 0 1
v 0 0 1 0.5 0.5 0.5
vn 0 0 1
vn 0 1 0
vt 0 0
g side
f 1/1/1 2/1/1 3/1/2
f -1//1 -2//2 -3//1 -4//1
s off
l 1 2
"""
_OFF = b"CNOFF\n# unit cm\n4 2 0\n0 0 0 0 0 1 255 0 0\n1 0 0 0 0 1 255 0 0\n0 1 0 0 0 1 1 0 0\n0 0 1 0 0 1 0 0 9\n"
_OFF += b"3 0 1 2 255 0 0\n4 0 1 2 3\n"
_OTHER_CLOUDS: dict[str, tuple[bytes, ...]] = {
    "ply": (_ASCII_PLY, _BIG_PLY, _ASCII_PLY.replace(b"\n", b"\r\n")),
    "pcd": (_PCD,),
    "stl": (_ASCII_STL,),
    "obj": (_OBJ,),
    "off": (_OFF, b"OFF 3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"),
    "xyz": (b"# x y z intensity\n0 0 0 1\n1 0 0 2\n0 1 0.5 3\n", b"//comment\n1;2;3;4\n5;6;7;8\n"),
    "csv": (b"x,y,z,nx,ny,nz,tag\n0,0,0,0,0,1,7\n1,0,0,0,0,1,9007199254740993\n", b"\xef\xbb\xbf1,2,3\n4,5,6\n"),
}


def _photos(suffix: str) -> Iterator[bytes]:
    import tifffile
    from PIL import Image as Pillow

    from anosynth.io.png import encode_png

    draw = np.random.default_rng(2)
    rgb = draw.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    grey, deep = rgb[:, :, 0].copy(), rgb.astype(np.uint16) * 257

    def saved(pixels: Any, form: str, mode: str | None = None, **options: Any) -> bytes:
        stream = io.BytesIO()
        picture = Pillow.fromarray(pixels)
        (picture.convert(mode) if mode else picture).save(stream, form, **options)
        return stream.getvalue()

    tags = Pillow.Exif()
    tags[274] = 6
    if suffix == "png":
        yield encode_png(rgb)
        yield encode_png(deep)
        yield encode_png(np.dstack([deep, deep[:, :, 0]]))
        yield saved(rgb, "PNG", "P", transparency=bytes(range(1, 100)))
        yield saved(grey > 90, "PNG")
        yield saved(rgb, "PNG", exif=tags, icc_profile=b"profile")
    elif suffix == "jpg":
        yield saved(rgb, "JPEG", exif=tags)
        yield saved(grey, "JPEG", progressive=True)
        yield saved(rgb, "JPEG", "CMYK")
    elif suffix == "bmp":
        yield saved(rgb, "BMP")
        yield saved(grey, "BMP")
    elif suffix == "webp":
        yield saved(rgb, "WEBP", exif=tags)
        yield saved(rgb, "WEBP", lossless=True)
    else:
        options: list[tuple[Any, dict[str, Any]]] = [
            (rgb, {"photometric": "rgb"}),
            (deep, {"photometric": "rgb", "planarconfig": "contig", "byteorder": ">"}),
            (np.moveaxis(rgb, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
            (grey.astype(np.float32) / 255, {"compression": "zlib"}),
            (grey, {"bigtiff": True}),
            (np.tile(grey, (4, 4)), {"tile": (16, 16)}),
        ]
        for pixels, how in options:
            stream = io.BytesIO()
            tifffile.imwrite(stream, pixels, **how)
            yield stream.getvalue()
        yield saved(rgb, "TIFF", compression="tiff_lzw", exif=tags)
        yield saved(grey, "TIFF", compression="packbits")
        yield saved(grey > 90, "TIFF")


def _tensors(suffix: str, kind: str) -> Iterator[bytes]:
    from anosynth.io.tensors import write_state, write_tensor

    values = np.random.default_rng(3).normal(size=(2, 3, 4, 4)).astype(np.float32)
    path = _folder() / f"seed-tensor.{suffix}"
    if kind == "state":
        write_state(path, {"mean": values[0], "rows": np.arange(4)}, {"kind": "gaussian"})
        yield path.read_bytes()
        return
    with write_tensor(path, "float32", values.shape, suffix) as append:
        append(values)
    yield path.read_bytes()
    if suffix in ("npz", "npy"):
        stream = io.BytesIO()
        if suffix == "npz":
            np.savez_compressed(stream, features=values.astype(">f8"), labels=np.arange(2), names=np.array(["a", "b"]))
        else:
            np.save(stream, np.asfortranarray(values.astype(np.float16)))
        yield stream.getvalue()
    if suffix == "pt":
        import torch

        for held, old in (({"features": torch.ones(2, 3).bfloat16(), "n": 3}, False), (torch.ones(4, 2), True)):
            buffer = io.BytesIO()
            torch.save(held, buffer, _use_new_zipfile_serialization=not old)
            yield buffer.getvalue()


_RECIPE = b"""# a mix
recipe: my-mix
family: pointclouds
generators:
  - {generator: dent, weight: 2, strength: 0.005:0.03:log, area: 0.05|0.1}
  - {generator: scratch, width: 0.3mm}
  - &one
    generator: bulge
    strength: [0.01, 0.02]
  - *one
"""
_YAML = b"""a: &x [1, 2.5e-3, true, ~, "q\\u00e9", 'it''s', 010]
b: !!str 3:6
c: |
  text
d: {<<: {k: 1}, ? [z] : y}
e: 2001-01-01
"""
_ROWS = b'object,split,label,image,mask\ncandle,train,normal,a/b.JPG,\ncandle,test,anomaly,"a,b.JPG",m.png\n'
_LISTS = json.dumps(
    {"meta": {"normal_class": "OK", "prefix": "a/"}, "train": [{"image_path": "OK/S1/a.jpg", "n": [1, 2.5, None]}]}
).encode()
MANIFEST_HEAD = b'{"kind":"header","scheme":1,"seed":0,"root":"../in"}\n'
_RECORD = b'{"id":"a_000.ply","status":"made","source":{"path":"a.ply","sha256":"00"},"outputs":[],"seed":-5.0e1}\n'
_VALUES = (b"0.005:0.03:log", b"local|solid", b"0.15mm", b"12px2", b"-1e309:nan", b"3", b"true", b"1mm:2cm", b"a|b|1:2")


def _texts(form: str) -> Iterator[bytes]:
    labels = b"label height instance\n0 0.0 0\n1 -0.25 1\n1 1e-9 2\n"
    yield from {
        "recipe": (_RECIPE,),
        "yaml": (_YAML, _RECIPE),
        "value": _VALUES,
        "manifest": (MANIFEST_HEAD + _RECORD * 2,),
        "table-csv": (_ROWS,),
        "table-json": (_LISTS,),
        "labels": (labels,),
    }[form]


# Damage.

_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_ODD_NUMBERS = (
    *(b"0", b"-1", b"1", b"3", b"255", b"65536", b"2147483647", b"2147483648", b"4294967295", b"9223372036854775807"),
    *(b"99999999999999999999", b"1000000000", b"1e309", b"-1e309", b"nan", b"inf", b"1e-400", b"0x10", b"1_0", b"1.5"),
    *(b"", b"-0", b"+7", b"1e5", b"999999999999999999", "\u0663".encode(), "\u00b2".encode(), b"1" * 5000),
)
_ODD_TEXTS = (
    *(b"\0", b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"\t", b"#", b"/", b"//", b":", b",", b";", b"|", b"\\\n", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b"- ", b"? ", b"&a ", b"*a ", b"<<: ", b"!!int ", b'"'),
    *(b"!!python/object/apply:os.system ", b"!!binary ", b"!!set ", b"!!timestamp ", b"!!float ", b"!!omap ", b"'"),
    *(
        b"[" * 3000,
        b"{a: " * 1500,
        b"%TAG ! x\n---\n",
        b"\n...\n---\n",
        b"\x0b",
        b"\x0c",
        b"\x1c",
        b"\x85",
        b"mm",
        b"-",
    ),
)
_SIZES = (1, 2, 4, 8)
_ODD_WHOLE = (0, 1, 2, 3, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def damaged(form: str, choose: Choose) -> bytes:
    """Return a valid file of a form with one to four faults that `choose` decides."""
    known = seeds(form)
    data = known[choose(len(known))]
    for _ in range(1 + choose(4)):
        data = _FAULTS[choose(len(_FAULTS))](data, choose)
    return _resealed(form, data) if choose(2) else data


def _place(data: bytes, choose: Choose) -> int:
    # Headers are where the sense of the rest is decided: half of the faults go there.
    return choose(min(len(data), 160) + 1) if choose(2) else choose(len(data) + 1)


def _flipped(data: bytes, choose: Choose) -> bytes:
    at = min(_place(data, choose), max(len(data) - 1, 0))
    return data[:at] + bytes([data[at] ^ (1 << choose(8))]) + data[at + 1 :] if data else data


def _cut(data: bytes, choose: Choose) -> bytes:
    return data[: _place(data, choose)]


def _inserted(data: bytes, choose: Choose) -> bytes:
    at = _place(data, choose)
    return data[:at] + bytes(choose(256) for _ in range(1 + choose(6))) + data[at:]


def _worded(data: bytes, choose: Choose) -> bytes:
    at, word = _place(data, choose), _ODD_TEXTS[choose(len(_ODD_TEXTS))]
    return data[:at] + word + data[at + choose(2) * len(word) :]


def _removed(data: bytes, choose: Choose) -> bytes:
    at = _place(data, choose)
    return data[:at] + data[at + 1 + choose(24) :]


def _repeated(data: bytes, choose: Choose) -> bytes:
    at = _place(data, choose)
    return data[:at] + data[at : at + 1 + choose(60)] * (1 + choose(3)) + data[at:]


def _miscounted(data: bytes, choose: Choose) -> bytes:
    """Replace a number in the text by an odd one: counts, sizes, coordinates."""
    found = list(_NUMBER.finditer(data[:4096]))
    if not found:
        return data
    match = found[choose(len(found))]
    return data[: match.start()] + _ODD_NUMBERS[choose(len(_ODD_NUMBERS))] + data[match.end() :]


def _mismeasured(data: bytes, choose: Choose) -> bytes:
    """Replace a binary number by an odd one."""
    at, size = _place(data, choose), _SIZES[choose(4)]
    value = _ODD_WHOLE[choose(len(_ODD_WHOLE))] % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, "big" if choose(2) else "little") + data[at + size :]


def _swapped(data: bytes, choose: Choose) -> bytes:
    lines = data.split(b"\n")
    one, two = choose(len(lines)), choose(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def _spliced(data: bytes, choose: Choose) -> bytes:
    form = FORMS[choose(len(FORMS))]
    if form == "tensor-pt":  # its files need torch, which not everybody has
        return data
    other = seeds(form)[0]
    return data[: _place(data, choose)] + other[_place(other, choose) :]


_FAULTS = (
    *(_flipped, _flipped, _cut, _inserted, _worded, _removed, _repeated, _miscounted, _miscounted, _mismeasured),
    *(_swapped, _spliced),
)


def _resealed(form: str, data: bytes) -> bytes:
    """Return data whose check sums and lengths fit again, so that the fault gets behind them."""
    if form == "photo-png":
        return _png(data)
    if form in ("cloud-npz", "tensor-npz"):
        return _zip(data)
    if form == "cloud-glb" and len(data) >= 12:
        return data[:8] + struct.pack("<I", len(data)) + data[12:]
    if form.endswith("safetensors") and len(data) >= 8:
        end = data.rfind(b"}", 8) + 1
        return struct.pack("<Q", max(end - 8, 0)) + data[8:] if data[8:9] == b"{" else data
    return data


def _png(data: bytes) -> bytes:
    out, at = [data[:8]], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + size]
        if len(body) < 4:
            break
        out.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return b"".join(out)


def _zip(data: bytes) -> bytes:
    """Pack what lies behind local headers anew, as far as it can be found."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, part in enumerate(data.split(b"PK\x03\x04")[1:]):
            name = "features.npy" if number == 0 else f"other{number}.npy"
            start = part.find(b"\x93NUMPY")
            stop = part.find(b"PK\x01\x02")
            archive.writestr(name, part[start if start >= 0 else 26 : stop if stop > 0 else None])
    return stream.getvalue()


def random_bytes(choose: Choose, most: int = 400) -> bytes:
    """Return bytes of no form."""
    return bytes(choose(256) for _ in range(choose(most)))
