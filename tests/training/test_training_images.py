"""An image that is made anomalous while training depends on (seed, key, epoch) alone, in whatever form it comes."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, DistributedSampler, default_collate  # noqa: E402
from training_kit import LABELS, loaded, name_of, print_of, prints, random_states, shuffled  # noqa: E402

from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.generator import Anomaly  # noqa: E402
from anosynth.images import Cutpaste, Image, NoisePatch, Scratch, Stain  # noqa: E402
from anosynth.recipe import Recipe, Vary  # noqa: E402
from anosynth.seeding import as_rng, stream  # noqa: E402
from anosynth.torch import Synthesize, SyntheticDataset, Untouched  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

MIX = Recipe([(2, Vary(Scratch)), (1, Vary(Stain)), (1, Vary(Cutpaste))])
SIZE = (40, 56)


def photo(seed: int = 0, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A mid-grey photo with noise, (H, W, C), or (H, W) for `channels=0`."""
    shape = (*SIZE, channels) if channels else SIZE
    values = 0.5 + 0.06 * as_rng(seed).normal(int(np.prod(shape))).reshape(shape)
    white = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[np.dtype(dtype).name]
    return (np.clip(values, 0, 1) * white).astype(dtype)


def photos(count: int) -> list[np.ndarray]:
    return [photo(i) for i in range(count)]


