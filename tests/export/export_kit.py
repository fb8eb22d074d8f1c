"""What tests of exports share: photos of all sorts, masks of known shape, independent readers of a run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from anosynth.images import Image, Spatter, Stain
from anosynth.io.images import write_image, write_map, write_mask
from anosynth.recipe import Recipe

RECIPE = Recipe([Stain(instances=2), Spatter()], name="mix")


def photo(height: int, width: int, channels: int, number: int, dtype: type = np.uint8) -> np.ndarray:
    """Return a plain, slightly noisy photo."""
    draw = np.random.default_rng(number)
    grey = 120 + 30 * np.sin(np.arange(width) / 9)[None, :, None] + draw.normal(0, 4, (height, width, channels))
    pixels = (grey * (257 if dtype is np.uint16 else 1)).astype(dtype)
    return pixels[:, :, 0] if channels == 1 else pixels


def painted(height: int, width: int) -> np.ndarray:
    """Return numbers (H, W) of defects: a ring, a disc within its hole, and one of two blobs that reach the border."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - 14, x - 16)
    numbers = np.zeros((height, width), dtype=np.uint16)
    numbers[(far < 11) & (far > 6)] = 1
    numbers[far < 3] = 2
    numbers[-4:, -9:] = 3
    numbers[2:5, -6:-3] = 3
    numbers[5, -7] = 3  # touches the blob at a corner
    return numbers


def make_photos(root: Path) -> Path:
    (root / "sub").mkdir(parents=True)
    write_image(root / "ä ö.png", Image(photo(40, 56, 3, 0)))
    write_image(root / "c.png", Image(photo(36, 60, 1, 1, np.uint16)))
    write_image(root / "d.d.png", Image(photo(44, 44, 1, 2)))
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(photo(64, 40, 3, 3)).save(root / "sub" / "turned.jpg", exif=exif, quality=95)
    for number in range(6):
        write_image(root / "sub" / f"p{number:02d}.png", Image(photo(40, 48, 3, 10 + number)))
    return root


def paint(out: Path, wanted: int) -> None:
    """Give the first `wanted` samples, of each manifest, masks whose shape is known."""
    for manifest in sorted(out.glob("manifest*.jsonl")):
        head, *lines = manifest.read_text().splitlines()
        records = [json.loads(line) for line in lines]
        for record in [record for record in records if record["status"] == "made"][:wanted]:
            paths = {output["role"]: output for output in record["outputs"]}
            with Pillow.open(out / paths["sample"]["path"]) as picture:
                numbers = painted(picture.height, picture.width)
            instances = "instances/" + paths["labels"]["path"].partition("/")[2]
            (out / instances).parent.mkdir(parents=True, exist_ok=True)
            write_mask(out / paths["labels"]["path"], numbers > 0)
            write_map(out / instances, numbers)
            record["outputs"] = [paths["sample"], paths["labels"], {"role": "instances", "path": instances}]
            for output in record["outputs"]:
                output["sha256"] = hashlib.sha256((out / output["path"]).read_bytes()).hexdigest()
            record["mask"] = {"count": int((numbers > 0).sum()), "area": float((numbers > 0).mean())}
            types = ["stain", "spatter", "stain"]
            record["instances"] = [
                {"id": number, "type": types[number - 1], "count": int((numbers == number).sum()), "box": []}
                for number in (1, 2, 3)
            ]
        manifest.write_text("\n".join([head, *(json.dumps(record) for record in records)]) + "\n")


def records_of(out: Path) -> list[dict]:
    """Return the records of all manifests in OUT."""
    lines = [json.loads(line) for path in sorted(out.glob("manifest*.jsonl")) for line in path.read_text().splitlines()]
    return [line for line in lines if line.get("kind") != "header"]


def copied_run(out: Path, to: Path) -> Path:
    """Copy a run and its sources, so that a test may spoil it."""
    shutil.copytree(out.parent, to)
    return to / out.name


def truth_of(out: Path) -> dict[str, np.ndarray]:
    """Return the numbers (H, W) of the defects of each made sample, read with Pillow, by the sample's stem."""
    found = {}
    for record in records_of(out):
        if record["status"] == "made":
            paths = {output["role"]: out / output["path"] for output in record["outputs"]}
            with Pillow.open(paths.get("instances", paths["labels"])) as picture:
                numbers = np.array(picture).astype(np.int64)
            found[record["id"]] = numbers if "instances" in paths else (numbers > 0).astype(np.int64)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
