"""What every feature generator promises, checked on every one there is; a new one is tested by being there."""

from __future__ import annotations

import copy
import inspect
import io
import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from feature_kit import ALL, CHANNELS, GRID, LEARNS, bits, fitted, normal_features, rows_of, streams

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.features import Features, FeatureSynthesis
from anosynth.generator import find, from_record
from anosynth.params import extra_of
from anosynth.recipe import Vary
from anosynth.seeding import Rng, as_rng

FIXED = {"hypersphere": "it draws nothing"}


def test_all_generators_are_there():
    wanted = {"gaussian", "jitter", "hypersphere", "gradient-ascent", "distance-guided", "local-gaussian"}
    wanted |= {"codebook-swap", "prototype-swap", "patch-shuffle", "copy-out", "attention-noise", "dropout-noise"}
    assert wanted | {"perlin-masked"} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_one_batch_of_eight_is_eight_batches_of_one(name):
    module, x = fitted(name), normal_features(8, 9)
    own = streams(3, 8)
    whole = module(x, rng=own)
    assert bits(whole.features) == bits(module(x, rng=3).features), "an int gives each sample a child by its place"
    for i in range(8):
        one = module(x[i : i + 1], rng=[own[i]])
        assert bits(one.features[0]) == bits(whole.features[i])
        assert torch.equal(one.mask[0], whole.mask[i])
        assert one.labels[0] == whole.labels[i]
    back = module(x.flip(0), rng=own[::-1])
    assert bits(back.features.flip(0)) == bits(whole.features)


@pytest.mark.parametrize("name", ALL)
def test_layouts_and_threads_change_no_bit(name):
    module, x = fitted(name), normal_features(3, 9)
    whole = module(x, rng=3)
    rows = rows_of(x)
    wanted = bits(rows_of(whole.features))
    state = module.state_dict()

    def of(y, **how):
        other = module.generator.module(scorer=module.scorer, **how)
        other.load_state_dict(state)
        return other(y, rng=3)

    assert bits(of(rows, channel_dim=2, grid=GRID).features) == wanted
    assert bits(of(rows, channel_dim=-1, grid=GRID).features) == wanted
    assert bits(of(rows.transpose(1, 2), channel_dim=1, grid=GRID).features.transpose(1, 2)) == wanted
    assert bits(of(rows.transpose(0, 1), channel_dim=2, batch_dim=1, grid=GRID).features.transpose(0, 1)) == wanted
    assert bits(of(rows.reshape(-1, CHANNELS), channel_dim=1, grid=GRID).features) == wanted
    last = x.to(memory_format=torch.channels_last)
    assert bits(rows_of(module(last, rng=3).features)) == wanted
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if before == 1 else 1)
        assert bits(module(x, rng=3).features) == bits(whole.features)
        with torch.inference_mode():
            assert bits(module(x * 1, rng=3).features) == bits(whole.features)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ALL)
def test_what_comes_out_is_like_what_went_in_and_the_mask_is_what_changed(name, dtype):
    module, x = fitted(name), normal_features(4, 9).to(dtype)
    copy_of_x = x.clone()
    out = module(x, rng=1)
    assert bits(x) == bits(copy_of_x), "the input was written to"
    assert (out.features.dtype, out.features.shape, out.features.stride()) == (dtype, x.shape, x.stride())
    assert torch.isfinite(out.features).all()
    assert (out.mask.dtype, out.mask.shape) == (torch.bool, (4, 1, *GRID))
    assert (out.labels.dtype, out.labels.shape) == (torch.bool, (4,))
    assert torch.equal(out.mask, (out.features != x).any(dim=1, keepdim=True))
    assert torch.equal(out.labels, out.mask.flatten(1).any(dim=1))
    assert out.labels.any()
    assert len(out.drawn) == 4