def part(seed: int = 0) -> np.ndarray:
    """A bright disc on a dark ground, which the foreground search finds."""
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    inside = (x * x + y * y < 0.4)[:, :, None]
    return np.where(inside, 3 * (photo(seed) // 2), photo(seed) // 4)


def disc(pixels: np.ndarray) -> np.ndarray:
    """A foreground of one's own; a plain function, since it must travel to spawned workers."""
    mask = np.zeros(pixels.shape[:2], dtype=np.bool_)
    mask[10:30, 20:40] = True
    return mask


def planar(pixels: np.ndarray) -> Any:
    return torch.from_numpy(np.array(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0), order="C"))


def changed_pixels(before: np.ndarray, item: dict[str, Any]) -> np.ndarray:
    return (planar(before).numpy() != item["sample"].numpy()).any(axis=0)


def same_as(item: dict[str, Any], anomaly: Anomaly) -> bool:
    """Compare an item with what a bare generator call returned, without any code of the package in between."""
    pixels = anomaly.sample.pixels
    flat = np.stack([pixels[..., c] for c in range(pixels.shape[2])]) if pixels.ndim == 3 else pixels[None]
    pairs = [("sample", flat), ("mask", anomaly.mask[None]), ("effect", anomaly.effect[None])]
    return all(item[name].numpy().tobytes() == array.tobytes() for name, array in pairs)


@pytest.mark.parametrize("channels", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_item_says_what_changed_and_only_that(channels: int, dtype: Any) -> None:
    base = [photo(i, channels, dtype) for i in range(8)]
    data = SyntheticDataset(base, MIX, seed=5, probability=0.6)
    assert {int(item["label"]) for item in data} == {0, 1}
    for i, item in enumerate(data):
        assert list(item) == ["sample", "mask", "effect", "instances", "label", "generator", "index"]
        assert item["sample"].shape == (max(channels, 1), *SIZE)
        assert item["sample"].numpy().dtype == dtype
        assert [tuple(item[name].shape) for name in ("mask", "effect", "instances")] == [(1, *SIZE)] * 3
        dtypes = [item[name].dtype for name in ("mask", "effect", "instances", "label")]
        assert dtypes == [torch.bool, torch.float32, torch.int32, torch.int64]
        changed = changed_pixels(base[i], item)
        assert (changed == item["mask"][0].numpy()).all()
        assert (item["label"] == 1) == changed.any() == (item["generator"] != "")
        assert ((item["effect"] != 0) == item["mask"]).all()
        assert ((item["instances"] != 0) == item["mask"]).all()


def test_streams_are_those_of_the_run_layer() -> None:
    data = SyntheticDataset(photos(5), MIX, seed=9, probability=1, key=name_of, epoch=2)
    for i, item in enumerate(data):
        generator = MIX.draw(stream(9, "recipe", name_of(i), epoch=2))
        expected = generator(Image(photo(i)), stream(9, generator.name, name_of(i), epoch=2))
        assert item["generator"] == generator.name
        assert same_as(item, expected)


@pytest.mark.parametrize("foreground", ["auto", "none"])
def test_epoch_0_is_what_the_command_line_writes(foreground: str, tmp_path: Path) -> None:
    from anosynth.toy.images import toy_image
    from anosynth_cli.main import run

    names = ["a.png", "b/c.png", "d.png"]
    (tmp_path / "good" / "b").mkdir(parents=True)
    for i, name in enumerate(names):
        Pillow.fromarray(toy_image("tablet", i, size=96)[0]).save(tmp_path / "good" / name)
    good, out = str(tmp_path / "good"), tmp_path / "out"
    assert run(["images", "--seed", "6", "--foreground", foreground, "--no-report", good, str(out)]) == 0
    lines = map(json.loads, (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    written = {line["key"]: line for line in lines if line.get("status") == "made"}
    assert sorted(written) == names
    pictures = [Pillow.open(tmp_path / "good" / name) for name in names]
    recipe = Recipe.read("photo-defects")
    data = SyntheticDataset(pictures, recipe, seed=6, probability=1, foreground=foreground, key=names)
    for name, item in zip(names, data, strict=True):
        outputs = {output["role"]: out / output["path"] for output in written[name]["outputs"]}
        with Pillow.open(outputs["sample"]) as sample, Pillow.open(outputs["labels"]) as labels:
            assert np.array(sample).tobytes() == item["sample"].permute(1, 2, 0).contiguous().numpy().tobytes()
            assert (np.array(labels) == 255 * item["mask"][0].numpy()).all()
        assert item["generator"] == written[name]["generator"]["generator"]
    for picture in pictures:
        picture.close()


def colour_forms(pixels: np.ndarray) -> list[Any]:
    frozen = pixels.copy()
    frozen.setflags(write=False)
    wide = np.zeros((*SIZE, 2 * pixels.shape[2]), pixels.dtype)
    wide[:, :, ::2] = pixels
    tensor = planar(pixels)
    last = tensor[None].contiguous(memory_format=torch.channels_last)[0]
    return [pixels, frozen, np.asfortranarray(pixels), wide[:, :, ::2], Image(pixels), tensor, last]


def grey_forms(pixels: np.ndarray) -> list[Any]:
    column = pixels[:, :, None]
    tensor = torch.from_numpy(pixels.copy())
    return [pixels, column, Image(pixels), Image(column), tensor, tensor[None], Pillow.fromarray(pixels)]


@pytest.mark.parametrize("probability", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_form_of_an_image_is_one_sample(dtype: Any, probability: int) -> None:
    synthesize = Synthesize(MIX, seed=2, probability=probability)
    colour, grey = photo(1, 3, dtype), photo(1, 0, dtype)
    colours = colour_forms(colour)
    if dtype == np.uint8:
        colours.append(Pillow.fromarray(colour))
    if dtype == np.float32:
        colours.append(planar(colour).requires_grad_())
    for forms in (colours, grey_forms(grey)):
        items = [synthesize(form, "k") for form in forms]
        assert len({print_of(item) for item in items}) == 1
        assert not any(item["sample"].requires_grad for item in items)
        assert all(item["sample"].is_contiguous() for item in items)


def test_pillow_modes() -> None:
    palette = Pillow.fromarray(photo()).quantize(16)
    bits = Pillow.fromarray(photo(0, 0)).convert("1")
    synthesize = Synthesize(MIX, probability=0)
    assert (
        synthesize(palette, "k")["sample"].numpy().tobytes()
        == planar(np.array(palette.convert("RGB"))).numpy().tobytes()
    )
    assert set(np.unique(synthesize(bits, "k")["sample"].numpy())) == {0, 255}
    with pytest.raises(DataError, match="sample `k`: colours of kind LAB"):
        synthesize(Pillow.new("LAB", (20, 20)), "k")


@pytest.mark.parametrize("form", [np.copy, Image, planar])
@pytest.mark.parametrize("foreground", ["none", "auto", disc])
def test_input_is_never_written_nor_shared(form: Callable[[Any], Any], foreground: Any) -> None:
    def bits(sample: Any) -> bytes:
        values = sample.pixels if isinstance(sample, Image) else sample
        return np.asarray(values).tobytes()

    base = [form(pixels) for pixels in photos(4)]
    before = [bits(sample) for sample in base]
    for probability in (0, 1):
        for item in SyntheticDataset(base, MIX, probability=probability, foreground=foreground):
            for name in LABELS:
                item[name].fill_(1)
        whole = Synthesize(MIX, probability=probability).batch(base, list("abcd"))
        whole["sample"].fill_(1)
    assert [bits(sample) for sample in base] == before
    grey = torch.from_numpy(photo(0, 0))
    Synthesize(MIX, probability=0)(grey, "k")["sample"].fill_(0)
    assert grey.any()


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (photo().astype(np.float64), "sample `k`: array float64 (40, 56, 3): expected uint8, uint16 or float32"),
        (photo().astype(np.int32), "array int32"),
        (torch.zeros(3, 40, 56, dtype=torch.float64), "torch.float64 tensor (3, 40, 56): expected uint8"),
        (torch.zeros(3, 40, 56, dtype=torch.float16), "torch.float16 tensor"),
        (torch.zeros(2, 3, 40, 56), "(2, 3, 40, 56): expected uint8, uint16 or float32 of shape (C, H, W)"),
        (torch.zeros(2, 3, 40, 56), "hint: `batch` takes (N, C, H, W)"),
        (torch.zeros(40, 56, 3), "(40, 56, 3): expected (C, H, W) or (H, W), at least 8 x 8 pixels"),
        (torch.zeros(0, 40, 56), "(0, 40, 56): expected (C, H, W)"),
        (np.zeros((3, 40, 56), np.uint8), "array uint8 (3, 40, 56): expected (H, W) or (H, W, C)"),
        (np.zeros(40, np.uint8), "array uint8 (40,): expected uint8, uint16 or float32 of shape (H, W)"),
        (255 * photo(0, 3, np.float32), "expected 0 to 1\nhint: divide by 255"),
        (9 * photo(0, 3, np.float32) - 4, "expected 0 to 1\nhint: normalise after it, not before"),
        (photo(0, 3, np.float32) - 2, "float32 from"),
        (np.full(SIZE, np.nan, np.float32), "float32 from nan"),
        (Image(np.full(SIZE, 9, np.float32)), "float32 from 9 to 9"),
        ((photo(), 3), "tuple: expected an Image, a PIL image, an array"),
        ("a.png", "str: expected an Image"),
    ],
)
def test_what_is_no_image_is_refused(sample: Any, message: str) -> None:
    for probability in (0, 1):
        with pytest.raises(DataError) as caught:
            Synthesize(MIX, probability=probability)(sample, "k")
        assert str(caught.value).startswith("sample `k`: ")
        assert message in str(caught.value)


def test_old_torch_has_no_uint16(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photo(0, 3, np.uint16)
    monkeypatch.delattr(torch, "uint16")
    with pytest.raises(DataError, match=r"uint16: torch .* has no such tensors\nhint: they came with torch 2.3"):
        Synthesize(MIX, probability=0)(pixels, "k")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_come_back_to_their_device() -> None:
    tensor = planar(photo()).cuda()
    for item in (Synthesize(MIX)(tensor, "k"), Synthesize(MIX).batch(tensor[None], ["k"])):
        assert all(value.device == tensor.device for value in item.values() if isinstance(value, torch.Tensor))


@given(st.permutations(range(6)), st.integers(1, 6), st.integers(0, 3), st.sampled_from([np.uint8, np.float32]))
@settings(max_examples=15)
def test_batch_is_its_rows_whatever_stands_beside_them(order: list[int], count: int, epoch: int, dtype: Any) -> None:
    synthesize = Synthesize(MIX, seed=1, probability=0.7)
    rows = order[:count]
    tensors = torch.stack([planar(photo(i, 3, dtype)) for i in rows])
    before = tensors.clone()
    whole = synthesize.batch(tensors, [name_of(i) for i in rows], epoch)
    assert torch.equal(tensors, before)
    assert whole["sample"].shape == (count, 3, *SIZE)
    assert whole["mask"].shape == whole["effect"].shape == (count, 1, *SIZE)
    for place, i in enumerate(rows):
        row = {name: value[place] for name, value in whole.items()}
        assert print_of(row) == print_of(synthesize(photo(i, 3, dtype), name_of(i), epoch))


def test_batches_of_other_forms() -> None:
    synthesize, names = Synthesize(MIX), ["a", "b"]
    grey = [photo(i, 0) for i in range(2)]
    forms = [grey, np.stack(grey), torch.from_numpy(np.stack(grey)), [Pillow.fromarray(g) for g in grey]]
    found = [synthesize.batch(form, names) for form in forms]
    assert len({whole["sample"].numpy().tobytes() for whole in found}) == 1
    assert all(whole["sample"].shape == (2, 1, *SIZE) for whole in found)
    assert [len(whole["generator"]) for whole in found] == [2] * 4
    with pytest.raises(ParameterError, match="`keys`: 1 names: must be one for each of the 2 samples"):
        synthesize.batch(grey, ["a"])
    with pytest.raises(ParameterError, match="`keys`"):
        synthesize.batch(grey, "ab")
    with pytest.raises(DataError, match="batch: no samples"):
        synthesize.batch([], [])
    with pytest.raises(DataError, match=r"batch: torch.uint8 \(1, 20, 56\), torch.uint8 \(1, 40, 56\): expected"):
        synthesize.batch([grey[0], grey[1][:20]], names)


def test_default_collate_takes_items_of_one_size() -> None:
    for dtype in (np.uint8, np.uint16, np.float32):
        data = SyntheticDataset([photo(i, 3, dtype) for i in range(4)], MIX)
        batch = default_collate([data[i] for i in range(4)])
        assert batch["sample"].shape == (4, 3, *SIZE)
        assert batch["sample"].numpy().dtype == dtype
        assert batch["mask"].shape == (4, 1, *SIZE)
        assert (batch["label"].dtype, batch["index"].tolist(), len(batch["generator"])) == (
            torch.int64,
            [0, 1, 2, 3],
            4,
        )


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_batches_and_order_change_nothing(workers: int) -> None:
    data = SyntheticDataset([part(i) for i in range(11)], MIX, seed=4, foreground="auto", key=name_of)
    expected = prints(SyntheticDataset([part(i) for i in range(11)], MIX, seed=4, foreground="auto", key=name_of))
    method = {"multiprocessing_context": "fork"} if workers else {}
    for batch_size, shuffle in [(1, False), (3, True)]:
        loader = DataLoader(
            data, batch_size, shuffle, num_workers=workers, generator=shuffled(workers), collate_fn=list, **method
        )
        assert loaded(loader) == expected


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_epoch_reaches_persistent_workers(method: str, workers: int) -> None:
    data = SyntheticDataset(photos(6), MIX, probability=0.8, foreground=disc, key=name_of)
    loader = DataLoader(
        data, 2, shuffle=True, generator=shuffled(0), num_workers=workers, persistent_workers=True,
        multiprocessing_context=method, collate_fn=list,
    )  # fmt: skip
    seen = []
    for epoch in (0, 1, 7, 0):
        data.set_epoch(epoch)
        seen.append(loaded(loader))
        fresh = SyntheticDataset(photos(6), MIX, probability=0.8, foreground=disc, key=name_of, epoch=epoch)
        assert seen[-1] == prints(fresh)
    assert seen[0] == seen[3]
    assert seen[0] != seen[1] != seen[2]


def test_two_ranks_share_the_samples() -> None:
    data = SyntheticDataset(photos(10), MIX)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        parts = []
        for rank in (0, 1):
            sampler: Any = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=True, seed=1)
            sampler.set_epoch(epoch)
            parts.append(loaded(DataLoader(data, 2, sampler=sampler, collate_fn=list)))
        assert not parts[0].keys() & parts[1].keys()
        assert {**parts[0], **parts[1]} == prints(data)


def test_global_random_states_are_neither_read_nor_moved() -> None:
    before = random_states()
    data = SyntheticDataset([part(i) for i in range(6)], Recipe.read("photo-defects"), foreground="auto")
    first = prints(data)
    assert random_states() == before
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    assert prints(data) == first


def test_seed_epoch_and_key_each_change_the_anomaly() -> None:
    variants: list[dict[str, Any]] = [{}, {"seed": 1}, {"epoch": 1}, {"key": ["other"]}]
    items = [SyntheticDataset(photos(1), Scratch, probability=1, **options)[0] for options in variants]
    assert len({print_of(item) for item in items}) == 4


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_share_of_anomalies_follows_the_probability(probability: float) -> None:
    synthesize = Synthesize(NoisePatch, seed=5, probability=probability)
    pixels = photo()
    share = sum(int(synthesize(pixels, f"{i}")["label"]) for i in range(300)) / 300
    assert abs(share - probability) < 4 * (probability * (1 - probability) / 300) ** 0.5


def test_raising_the_probability_only_adds_anomalies() -> None:
    few, many = (prints(SyntheticDataset(photos(30), MIX, probability=p)) for p in (0.3, 0.7))
    assert all(few[i] == many[i] for i in few if few[i][-2] == 1)
    assert 0 < sum(item[-2] for item in few.values()) < sum(item[-2] for item in many.values())


def test_foreground_keeps_defects_on_the_part() -> None:
    from anosynth.images._foreground import foreground

    pixels = part()
    where = foreground(pixels)
    assert where is not None
    anywhere = False
    for seed in range(12):
        item = Synthesize(MIX, seed=seed, probability=1, foreground="auto")(pixels, "k")
        assert item["mask"].any()
        assert not (item["mask"][0].numpy() & ~where).any()
        free = Synthesize(MIX, seed=seed, probability=1)(pixels, "k")
        anywhere |= bool((free["mask"][0].numpy() & ~where).any())
        mine = Synthesize(MIX, seed=seed, probability=1, foreground=disc)(pixels, "k")
        assert not (mine["mask"][0].numpy() & ~disc(pixels)).any()
        known = Synthesize(MIX, seed=seed, probability=1)(Image(pixels, where), "k")
        assert print_of(known) == print_of(item)
    assert anywhere


def test_foreground_is_cut_with_that_of_the_image() -> None:
    pixels, left = part(), np.zeros(SIZE, dtype=np.bool_)
    left[:, :30] = True
    found = Synthesize(MIX, probability=1, foreground=disc).anomaly(Image(pixels, left), "k")
    assert isinstance(found, Anomaly)
    assert (found.sample.foreground == (left & disc(pixels))).all()
    everywhere = Synthesize(MIX, probability=1, foreground=lambda pixels: None).anomaly(Image(pixels, left), "k")
    assert (everywhere.sample.foreground == left).all()


def test_empty_foreground_leaves_the_sample_normal_and_says_why() -> None:
    nowhere = Synthesize(MIX, probability=1, foreground=lambda pixels: np.zeros(pixels.shape[:2], np.bool_))
    found = nowhere.anomaly(photo(), "k")
    assert isinstance(found, Untouched)
    assert "the foreground is empty" in found.reason
    item = nowhere(photo(), "k")
    assert (int(item["label"]), bool(item["mask"].any())) == (0, False)
    assert item["sample"].numpy().tobytes() == planar(photo()).numpy().tobytes()


def test_wrong_foregrounds_are_refused() -> None:
    for wrong in ("roi", 3, None):
        with pytest.raises(ParameterError, match=r"`foreground`: .*: must be `none`, `auto` or a function"):
            Synthesize(MIX, foreground=wrong)  # type: ignore[arg-type]
    for returned, told in [(np.ones(SIZE), "float64"), (np.ones((3, 3), np.bool_), r"bool \(3, 3\)"), ("a", "str")]:
        with pytest.raises(ParameterError, match=f"`foreground`: returned {told}"):
            Synthesize(MIX, probability=1, foreground=lambda pixels, r=returned: r)(photo(), "k")

    def spoils(pixels: np.ndarray) -> np.ndarray:
        pixels[:] = 0
        return disc(pixels)

    with pytest.raises(ValueError, match="read-only"):
        Synthesize(MIX, probability=1, foreground=spoils)(photo(), "k")


def test_object_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from anosynth.images import _foreground

    searched = []

    def counting(pixels: np.ndarray) -> np.ndarray | None:
        searched.append(1)
        return found(pixels)

    found = _foreground.foreground
    monkeypatch.setattr(_foreground, "foreground", counting)
    flat = np.full((*SIZE, 3), 90, np.uint8)
    data = SyntheticDataset([part(0), part(1), flat], MIX, probability=1, foreground="auto")
    first = prints(data)
    assert len(searched) == 3
    assert prints(data) == first
    assert len(searched) == 3
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert prints(other) == first
    assert len(searched) == 9
    monkeypatch.setattr("anosynth.torch.images._CACHE", 0)
    assert prints(SyntheticDataset(data.base, MIX, probability=1, foreground="auto")) == first
