"""Banks of defects: which files belong together, what is cut out of them, and how it lands."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.images import DefectBank, Image
from anosynth.images._bank import MARGIN, Bank, fitted
from anosynth.images.defect_bank import resampled
from anosynth.io.images import write_image, write_mask
from anosynth.recipe import Vary
from anosynth.seeding import Rng


def spotted(
    height: int = 40, width: int = 50, channels: int = 3, dtype: str = "uint8"
) -> tuple[np.ndarray, np.ndarray]:
    """An even photo with a wedge of colours of its own, and its mask."""
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    mask = np.zeros((height, width), np.bool_)
    for row in range(10, 22):
        mask[row, 12 : 12 + 2 * (row - 8)] = True
    value = np.full((height, width, channels), 0.5)
    draw = np.random.default_rng(0).uniform(0.0, 0.25, (height, width, channels))
    value[mask] = draw[mask]
    pixels = (value * white).astype(dtype)
    return (pixels[:, :, 0] if channels == 1 else pixels), mask


def put(folder, name: str, pixels: np.ndarray, mask: np.ndarray | None = None, mask_name: str = "") -> None:
    for path, write, values in ((name, write_image, Image(pixels)), (mask_name, write_mask, mask)):
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write(folder / path, values)


@pytest.fixture
def folder(tmp_path):
    put(tmp_path, "wedge.png", *spotted(), "wedge_mask.png")
    return tmp_path


def ground(height: int = 100, width: int = 120, channels: int = 3, level: int = 200) -> np.ndarray:
    draw = np.random.default_rng(1).integers(-3, 4, (height, width, channels))
    pixels = (level + draw).astype(np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


PLAIN = {"flip": "none", "softness": 0.0, "scale": 1.0, "orientation": 0.0}


def test_all_forms_of_banks_are_found_in_the_order_of_their_paths(tmp_path):
    pixels, mask = spotted()
    put(tmp_path, "z/plain.png", pixels, mask, "z/plain_mask.png")
    put(tmp_path, "test/scratch/000.png", pixels, mask, "ground_truth/scratch/000_mask.png")
    put(tmp_path, "test/scratch/001.png", pixels, mask, "ground_truth/scratch/001.png")
    put(tmp_path, "test/good/000.png", pixels)
    put(tmp_path, "train/good/000.png", pixels)
    put(tmp_path, "images/a.tiff", pixels, mask, "masks/a_mask.png")
    crop = np.dstack([pixels, mask.astype(np.uint8) * 255])
    put(tmp_path, "crop.png", crop)
    bank = Bank(tmp_path)
    assert bank.entries == [
        ("crop.png", ""),
        ("images/a.tiff", "masks/a_mask.png"),
        ("test/scratch/000.png", "ground_truth/scratch/000_mask.png"),
        ("test/scratch/001.png", "ground_truth/scratch/001.png"),
        ("z/plain.png", "z/plain_mask.png"),
    ]
    for index in range(5):
        (cut,) = bank.defects(index).cuts
        assert int((cut.alpha > 0).sum()) == mask.sum()
        top, left = 10 - MARGIN, 12 - MARGIN
        h, w = cut.alpha.shape
        inside = mask[top : top + h, left : left + w]
        assert ((cut.alpha > 0) == inside).all()
        assert np.allclose(cut.pixels[inside] * 255, pixels[top : top + h, left : left + w][inside], atol=1e-3)
        assert cut.known.all() == (index > 0)


def test_parts_of_a_mask_are_defects_of_their_own(tmp_path):
    pixels, mask = spotted()
    mask[30:34, 5:9] = True
    mask[34, 9] = True  # touches by its corner
    mask[2, 2:5] = True  # a speck
    put(tmp_path, "a.png", pixels, mask, "a_mask.png")
    cuts = Bank(tmp_path).defects(0).cuts
    assert [int((cut.alpha > 0).sum()) for cut in cuts] == [int(mask[10:22].sum()), 17]
    parts = [DefectBank(bank=str(tmp_path))(ground(), rng=seed).stats["part"] for seed in range(12)]
    assert set(parts) == {0, 1}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_unchanged_defect_lands_bit_for_bit(tmp_path, channels, dtype):
    pixels, mask = spotted(channels=channels, dtype=dtype)
    put(tmp_path, "a.png", pixels, mask, "a_mask.png")
    before = ground(channels=channels).astype(dtype) * np.array(257 if dtype == "uint16" else 1, dtype)
    anomaly = DefectBank(bank=str(tmp_path), **PLAIN)(before, rng=3)
    rows, columns = np.nonzero(anomaly.mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (12, 26)
    landed = anomaly.sample[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    inside = mask[10:22, 12:38]
    assert (landed[inside] == pixels[10:22, 12:38][inside]).all()
    assert anomaly.mask.sum() == mask.sum()


def test_the_record_says_which_files_were_used(folder):
    stats = DefectBank(bank=str(folder))(ground(), rng=1).stats
    assert stats["defect"] == "wedge.png"
    for key, name in (("defect_sha256", "wedge.png"), ("mask_sha256", "wedge_mask.png")):
        assert stats[key] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_depths_and_channels_are_converted_by_the_stated_rules(tmp_path):
    grey, mask = spotted(channels=1, dtype="uint16")
    put(tmp_path / "grey", "a.png", grey, mask, "a_mask.png")
    rgb, mask = spotted()
    put(tmp_path / "rgb", "a.png", rgb, mask, "a_mask.png")
    made = DefectBank(bank=str(tmp_path / "grey"), **PLAIN)(ground(channels=5), rng=0)
    assert (np.ptp(made.sample[made.mask], axis=1) == 0).all()
    assert made.sample[made.mask].max() <= 64
    made = DefectBank(bank=str(tmp_path / "rgb"), **PLAIN)(ground(channels=1), rng=0)
    luma = rgb[mask].astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(np.sort(made.sample[made.mask]) - np.sort(luma)).max() <= 0.51
    with pytest.raises(NotMade, match=r"rgb.a\.png: 3 channels: do not fit an image of 5"):
        DefectBank(bank=str(tmp_path / "rgb"))(ground(channels=5), rng=0)
    same = np.zeros((2, 2, 4), np.float32)
    assert fitted(same, 4, "") is same


@pytest.mark.parametrize("channels", [2, 4])
def test_a_last_channel_that_is_no_opacity_comes_along(tmp_path, channels):
    pixels, mask = spotted(channels=channels)
    put(tmp_path, "a.tif", pixels, mask, "a_mask.png")
    made = DefectBank(bank=str(tmp_path), **PLAIN)(ground(channels=channels), rng=0)
    assert (np.sort(made.sample[made.mask], axis=0) == np.sort(pixels[mask], axis=0)).all()


def test_crops_bring_none_of_the_colours_that_their_alpha_hides(tmp_path):
    pixels, mask = spotted()
    pixels[~mask] = (255, 0, 255)
    put(tmp_path, "crop.png", np.dstack([pixels, mask.astype(np.uint8) * 255]))
    for seed in range(4):
        generator = DefectBank(bank=str(tmp_path), scale=1.3, orientation=35, softness=0)
        anomaly = generator(ground(), rng=seed)
        changed = anomaly.sample[anomaly.mask].astype(int)
        assert (changed[:, 0] - changed[:, 1]).max() < 70, "magenta from beyond the crop"


def test_soft_alpha_is_a_weight(tmp_path):
    pixels, mask = spotted()
    pixels[mask] = 0
    put(tmp_path, "crop.png", np.dstack([pixels, np.where(mask, 128, 0).astype(np.uint8)]))
    anomaly = DefectBank(bank=str(tmp_path), **PLAIN)(ground(), rng=0)
    assert np.abs(anomaly.sample[anomaly.mask].astype(int) - 100).max() <= 3


@pytest.mark.parametrize("orientation", [0, 90, 180, 40, -130])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_size_and_turn_are_as_told(folder, scale, orientation):
    """Area and direction of the wedge's long axis from its moments."""

    def moments(alpha):
        y, x = np.indices(alpha.shape)
        y, x = y - (alpha * y).sum() / alpha.sum(), x - (alpha * x).sum() / alpha.sum()
        xx, yy, xy = ((alpha * a * b).sum() / alpha.sum() for a, b in ((x, x), (y, y), (x, y)))
        return float(alpha.sum()), 0.5 * np.degrees(np.arctan2(2 * xy, xx - yy))

    cut = Bank(folder).defects(0).cuts[0]
    made, used = resampled(cut, scale, orientation, (300, 300))
    assert used == scale
    (area, lean), (new_area, new_lean) = moments(cut.alpha), moments(made.alpha)
    assert new_area == pytest.approx(area * scale**2, rel=0.03)
    assert (new_lean - lean - orientation + 90) % 180 - 90 == pytest.approx(0, abs=1.5)
    if (scale, orientation) == (1.0, 0):
        assert (made.pixels[1:-1, 1:-1] == cut.pixels).all()
    if (scale, orientation) == (1.0, 90):
        assert np.allclose(made.alpha[1:-1, 1:-1], np.rot90(cut.alpha, -1), atol=1e-6)


