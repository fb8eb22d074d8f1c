"""The transform without a key: a pure function of (seed, epoch, pixels) that keeps the form of what it is given."""

from __future__ import annotations

import copy
import pickle
import sys
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, Dataset, default_collate  # noqa: E402
from training_kit import random_states, shuffled  # noqa: E402

from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.images import Cutpaste, Image, MissingPart, Scratch, Stain  # noqa: E402
from anosynth.recipe import Recipe, Vary  # noqa: E402
from anosynth.seeding import as_rng  # noqa: E402
from anosynth.torch import Synthesize, Transform  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

MIX = Recipe([(2, Vary(Scratch)), (1, Vary(Stain)), (1, Vary(Cutpaste)), (1, Vary(MissingPart))])
SIZE = (40, 56)


def photo(seed: int = 0, channels: int = 3) -> np.ndarray:
    shape = (*SIZE, channels) if channels else SIZE
    values = 0.5 + 0.06 * as_rng(seed).normal(int(np.prod(shape))).reshape(shape)
    return np.asarray(255 * np.clip(values, 0, 1)).astype(np.uint8)


def planar(pixels: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)))


def spot() -> np.ndarray:
    """The mask of a real defect."""
    mask = np.zeros(SIZE, dtype=np.bool_)
    mask[5:35, 5:30] = True
    return mask


