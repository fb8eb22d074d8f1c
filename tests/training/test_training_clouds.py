"""A sample depends on (seed, key, epoch) alone, whatever loads it."""

from __future__ import annotations

import copy
import importlib
import pickle
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, DistributedSampler, Subset, default_collate  # noqa: E402
from training_kit import LABELS, loaded, name_of, print_of, prints, random_states, shuffled  # noqa: E402

from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.features import Gaussian  # noqa: E402
from anosynth.generator import Anomaly, Generator  # noqa: E402
from anosynth.labels import changed_rows  # noqa: E402
from anosynth.params import param  # noqa: E402
from anosynth.pointclouds import Dent, PerlinSurface, PointCloud  # noqa: E402
from anosynth.recipe import Recipe, Vary  # noqa: E402
from anosynth.seeding import Rng, as_rng, stream  # noqa: E402
from anosynth.torch import Synthesize, SyntheticDataset, Transform, Untouched, concatenate  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Lift(Generator):
    """Lifts a run of points: an honest generator that costs nothing."""

    height: float = param(0.1, gt=0, le=1, vary=(0.05, 0.5), help="how far")

    def make(self, sample: PointCloud, rng: Rng) -> Anomaly:
        start = rng.child("start").integer(0, len(sample) - 5)
        points = sample.points.copy()
        points[start : start + 5, 2] += np.float32(self.height)
        mask = changed_rows(sample.points, points)
        effect = (mask * self.height).astype(np.float32)
        return Anomaly(replace(sample, points=points), mask, effect, mask.astype(np.uint16), self)


class Sink(Lift):
    """The same the other way."""

    height: float = param(-0.1, ge=-1, lt=0, help="how far")


class Never(Generator):
    """What can be made of no sample."""

    def make(self, sample: PointCloud, rng: Rng) -> Anomaly:
        raise DataError("too smooth for it")


class Fewer(Generator):
    """Takes points away, so that sizes differ."""

    def make(self, sample: PointCloud, rng: Rng) -> Anomaly:
        rows = np.arange(rng.integer(1, 5), len(sample))
        mask = np.zeros(len(rows), dtype=np.bool_)
        mask[0] = True
        return Anomaly(sample.taken(rows, None), mask, np.zeros(len(rows), np.float32), mask.astype(np.uint16), self)


MIX = Recipe([(2, Vary(Lift)), (1, Sink)])


def clouds(count: int, points: int = 40, seed: int = 0) -> list[PointCloud]:
    return [
        PointCloud(as_rng(seed).child(i).normal(3 * points).reshape(-1, 3).astype(np.float32)) for i in range(count)
    ]


def test_item_says_what_changed_and_only_that() -> None:
    base = clouds(30)
    data = SyntheticDataset(base, MIX, seed=3)
    assert {int(item["label"]) for item in data} == {0, 1}
    for i, item in enumerate(data):
        assert list(item) == ["sample", "mask", "effect", "instances", "label", "generator", "index"]
        dtypes = [item[name].dtype for name in (*LABELS, "label")]
        assert dtypes == [torch.float32, torch.bool, torch.float32, torch.int32, torch.int64]
        assert item["index"] == i
        changed = changed_rows(base[i].points, item["sample"].numpy())
        assert (changed == item["mask"].numpy()).all()
        assert (item["label"] == 1) == changed.any() == (item["generator"] != "")
        assert ((item["effect"] != 0).numpy() == changed).all()
        assert (item["instances"].numpy() == changed).all()


def test_streams_are_those_of_the_run_layer() -> None:
    base = clouds(6)
    data = SyntheticDataset(base, MIX, seed=9, probability=1, key=name_of, epoch=2)
    for i, item in enumerate(data):
        generator = MIX.draw(stream(9, "recipe", name_of(i), epoch=2))
        expected = generator(base[i], stream(9, generator.name, name_of(i), epoch=2))
        assert item["generator"] == generator.name
        assert item["sample"].numpy().tobytes() == expected.sample.points.tobytes()