def test_a_defect_larger_than_the_photo_is_made_smaller(folder):
    anomaly = DefectBank(bank=str(folder), scale=10, orientation=0)(ground(48, 40), rng=0)
    assert anomaly.stats["scale"] < 2
    assert 0.1 < anomaly.mask.mean() < 0.7


def test_flips_are_all_drawn(folder):
    flips = [DefectBank(bank=str(folder))(ground(), rng=seed).stats["flip"] for seed in range(40)]
    assert set(flips) == {"none", "down", "across", "both"}
    assert DefectBank(bank=str(folder), flip="none")(ground(), rng=1).stats["flip"] == "none"


def test_enough_of_it_lies_on_the_foreground(folder):
    inside = np.zeros((100, 120), np.bool_)
    inside[30:70, 40:90] = True
    whole = int(spotted()[1].sum())
    for seed in range(10):
        generator = DefectBank(bank=str(folder), object_share=0.9, softness=0, orientation=0)
        anomaly = generator(Image(ground(), inside), rng=seed)
        assert anomaly.mask.sum() >= 0.89 * whole
        assert not (anomaly.mask & ~inside).any()
    thin = np.zeros_like(inside)
    thin[50:52] = True
    with pytest.raises(NotMade, match=r"no place in 64 where 0\.9 of the defect lies on the foreground"):
        DefectBank(bank=str(folder), object_share=0.9)(Image(ground(), thin), rng=0)