@pytest.mark.parametrize("name", ALL)
def test_masks_keep_the_rest_bit_for_bit(name):
    module, x = fitted(name), normal_features(4, 9)
    mask = torch.zeros(4, 1, *GRID, dtype=torch.bool)
    mask[0, :, :3], mask[1, :, :, 1:4], mask[3] = True, True, True
    out = module(x, mask=mask, rng=1)
    assert not (out.mask & ~mask).any()
    assert not out.labels[2]
    unchanged = (out.features == x).all(dim=1, keepdim=True)
    assert (unchanged | mask).all()
    if name != "perlin-masked":
        assert out.labels.tolist() == [True, True, False, True]


@pytest.mark.parametrize("name", ALL)
def test_known_anomalies_are_left_alone_and_labelled(name):
    module, x = fitted(name), normal_features(3, 9)
    known = torch.zeros(3, 1, *GRID, dtype=torch.bool)
    known[0, 0, 2:4, 1:3], known[1] = True, True
    out = module(x, rng=1, known=known)
    assert (out.mask & known).sum() == known.sum()
    assert torch.equal(out.features.permute(0, 2, 3, 1)[known[:, 0]], x.permute(0, 2, 3, 1)[known[:, 0]])
    assert out.labels[0]
    assert out.labels[1]
    assert bits(out.features[1]) == bits(x[1])


@pytest.mark.parametrize("name", ALL)
def test_same_stream_same_bytes_other_stream_other_bytes(name):
    module, x = fitted(name), normal_features(4, 9)
    first, again, other = (module(x, rng=seed).features for seed in (5, 5, 6))
    assert bits(first) == bits(again)
    assert (bits(first) == bits(other)) == (name in FIXED)
    assert name in FIXED or bits(module(x).features) != bits(module(x).features), "no rng is fresh entropy"


def numpy_state() -> bytes:
    return np.random.get_state()[1].tobytes()  # noqa: NPY002


@pytest.mark.parametrize("name", ALL)
def test_no_global_random_state_is_read_or_written(name):
    module, x = fitted(name), normal_features(2, 9)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), numpy_state()
    first = module(x, rng=5).features
    assert torch.equal(torch.get_rng_state(), before)
    assert numpy_state() == numpy_before
    torch.manual_seed(2)
    assert bits(module(x, rng=5).features) == bits(first)


@pytest.mark.parametrize("name", ALL)
def test_state_goes_through_files_and_copies(name):
    module, x = fitted(name), normal_features(2, 9)
    wanted = bits(module(x, rng=4).features)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    fresh = find("features", name)().module(scorer=module.scorer)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert bits(fresh(x, rng=4).features) == wanted
    assert bits(copy.deepcopy(module)(x, rng=4).features) == wanted
    assert bits(pickle.loads(pickle.dumps(module))(x, rng=4).features) == wanted
    assert not list(module.parameters())
    assert all(type(value) is torch.Tensor for value in module.state_dict().values())
    inside = torch.nn.Sequential(torch.nn.Identity(), copy.deepcopy(module))
    again = torch.nn.Sequential(torch.nn.Identity(), find("features", name)().module(scorer=module.scorer))
    again.load_state_dict(inside.state_dict())
    assert bits(again[1](x, rng=4).features) == wanted
    assert "fitted=True" in repr(module)


@pytest.mark.parametrize("name", LEARNS)
def test_without_what_it_learns_it_says_so(name):
    generator, x = find("features", name)(), normal_features(2)
    with pytest.raises(DataError, match=rf"`{name}`: not fitted: it learns from normal features\nhint: fit"):
        generator.module()(x)
    with pytest.raises(NotMade, match=f"`{name}`: not fitted"):
        generator(x[0])
    with pytest.raises(DataError, match="fit: no features: expected at least one batch"):
        generator.module().fit([])
    assert not generator.module().fitted
    with pytest.raises(DataError, match=rf"features: 12 channels: `{name}` was fitted on 16"):
        fitted(name)(x[:, :12])
    module = fitted(name)
    with pytest.raises(DataError, match="12 channels"):
        module.partial_fit(x[:, :12])