@given(st.integers(-(2**70), 2**70), st.text("aé/\\\u0301\ud800", max_size=8), st.integers(0, 2**40))
@settings(max_examples=40)
def test_transform_is_a_pure_function(seed: int, key: str, epoch: int) -> None:
    cloud = clouds(1)[0]
    one, two = Synthesize(MIX, seed=seed), Synthesize(MIX, seed=seed)
    first = one(cloud, key, epoch)
    one(cloud, key + "x", epoch)
    assert print_of(one(cloud, key, epoch)) == print_of(first) == print_of(two(cloud, key, epoch))


def test_seed_epoch_and_key_each_change_the_anomaly() -> None:
    base = clouds(1)
    outcomes = [
        SyntheticDataset(base, Lift, probability=1, **options)[0]  # type: ignore[arg-type]
        for options in [{}, {"seed": 1}, {"epoch": 1}, {"key": ["other"]}]
    ]
    assert len({print_of(item) for item in outcomes}) == 4


def test_seed_and_epoch_each_decide_anew_which_samples_are_anomalous() -> None:
    base = clouds(40)
    variants: list[dict[str, int]] = [{}, {"seed": 1}, {"epoch": 1}]
    labels = [tuple(int(item["label"]) for item in SyntheticDataset(base, Lift, **options)) for options in variants]  # type: ignore[arg-type]
    assert len(set(labels)) == 3


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_share_of_anomalies_follows_the_probability(probability: float) -> None:
    cloud = clouds(1)[0]
    synthesize = Synthesize(Lift, seed=5, probability=probability)
    share = sum(int(synthesize(cloud, f"{i}")["label"]) for i in range(400)) / 400
    assert abs(share - probability) < 4 * (probability * (1 - probability) / 400) ** 0.5


def test_raising_the_probability_only_adds_anomalies() -> None:
    base = clouds(60)
    few = [print_of(item) for item in SyntheticDataset(base, MIX, probability=0.3)]
    many = [print_of(item) for item in SyntheticDataset(base, MIX, probability=0.7)]
    kept = [a == b for a, b in zip(few, many, strict=True) if a[-2] == 1]
    assert all(kept)
    assert 0 < len(kept) < sum(b[-2] for b in many)


@pytest.mark.parametrize("probability", [0, 1])
def test_certain_probabilities(probability: int) -> None:
    data = SyntheticDataset(clouds(50), MIX, probability=probability)
    assert [int(item["label"]) for item in data] == [probability] * 50


def test_key_keeps_samples_when_others_are_added() -> None:
    base = clouds(8)
    names = [name_of(i) for i in range(8)]
    old = SyntheticDataset(base, MIX, key=names)
    new = SyntheticDataset([clouds(1, seed=7)[0], *base], MIX, key=["part/000a.ply", *names])
    assert [print_of(item) for item in old] == [print_of(item) for item in new][1:]
    assert [print_of(item) for item in old] == [print_of(item) for item in SyntheticDataset(base, MIX, key=name_of)]


@pytest.mark.parametrize("recipe", [Lift(height=0.25), Vary(Lift, height=0.25), Recipe([Vary(Lift, height=0.25)])])
def test_every_form_of_a_recipe(recipe: Any) -> None:
    anomaly = SyntheticDataset(clouds(1), recipe, probability=1).anomaly(0)
    assert isinstance(anomaly, Anomaly)
    assert anomaly.generator == Lift(height=0.25)
    assert anomaly.stats["attempts"] == 1


def test_array_tensor_and_cloud_are_one_sample() -> None:
    points = clouds(1)[0].points
    frozen = points.copy()
    frozen.setflags(write=False)
    forms = [
        PointCloud(points),
        points,
        frozen,
        torch.from_numpy(points.copy()),
        torch.tensor(points, requires_grad=True),
    ]
    for probability in (0, 1):
        found = SyntheticDataset(forms, Lift, probability=probability, key=["a", "b", "c", "d", "e"])
        assert len({print_of(found.synthesize(form, "k")) for form in forms}) == 1
    assert SyntheticDataset([points.astype(np.float64)], Lift)[0]["sample"].dtype == torch.float64


