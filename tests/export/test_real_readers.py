"""Exports read back by the programs that they are for; each is passed over where it is not installed."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from export_kit import copied_run, records_of, truth_of

from anosynth.export import Settings, export
from anosynth.export._run import flat_key

pytestmark = pytest.mark.filterwarnings("ignore")

KINDS = ["photos", "dataset"]


def reader(name: str):
    """Import a reader, whose own warnings are not ours, or pass the test over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip(name)
    if getattr(found, "__file__", None) is None:
        pytest.skip(f"{name} is a folder of tests here, not the reader")
    return found


def masks_of(out):
    return {name: numbers > 0 for name, numbers in truth_of(out).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_pycocotools(kind, both, tmp_path):
    coco = reader("pycocotools.coco")
    masks = reader("pycocotools.mask")
    outcome, truth = export("coco", both[kind], tmp_path / "d"), truth_of(both[kind])
    found = coco.COCO(str(tmp_path / "d" / "instances.json"))
    assert len(found.getImgIds()) == outcome.total()
    for image in found.loadImgs(found.getImgIds()):
        annotations = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
        numbers = np.zeros((image["height"], image["width"]), dtype=np.int64)
        for number, annotation in enumerate(annotations, 1):
            numbers[found.annToMask(annotation) == 1] = number
            assert masks.area(annotation["segmentation"]) == annotation["area"]
            assert masks.toBbox(annotation["segmentation"]).tolist() == annotation["bbox"]
        expected = truth.get(image["file_name"])
        assert np.array_equal(numbers, expected) if expected is not None else not annotations


def test_pycocotools_writes_the_same_letters():
    masks = reader("pycocotools.mask")
    from anosynth.export._rle import coco_rle

    draw = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = draw.random((61, 83)) < share
        theirs = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert coco_rle(mask) == {"size": theirs["size"], "counts": theirs["counts"].decode()}


def test_pycocotools_fills_yolo_polygons_to_the_pixel(photos, tmp_path):
    masks = reader("pycocotools.mask")
    from scipy.ndimage import binary_fill_holes

    export("yolo", photos, tmp_path / "d")
    number = 0
    for name, numbers in truth_of(photos).items():
        (path,) = (tmp_path / "d" / "labels").glob(f"*/{flat_key(name)}.txt")
        height, width = numbers.shape
        for instance, text in enumerate(path.read_text().splitlines(), 1):
            corners = np.array(text.split()[1:], dtype=np.float64).reshape(-1, 2) * (width, height)
            rle = masks.merge(masks.frPyObjects([corners.ravel().tolist()], height, width))
            found, solid = masks.decode(rle) == 1, binary_fill_holes(numbers == instance)
            assert (found & solid).sum() / (found | solid).sum() > 0.9
            number += 1
    assert number > 10


@pytest.mark.parametrize("kind", KINDS)
def test_datasets_reads_the_imagefolder(kind, both, tmp_path):
    datasets = reader("datasets")
    outcome, truth = export("imagefolder", both[kind], tmp_path / "d"), masks_of(both[kind])
    found = datasets.load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == outcome.record()["splits"]
    assert len({str(rows.features) for rows in found.values()}) == 1
    seen = 0
    for rows in found.values():
        for row in rows:
            mask = np.array(row["mask"]) == 255
            assert row["image"].size == row["mask"].size
            expected = truth[row["id"]] if row["synthetic"] else np.zeros_like(mask)
            assert np.array_equal(mask, expected)
            assert row["label"] == ("defective" if row["synthetic"] else "good")
            seen += row["synthetic"]
    assert seen == len(truth)


@pytest.mark.parametrize("kind", KINDS)
def test_datasets_reads_the_webdataset(kind, both, tmp_path):
    datasets = reader("datasets")
    outcome = export("webdataset", both[kind], tmp_path / "d", settings=Settings(shard_size=5))
    truth = {flat_key(name): mask for name, mask in masks_of(both[kind]).items()}
    found = datasets.load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == outcome.record()["splits"]
    for rows in found.values():
        for row in rows:
            mask = np.array(row["mask.png"]) == 255
            expected = truth.get(row["__key__"], np.zeros_like(mask))
            assert np.array_equal(mask, expected)
            assert row["json"]["synthetic"] == (row["__key__"] in truth)


@pytest.mark.parametrize("kind", KINDS)
def test_webdataset(kind, both, tmp_path):
    webdataset = reader("webdataset")
    outcome = export("webdataset", both[kind], tmp_path / "d", settings=Settings(shard_size=5))
    truth = {flat_key(name): mask for name, mask in masks_of(both[kind]).items()}
    urls = sorted(str(path) for path in (tmp_path / "d").glob("*.tar"))
    seen = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"):
        assert {"image.png", "mask.png", "json"} <= set(sample)
        mask = np.array(sample["mask.png"].convert("L")) == 255
        assert np.array_equal(mask, truth.get(sample["__key__"], np.zeros_like(mask)))
        assert sample["image.png"].size == (sample["json"]["width"], sample["json"]["height"])
        seen.append(sample["__key__"])
    assert len(seen) == len(set(seen)) == outcome.total()
    assert set(truth) <= set(seen)


@pytest.mark.parametrize("kind", KINDS)
def test_label_studio_decodes_the_brush(kind, both, tmp_path):
    brush = reader("label_studio_sdk.converter.brush")
    export("label-studio", both[kind], tmp_path / "d")
    truth, seen = truth_of(both[kind]), 0
    from urllib.parse import unquote

    for task in json.loads((tmp_path / "d" / "tasks.json").read_text()):
        for prediction in task["predictions"]:
            numbers = truth[unquote(task["data"]["image"].partition("?d=images/")[2])]
            for number, region in enumerate(prediction["result"], 1):
                size = region["original_height"], region["original_width"], 4
                flat = np.array(brush.decode_rle(region["value"]["rle"])).reshape(size)
                assert np.array_equal(flat[:, :, 3] == 255, numbers == number)
                seen += 1
    assert seen >= len(truth)


def test_label_studio_writes_the_same_code():
    brush = reader("label_studio_sdk.converter.brush")
    from anosynth.export._rle import brush_rle

    draw = np.random.default_rng(0)
    for share, shape in [(0.0, (30, 41)), (0.1, (30, 41)), (1.0, (7, 9)), (0.001, (310, 290))]:
        mask = draw.random(shape) < share
        theirs = brush.mask2rle(mask.astype(np.uint8) * 255)
        mine = brush_rle(mask)
        # Theirs ends with a byte of zeros more where the bits fill the last byte.
        assert theirs[: len(mine)] == mine
        assert set(theirs[len(mine) :]) <= {0}


@pytest.mark.parametrize("kind", KINDS)
def test_mlcroissant(kind, both, tmp_path):
    mlcroissant = reader("mlcroissant")
    out = copied_run(both[kind], tmp_path / "run")
    settings = Settings(
        license="CC BY 4.0", creator="The makers", url="https://example.org/set", published="2026-01-31"
    )
    outcome = export("croissant", out, out, settings=settings)
    found = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not found.metadata.issues.errors
    assert all("citeAs" in warning for warning in found.metadata.issues.warnings)
    rows = list(found.records("samples"))
    assert len(rows) == outcome.total()
    truth = masks_of(out)
    by_path = {}
    for row in rows:
        plain = {key.partition("/")[2]: value for key, value in row.items()}
        assert (plain["label"] == b"defective") == (plain["id"].decode() in truth)
        by_path[plain["image"].decode()] = plain
    images = list(found.records("images"))
    assert len(images) == len(rows)
    sizes = {record["id"]: truth[record["id"]].shape[::-1] for record in records_of(out) if record["id"] in truth}
    for row in images:
        path = row["images/path"]
        path = path.decode() if isinstance(path, bytes) else str(path)
        assert row["images/label"] == by_path[path]["label"]
        if path in sizes:
            assert row["images/content"].size == sizes[path]


def test_webdataset_reads_a_run_that_wrote_tars(tmp_path):
    wds = reader("webdataset")
    from anosynth.datasets.layout import find_layout
    from anosynth.images import Image
    from anosynth.io.images import write_image
    from anosynth.recipe import Recipe
    from anosynth.run import Plan, run

    (tmp_path / "good").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(90, 160, (48, 40, 3), dtype=np.uint8)
        write_image(tmp_path / "good" / f"a.{number}.png", Image(pixels))
    recipe, layout = Recipe.read("photo-defects"), find_layout("photos")
    out = tmp_path / "out"
    plan = Plan(tmp_path / "good", layout, recipe, count=2, sink="webdataset", shard_size=3)
    assert run(plan, out).made == 8
    url = str(out / "shards" / "{00000..00002}.tar")
    found = list(wds.WebDataset(url, shardshuffle=False).decode("rgb8"))
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()[1:]]
    assert [sample["json"]["id"] for sample in found] == [line["id"] for line in lines]
    for sample, line in zip(found, lines, strict=True):
        assert sample["png"].shape == (48, 40, 3)
        assert (sample["mask.png"][..., 0] == 255).sum() == line["mask"]["count"]
        assert sample["json"]["label"] == 1
