"""What a run made, as a data set: the same tensors whether they are stored or rendered, in any order, by any worker."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from anosynth.datasets.layout import find_layout  # noqa: E402
from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.images import Image  # noqa: E402
from anosynth.io.clouds import read_cloud, write_cloud  # noqa: E402
from anosynth.io.images import read_image, write_image  # noqa: E402
from anosynth.pointclouds import PointCloud  # noqa: E402
from anosynth.recipe import Recipe  # noqa: E402
from anosynth.run import Plan, run  # noqa: E402
from anosynth.torch import ManifestDataset, concatenate  # noqa: E402

SINKS = ["files", "webdataset", "recipe"]


def photos(folder: Path) -> Path:
    folder.mkdir()
    for number in range(5):
        draw = np.random.default_rng(number)
        shape = (48, 40, 3) if number % 2 else (48, 40)
        kind = np.uint16 if number == 4 else np.uint8
        write_image(folder / f"a{number}.png", Image(draw.integers(90, 160, shape, dtype=kind)))
    (folder / "bad.png").write_bytes(b"")
    return folder


def parts(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        draw = np.random.default_rng(number)
        xy = draw.uniform(0, 40, (500 + number, 2))
        z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + number)
        cloud = PointCloud(np.column_stack([xy, z]).astype([np.float32, np.float64][number % 2]), unit="mm")
        write_cloud(folder / f"p{number}.{['ply', 'ply', 'xyz'][number]}", cloud)
    return folder


def plan(root: Path, layout: str, **values) -> Plan:
    family = find_layout(layout).family
    mix: list[dict] = [{"generator": "scratch"}, {"generator": "stain"}]
    if family == "pointclouds":
        mix = [{"generator": "perlin-surface", "area": "0.1:0.2"}, {"generator": "hole", "area": "0.1:0.2"}]
    recipe = Recipe.from_record({"recipe": "mix", "family": family, "generators": mix})
    return Plan(root, find_layout(layout), recipe, shard_size=3, **values)


def same(a: dict, b: dict) -> bool:
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == b[name].dtype
            assert torch.equal(value, b[name]), name
        else:
            assert value == b[name], name
    return True


@pytest.fixture
def sets(tmp_path) -> dict[str, Path]:
    root = photos(tmp_path / "photos")
    for sink in SINKS:
        assert run(plan(root, "photos", sink=sink, count=2), tmp_path / sink).made == 10
    return {sink: tmp_path / sink for sink in SINKS}


@pytest.mark.parametrize(
    ("layout", "check"),
    [
        *(("photos", False), ("photos", True), ("folder", False), ("folder", True), ("mvtec", True), ("visa", False)),
        *(("mvtec-loco", False), ("real3d", True), ("mulsen", False), ("mvtec3d", False)),
    ],
)
def test_rendered_is_what_is_stored(tmp_path, layout, check):
    if layout in ("photos", "folder"):
        root = (photos if layout == "photos" else parts)(tmp_path / "in")
    else:
        from anosynth.toy import make_toy

        root = tmp_path / "in"
        make_toy(layout, root, count=2, **({"points": 300} if "3" in layout or layout == "mulsen" else {}))
    found = []
    for sink in SINKS:
        summary = run(plan(root, layout, sink=sink), tmp_path / sink)
        found.append(ManifestDataset(tmp_path / sink, check=check))
        assert len(found[-1]) == summary.made + summary.copied > 1
    labels = set()
    for items in zip(*found, strict=True):
        assert same(items[0], items[1])
        assert same(items[0], items[2])
        labels.add(int(items[0]["label"]))
        assert bool(items[0]["mask"].any()) == bool(items[0]["label"]) == bool(items[0]["generator"])
    assert labels == ({1} if layout in ("photos", "folder") else {0, 1})


def test_an_item_is_what_the_files_say(sets):
    data = ManifestDataset(sets["recipe"])
    for index, item in enumerate(data):
        path = sets["files"] / item["id"]
        pixels = read_image(path).pixels
        wanted = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        assert np.array_equal(item["sample"].numpy(), wanted)
        mask = read_image(sets["files"] / "ground_truth" / Path(*path.parts[-1:]).with_suffix(".png")).pixels
        assert np.array_equal(item["mask"].numpy(), mask[None] > 0)
        assert item["index"] == index
        assert data.record(index)["id"] == item["id"]


def test_clouds_are_collated(tmp_path):
    root = parts(tmp_path / "in")
    run(plan(root, "folder", sink="recipe"), tmp_path / "out")
    data = ManifestDataset(tmp_path / "out")
    batch = concatenate([data[0], data[2]])
    assert batch["sample"].shape == (len(batch["mask"]), 3)
    assert batch["label"].tolist() == [1, 1]
    for name in ("generator", "id", "split", "category"):
        assert batch[name] == [data[0][name], data[2][name]]
    run(plan(root, "folder"), tmp_path / "files")
    cloud = read_cloud(tmp_path / "files" / data[0]["id"])
    assert np.array_equal(data[0]["sample"].numpy(), cloud.points)
    assert np.array_equal(data[0]["mask"].numpy(), cloud.attributes["label"] == 1)


@pytest.mark.parametrize("sink", SINKS)
def test_any_order_gives_the_same(sets, sink):
    data = ManifestDataset(sets[sink])
    wanted = list(data)
    assert len(wanted) == 10
    fresh = pickle.loads(pickle.dumps(ManifestDataset(sets[sink])))
    for index in np.random.default_rng(0).permutation(10).tolist() * 2:
        assert same(fresh[index], wanted[index])
        assert same(fresh[index - 10], wanted[index])
    for index in (10, -11):
        with pytest.raises(IndexError):
            data[index]


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "how"), [(0, None), (4, "fork"), (1, "spawn")])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded", "ignore:This DataLoader will create")
def test_workers_change_nothing(sets, workers, how):
    data = ManifestDataset(sets["recipe"])
    wanted = [data[index] for index in (7, 1, 1, 4, 9, 0)]
    loader = torch.utils.data.DataLoader(
        data, batch_size=None, sampler=[7, 1, 1, 4, 9, 0], num_workers=workers, multiprocessing_context=how
    )
    assert all(same(a, b) for a, b in zip(loader, wanted, strict=True))


def test_shards_are_one_data_set(sets, tmp_path):
    for index in (1, 2, 3):
        run(plan(tmp_path / "photos", "photos", sink="recipe", count=2, shard=(index, 3)), tmp_path / "sharded")
    whole = {item["id"]: item for item in ManifestDataset(sets["files"])}
    data = ManifestDataset(tmp_path / "sharded")
    assert len(data) == len(whole)
    for item in data:
        assert same({**item, "index": 0}, {**whole.pop(item["id"]), "index": 0})
    assert not whole


def test_splits(sets):
    everything = [item["split"] for item in ManifestDataset(sets["webdataset"])]
    found = {split: list(ManifestDataset(sets["webdataset"], split=split)) for split in ("train", "validation", "test")}
    assert {split: len(items) for split, items in found.items()} == {split: everything.count(split) for split in found}
    assert all(item["split"] == split for split, items in found.items() for item in items)
    with pytest.raises(ParameterError, match=r"`split`: 'tset': must be train, validation or test"):
        ManifestDataset(sets["webdataset"], split="tset")


def test_lines_that_others_spelled(sets):
    lines = [json.loads(text) for text in (sets["files"] / "manifest.jsonl").read_text().splitlines()]
    wanted = list(ManifestDataset(sets["files"]))
    (sets["files"] / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert all(same(a, b) for a, b in zip(ManifestDataset(sets["files"]), wanted, strict=True))


def test_the_index_is_eight_bytes_a_row(sets):
    data = ManifestDataset(sets["files"])
    assert [shard.lines.itemsize * len(shard.lines) for shard in data._shards] == [80]


def test_what_is_not_what_it_was_is_said(sets, tmp_path):
    source = tmp_path / "photos" / "a1.png"
    good = source.read_bytes()
    sample = sets["files"] / "anomalous" / "a1_000.png"
    write_image(sample, Image(read_image(sample).pixels[:, :, ::-1].copy()))
    number = [line["id"] for line in map(ManifestDataset(sets["files"]).record, range(10))].index(
        "anomalous/a1_000.png"
    )
    assert ManifestDataset(sets["files"])[number]["label"] == 1
    with pytest.raises(DataError, match=r"a1_000\.png: is not the file that was written"):
        ManifestDataset(sets["files"], check=True)[number]
    write_image(source, Image(read_image(source).pixels[:, ::-1].copy()))
    for check in (False, True):
        with pytest.raises(DataError, match=r"a1\.png.* is not the file that it was"):
            ManifestDataset(sets["recipe"], check=check)[number]
    source.unlink()
    with pytest.raises(DataError, match=r"a1\.png: cannot be read: No such file .*\nhint: `root` says where"):
        ManifestDataset(sets["recipe"])[number]
    source.write_bytes(good)
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    wanted = ManifestDataset(sets["webdataset"])[number]
    assert same(ManifestDataset(sets["recipe"], root=tmp_path / "moved")[number], wanted)


def test_a_changed_recipe_is_found_by_its_hash(sets):
    lines = [json.loads(text) for text in (sets["recipe"] / "manifest.jsonl").read_text().splitlines()]
    lines[1]["variant"] = 9
    (sets["recipe"] / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ManifestDataset(sets["recipe"])[0]["label"] == 1
    with pytest.raises(DataError, match=r"made again, .* differs"):
        ManifestDataset(sets["recipe"], check=True)[0]


@pytest.mark.parametrize("value", ["../x.png", "/etc/hostname"])
def test_lines_that_lead_astray(sets, value):
    for sink, key in (("files", "path"), ("webdataset", "path"), ("webdataset", "file"), ("recipe", "path")):
        text = (sets[sink] / "manifest.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        lines[1]["outputs"][0][key] = value
        (sets[sink] / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(DataError, match="which lies outside"):
            ManifestDataset(sets[sink])[0]
        (sets[sink] / "manifest.jsonl").write_text(text)


def test_data_sets_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no manifest here"):
        ManifestDataset(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"kind":"header"}\n')
    with pytest.raises(DataError, match="made under scheme None"):
        ManifestDataset(tmp_path)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((4, 3), dtype=np.float32))
    features = Recipe.from_record({"recipe": "g", "family": "features", "generators": [{"generator": "gaussian"}]})
    run(Plan(tmp_path, find_layout("features"), features, only=(Path("x.npy"),)), tmp_path / "fakes")
    with pytest.raises(DataError, match="features: expected a data set of photos or clouds"):
        ManifestDataset(tmp_path / "fakes")