def test_the_edge_fades_as_far_as_told(folder):
    hard, soft = (
        DefectBank(bank=str(folder), **{**PLAIN, "softness": softness}).edit(
            Image(ground()), Rng(0), np.ones((100, 120), np.bool_)
        )
        for softness in (0.0, 1.0)
    )
    assert set(np.unique(hard.alpha)) == {0, 1}
    assert ((soft.alpha > 0) == (hard.alpha > 0)).all()
    assert soft.alpha[soft.alpha > 0].mean() < 0.75
    assert soft.alpha.max() > 0.95


def test_poisson_keeps_the_contrast_and_takes_the_surroundings_level(folder):
    """On a ground 55 levels lighter, the wedge's values are lighter by as much, and there is no seam."""
    before = np.full((100, 120, 3), 182, np.uint8)
    pixels, mask = spotted()
    generator = DefectBank(bank=str(folder), blend="poisson", flip="none")
    anomaly = generator(before, rng=2)
    inside = anomaly.sample.min(axis=2) < 150
    rows, columns = np.nonzero(inside)
    landed = anomaly.sample[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
    assert landed.shape[:2] == (12, 26)
    difference = landed[mask[10:22, 12:38]] - pixels[mask].astype(int)
    assert difference.mean() == pytest.approx(182 - 127, abs=3)
    assert np.ptp(difference) < 8
    outside = np.abs(anomaly.sample.astype(int) - 182).max(axis=2)[~inside]
    assert outside.max() < 10


def test_a_lower_strength_is_a_lower_contrast(folder):
    one, half = (
        DefectBank(bank=str(folder), strength=strength, **PLAIN)(ground(), rng=1).stats["contrast"]
        for strength in (1.0, 0.5)
    )
    assert half == pytest.approx(0.5 * one, rel=0.02)


def test_what_is_wrong_with_a_bank_is_said_with_the_file(tmp_path):
    pixels, mask = spotted()

    def refusal(name: str) -> str:
        with pytest.raises(NotMade) as caught:
            DefectBank(bank=str(tmp_path / name))(ground(), rng=0)
        return str(caught.value)

    with pytest.raises(ParameterError, match="`bank`: none: needs a folder"):
        DefectBank()(ground(), rng=0)
    assert "none: no such folder: expected a bank" in refusal("none")
    (tmp_path / "empty").mkdir()
    assert "empty: holds no defects: expected NAME.png with NAME_mask.png" in refusal("empty")
    put(tmp_path / "bare", "a.png", pixels)
    assert "a.png: no mask: expected NAME.png with NAME_mask.png" in refusal("bare")
    put(tmp_path / "black", "a.png", pixels, np.zeros_like(mask), "a_mask.png")
    assert "a_mask.png: an empty mask" in refusal("black")
    put(tmp_path / "size", "a.png", pixels, mask[:, 1:], "a_mask.png")
    assert "a_mask.png: 40 x 49: does not fit" in refusal("size")
    put(tmp_path / "broken", "a.png", pixels, mask, "a_mask.png")
    (tmp_path / "broken/a.png").write_bytes(b"no photo")
    assert "a.png: " in refusal("broken")
    put(tmp_path / "clear", "a.png", np.dstack([pixels, np.zeros_like(pixels[:, :, 0])]))
    assert "a.png: an empty mask" in refusal("clear")
    with pytest.raises(DataError, match="expected a bank"):
        Bank(tmp_path / "none")


def test_masks_with_alpha_or_of_ones_count(tmp_path):
    pixels, mask = spotted()
    put(tmp_path, "a.png", pixels)
    opaque = np.dstack([np.repeat(mask[:, :, None].astype(np.uint8), 3, axis=2), np.full_like(pixels[:, :, 0], 255)])
    write_image(tmp_path / "a_mask.png", Image(opaque))
    assert int((Bank(tmp_path).defects(0).cuts[0].alpha > 0).sum()) == mask.sum()


def test_files_are_read_when_asked_for_and_few_are_kept(tmp_path, monkeypatch):
    pixels, mask = spotted()
    for number in range(5):
        put(tmp_path, f"{number}.png", pixels, mask, f"{number}_mask.png")
    bank = Bank(tmp_path)
    assert not bank._read
    size = bank.defects(0).cuts[0].alpha.size
    assert bank.defects(0) is bank.defects(0)
    monkeypatch.setattr("anosynth.images._bank._KEPT", 2 * size)
    for number in range(5):
        bank.defects(number)
    assert list(bank._read) == [3, 4]


def test_any_draw_is_honest(folder):
    before = ground()
    for seed in range(12):
        anomaly = Vary(DefectBank, bank=str(folder)).draw(Rng(seed))(before, rng=seed)
        assert ((anomaly.sample != before).any(axis=2) == anomaly.mask).all()
