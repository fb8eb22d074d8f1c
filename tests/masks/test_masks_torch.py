"""Tensors give tensors of the same bits; the attenuator learns what it is told; without torch all else works."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from mask_kit import signals

from anosynth.errors import DataError, ParameterError
from anosynth.masks import MultiScale, Scale, attenuate, by_saliency, disjoint, expand, fill, mosaic, patches

torch = pytest.importorskip("torch")

from anosynth.masks import Attenuator  # noqa: E402

MODES = ["zero", "mean", "interpolate", "noise", "copy", "shift"]


def same(tensor, array) -> None:
    assert isinstance(tensor, torch.Tensor)
    assert tensor.numpy().dtype == array.dtype
    assert tensor.shape == array.shape
    assert tensor.contiguous().numpy().tobytes() == np.ascontiguousarray(array).tobytes()


def test_masks_have_the_same_bits():
    x = signals()
    t = torch.from_numpy(x.copy())
    both = [
        MultiScale(9, [Scale("a", 0.3), Scale("b", 0.2, share_channels=False)])(v, rng=5, channel_dim=-1)
        for v in (t, x)
    ]
    for name in ("a", "b"):
        one, other = (masks[name] for masks in both)
        same(one.segments, other.segments)
        same(one.counts, other.counts)
        same(one.samples(1), other.samples(1))
        for tensor, array in zip(one.ids(2), other.ids(2), strict=True):
            same(tensor, array)
    how = {"cell": (8, 2), "channel_dim": None}
    same(disjoint(t, 3, **how), disjoint(x, 3, **how))
    same(by_saliency(t, quantile=0.3, cell=3), by_saliency(x, quantile=0.3, cell=3))
    mask = x > 6
    same(patches(t > 6, (7, 2)), patches(mask, (7, 2)))
    same(expand(patches(t > 6, (7, 2)), (200, 4), (7, 2)), expand(patches(mask, (7, 2)), (200, 4), (7, 2)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int16])
def test_fills_have_the_same_bits(dtype):
    x = signals(dtype=dtype)
    mask = MultiScale(9)(x, rng=5, channel_dim=-1)["local"].samples(0)
    t, m = torch.from_numpy(x.copy()), torch.from_numpy(mask)
    pairs = [(fill(t, m, mode, 1, channel_dim=-1), fill(x, mask, mode, 1, channel_dim=-1)) for mode in MODES]
    pairs.append((mosaic(t, m, cell=7, channel_dim=-1), mosaic(x, mask, cell=7, channel_dim=-1)))
    for tensors, arrays in pairs:
        same(tensors.values, arrays.values)
        same(tensors.mask, arrays.mask)
    same(t, x)
    mixed = fill(t, mask, "noise", 1, channel_dim=-1)
    assert torch.equal(mixed.values, pairs[3][0].values), "the mask may be an array"


def test_half_the_bits_of_a_float_do_too():
    x = torch.from_numpy(signals()).bfloat16()
    mask = torch.zeros(200, dtype=torch.bool)
    mask[50:80] = True
    for mode in MODES:
        out = fill(x, mask, mode, 1, channel_dim=-1)
        assert out.values.dtype == torch.bfloat16
        assert torch.equal(out.mask, out.values != x)
        assert not out.mask[:, ~mask].any()


def test_fills_keep_the_gradient_of_the_rest():
    x = torch.from_numpy(signals()).requires_grad_()
    mask = torch.arange(200) < 40
    fill(x, mask, "mean", channel_dim=-1).values.sum().backward()
    assert torch.equal(x.grad, (~mask)[None, :, None].expand_as(x).float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_attenuation_has_the_same_bits(dtype, strength):
    x = torch.from_numpy(signals()).to(dtype)
    soft = torch.from_numpy(np.random.default_rng(1).random((3, 200))).to(dtype)
    out = attenuate(x, soft, strength=strength, channel_dim=-1)
    same(out, attenuate(x.numpy(), soft.numpy(), strength=strength, channel_dim=-1))


def test_attenuation_passes_gradients_to_both():
    x = torch.rand(2, 3, 4, 4, requires_grad=True, generator=None, dtype=torch.float64)
    soft = torch.full((2, 1, 4, 4), 0.25, dtype=torch.float64, requires_grad=True)
    attenuate(x, soft).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 0.75))
    assert torch.allclose(soft.grad, -x.detach().sum(dim=1, keepdim=True))
    with pytest.raises(DataError, match=r"^soft_mask: 2\.0: expected 0 to 1"):
        attenuate(x, soft * 8)
    with pytest.raises(DataError, match=r"^features: torch\.int32: expected floats"):
        attenuate(x.detach().int(), soft)


def test_the_attenuator_is_seeded_and_leaves_the_global_state():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = Attenuator(8), Attenuator(8), Attenuator(8, seed=1)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 8, 5, 6)).astype(np.float32))
    assert torch.equal(first(x), again(x))
    assert torch.equal(first.first.weight, again.first.weight)
    assert not torch.equal(first.first.weight, other.first.weight)
    soft = first.soft_mask(x)
    assert soft.shape == (2, 1, 5, 6)
    assert torch.allclose(soft, torch.sigmoid(torch.tensor(-4.0))), "untrained, it lets nearly all pass"
    assert torch.equal(first(x), attenuate(x, soft))
    assert torch.equal(torch.get_rng_state(), before)
    rows = Attenuator(8, channel_dim=-1)
    assert torch.allclose(rows(x.flatten(2).transpose(1, 2)), first(x).flatten(2).transpose(1, 2), rtol=1e-5)


def test_targets_are_the_mean_errors_of_patches_between_two_quantiles():
    module = Attenuator(4)
    module.calibrate(torch.arange(101.0))
    assert (float(module.low), float(module.high)) == (50.0, 99.0)
    errors = torch.zeros(1, 8, 8)
    errors[0, :4, :4], errors[0, :4, 4:], errors[0, 4:, :4] = 74.5, 30.0, 200.0
    targets = module.targets(errors, (2, 2))
    assert targets.shape == (1, 1, 2, 2)
    assert targets.flatten().tolist() == [0.5, 0.0, 1.0, 0.0]
    assert torch.equal(module.targets(errors[:, None], (2, 2)), targets)
    assert module.targets(torch.full((2, 12), 99.0), (3,)).tolist() == [[[1.0] * 3]] * 2
    loaded = Attenuator(4)
    loaded.load_state_dict(module.state_dict())
    assert torch.equal(loaded.targets(errors, (2, 2)), targets)
    assert "calibrated=True" in repr(loaded)


def test_it_learns_which_patches_to_turn_down():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(16, 8, 6, 6, generator=draw)
    bad = torch.rand(16, 6, 6, generator=draw) < 0.2
    x += 4 * bad[:, None]
    module = Attenuator(8, 16).calibrate(torch.rand(1000, generator=draw))
    targets = module.targets(torch.where(bad, 3.0, 0.1), (6, 6))
    assert torch.equal(targets[:, 0] > 0.5, bad)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        loss = module.loss(x, targets)
        loss.backward()
        optimizer.step()
    soft = module.soft_mask(x).detach()[:, 0]
    assert float(soft[bad].mean()) > 0.9
    assert float(soft[~bad].mean()) < 0.1
    assert float(module(x).detach().abs().mean(dim=1)[bad].mean()) < 1


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: Attenuator(0), ParameterError, "channels, hidden: 0, 1: expected at least 1"),
        (lambda: Attenuator(4, channel_dim=0), ParameterError, "channel_dim: 0: expected another dimension"),
        (lambda: Attenuator(4)(torch.zeros(2, 5, 3)), DataError, r"features: \(2, 5, 3\): expected 4 channels"),
        (lambda: Attenuator(4).targets(torch.zeros(2, 5), (5,)), DataError, "errors: not calibrated: expected"),
        (lambda: Attenuator(4).calibrate(torch.ones(9)), DataError, "errors: both quantiles are 1: expected errors"),
        (lambda: Attenuator(4).calibrate(torch.ones(0)), DataError, r"errors: \(0,\): expected finite values"),
        (lambda: Attenuator(4).calibrate(torch.ones(3), low=1), ParameterError, "low, high: 1, 0.99: expected 0 to"),
        (
            lambda: Attenuator(4).calibrate(torch.arange(9.0)).targets(torch.zeros(2, 5), (5, 5)),
            DataError,
            r"errors: \(2, 5\): expected \(B, \*shape\)",
        ),
        (
            lambda: Attenuator(4).loss(torch.zeros(2, 4, 3), torch.zeros(2, 3)),
            DataError,
            r"targets: \(2, 3\): expected \(2, 1, 3\)",
        ),
    ],
)
def test_what_cannot_be_is_named(call, kind, text):
    with pytest.raises(kind, match=f"^{text}"):
        call()


def fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_only_the_attenuator_imports_torch():
    program = (
        "import sys\nimport numpy as np\nimport anosynth.masks\nfrom anosynth.masks import *\n"
        "x = np.zeros((2, 3, 50))\nm = MultiScale(10)(x, rng=0)['local'].samples(0)\n"
        "fill(x, m, 'noise', 0); mosaic(x, m); attenuate(x, m); disjoint(x, 0); dir(anosynth.masks)\n"
        "by_saliency(x[0], quantile=0.5)\nprint({'torch', 'scipy', 'pydantic'} & set(sys.modules))\n"
        "anosynth.masks.Attenuator; print('torch' in sys.modules)"
    )
    assert fresh(program) == "set()\nTrue"


def test_without_torch_it_says_how_to_get_it():
    program = (
        "import sys; sys.modules['torch'] = None\nimport anosynth.masks\n"
        "print(anosynth.masks.disjoint((9, 9), 0).shape)\n"
        "try:\n    anosynth.masks.Attenuator\nexcept ImportError as error:\n    print(error)"
    )
    wanted = "(3, 9, 9)\ntorch: not installed: anosynth.masks.Attenuator needs it\nhint: pip install 'anosynth[torch]'"
    assert fresh(program) == wanted