def test_input_is_never_written_nor_shared() -> None:
    base = clouds(4)
    before = [cloud.points.tobytes() for cloud in base]
    for probability in (0, 1):
        for item in SyntheticDataset(base, Lift, probability=probability):
            item["sample"].fill_(0)
            item["mask"].fill_(True)
    assert [cloud.points.tobytes() for cloud in base] == before
    assert not SyntheticDataset(base, Lift, probability=0)[0]["mask"].any()


def test_what_cannot_be_made_is_normal_and_says_why() -> None:
    base = clouds(3)
    data = SyntheticDataset(base, Never, probability=1)
    for i, item in enumerate(data):
        assert (int(item["label"]), item["generator"], bool(item["mask"].any())) == (0, "", False)
        assert item["sample"].numpy().tobytes() == base[i].points.tobytes()
        left = data.anomaly(i)
        assert isinstance(left, Untouched)
        assert left.sample is base[i]
        assert "too smooth for it" in left.reason
        assert left.generator == Never()
    normal = SyntheticDataset(base, Never, probability=0).anomaly(0)
    assert isinstance(normal, Untouched)
    assert (normal.reason, normal.generator) == ("", None)


def test_global_random_states_are_left_alone() -> None:
    before = random_states()
    data = SyntheticDataset(clouds(20), MIX)
    first = prints(data)
    data.set_epoch(1)
    pickle.loads(pickle.dumps(data))[0]
    assert random_states() == before
    torch.manual_seed(11)
    random.seed(11)
    np.random.seed(11)  # noqa: NPY002
    data.set_epoch(0)
    assert prints(data) == first


def test_indices() -> None:
    data = SyntheticDataset(clouds(5), MIX)
    assert print_of(data[-1]) == print_of(data[np.int64(4)]) == print_of(data[torch.tensor(4)])
    assert data[-1]["index"] == 4
    with pytest.raises(IndexError):
        data[5]
    with pytest.raises(TypeError):
        data["0"]  # type: ignore[index]


def test_default_collate_takes_items_of_one_size() -> None:
    batch = default_collate([SyntheticDataset(clouds(4), MIX)[i] for i in range(4)])
    assert batch["sample"].shape == (4, 40, 3)
    assert batch["mask"].shape == batch["effect"].shape == (4, 40)
    assert (batch["label"].dtype, batch["index"].tolist(), len(batch["generator"])) == (torch.int64, [0, 1, 2, 3], 4)


def test_concatenate_takes_items_of_any_size() -> None:
    data = SyntheticDataset(clouds(9), Fewer)
    items = list(data)
    (batch,) = DataLoader(data, batch_size=9, collate_fn=concatenate)
    assert len({len(item["mask"]) for item in items}) > 1
    for i, item in enumerate(items):
        for name in LABELS:
            assert torch.equal(batch[name][batch["batch"] == i], item[name])
    assert batch["label"].tolist() == [int(item["label"]) for item in items]
    assert batch["generator"] == [item["generator"] for item in items]
    assert batch["index"].tolist() == list(range(9))
    assert "index" not in concatenate([data.synthesize(clouds(1)[0], "k")])


def test_batch_is_its_rows() -> None:
    synthesize, base = Synthesize(MIX, seed=8), clouds(5)
    names = [name_of(i) for i in range(5)]
    whole = synthesize.batch(torch.stack([torch.from_numpy(cloud.points) for cloud in base]), names, epoch=3)
    assert whole["sample"].shape == (5, 40, 3)
    for i, cloud in enumerate(base):
        row = {name: value[i] for name, value in whole.items()}
        assert print_of(row) == print_of(synthesize(cloud, names[i], 3))
    with pytest.raises(DataError, match=r"batch: torch.float32 \(3\d, 3\), .*: expected samples of one size"):
        Synthesize(Fewer, probability=1).batch(base, names)