@pytest.mark.parametrize("name", LEARNS)
def test_fit_is_partial_fits_and_forgets(name):
    batches = [normal_features(4, seed) for seed in range(3)]
    module = find("features", name)().module().fit(batches)
    wanted = {key: bits(value) for key, value in module.state_dict().items()}
    parts = find("features", name)().module()
    for batch in batches:
        parts.partial_fit(batch)
    assert {key: bits(value) for key, value in parts.state_dict().items()} == wanted
    module.fit([normal_features(4, 7)]).fit(iter(batches))
    assert {key: bits(value) for key, value in module.state_dict().items()} == wanted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ALL)
def test_what_is_not_finite_is_refused_by_name(name, value):
    module, x = fitted(name), normal_features(3)
    x[2, 5, 1, 3] = value
    text = rf"features: sample 2, cell 8, channel 5: {value}: expected finite values"
    with pytest.raises(DataError, match=text):
        module(x)
    with pytest.raises(DataError, match=text):
        module.partial_fit(x)
    with pytest.raises(NotMade, match=f"no `{name}` could be made of it: features: sample 0, cell 8, channel 5"):
        module.generator(Features(x[2], module=module))


@pytest.mark.parametrize("name", ALL)
def test_half_precision_does_not_overflow(name):
    """A sum of 1536 squares of 200 is far beyond the largest half, 65504."""
    draw = torch.Generator().manual_seed(1)
    x = (200 + torch.randn(2, 512, 3, 3, generator=draw)).half()
    assert not torch.isfinite((x * x).sum(dim=1)).any()
    module = find("features", name)().module(scorer=lambda rows: rows.sum(dim=1)).fit([x, x * 0.9, x * 1.01])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        auto = module(x, rng=1)
    plain = module(x, rng=1)
    assert plain.features.dtype == torch.float16
    assert torch.isfinite(plain.features).all()
    assert bits(auto.features) == bits(plain.features), "autocast reaches into it"
    wide = module(x.float(), rng=1).features
    assert torch.allclose(plain.features.float(), wide, rtol=1e-3)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["array", "tensor", "rows", "half"])
def test_called_by_itself_it_gives_the_anomaly_of_every_family(name, kind):
    module, x = fitted(name), normal_features(1, 9)[0]
    generator = module.generator
    values = {"array": x.numpy(), "tensor": x, "rows": rows_of(x[None])[0].numpy(), "half": x.half().numpy()}[kind]
    kept = values.clone() if kind == "tensor" else values.copy()
    grid = GRID if kind == "rows" else None
    if name in LEARNS or name == "gradient-ascent" or kind == "rows":
        sample = Features(values, module=module, grid=grid)
        anomaly = generator(sample, rng=2)
        after = anomaly.sample.values
    else:
        sample = values
        anomaly = generator(sample, rng=2)
        after = anomaly.sample
    assert type(anomaly.sample) is type(sample)
    assert anomaly.before is sample
    assert type(after) is type(values)
    assert (after.shape, after.dtype) == (values.shape, values.dtype)
    assert (values == kept).all(), "the input was written to"
    old, new = np.asarray(values), np.asarray(after)
    axis = 1 if kind == "rows" else 0
    wide = bits_differ(old, new, axis)
    mask = anomaly.mask.reshape(wide.shape)
    assert np.array_equal(mask, wide), "leak or dead"
    assert anomaly.mask.shape == GRID
    assert anomaly.mask.any()
    assert (anomaly.mask.dtype, anomaly.effect.dtype, anomaly.instances.dtype) == (np.bool_, np.float32, np.uint16)
    moved = np.sqrt(((new.astype(np.float64) - old) ** 2).sum(axis=axis)).reshape(GRID)
    assert np.allclose(anomaly.effect, moved, rtol=1e-4)
    assert ((anomaly.instances > 0) == anomaly.mask).all()
    assert anomaly.generator is generator
    assert anomaly.stats["area"] == pytest.approx(mask.mean())
    assert anomaly.stats["displacement"] == pytest.approx(moved[anomaly.mask].mean(), rel=1e-4)
    json.dumps(anomaly.stats)