class Files(Dataset[Any]):
    """A data set that knows of no anomalies: it only calls a transform, as those of torchvision do."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Any:
        image, mask, label = self.transform(planar(photo(index)))
        return index, image.numpy().tobytes(), mask.numpy().tobytes(), int(label)


def test_array_in_array_out() -> None:
    transform = Transform(MIX, seed=1, probability=0.5)
    labels = set()
    for seed in range(12):
        before = photo(seed)
        image, mask, label = transform(before)
        assert (image.dtype, image.shape, mask.dtype, mask.shape) == (np.uint8, (*SIZE, 3), np.bool_, SIZE)
        assert ((image != photo(seed)).any(axis=2) == mask).all()
        assert type(label) is int
        assert label == mask.any()
        labels.add(label)
        assert (before == photo(seed)).all()
        assert not np.shares_memory(image, before)
    assert labels == {0, 1}


def test_every_form_comes_out_as_it_came_in() -> None:
    transform, colour, grey = Transform(MIX, seed=3, probability=1), photo(), photo(0, 0)
    image, mask, label = transform(colour)
    assert label == 1
    tensor, tensor_mask, tensor_label = transform(planar(colour))
    assert torch.equal(tensor, planar(image))
    assert torch.equal(tensor_mask, torch.from_numpy(mask)[None])
    assert (tensor_label.dtype, tuple(tensor_label.shape), int(tensor_label)) == (torch.int64, (), 1)
    picture, picture_mask, _ = transform(Pillow.fromarray(colour))
    assert isinstance(picture, Pillow.Image)
    assert (np.asarray(picture) == image).all()
    assert torch.equal(picture_mask, tensor_mask)
    where = np.ones(SIZE, np.bool_)
    own, own_mask, _ = transform(Image(colour, where, document="kept"))
    assert (own.pixels == image).all()
    assert own.foreground is where
    assert own.document == "kept"
    assert (own_mask == mask).all()

    flat, flat_mask, _ = transform(grey)
    assert flat.shape == SIZE
    for form, shape in [(grey[:, :, None], (*SIZE, 1)), (torch.from_numpy(grey), SIZE), (Image(grey[..., None]), None)]:
        out, out_mask, _ = transform(form)
        values = out.pixels if isinstance(out, Image) else out
        assert tuple(values.shape) == (shape or (*SIZE, 1))
        assert np.asarray(values).tobytes() == flat.tobytes()
        assert np.asarray(out_mask).tobytes() == flat_mask.tobytes()
    for mode in ("L", "F", "I;16", "LA", "RGBA"):
        pixels = np.asarray(Pillow.fromarray(colour).convert("RGBA" if mode == "RGBA" else "L"))
        picture = {
            "F": lambda p: Pillow.fromarray(p.astype(np.float32) / 255),
            "I;16": lambda p: Pillow.fromarray(p.astype(np.uint16) * 257),
            "LA": lambda p: Pillow.fromarray(p).convert("LA"),
        }.get(mode, Pillow.fromarray)(pixels)
        assert (picture.mode, transform(picture)[0].mode) == (mode, mode)


def test_structures_pass_through() -> None:
    transform, tensor, target = Transform(MIX, probability=1), planar(photo()), {"boxes": [1, 2]}
    image, mask, label = transform(tensor)
    for out in (transform(tensor, target, "name"), transform((tensor, target, "name"))):
        assert isinstance(out, tuple)
        assert torch.equal(out[0], image)
        assert out[1] is target
        assert out[2] == "name"
        assert torch.equal(out[3], mask)
        assert torch.equal(out[4], label)
    assert isinstance(transform([tensor, 7]), list)
    sample = {"image": tensor, "path": "a.png"}
    for out in (transform(sample), transform(image=tensor, path="a.png")):
        assert list(out) == ["image", "path", "mask", "effect", "instances", "label", "generator"]
        assert torch.equal(out["image"], image)
        assert torch.equal(out["mask"], mask)
        assert out["path"] == "a.png"
        assert out["effect"].shape == out["instances"].shape == (1, *SIZE)
    assert sample == {"image": tensor, "path": "a.png"}
    batch = default_collate([transform(image=planar(photo(i)), path="a.png") for i in range(3)])
    assert batch["image"].shape == (3, 3, *SIZE)
    assert batch["label"].tolist() == [1, 1, 1]


def test_dict_of_arrays_is_all_arrays() -> None:
    out = Transform(MIX, probability=1)(image=photo())
    kinds = {name: getattr(value, "dtype", type(value)) for name, value in out.items()}
    assert kinds == {
        "image": np.uint8, "mask": np.bool_, "effect": np.float32, "instances": np.int32, "label": int,
        "generator": str,
    }  # fmt: skip
    assert all(value.shape[:2] == SIZE for value in out.values() if isinstance(value, np.ndarray))


def test_a_real_mask_and_its_pixels_are_kept() -> None:
    overlaps = 0
    for seed in range(10):
        transform, pixels = Transform(MIX, seed=seed, probability=1), photo(seed)
        out = transform(image=pixels, mask=spot().astype(np.uint8) * 255, label=1)
        made = (out["image"] != pixels).any(axis=2)
        assert made.any()
        assert not (made & spot()).any()
        assert (out["mask"] == (made | spot())).all()
        assert out["label"] == 1
        overlaps += bool((transform(image=pixels)["mask"] & spot()).any())
    assert overlaps > 2


def test_a_real_mask_in_every_form() -> None:
    transform, pixels, real = Transform(MIX, probability=1), photo(), spot()
    expected = transform(image=pixels, mask=real)["mask"]
    assert expected[real].all()
    assert not expected.all()
    grey = real.astype(np.uint8) * np.uint8(255)
    forms = [real[:, :, None], real[None], torch.from_numpy(real), grey, Pillow.fromarray(grey), grey * np.float32(0.5)]
    for form, dtype in zip(forms, ["bool", "bool", "bool", "uint8", "uint8", "float32"], strict=True):
        kept = copy.deepcopy(form)
        mask = transform(image=pixels, mask=form)["mask"]
        assert mask.dtype == dtype
        assert (mask == expected).all()
        assert (np.asarray(form) == np.asarray(kept)).all()
        tensor = transform(image=planar(pixels), mask=form)["mask"]
        assert tensor.numpy().tobytes() == mask.tobytes()
        assert tensor.shape == (1, *SIZE)
    with pytest.raises(DataError, match=r"image: its mask float64 \(3, 3\): expected numbers of 40 x 56 pixels"):
        transform(image=pixels, mask=np.zeros((3, 3)))
    with pytest.raises(DataError, match="image: its mask <U5"):
        transform(image=pixels, mask="a.png")
    none_free = transform(image=pixels, mask=np.ones(SIZE, np.uint8))
    assert (none_free["image"] == pixels).all()
    assert (none_free["label"], none_free["mask"].all()) == (0, True)


def test_a_known_label_stays() -> None:
    normal = Transform(MIX, probability=0)
    for label in (1, True, 1.0, np.int64(1), torch.tensor(1), torch.tensor([1])):
        assert normal(image=photo(), label=label)["label"] == 1
    assert normal(image=photo(), label=0)["label"] == 0
    assert Transform(MIX, probability=1)(image=photo(), label=0)["label"] == 1
    for label in (7, "good", torch.tensor([0, 1])):
        with pytest.raises(DataError, match="expected 0 or 1, normal or anomalous\nhint: give a class another name"):
            normal(image=photo(), label=label)


def test_two_in_a_row_keep_the_first_ones_defect() -> None:
    first, second = Transform(Stain, seed=0, probability=1), Transform(Scratch, seed=1, probability=1)
    one = first(image=photo())
    both = second(one)
    assert (both["mask"] == (both["image"] != photo()).any(axis=2)).all()
    assert (both["image"][one["mask"]] == one["image"][one["mask"]]).all()
    assert both["mask"].sum() > one["mask"].sum()


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40), st.integers(0, 5))
@settings(max_examples=20)
def test_result_is_a_pure_function_of_seed_epoch_and_pixels(seed: int, epoch: int, number: int) -> None:
    one, two = Transform(MIX, seed=seed, epoch=epoch), Transform(MIX, seed=seed)
    first = one(photo(number))[0]
    two(photo(number + 1))
    two.set_epoch(epoch)
    assert (one(photo(number))[0] == first).all()
    assert (two(photo(number))[0] == first).all()


def test_seed_epoch_and_pixels_each_change_the_anomaly() -> None:
    other = photo()
    other[0, 0, 0] ^= 1
    masks = [
        Transform(MIX, probability=1)(photo())[1],
        Transform(MIX, probability=1, seed=1)(photo())[1],
        Transform(MIX, probability=1, epoch=1)(photo())[1],
        Transform(MIX, probability=1)(other)[1],
        Transform(MIX, probability=1)(photo().astype(np.float32) / 255)[1],
        Transform(MIX, probability=1)(photo().reshape(56, 40, 3))[1],
    ]
    assert len({mask.tobytes() for mask in masks}) == 6


def test_it_is_synthesize_under_the_name_of_the_pixels() -> None:
    from anosynth.torch.images import digest

    image, mask, _ = Transform(MIX, seed=4, probability=1, epoch=2)(planar(photo()))
    item = Synthesize(MIX, seed=4, probability=1)(photo(), digest(Image(photo())), 2)
    assert torch.equal(image, item["sample"])
    assert torch.equal(mask, item["mask"])
    # The name is a promise: another one would change all that is trained.
    assert digest(Image(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))) == "6420f07c00252b514e74a4f6b830bf18"
    assert digest(Image(np.arange(64, dtype=np.uint16).reshape(8, 8))) == "0eabef4155e994726eb679f95f902f85"


@pytest.mark.parametrize(("method", "workers"), [("", 0), ("fork", 1), ("fork", 3), ("spawn", 1)])
def test_workers_and_order_change_nothing_and_epochs_reach_them(method: str, workers: int) -> None:
    transform = Transform(MIX, seed=4)
    options = {"multiprocessing_context": method, "persistent_workers": True} if workers else {}
    loader = DataLoader(
        Files(transform), 2, shuffle=True, generator=shuffled(1), num_workers=workers, collate_fn=list, **options
    )
    seen = []
    for epoch in (0, 3, 0):
        transform.set_epoch(epoch)
        found = sorted(row for batch in loader for row in batch)
        fresh = Files(Transform(MIX, seed=4, epoch=epoch))
        assert found == [fresh[i] for i in range(9)]
        seen.append(found)
    assert seen[0] == seen[2] != seen[1]


def test_copies_have_an_epoch_of_their_own() -> None:
    transform = Transform(MIX, probability=1, epoch=3)
    for other in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        assert other.epoch == 3
        assert (other(photo())[0] == transform(photo())[0]).all()
        other.set_epoch(4)
        assert transform.epoch == 3


def test_global_random_states_are_left_alone() -> None:
    before = random_states()
    Transform(MIX, probability=1)(image=photo(), mask=spot())
    assert random_states() == before


def test_foreground() -> None:
    def below(pixels: np.ndarray) -> np.ndarray:
        mask = np.zeros(pixels.shape[:2], np.bool_)
        mask[20:] = True
        return mask

    for seed in range(8):
        _, mask, label = Transform(MIX, seed=seed, probability=1, foreground=below)(photo())
        assert label == 1
        assert not mask[:20].any()


def test_wrong_use_is_refused() -> None:
    transform = Transform(MIX)
    for call in (
        lambda: transform(),
        lambda: transform(photo(), image=photo()),
        lambda: transform({"img": photo()}),
        lambda: transform(mask=spot()),
        lambda: transform({}),
    ):
        with pytest.raises(TypeError, match="expected an"):
            call()
    for wrong in ((), [], "a.png", (3, photo())):
        with pytest.raises(DataError, match=r"image: .*: expected an Image, a PIL image, an array"):
            transform(wrong)
    with pytest.raises(DataError, match="image: float32 from"):
        transform(-2 * torch.ones(3, *SIZE))
    for options in ({"epoch": -1}, {"probability": 2}, {"foreground": "roi"}):
        with pytest.raises(ParameterError):
            Transform(MIX, **options)  # type: ignore[arg-type]


def test_types_of_torchvision_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class TvImage(torch.Tensor):
        pass

    class TvMask(torch.Tensor):
        def __new__(cls, data: Any) -> Any:
            return data.as_subclass(cls)

    vision = types.ModuleType("torchvision.tv_tensors")
    vision.Image, vision.Mask = TvImage, TvMask  # type: ignore[attr-defined]
    vision.wrap = lambda wrappee, *, like: wrappee.as_subclass(type(like))  # type: ignore[attr-defined]
    transform, plain = Transform(MIX, probability=1), planar(photo())
    expected = transform(image=plain)
    monkeypatch.setitem(sys.modules, "torchvision.tv_tensors", vision)
    out = transform(image=plain.as_subclass(TvImage), path="a")
    assert type(out["image"]) is TvImage
    assert [type(out[name]) for name in ("mask", "effect", "instances")] == [TvMask] * 3
    assert type(out["label"]) is torch.Tensor
    for name in ("image", "mask", "effect", "instances"):
        assert torch.equal(out[name].as_subclass(torch.Tensor), expected[name])
    assert type(transform(plain)[1]) is torch.Tensor
    assert type(transform(Pillow.fromarray(photo()))[1]) is TvMask
