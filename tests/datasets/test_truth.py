"""Truth within a file, beside it and gone astray: what plain files are written with."""

from __future__ import annotations

import numpy as np
import pytest

from anosynth.datasets.layout import Source, find_layout
from anosynth.datasets.truth import FIELDS, read_sample, read_table, table, with_truth
from anosynth.errors import DataError
from anosynth.io.clouds import read_cloud


@pytest.fixture
def plain(write, tmp_path):
    """Write the hand-made anomaly of a scan or mesh as a plain file of any suffix."""

    def one(name, *, of="real3d", remove=True):
        anomaly = write(of, remove=remove, out=tmp_path / "set").anomaly
        layout = find_layout("folder")
        target = layout.target(Source(tmp_path.relative_to(tmp_path) / "some" / name), "hand-made", 4)
        outputs = layout.write(tmp_path, tmp_path / "out", Source(tmp_path / name), target, anomaly)
        record = {"outputs": [{"role": output.role, "path": output.path} for output in outputs]}
        return anomaly, record, tmp_path / "out"

    return one


@pytest.mark.parametrize("name", ["a.ply", "a.pcd", "a.npz", "a.xyz", "a.csv", "a.npy"])
def test_round_trip(plain, name):
    anomaly, record, out = plain(name)
    stem, suffix = name.split(".")
    beside = suffix in ("xyz", "csv", "npy")
    expected = [f"some/{stem}_004.{suffix}", *([f"some/{stem}_004.{suffix}.labels.txt"] if beside else [])]
    assert [output["path"] for output in record["outputs"]] == [*expected, f"some/{stem}_004.{suffix}.removed.txt"]
    truth = read_sample(out, record)
    assert np.array_equal(truth.sample.points.astype(np.float32), anomaly.sample.points)
    assert np.array_equal(truth.mask, anomaly.mask)
    assert np.array_equal(truth.removed, anomaly.removed)
    assert np.array_equal(truth.still, anomaly.mask & (anomaly.effect == 0))
    assert truth.still.sum() == 1


def test_fields_within_keep_their_types(plain):
    anomaly, record, out = plain("a.ply")
    held = read_cloud(out / record["outputs"][0]["path"]).attributes
    for name, values in zip(FIELDS, (anomaly.mask, anomaly.effect, anomaly.instances), strict=True):
        assert np.array_equal(held[name], values)
    assert [held[name].dtype for name in FIELDS] == [np.uint8, np.float32, np.uint16]


def test_nothing_is_listed_as_removed_where_nothing_is(plain):
    _, record, out = plain("a.ply", remove=False)
    assert [output["role"] for output in record["outputs"]] == ["sample"]
    assert len(read_sample(out, record).removed) == 0


def test_a_soup_has_no_order_to_read_back(plain):
    _, record, out = plain("a.stl", of="mulsen", remove=False)
    assert read_sample(out, record) is None


def test_the_input_is_not_written_to(write):
    anomaly = write("real3d").anomaly
    before = dict(anomaly.sample.attributes)
    with_truth(anomaly)
    assert dict(anomaly.sample.attributes) == before


def test_a_file_without_labels(plain):
    anomaly, record, out = plain("a.ply")
    from anosynth.io.clouds import write_cloud

    write_cloud(out / record["outputs"][0]["path"], anomaly.sample)
    with pytest.raises(DataError, match="has no `label`, `height` and `instance`"):
        read_sample(out, record)


def test_labels_of_another_cloud(plain):
    _, record, out = plain("a.xyz")
    labels = out / record["outputs"][1]["path"]
    labels.write_text(labels.read_text() + "0 0.0 0\n")
    with pytest.raises(DataError, match=r"a_004\.xyz: \d+ points, but \d+ labels"):
        read_sample(out, record)


@pytest.mark.parametrize("delimiter", [" ", ","])
def test_tables_come_back_exactly(tmp_path, delimiter):
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=50) * 10.0 ** draw.integers(-8, 8, 50)
    table(tmp_path, "deep/down/t.txt", "labels", [numbers, numbers.astype(np.float32)], delimiter, header="a b")
    back = read_table(tmp_path / "deep/down/t.txt", 2, delimiter, header="a b")
    assert np.array_equal(back[:, 0], numbers)
    assert np.array_equal(back[:, 1].astype(np.float32), numbers.astype(np.float32))