def test_clouds_have_no_foreground_and_no_transform_without_key() -> None:
    with pytest.raises(ParameterError, match="`foreground`: 'auto': only images have one"):
        Synthesize(MIX, foreground="auto")
    with pytest.raises(ParameterError, match="`recipe`: of point clouds"):
        Transform(MIX)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_batches_and_order_change_nothing(workers: int) -> None:
    data = SyntheticDataset(clouds(23), MIX, seed=4, key=name_of)
    method = {"multiprocessing_context": "fork"} if workers else {}
    for batch_size, shuffle in [(1, False), (5, True)]:
        loader = DataLoader(
            data, batch_size, shuffle, num_workers=workers, generator=shuffled(workers), collate_fn=list, **method
        )
        assert loaded(loader) == prints(data)


@pytest.mark.parametrize(
    ("method", "workers", "travelled"), [("fork", 2, False), ("fork", 1, True), ("spawn", 1, False)]
)
def test_epoch_reaches_persistent_workers(method: str, workers: int, travelled: bool) -> None:
    data = SyntheticDataset(clouds(8), MIX, probability=0.8, key=name_of)
    if travelled:
        data = pickle.loads(pickle.dumps(data))
    loader = DataLoader(
        Subset(data, range(8)), 2, shuffle=True, generator=shuffled(0), num_workers=workers, persistent_workers=True,
        multiprocessing_context=method, collate_fn=list,
    )  # fmt: skip
    seen = []
    for epoch in (0, 1, 7, 0):
        data.set_epoch(epoch)
        seen.append(loaded(loader))
        assert seen[-1] == prints(SyntheticDataset(clouds(8), MIX, probability=0.8, key=name_of, epoch=epoch))
    assert seen[0] == seen[3]
    assert seen[0] != seen[1] != seen[2]


def test_epoch_set_after_an_epoch_that_was_left_early() -> None:
    data = SyntheticDataset(clouds(12), MIX, probability=1)
    loader = DataLoader(
        data, 1, num_workers=2, persistent_workers=True, multiprocessing_context="fork", collate_fn=list
    )
    next(iter(loader))
    data.set_epoch(1)
    assert loaded(loader) == prints(SyntheticDataset(clouds(12), MIX, probability=1, epoch=1))


def test_two_ranks_share_the_samples() -> None:
    data = SyntheticDataset(clouds(10), MIX)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        parts = []
        for rank in (0, 1):
            sampler: Any = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=True, seed=1)
            sampler.set_epoch(epoch)
            parts.append(loaded(DataLoader(data, 2, sampler=sampler, collate_fn=list)))
        assert not parts[0].keys() & parts[1].keys()
        assert {**parts[0], **parts[1]} == prints(data)


def test_copies_have_an_epoch_of_their_own() -> None:
    data = SyntheticDataset(clouds(4), MIX, epoch=3)
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert other.epoch == 3
        assert prints(other) == prints(data)
        other.set_epoch(4)
        assert data.epoch == 3


def part(points: int) -> PointCloud:
    from anosynth.toy.clouds import scan
    from anosynth.toy.meshes import PARTS

    return scan(PARTS["torus"](1), points, 2)


def test_perlin_surface_from_end_to_end() -> None:
    base = [part(1200), part(900)]
    recipe = Vary(PerlinSurface, strength=(0.02, 0.05))
    data = SyntheticDataset(base, recipe, seed=2, probability=1, key=["a", "b"])
    for i, item in enumerate(data):
        anomaly = data.anomaly(i)
        assert isinstance(anomaly, Anomaly)
        assert item["generator"] == "perlin-surface"
        assert (changed_rows(base[i].points, item["sample"].numpy()) == item["mask"].numpy()).all()
        assert 0 < int(item["mask"].sum()) < len(base[i]) / 4
        assert torch.equal(item["effect"] != 0, item["mask"])
        assert anomaly.sample.points.tobytes() == item["sample"].numpy().tobytes()
    loader = DataLoader(data, 2, num_workers=1, multiprocessing_context="fork", collate_fn=list)
    assert loaded(loader) == prints(data)
    # What the clouds remember of their surface by now must travel too.
    assert prints(pickle.loads(pickle.dumps(data))) == prints(data)
    (batch,) = DataLoader(data, 2, collate_fn=concatenate)
    assert batch["mask"].sum() == sum(int(item["mask"].sum()) for item in data)


