"""Photos made with compiled kernels are those made with numpy, bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import NotMade
from anosynth.generator import find
from anosynth.images import Image
from anosynth.images._edit import taken
from anosynth.images._poisson import clone
from anosynth.images._turn import turned, turned_peaks
from anosynth.noise import _fast, lattice
from anosynth.recipe import Vary
from anosynth.seeding import as_rng
from test_golden import GOLDEN, digests, photos

pytest.importorskip("numba")

SHAPES = {
    "small": ((17, 33, 3), np.uint8),
    "grey": ((64, 70), np.uint8),
    "deep": ((90, 61, 3), np.uint16),
    "float": ((80, 101, 5), np.float32),
    "photo": ((150, 130, 3), np.uint8),
}
VALUES = {
    "perlin-texture": [
        {},
        {"source": "colour", "augment": "none", "blend": "0:0.8", "blend_side": "image"},
        {"source": "noise", "augment": "none|anomalib", "blend": "0.2:1.0"},
        {"combine": "glass", "blend_law": "normal", "augment": "glass"},
        {"combine": "union|intersection", "area": "0.01:0.3", "tails": "both"},
        {"rotation": 0.0, "threshold": "0:0.8", "source": "self"},
        {"structure": 1.0, "instances": 3, "severity": "0:1"},
    ],
    "cutpaste": [{}, {"mode": "scar", "jitter": "0:1"}, {"jitter": 0.0, "instances": 3, "mask": "region"}],
    "nsa": [{"label": "logistic", "patches": 3}, {"blend": "mixed", "outline": "ellipses"}, {"severity": "0:1"}],
    "fpi": [{"softness": "0:1"}],
    "scratch": [{"instances": 2, "mask": "region"}, {"severity": "0:1"}],
    "stain": [{}],
    "blank": [{"outline": "blob", "softness": 0.5}],
    "structure": [{"augment": "none"}],
}


@pytest.fixture(autouse=True)
def _own_choice(monkeypatch):
    for name in ("mode", "pixels", "loaded"):
        monkeypatch.setattr(_fast._State, name, {"mode": None, "pixels": 0, "loaded": {}}[name])


def both(make):
    made = []
    for mode in ("0", "1"):
        _fast.choose(mode)
        made.append(make())
    return made


def photo(kind, seed):
    shape, dtype = SHAPES[kind]
    draw = np.random.default_rng(seed)
    row, column = np.mgrid[: shape[0], : shape[1]]
    level = 0.4 + 0.2 * (((row - 30) ** 2 + (column - 25) ** 2) < 500) + 0.1 * np.sin(row / 9)
    level = (level.reshape(level.shape + (1,) * (len(shape) - 2)) + draw.uniform(-0.05, 0.05, shape)).clip(0, 1)
    inside = None if seed % 2 else (row - shape[0] / 2) ** 2 / shape[0] ** 2 + (column / shape[1] - 0.5) ** 2 < 0.2
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    return Image((level * white).astype(dtype), inside)


def everything(vary, image, seed):
    try:
        made = vary.draw(as_rng(seed))(image, as_rng(seed))
    except NotMade as error:
        return str(error)
    arrays = (made.sample.pixels, made.mask, made.effect, made.instances, made.grade)
    return [None if array is None else (array.dtype.str, array.shape, array.tobytes()) for array in arrays], made.stats


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", VALUES)
def test_photos_labels_and_records_are_the_same(name, kind):
    for values in VALUES[name]:
        vary = Vary(find("images", name), **values)
        for seed in range(3):
            image = photo(kind, seed)
            plain, fast = both(lambda vary=vary, image=image, seed=seed: everything(vary, image, seed))
            assert plain == fast, (values, seed)


def test_kernels_make_the_pinned_bytes():
    golden = json.loads(GOLDEN.read_text())
    _fast.choose("1")
    for part, image in photos().items():
        made = digests(part, "images", image)
        assert made == {key: golden[key] for key in made}


def test_the_input_may_be_read_only_and_need_not_lie_in_one_piece():
    whole = photo("photo", 1).pixels
    whole.setflags(write=False)
    for image in (whole, whole[::-1, ::2], np.asfortranarray(whole)):
        before = image.copy()
        for name in ("perlin-texture", "cutpaste", "nsa"):
            generator = Vary(find("images", name))
            plain, fast = both(lambda generator=generator, image=image: everything(generator, Image(image), 2))
            assert plain == fast
        assert (image == before).all()


@settings(max_examples=60)
@given(
    st.integers(8, 70), st.integers(8, 70), st.floats(-180, 180), st.floats(-0.9, 0.9), st.integers(0, 2**32), st.data()
)
def test_turned_fields_are_the_same(height, width, degrees, floor, seed, data):
    noise = lattice((height, width), (3, 2), as_rng(seed))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = (top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    plain, fast = both(lambda: turned(noise, degrees, box))
    assert plain.tobytes() == fast.tobytes()
    assert plain.tobytes() == turned(noise, degrees)[box[0] : box[2], box[1] : box[3]].tobytes()
    (places, values), (other, found) = both(lambda: turned_peaks(noise, degrees, floor))
    assert places.tolist() == other.tolist()
    assert values.tobytes() == found.tobytes()


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_clones_are_the_same(mixed, masked):
    draw = np.random.default_rng(4)
    for shape in ((3, 3, 1), (9, 14, 3), (31, 26, 4)):
        source, destination = (draw.random(shape).astype(np.float32)[::-1] for _ in range(2))
        mask = draw.random(shape[:2]) < 0.7 if masked else None
        plain, fast = both(
            lambda source=source, destination=destination, mask=mask: clone(source, destination, mixed=mixed, mask=mask)
        )
        assert plain.tobytes() == fast.tobytes()


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**32))
def test_pixels_of_any_view_are_taken(height, width, channels, seed):
    draw = np.random.default_rng(seed)
    whole = draw.random((height + 2, width + 3, channels))
    places = np.flatnonzero(draw.random(height * width) < 0.6)
    for view in (whole[1:-1, 2:-1], whole[1:-1, 2:-1][::-1], whole[1:-1, 2:-1].copy(), whole[1:-1, width + 1 : 1 : -1]):
        if view.shape[:2] == (height, width):
            assert (taken(view, places) == view.reshape(-1, channels)[places].T).all()
