"""Small files that claim to be large ones: refused by what they claim, without the memory or the time for it."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

ROOM = 400
"""Mebibytes that reading any of the files may take, on top of what the program takes."""

SECONDS = 15

READ_ALL = f"""
import json, resource, sys
sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
import fuzz_kit
folder = Path(sys.argv[1])
for form in {{path.name.split("+")[0] for path in folder.iterdir()}}:
    fuzz_kit.attempt(form, fuzz_kit.seeds(form)[0])  # imports what reading needs
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {ROOM << 20}, -1))
for path in sorted(folder.iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with fuzz_kit.hurried({SECONDS}):
            found = fuzz_kit.attempt(path.name.split("+")[0], path.read_bytes())
        kind, text = type(found).__name__, str(found)[:300]
    except BaseException as error:
        kind, text = "raised " + type(error).__name__, str(error)[:300]
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([path.name, kind, text, more >> 10]), flush=True)
"""

HEAD = "ply\nformat {} 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n{}end_header\n"
FACE = "element face {}\nproperty list {} int vertex_indices\n"
PCD = (
    "VERSION .7\nFIELDS x y z n\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 {}\nWIDTH {}\nHEIGHT {}\nPOINTS {}\nDATA {}\n"
)
POINTS = struct.pack("<9f", *range(9))
HUGE = 10**12


def npy(descr: str, shape: tuple[int, ...], body: bytes = b"") -> bytes:
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + body


def zeros(size: int) -> bytes:
    """Return raw deflate of `size` zeros: blocks that stand by themselves can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size >> 20) + packer.flush()


def packed(name: str, head: bytes, size: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file with one member: `head`, then `size` zeros that are truly there."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = body.compress(head) + body.flush(zlib.Z_FULL_FLUSH) + zeros(size)
    whole, label = len(head) + (size >> 20 << 20), name.encode()
    fields = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 33, 0, len(data), min(whole, 2**32 - 1), len(label), 0)
    local = b"PK\3\4" + fields + label + data
    central = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + label
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def glb(document: dict) -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}, **document}).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<II", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text


def scene(accessor: dict) -> bytes:
    mesh = {"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}
    places = {"scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "meshes": [mesh]}
    return glb({**places, "accessors": [{"componentType": 5126, "type": "VEC3", **accessor}]})


def tiff(
    width: int, height: int, channels: int, bits: int, kind: int, compression: int = 1, body: bytes = b""
) -> bytes:
    tags = [(256, width), (257, height), (258, bits), (259, compression), (262, 2 if channels == 3 else 1)]
    tags += [(273, 8), (277, channels), (278, height), (279, len(body)), (284, 1), (339, kind)]
    folder = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + struct.pack("<H", len(tags)) + folder + bytes(4)


def png(width: int, height: int, depth: int, *chunks: tuple[bytes, bytes]) -> bytes:
    found = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)), *chunks, (b"IEND", b"")]
    body = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in found]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def zlibbed(size: int) -> bytes:
    return b"\x78\xda" + zeros(size) + b"\0\0\0\0"