def test_first_variant_of_a_run_is_epoch_0(tmp_path: Path) -> None:
    from anosynth.datasets.layout import find_layout
    from anosynth.io.clouds import read_cloud, write_cloud
    from anosynth.run.execute import Place, make
    from anosynth.run.plan import Plan

    names = ["a.ply", "b/c.ply"]
    (tmp_path / "b").mkdir()
    for name in names:
        write_cloud(tmp_path / name, part(500))
    recipe, layout = Recipe([Vary(PerlinSurface, strength=(0.02, 0.05)), Dent]), find_layout("folder")
    jobs = list(Plan(tmp_path, layout, recipe, seed=6).jobs())
    data = SyntheticDataset([read_cloud(tmp_path / n) for n in names], recipe, seed=6, probability=1, key=names)
    assert [job.source.key for job in jobs] == names
    for item, job in zip(data, jobs, strict=True):
        written = make(job, Place(tmp_path, tmp_path / "out", layout, 6))
        assert item["generator"] == written.generator.name
        assert item["sample"].numpy().tobytes() == written.sample.points.tobytes()
        assert (item["mask"].numpy() == written.mask).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "`probability`: 1.5: must be in [0, 1]"),
        ({"probability": float("nan")}, "`probability`: nan"),
        ({"epoch": -1}, "`epoch`: -1: must be >= 0"),
        ({"epoch": 2**63}, "must be >= 0 and fit"),
        ({"key": ["a"]}, "`key`: 1 names: must be one for each of the 2 samples"),
        ({"key": "ab"}, "`key`"),
        ({"key": ["a", 1]}, "`key`: 1: must be a text"),
        ({"key": ["é", "e\u0301"]}, "two samples have it"),
        ({"recipe": 3}, "expected a Vary"),
        ({"recipe": Gaussian()}, "`recipe`: of features: must be of images or of point clouds\nhint: for features"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        SyntheticDataset(clouds(2), **{"recipe": MIX, **options})
    assert message in str(caught.value)


def test_wrong_types_are_refused() -> None:
    for options in ({"seed": 0.5}, {"epoch": "1"}):
        with pytest.raises(TypeError):
            SyntheticDataset(clouds(2), MIX, **options)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="`key` of sample 1: 1"):
        SyntheticDataset(clouds(2), MIX, key=lambda i: i)[1]  # type: ignore[arg-type,return-value]
    with pytest.raises(ParameterError, match="`key`: 3: must be a text\nhint: such as the path"):
        Synthesize(MIX, probability=0)(clouds(1)[0], 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([[0.0, 0.0, 0.0]], "sample `k`: list: expected a PointCloud"),
        (torch.zeros(9, 3, dtype=torch.float16), "sample `k`: torch.float16 tensor"),
        (torch.zeros(9, 6), "sample `k`: points: float32 (9, 6)"),
        (np.zeros((9, 3), dtype=np.int32), "sample `k`: points: int32 (9, 3)"),
    ],
)
def test_what_is_no_cloud_is_refused(sample: Any, message: str) -> None:
    for probability in (0, 1):
        with pytest.raises(DataError) as caught:
            Synthesize(Lift, probability=probability)(sample, "k")
        assert message in str(caught.value)


def test_without_torch_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "anosynth.torch")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'anosynth\[torch\]'"):
        importlib.import_module("anosynth.torch")
