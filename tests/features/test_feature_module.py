"""FeatureSynthesis: layouts, masks, streams, shapes that do not fit; and perlin-masked, which lives on its masks."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from feature_kit import GRID, bits, fitted, normal_features, rows_of

from anosynth.errors import DataError, NotMade, ParameterError, UnknownGenerator
from anosynth.features import (
    AttentionNoise,
    CopyOut,
    DistanceGuided,
    DropoutNoise,
    Features,
    FeatureSynthesis,
    Gaussian,
    GradientAscent,
    Hypersphere,
    Jitter,
    LocalGaussian,
    PatchShuffle,
    PerlinMasked,
    to_grid,
)
from anosynth.pointclouds import Dent
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import as_rng


def test_rows_without_a_grid_are_one_sample():
    rows = rows_of(normal_features(2)).reshape(60, 16)
    out = Gaussian().module()(rows, rng=1)
    assert (out.features.shape, out.mask.shape, out.labels.shape) == ((60, 16), (1, 60), (1,))
    out = Gaussian().module(grid=GRID)(rows, rng=1)
    assert (out.mask.shape, out.labels.shape) == ((2, 1, *GRID), (2,))
    out = Gaussian().module(channel_dim=2)(rows.reshape(2, 30, 16), rng=1)
    assert out.mask.shape == (2, 30)


@pytest.mark.parametrize(
    ("x", "how", "message"),
    [
        (torch.ones(3), {}, r"features: \(3,\): expected \(N, C\), \(B, P, C\) or \(B, C, H, W\)"),
        (torch.ones(0, 4, 2, 2), {}, r"features: \(0, 4, 2, 2\): expected .*none of them 0"),
        (torch.ones(2, 4, 2, 2).int(), {}, r"features: torch.int32 tensor: expected a tensor of floats"),
        (np.ones((2, 4, 2, 2)), {}, r"features: ndarray: expected a tensor of floats"),
        (torch.ones(2, 4, 3), {"channel_dim": 3}, r"`channel_dim`: 3: features: \(2, 4, 3\) has no such dimension"),
        (torch.ones(2, 4, 3), {"batch_dim": 1}, r"`batch_dim`: 1: .* has no such dimension beside the channels"),
        (torch.ones(2, 7, 3), {"channel_dim": 2, "grid": (2, 4)}, r"7 cells: expected 8 of the grid \(2, 4\)"),
        (torch.ones(2, 3, 2, 2), {"grid": (2, 4)}, r"\(2, 2\) cells: expected the grid's \(2, 4\)"),
        (torch.ones(9, 3), {"grid": (2, 4)}, r"9 rows: expected a multiple of the grid's \(2, 4\)"),
        (torch.ones(9, 3), {"grid": (0, 4)}, r"`grid`: \(0, 4\): must be \(H, W\), both >= 1"),
        (torch.ones(9, 3), {"grid": 9}, r"`grid`: 9: must be \(H, W\)"),
    ],
)
def test_what_does_not_fit_is_named(x, how, message):
    with pytest.raises((DataError, ParameterError), match=message):
        Gaussian().module(**how)(x)


def test_masks_of_pixels_are_pooled_to_the_grid():
    pixels = torch.zeros(2, 1, 60, 50, dtype=torch.bool)
    pixels[0, 0, 9, 19], pixels[1, 0, 10:21, 0] = True, True
    cells = to_grid(pixels, GRID)
    assert cells[0].nonzero().tolist() == [[0, 0, 1]]
    assert cells[1].nonzero().tolist() == [[0, 1, 0], [0, 2, 0]]
    assert torch.equal(to_grid(pixels.numpy(), GRID), cells)
    assert torch.equal(to_grid(pixels.float() * 255, GRID), cells)
    assert to_grid(np.ones((2, 2)), GRID).all()
    odd = torch.zeros(7, 11, dtype=torch.bool)
    odd[3, 5] = True
    wanted = torch.tensor(
        [
            [odd[i * 7 // 6 : -(-(i + 1) * 7 // 6), j * 11 // 5 : -(-(j + 1) * 11 // 5)].any() for j in range(5)]
            for i in range(6)
        ]
    )
    assert torch.equal(to_grid(odd, GRID), wanted)
    with pytest.raises(DataError, match=r"mask: \(4,\): expected \(..., height, width\)"):
        to_grid(torch.ones(4), GRID)
    with pytest.raises(DataError, match=r"mask: <U3: expected bool or numbers"):
        to_grid("all", GRID)
    for dtype in ("u2", "u4", "i8", ">i4", "f2", "?"):
        assert torch.equal(to_grid(odd.numpy().astype(dtype), GRID), wanted)
    if hasattr(torch, "uint16"):
        assert torch.equal(to_grid(torch.from_numpy(odd.numpy() * np.uint16(300)), GRID), wanted)


def test_masks_come_in_every_form_that_fits():
    x = normal_features(3)
    inside = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(1)) > 0.5
    module = Gaussian().module()
    wanted = module(x, mask=inside[:, None], rng=1)
    assert torch.equal(wanted.mask[:, 0], inside)
    big = inside.repeat_interleave(4, dim=1).repeat_interleave(3, dim=2)
    for form in (inside, inside.flatten(1), inside.numpy(), inside.to(torch.uint8) * 255, big, big[:, None].float()):
        assert bits(module(x, mask=form, rng=1).features) == bits(wanted.features)
    one = module(x, mask=inside[0], rng=1)
    assert torch.equal(one.mask[:, 0], inside[:1].expand(3, -1, -1))
    assert torch.equal(module(x, mask=inside[0].flatten(), rng=1).mask, one.mask)
    with pytest.raises(DataError, match=r"mask: \(2, 1, 6, 5\): expected \(3, 1, h, w\) or \(h, w\)"):
        module(x, mask=torch.ones(2, 1, 6, 5))
    tokens = Gaussian().module(channel_dim=2)
    with pytest.raises(DataError, match=r"known: \(3, 6, 5\): expected \(3, 30\) or \(30,\)\nhint: give the"):
        tokens(rows_of(x), known=torch.ones(3, 6, 5))


def test_streams_are_one_for_all_or_one_for_each():
    x, module = normal_features(3), Gaussian().module()
    with pytest.raises(DataError, match="rng: 2 streams: expected one for each of the 3 samples"):
        module(x, rng=[1, 2])
    with pytest.raises(TypeError, match="rng: str: expected"):
        module(x, rng="ab")
    same = x[:1].expand(3, -1, -1, -1)
    out = module(same, rng=0).features
    assert len({bits(sample) for sample in out}) == 3
    alike = module(same, rng=[4, 4, 4]).features
    assert len({bits(sample) for sample in alike}) == 1
    draw = np.random.Generator(np.random.Philox(3))
    assert bits(module(x, rng=draw).features) != bits(module(x, rng=draw).features)


def test_a_recipe_of_another_family_is_refused():
    for wrong in (Dent(), Vary(Dent), "gaussian"):
        with pytest.raises(ParameterError, match="expected a feature generator or a Vary of one"):
            FeatureSynthesis(wrong)


def test_values_too_large_for_the_dtype_are_not_made():
    with pytest.raises(NotMade, match="a value too large for float16"):
        Gaussian(std=1e5)(np.ones((4, 3, 3), np.float16))
    with pytest.raises(NotMade, match=r"features: int64: expected float16, float32 or float64"):
        Gaussian()(np.ones((4, 3, 3), int))
    with pytest.raises(NotMade, match=r"features: \(3,\): expected \(C, H, W\) or \(P, C\)"):
        Gaussian()(np.ones(3, np.float32))


def test_changes_below_the_dtype_are_not_labelled():
    x = torch.full((1, 8, 4, 4), 1.0)
    x[:, :, :2] = 8192.0
    out = Gaussian(std=0.1).module()(x.half(), rng=1)
    assert not out.mask[:, :, :2].any()
    assert out.mask[:, :, 2:].all()


@pytest.mark.parametrize("generator", [Gaussian(std=1e5), Hypersphere(k=100.0, assign="position")])
def test_in_training_values_too_large_for_the_dtype_are_named(generator):
    x = normal_features(3) * 100
    module = fitted(generator)
    assert torch.isfinite(module(x, rng=1).features).all()
    with pytest.raises(DataError, match=r"features: sample 0, cell .*inf: the anomaly is too large for float16"):
        module((x * 5).half(), rng=1)


def test_what_each_draw_of_a_vary_needs_is_checked():
    module = FeatureSynthesis(Vary(Hypersphere, assign="cosine|position")).fit([normal_features(4)])
    with pytest.raises(DataError, match="features: 15 cells: `hypersphere` was fitted on 30"):
        module(normal_features(8, grid=(3, 5)), rng=1)


def test_a_tensor_is_no_row_of_batches():
    with pytest.raises(DataError, match=r"fit: tensor \(2, 16, 6, 5\): expected batches\nhint: fit\(\[features\]\)"):
        Hypersphere().module().fit(normal_features(2))


def test_buffers_follow_the_module():
    module = fitted(Hypersphere()).double()
    assert module.centres.dtype == torch.float64
    x = normal_features(2, 9)
    assert torch.equal(module(x, rng=1).features, fitted(Hypersphere())(x, rng=1).features)
    half = fitted(Hypersphere()).half()
    assert half(x.half(), rng=1).features.dtype == torch.float16
    assert set(module.state_dict()) == {"centres", "seen"}


@pytest.mark.parametrize("assign", ["cosine", "euclidean", "position"])
def test_centres_of_half_precision_do_not_overflow(assign):
    batch = 200 * normal_features(4)
    module, x = Hypersphere(assign=assign).module().fit([batch]), 200 * normal_features(2, 9)
    wide = module(x, rng=1).features
    assert torch.allclose(module.half()(x, rng=1).features, wide, rtol=1e-2, atol=2)


def test_a_module_inside_another_is_not_saved_twice():
    net = torch.nn.Linear(16, 1)
    module = GradientAscent(project="manifold").module(scorer=net)
    assert not list(module.parameters())
    assert not module.state_dict()


def many_masks(count: int = 800, **values) -> torch.Tensor:
    x = torch.ones(1, 1, 36, 36).expand(count, -1, -1, -1)
    return PerlinMasked(**values).module()(x, rng=1).mask[:, 0]


def test_perlin_masks_are_blobs_and_empty_as_often_as_told():
    masks = many_masks(empty=0.5)
    filled = masks.flatten(1).any(dim=1)
    assert 0.4 < filled.float().mean() < 0.55
    assert many_masks(200, empty=1.0).sum() == 0
    every = many_masks(200, empty=0.0, coarsest=2, finest=3)
    assert every.flatten(1).any(dim=1).all()
    share = every.float().mean()
    assert 0.1 < share < 0.45
    assert many_masks(200, empty=0.0, coarsest=2, finest=3, threshold=0.5).float().mean() < share / 2
    smooth = (every[:, 1:] == every[:, :-1]).float().mean()
    chance = share**2 + (1 - share) ** 2
    assert smooth > chance + 0.15, "neighbours go together"


def test_a_masked_generator_is_that_generator_inside_the_mask():
    x = normal_features(6, 9)
    outer = PerlinMasked(inner=Jitter(scale=10.0), empty=0.0, finest=1).module()
    out = outer(x, rng=3)
    inner = Jitter(scale=10.0).module()(x, mask=out.mask, rng=3)
    assert bits(inner.features) == bits(out.features)
    own = fitted(PerlinMasked(inner="hypersphere k=0.5", empty=0.0, finest=1))
    out = own(x, rng=3)
    assert bits(fitted(Hypersphere(k=0.5))(x, mask=out.mask, rng=3).features) == bits(out.features)
    assert set(own.state_dict()) == {"centres", "seen"}


def test_a_mask_and_perlin_noise_intersect():
    x, left = normal_features(8, 9), torch.zeros(GRID, dtype=torch.bool)
    left[:, :2] = True
    module = PerlinMasked(empty=0.0, finest=1).module()
    free, bound = module(x, rng=3).mask, module(x, mask=left, rng=3).mask
    assert torch.equal(bound, free & left)


def test_inner_generators_are_text_in_records_and_recipes():
    generator = PerlinMasked(inner=Gaussian(std=0.02, relative="norm"))
    assert generator.record()["inner"] == "gaussian std=0.02 relative=norm"
    assert generator.generator == Gaussian(std=0.02, relative="norm")
    assert PerlinMasked().generator == Gaussian()
    drawn = Recipe([Vary(PerlinMasked, inner="jitter scale=5")]).draw(as_rng(1))
    assert drawn.inner == "jitter scale=5"
    for inner, message in (
        ("gausian", "no generator `gausian` among the features; did you mean `gaussian`"),
        ("", "no generator"),
    ):
        with pytest.raises(UnknownGenerator, match=message):
            PerlinMasked(inner=inner)
    for inner, message in (
        ("gaussian st=1", r"`inner`: st=1: expected a parameter of `gaussian` as name=value; did you mean `std`"),
        ("gaussian std", "`inner`: std: expected a parameter"),
        ("gaussian std=-1", "`std`: .* must be > 0"),
        ("perlin-masked", "`inner`: perlin-masked: must be another generator"),
    ):
        with pytest.raises(ParameterError, match=message):
            PerlinMasked(inner=inner)
    with pytest.raises(ParameterError, match="`coarsest`: 4: must be <= `finest`, 2"):
        PerlinMasked(coarsest=4, finest=2)


def test_perlin_noise_needs_a_grid():
    rows = rows_of(normal_features(2))
    with pytest.raises(DataError, match="cells without a grid: a Perlin mask needs one\nhint: give `grid`"):
        PerlinMasked().module(channel_dim=2)(rows)
    with pytest.raises(NotMade, match="cells without a grid"):
        PerlinMasked()(rows[0].numpy())
    assert PerlinMasked()(Features(rows[0].numpy(), grid=GRID), rng=1).mask.shape == GRID


GOLDEN = [
    "gaussian:1:87635dc56f99b609e7d3fe4c",
    "gaussian:1:520a9474e8a84feb3cfb9188",
    "gaussian:1:9719650213eef39f488fa521",
    "jitter:1:1aab066eb63a819f9f4e46ba",
    "attention-noise:1:3923cab6ff96504971c27ea8",
    "jitter:1:63eb5d13ba2d2333d253cf83",
    "patch-shuffle:1:53eeb898f6ae005984a2e370",
    "copy-out:1:4c360802ae901eb9d542182e",
    "dropout-noise:1:9cb5d79a7c9bbcd026ef1505",
    "perlin-masked:1:ed13ec2fd93ae2018c927286",
    "hypersphere:1:b3f9adba1748ff3520e42aa8",
    "hypersphere:1:0347a72fef63161d2429598c",
    "distance-guided:1:9aa3d1ae9d76780df3f4725b",
    "local-gaussian:1:dd68e91cf72c1c9ca620b7f7",
    "local-gaussian:1:fd7bb2966601744459a22a98",
    "gradient-ascent:1:236e5bc560d98e9603275a76",
    "gradient-ascent:1:16b20780939471c0dbb9b9e1",
    "perlin-masked:1:f39681836870f6a18e9dfe5e",
]


def golden() -> list[str]:
    """Digests of what does not go through a matrix product of which the last bit decides."""
    x = (torch.from_numpy(as_rng(1).normal(2 * 24 * 7 * 6)).float() * 2).reshape(2, 24, 7, 6)
    normal = (torch.from_numpy(as_rng(2).normal(5 * 24 * 7 * 6)).float() * 2).reshape(5, 24, 7, 6)
    generators = (
        *(Gaussian(), Gaussian(relative="channel", levels=3), Gaussian(relative="norm"), Jitter(), AttentionNoise()),
        *(Jitter(direction="unit", share=0.5), PatchShuffle(), CopyOut(), DropoutNoise(), PerlinMasked(empty=0.0)),
        *(Hypersphere(assign="position"), Hypersphere(), DistanceGuided(), LocalGaussian(), LocalGaussian(window=3)),
        *(GradientAscent(), GradientAscent(project="manifold"), PerlinMasked(inner="hypersphere", empty=0.0)),
    )
    made = []
    for generator in generators:
        module = generator.module(scorer=lambda rows: (rows * 0.5).sum(dim=1)).fit(normal.split(2))
        out = module(x, rng=7)
        total = hashlib.sha256(bits(out.features) + bits(out.mask) + bits(module(x.half(), rng=8).features))
        made.append(f"{generator.name}:{generator.version}:{total.hexdigest()[:24]}")
    return made


def test_bytes_are_the_pinned_ones():
    assert golden() == GOLDEN
