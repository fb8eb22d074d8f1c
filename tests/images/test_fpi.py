"""Interpolated squares, in pixels and in gradients, and the graded labels that come with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anosynth.datasets.layout import find_layout
from anosynth.errors import ParameterError
from anosynth.images import Fpi, Image, Pii
from anosynth.images.pii import interpolated
from anosynth.io.images import read_image, write_image
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, replay, run, verify
from anosynth.seeding import Rng


def grained(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, channels)).astype(np.float32)


def find_mirror(there: np.ndarray, source: np.ndarray) -> int:
    flips = [source, source[::-1], source[:, ::-1], source[::-1, ::-1]]
    return next(k for k, flip in enumerate(flips) if (flip == there).all())


@pytest.mark.parametrize("blend", [0.05, 0.3, 0.95, 1.0])
def test_the_patch_is_the_stated_mixture(blend):
    pixels = grained(60, 80)
    for seed in range(5):
        anomaly = Fpi(blend=blend, width=0.3)(pixels, rng=seed)
        assert anomaly.stats["label"] == blend
        assert anomaly.stats["shift"] == 0
        top, left, bottom, right = anomaly.stats["source"]
        assert bottom - top == right - left == 18
        source = pixels[top:bottom, left:right]
        rows, columns = np.nonzero(anomaly.sample.any(axis=2) & anomaly.mask)
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        here, after = pixels[box], anomaly.sample[box]
        assert here.shape == source.shape
        flips = [source[::-1], source[:, ::-1], source[::-1, ::-1]]
        seen = anomaly.mask[box]
        assert any(np.allclose(after[seen], ((1 - blend) * here + blend * flip)[seen], atol=1e-5) for flip in flips)


def test_all_mirrors_but_none_and_other_places_occur():
    pixels = grained(40, 40)
    mirrors = []
    for seed in range(200):
        edit = Fpi(width=0.2).edit(Image(pixels), Rng(seed), np.ones((40, 40), np.bool_))
        top, left, bottom, right = edit.stats["source"]
        assert (top, left) != edit.box[:2]
        mirrors.append(find_mirror(edit.pixels, pixels[top:bottom, left:right]))
    counts = np.bincount(mirrors, minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 40


def test_the_effect_is_proportional_to_the_blend():
    pixels = grained(64, 64, 1)
    weak, strong = (Fpi(blend=blend, mask="region")(pixels, rng=3) for blend in (0.25, 0.75))
    assert (weak.mask == strong.mask).all()
    assert np.allclose(3 * weak.effect, strong.effect, atol=1e-5)


def test_squares_keep_their_size_at_borders_and_in_narrow_images():
    for shape in ((20, 200), (200, 20)):
        pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
        for seed in range(30):
            edit = Fpi(width=0.4).edit(Image(pixels), Rng(seed), np.ones(shape, np.bool_))
            assert edit.alpha.shape == (8, 8)
            assert 0 <= edit.box[0] < edit.box[2] <= shape[0]
            assert 0 <= edit.box[1] < edit.box[3] <= shape[1]


def test_a_faint_blend_is_seen_on_a_flat_image():
    flat = np.full((64, 64), 128, np.uint8)
    anomaly = Fpi(blend=0.05, width=0.25)(flat, rng=0)
    assert anomaly.mask.sum() == 16 * 16
    assert 0.055 <= anomaly.stats["contrast"] <= 0.125


def test_soft_edges_fade():
    pixels = grained(64, 64)
    hard, soft = (
        Fpi(blend=0.8, width=0.4, softness=softness).edit(Image(pixels), Rng(2), np.ones((64, 64), np.bool_)).alpha
        for softness in (0.0, 1.0)
    )
    assert (hard == np.float32(0.8)).all()
    assert soft.max() == pytest.approx(0.8, rel=0.02)
    assert soft[0].max() < 0.1


def test_a_blend_of_nothing_is_refused():
    with pytest.raises(ParameterError, match=r"`blend`: 0\.0: must be >= 0\.05"):
        Fpi(blend=0.0)


@pytest.mark.parametrize("generator", [Fpi, Pii])
@pytest.mark.parametrize("blend", [0.2, 0.7])
def test_the_grade_is_the_weight_where_it_changed(generator, blend):
    anomaly = generator(blend=blend, width=0.3)(grained(60, 50), rng=2)
    assert anomaly.grade.dtype == np.float32
    assert ((anomaly.grade > 0) == anomaly.mask).all()
    assert np.allclose(anomaly.grade[anomaly.mask], blend)


def test_a_soft_edge_has_lower_grades():
    anomaly = Fpi(blend=0.8, width=0.5, softness=1.0)(grained(64, 64), rng=1)
    grades = anomaly.grade[anomaly.mask]
    assert grades.min() < 0.3 < 0.75 < grades.max() <= 0.8
    change = np.abs(anomaly.effect[anomaly.mask])
    assert np.corrcoef(grades, change)[0, 1] > 0.5


def test_sides_with_a_unit():
    assert Fpi(width="11px").edit(Image(grained(40, 50)), Rng(0), np.ones((40, 50), np.bool_)).alpha.shape == (11, 11)
    big = Fpi(width="900px").edit(Image(grained(40, 50)), Rng(0), np.ones((40, 50), np.bool_))
    assert big.alpha.shape == (40, 40)


def laplacian(f: np.ndarray) -> np.ndarray:
    return f[:-2, 1:-1] + f[2:, 1:-1] + f[1:-1, :-2] + f[1:-1, 2:] - 4 * f[1:-1, 1:-1]


def test_summed_gradients_are_linear_in_the_weight():
    here, there = (np.random.default_rng(k).random((17, 13, 2)).astype(np.float32) for k in (0, 1))
    none, half, whole = (interpolated(here, there, w, stronger=False).astype(np.float64) for w in (0.0, 0.5, 1.0))
    assert np.allclose(none, here, atol=1e-6)
    assert np.allclose(half, 0.5 * (none + whole), atol=1e-5)
    for weight, f in ((0.5, half), (1.0, whole)):
        assert np.allclose(laplacian(f), (1 - weight) * laplacian(here) + weight * laplacian(there), atol=1e-4)
        for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            assert (f[edge].astype(np.float32) == here[edge]).all()


def test_the_stronger_of_the_weighted_gradients_guides():
    """The divergence of the guidance, neighbour by neighbour, in plain loops."""
    draw = np.random.default_rng(2)
    here, there = draw.random((9, 8, 3)), draw.random((9, 8, 3))
    weight = 0.6
    f = interpolated(here.astype(np.float32), there.astype(np.float32), weight, stronger=True).astype(np.float64)
    for row in range(1, 8):
        for column in range(1, 7):
            divergence = np.zeros(3)
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                a = (1 - weight) * (here[row + down, column + right] - here[row, column])
                b = weight * (there[row + down, column + right] - there[row, column])
                divergence += b if (b * b).sum() > (a * a).sum() else a
            assert np.allclose(laplacian(f)[row - 1, column - 1], divergence, atol=1e-4)


def test_a_square_without_detail_gets_a_dome_and_no_border():
    flat = np.full((80, 90), 60, np.uint8)
    anomaly = Pii(blend=0.3, width=0.4)(flat, rng=0)
    assert 0.08 <= anomaly.stats["shift"] <= 0.16
    rows, columns = np.nonzero(anomaly.mask)
    middle = anomaly.effect[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]
    assert middle == pytest.approx(anomaly.stats["shift"], abs=0.005)
    assert np.abs(np.diff(anomaly.sample.astype(int), axis=0)).max() <= 5


def test_the_square_ends_seamlessly_where_the_plain_one_does_not():
    row, column = np.mgrid[0:80, 0:80]
    pixels = (100 + row + 20 * np.sin(column / 3.0)).astype(np.uint8)

    def seam(generator):
        total = 0.0
        for seed in range(8):
            anomaly = generator(blend=0.9, width=0.4, mask="region")(pixels, rng=seed)
            rows = np.flatnonzero(anomaly.mask.any(axis=1))
            columns = np.flatnonzero(anomaly.mask.any(axis=0))
            total += float(np.abs(anomaly.effect[rows[0], columns[0] : columns[-1] + 1]).mean())
        return total / 8

    assert seam(Pii) < 0.005 < 0.03 < seam(Fpi)


@pytest.mark.parametrize("layout", ["photos", "mvtec"])
def test_grades_are_written_beside_the_mask_and_read_back(tmp_path, layout):
    root, out = tmp_path / "in", tmp_path / "out"
    folder = root if layout == "photos" else root / "bolt/train/good"
    folder.mkdir(parents=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 48, 3)).astype(np.uint8)
        write_image(folder / f"00{number}.png", Image(pixels))
    recipe = Recipe([Vary(Fpi, blend=0.37, instances=2, width=0.2)], name="fpi")
    run(Plan(root, find_layout(layout), recipe, seed=1), out)
    records = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    made = [record for record in records if record.get("status") == "made"]
    assert made
    for record in made:
        paths = {output["role"]: output["path"] for output in record["outputs"]}
        place = paths["grade"]
        assert place.startswith("grades/") if layout == "photos" else place.startswith("_truth/bolt/")
        assert place.endswith(".png" if layout == "photos" else ".grade.png")
        values, mask = read_image(out / place).pixels, read_image(out / paths["labels"]).pixels > 0
        assert values.dtype == np.uint16
        assert ((values > 0) == mask).all()
        assert values[mask] / 65535 == pytest.approx(0.37, abs=1 / 65535)
    assert all(finding.state == "ok" for finding in verify(out))
    assert all(finding.state == "ok" for finding in replay(out))


def test_faint_grades_keep_their_16_bits(tmp_path):
    from anosynth.datasets.photos import write_photo

    pixels = grained(20, 20, 1)[:, :, 0]
    anomaly = Fpi(blend=0.5)(Image(pixels), rng=0)
    anomaly.grade[...] = 3 / 65535
    write_photo(tmp_path, "anomalous/a.tiff", "ground_truth/a.png", "instances/a.png", anomaly)
    assert (read_image(tmp_path / "grades/a.png").pixels == np.full((20, 20), 3, np.uint16)).all()
    assert read_image(tmp_path / "grades/a.png").pixels.dtype == np.uint16