def bits_differ(old: np.ndarray, new: np.ndarray, axis: int) -> np.ndarray:
    kind = f"u{old.itemsize}"
    return (np.ascontiguousarray(old).view(kind) != np.ascontiguousarray(new).view(kind)).any(axis=axis)


@pytest.mark.parametrize("name", [name for name in ALL if name != "perlin-masked"])
def test_training_and_the_call_agree(name):
    module, x = fitted(name), normal_features(1, 9)
    anomaly = module.generator(Features(x[0], module=module), rng=8)
    attempt = as_rng(8).child("attempt", anomaly.stats["attempts"] - 1)
    assert bits(module(x, rng=[attempt]).features[0]) == bits(anomaly.sample.values)


@pytest.mark.parametrize("name", ALL)
def test_a_vary_draws_for_each_sample(name):
    vary = Vary(find("features", name))
    module = FeatureSynthesis(vary, scorer=lambda rows: rows.sum(dim=1))
    module.fit([normal_features(4, seed) for seed in range(3)])
    x, own = normal_features(4, 9), streams(2, 4)
    whole = module(x, rng=own)
    assert len({str({k: v for k, v in drawn.items() if k in vary.values}) for drawn in whole.drawn}) == 4
    for i in range(4):
        assert bits(module(x[i : i + 1], rng=[own[i]]).features[0]) == bits(whole.features[i])


@pytest.mark.parametrize("name", ALL)
def test_record_and_pickle_give_the_same_generator(name):
    generator = Vary(find("features", name)).draw(Rng(3))
    assert from_record(json.loads(json.dumps(generator.record()))) == generator
    assert pickle.loads(pickle.dumps(generator)) == generator
    assert (generator.family, generator.name) == ("features", name)


@pytest.mark.parametrize("name", ALL)
def test_it_is_documented(name):
    cls = find("features", name)
    text = inspect.getdoc(cls)
    assert len(text.split("\n")[0]) < 100
    assert re.search(r"Source|Ours|ours|follow|Inspired", text), "say where it comes from"
    for field in cls.model_fields.values():
        assert field.description
        if field.annotation in (int, float):
            assert "minimum" in extra_of(field) or "exclusiveMinimum" in extra_of(field)


@pytest.mark.parametrize("name", ALL)
def test_values_out_of_range_name_the_parameter_and_the_bound(name):
    cls = find("features", name)
    for field_name, field in cls.model_fields.items():
        extra = extra_of(field)
        if "maximum" in extra:
            with pytest.raises(ParameterError, match=rf"`{field_name}`: .*must be <= "):
                cls(**{field_name: extra["maximum"] * 2 + 1})
    with pytest.raises(ParameterError, match=r"has no parameter `strengh`"):
        cls(strengh=1)


def fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_names_parameters_and_schemas_need_no_torch():
    program = (
        "import sys\nfrom anosynth.generator import find, names\nfrom anosynth.schema import generator_schema\n"
        "from anosynth.recipe import Recipe, Vary\nimport anosynth.features\n"
        "for name in names('features'):\n    generator_schema(find('features', name)); find('features', name)()\n"
        "    Recipe([Vary(find('features', name))]).record()\n"
        "dir(anosynth.features)\n"
        "print('torch' in sys.modules)"
    )
    assert fresh(program) == "False"


@pytest.mark.parametrize(
    "use",
    [
        *("anosynth.features.FeatureSynthesis", "Gaussian().module()", "Gaussian()([[0.5]])"),
        *(f"import anosynth.features.{module}" for module in ("backbone", "baselines", "refine")),
    ],
)
def test_without_torch_it_says_how_to_get_it(use):
    program = (
        "import sys; sys.modules['torch'] = None\nimport anosynth.features\nfrom anosynth.features import Gaussian\n"
        f"try:\n    {use}\nexcept ImportError as error:\n    print(error)"
    )
    assert fresh(program) == "torch: not installed: anosynth.features needs it\nhint: pip install 'anosynth[torch]'"