def jpeg(width: int, height: int) -> bytes:
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.new("RGB", (16, 16)).save(stream, "JPEG")
    data = stream.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp(width: int, height: int) -> bytes:
    body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(40)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def bmp(width: int, height: int) -> bytes:
    return struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def safetensors(shape: list[int], end: int) -> bytes:
    header = json.dumps({"features": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def tensors(*, old: bool = False, strides: bool = False, squeezed: bool = False) -> bytes:
    import torch

    stream = io.BytesIO()
    values = torch.ones(1, 1, 1, 1).expand(1000, 1000, 1000, 100) if strides else torch.ones(4, 6)
    torch.save(values, stream, _use_new_zipfile_serialization=not old)
    data = stream.getvalue()
    if old:
        # The number of values of the only storage, as a pickled integer and as the count before its bytes.
        return data.replace(b"K\x18", b"J\xff\xff\xff\x3f").replace(struct.pack("<q", 24), struct.pack("<q", 2**30))
    if squeezed:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
            for name in before.namelist():
                after.writestr(name, before.read(name))
        return out.getvalue()
    return data


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "m0: &m0 {k: 1}\n" + "".join(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 32))
ONE = "generators: [{generator: dent}]\n"


def inside(key: str) -> bytes:
    """Return a recipe with a list at `key` that would be 10^12 words if it were written out."""
    lines = LAUGHS.splitlines()
    flow = lines[0].split(": ", 1)[1]
    for line in lines[1:]:
        name, rest = line.split(": ", 1)
        flow = rest.replace(f"*a{int(name[1:]) - 1}", flow, 1)
    parts = {
        "family": f"family: {flow}\n{ONE}",
        "recipe": f"recipe: {flow}\n{ONE}",
        "value": f"generators: [{{generator: dent, strength: {flow}}}]\n",
        "weight": f"generators: [{{generator: dent, weight: {flow}}}]\n",
        "generator": f"generators: [{{generator: {flow}}}]\n",
        "list": f"generators: {flow}\n",
    }
    return parts[key].encode()


NESTED = ("family", "recipe", "value", "weight", "generator", "list")
BOMBS: dict[str, Callable[[], bytes]] = {
    "cloud-ply+vertices": lambda: HEAD.format("binary_little_endian", HUGE, "").encode() + POINTS,
    "cloud-ply+text": lambda: HEAD.format("ascii", HUGE, "").encode() + b"0 0 0\n",
    "cloud-ply+faces": lambda: HEAD.format("binary_little_endian", 3, FACE.format(HUGE, "uchar")).encode() + POINTS,
    "cloud-ply+list": lambda: HEAD.format("binary_little_endian", 3, FACE.format(2, "uint")).encode()
    + POINTS
    + b"\xff\xff\xff\x7f" * 4,
    "cloud-ply+nothing": lambda: HEAD.format("binary_little_endian", 3, f"element none {10**17}\n").encode() + POINTS,
    "cloud-ply+no-faces": lambda: HEAD.format("ascii", 3, f"element face {10**17}\n").encode() + b"0 0 0\n" * 3,
    "cloud-pcd+binary": lambda: PCD.format(1, HUGE, 1, HUGE, "binary").encode() + POINTS,
    "cloud-pcd+ascii": lambda: PCD.format(1, 10**6, 10**6, HUGE, "ascii").encode() + b"0 0 0 0\n",
    "cloud-pcd+wide": lambda: PCD.format(1048575, 3, 1, 3, "binary").encode() + POINTS,
    "cloud-pcd+packed": lambda: PCD.format(1, 2**28, 1, 2**28, "binary_compressed").encode()
    + struct.pack("<II", 9, 2**32 - 1)
    + bytes(9),
    "cloud-npy+rows": lambda: npy("<f4", (HUGE, 3), POINTS),
    "cloud-npy+gigabytes": lambda: npy("<f4", (2**29, 3), POINTS),
    "cloud-npy+nothing": lambda: npy("<f4", (0, 2**62)),
    "cloud-npy+dimensions": lambda: npy("<f4", (1,) * 70, bytes(4)),
    "cloud-npy+no-size": lambda: npy("|S0", (2**62, 3)),
    "cloud-npz+zeros": lambda: packed("points.npy", npy("<f4", (2**28, 3)), 3 << 30),
    "cloud-npz+beside": lambda: packed("other.npy", npy("<f4", (2**29,)), 2 << 30),
    "cloud-npz+named": lambda: packed("no-array.bin", b"", 2 << 30),
    "cloud-off+vertices": lambda: f"OFF\n{HUGE} {HUGE} 0\n0 0 0\n".encode(),
    "cloud-off+face": lambda: b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n999999999999 0 1 2\n",
    "cloud-obj+corner": lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999999999999999999999\nf -1 -2 -99999999999999\n",
    "cloud-stl+facets": lambda: bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50),
    "cloud-glb+accessor": lambda: scene({"count": 2**31}),
    "cloud-glb+sparse": lambda: scene({"count": 2**31, "sparse": {"count": 1, "indices": {}, "values": {}}}),
    "cloud-tiff+plain": lambda: tiff(50_000, 50_000, 3, 32, 3, 1, bytes(900)),
    "cloud-tiff+packed": lambda: tiff(30_000, 30_000, 3, 32, 3, 8, zlibbed(4 << 20)),
    "cloud-tiff+circle": lambda: tiff(2, 2, 3, 32, 3, 1, bytes(48))[:-4] + struct.pack("<I", 8 + 48),
    "cloud-tiff+empty-circle": lambda: struct.pack("<2sHIHI", b"II", 42, 8, 0, 8) + bytes(8),
    "photo-png+header": lambda: png(60_000, 60_000, 8, (b"IDAT", zlib.compress(bytes(9)))),
    "photo-png+data": lambda: png(16, 16, 8, (b"IDAT", zlibbed(1 << 30))),
    "photo-png+deep-data": lambda: png(16, 16, 16, (b"IDAT", zlibbed(1 << 30))),
    "photo-png+text": lambda: png(16, 16, 8, (b"zTXt", b"a\0\0" + zlibbed(1 << 30)), (b"IDAT", zlibbed(1 << 20))),
    "photo-png+profile": lambda: png(16, 16, 8, (b"iCCP", b"a\0\0" + zlibbed(1 << 30)), (b"IDAT", zlibbed(1 << 20))),
    "photo-jpg+header": lambda: jpeg(65_500, 65_500),
    "photo-webp+header": lambda: webp(16_384, 16_384),
    "photo-bmp+header": lambda: bmp(2**31 - 1, 2**31 - 1),
    "photo-tif+channels": lambda: tiff(1000, 1000, 2000, 8, 1, 1, bytes(900)),
    "photo-tif+strips": lambda: tiff(1000, 1000, 3, 32, 3, 1, bytes(900)),
    "photo-tif+packed": lambda: tiff(1000, 1000, 4, 32, 3, 8, zlib.compress(bytes(9))),
    "photo-tif+lzw": lambda: tiff(60_000, 60_000, 1, 8, 1, 5, bytes(900)),
    "photo-tif+circle": lambda: struct.pack("<2sHIHI", b"II", 42, 8, 0, 8) + bytes(8),
    "tensor-npy+rows": lambda: npy("<f4", (HUGE, 3, 4, 4), bytes(16)),
    "tensor-npy+nothing": lambda: npy("<f4", (0, 2**62)),
    "tensor-npz+zeros": lambda: packed("features.npy", npy("<f4", (2**29, 1)), 2 << 30),
    "tensor-safetensors+shape": lambda: safetensors([2**40, 2**10], 16),
    "tensor-safetensors+end": lambda: safetensors([2**40], 2**42),
    "tensor-safetensors+header": lambda: struct.pack("<Q", 2**63) + b"{}",
    "tensor-pt+strides": lambda: tensors(strides=True),
    "tensor-pt+squeezed": lambda: tensors(squeezed=True),
    "tensor-pt+old": lambda: tensors(old=True),
    "recipe+unknown": lambda: f"{LAUGHS}{ONE}".encode(),
    **{f"recipe+{key}": partial(inside, key) for key in NESTED},
    "recipe+merges": lambda: f"{MERGES}{ONE}".encode(),
    "recipe+merge-tag": lambda: MERGES.replace("<<:", "!!merge <<:").encode(),
    "recipe+keys": lambda: "".join(f"k{i}: 1\n" for i in range(60_000)).encode(),
    "recipe+long": lambda: b"# nothing\n" * 200_000,
    "recipe+deep": lambda: b"[" * 900_000,
    "recipe+itself": lambda: b"family: &a [*a]\n" + ONE.encode(),
    "table-json+deep": lambda: b"[" * 1_000_000,
    "table-json+number": lambda: b'{"a": ' + b"9" * 1_000_000 + b"}",
    "manifest+deep": lambda: b'{"a":' * 900_000 + b"\n",
    "value+digits": lambda: b"1" * 200_000,
    "value+points": lambda: b"1." * 100_000 + b"mm",
}  # fmt: skip

READ = {"photo-png+data": "Image", "photo-png+deep-data": "Image", "cloud-ply+nothing": "PointCloud"}
"""What is read, for no more is unpacked of it than its header says, or what it claims takes no room."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[str, str, int]]:
    folder = tmp_path_factory.mktemp("bombs")
    for name, make in BOMBS.items():
        if name.startswith("tensor-pt") and not _has_torch():
            continue
        data = make()
        assert len(data) < 5_000_000, name
        (folder / name).write_bytes(data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "error", "-c", READ_ALL, str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    return {name: (kind, text, more) for name, kind, text, more in rows}


def _has_torch() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch is not None


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_memory_and_no_time(outcomes, name):
    if name not in outcomes:
        pytest.skip("needs torch")
    kind, text, more = outcomes[name]
    assert kind in ([READ[name]] if name in READ else ["DataError", "ParameterError", "UnknownGenerator"]), text
    assert more < ROOM / 2, f"{more} MiB"
    assert len(text) <= 300
