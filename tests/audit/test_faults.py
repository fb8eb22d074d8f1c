"""Each fault that other tools' data sets are known to have is built here, and must be found."""

from __future__ import annotations

import numpy as np
import pytest
from audit_sets import SIZE, blob, codes, honest, mvtec, run, save, shot
from PIL import Image

from anosynth.audit import audit, ledger, looks


def test_an_honest_set_has_no_faults(tmp_path):
    outcome = run(tmp_path)
    assert outcome.honest
    assert outcome.findings == []
    assert outcome.counts == {"normal": 12, "anomalous": 6, "compared": 6}
    assert outcome.splits == {"test": 12, "train": 6}
    assert outcome.properties["leak"].max == outcome.properties["dead"].max == 0
    assert outcome.properties["change"].median == pytest.approx(40 / 255)


def test_a_paste_beside_its_mask_leaks(tmp_path):
    # A solver that centres the mask's box on a point that is not its centre.
    def beside(image, number):
        mask = blob(number)
        after = image.copy()
        after[np.roll(mask, (17, 20), (0, 1))] += 40
        return after, mask

    found = codes(run(tmp_path, beside))
    assert found["leak"].count == found["dead"].count == 6
    assert all(case.value > 0.8 for case in found["leak"].cases)
    assert all(case.value > 0.8 for case in found["dead"].cases)


def test_a_label_thresholded_too_late_leaks_a_little(tmp_path):
    def fading(image, number):
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        change = np.rint(30 * np.exp(-(((y - 30) / 9) ** 2) - ((x - 40) / 9) ** 2)).astype(np.uint8)
        return image + change, change > 2

    found = codes(run(tmp_path, fading))
    assert set(found) == {"leak", "invisible"}
    assert all(0.02 < case.value < 0.4 for case in found["leak"].cases)


def test_labels_of_one_level_are_invisible(tmp_path):
    def ripple(image, number):
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        change = np.rint(30 * np.exp(-(((y - 30) / 9) ** 2) - ((x - 40) / 9) ** 2)).astype(np.uint8)
        return image + change, change >= 1

    found = codes(run(tmp_path, ripple))
    assert set(found) == {"invisible"}
    first = found["invisible"].cases[0]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    change = np.rint(30 * np.exp(-(((y - 30) / 9) ** 2) - ((x - 40) / 9) ** 2))
    assert first.value == pytest.approx((change[change >= 1] < 4).mean())


def test_a_faint_blend_leaves_dead_pixels(tmp_path):
    def faint(image, number):
        mask = blob(number)
        after = np.where(mask, np.rint(0.99 * image.astype(float) + 0.01 * 170), image)
        return after.astype(np.uint8), mask

    found = codes(run(tmp_path, faint))
    assert {"dead", "invisible"} <= set(found)
    assert all(case.value > 0.1 for case in found["dead"].cases)
    assert all(case.value == 1 for case in found["invisible"].cases)


def test_a_mask_of_the_whole_photo(tmp_path):
    found = codes(run(tmp_path, lambda image, number: (image + np.uint8(40), np.ones(SIZE, bool))))
    assert [case.value for case in found["full-mask"].cases] == [1.0] * 6


def test_empty_masks_are_no_anomalies(tmp_path):
    def empty(image, number):
        return (image, np.zeros(SIZE, bool)) if number == 2 else honest(image, number)

    found = codes(run(tmp_path, empty))
    assert [case.path for case in found["empty-mask"].cases] == ["part/test/scratch/s002_001.png"]


def test_masks_of_another_size_and_of_few_pixels(tmp_path):
    def small(image, number):
        after, mask = honest(image, number)
        if number == 1:
            return after, mask[:32, :40]
        if number == 3:
            dot = np.zeros(SIZE, bool)
            dot[5, 5:8] = True
            return np.where(dot, image + 40, image), dot
        return after, mask

    found = codes(run(tmp_path, small))
    assert [(case.path, case.text) for case in found["mask-size"].cases] == [
        ("part/test/scratch/s001_001.png", "32 x 40, the photo 64 x 80")
    ]
    assert [case.value for case in found["small-mask"].cases] == [3.0]


@pytest.mark.parametrize(("layout", "bad"), [("visa", False), ("mvtec-loco", False), ("mvtec", True), ("btad", True)])
def test_masks_of_codes_are_a_fault_where_readers_expect_255(tmp_path, layout, bad):
    data = mvtec(tmp_path)
    for number in range(6):
        codes_ = blob(number).astype(np.uint8) * (1 + number % 3)
        save(data / "part" / "ground_truth" / "scratch" / f"s{number:03d}_001_mask.png", codes_)
    found = codes(audit(data, layout=layout))
    assert ("mask-values" in found) is bad
    if bad:
        assert found["mask-values"].count == 6
        assert found["mask-values"].cases[0].text == "holds 1, expected 0 and 255"


def test_masks_in_colour_and_with_soft_edges(tmp_path):
    data = mvtec(tmp_path)
    masks = data / "part" / "ground_truth" / "scratch"
    save(masks / "s000_001_mask.png", np.dstack([blob(0) * 255] * 3))
    save(masks / "s001_001_mask.png", blob(1) * np.arange(80)[None, :])
    texts = {case.path[-12:-8]: case.text for case in codes(audit(data))["mask-values"].cases}
    assert texts["s000"] == "3 channels, expected one"
    assert texts["s001"].endswith("more values, expected 0 and 255")


def test_the_same_source_in_training_and_test(tmp_path):
    data = mvtec(tmp_path)
    for number in (1, 4):
        save(data / "part" / "train" / "good" / f"7{number:02d}.png", shot(200 + number))
    found = codes(audit(data, sources=tmp_path / "sources"))
    assert sorted(case.text for case in found["shared-source"].cases) == [
        "as part/test/scratch/s001_001.png (test, train)",
        "as part/test/scratch/s004_001.png (test, train)",
    ]


def test_the_same_source_in_training_and_test_is_found_without_sources(tmp_path):
    data = mvtec(tmp_path)
    save(data / "part" / "train" / "good" / "701.png", shot(201))
    assert "near-duplicate-splits" in codes(audit(data))
    found = codes(audit(data, match=True))
    assert [case.path for case in found["shared-source"].cases] == ["part/train/good/701.png"]


def test_pictures_twice_within_and_between_splits(tmp_path):
    data = mvtec(tmp_path)
    good = data / "part" / "train" / "good"
    save(good / "600.png", shot(0))
    save(good / "601.png", shot(103))
    found = codes(audit(data))
    assert [(case.path, case.text) for case in found["duplicate"].cases] == [
        ("part/train/good/600.png", "as part/train/good/000.png")
    ]
    assert [(case.path, case.text) for case in found["duplicate-splits"].cases] == [
        ("part/train/good/601.png", "as part/test/good/003.png (test, train)")
    ]


def test_a_photo_that_is_called_normal_and_anomalous(tmp_path):
    data = mvtec(tmp_path)
    save(data / "part" / "test" / "good" / "900.png", honest(shot(203), 3)[0])
    (case,) = codes(audit(data))["duplicate"].cases
    assert case.text.endswith("one called normal and one anomalous")


def test_nearly_the_same_picture(tmp_path):
    data = mvtec(tmp_path)
    noise = np.random.default_rng(0).integers(-1, 2, SIZE)
    save(data / "part" / "train" / "good" / "602.png", shot(2) + noise)
    save(data / "part" / "test" / "good" / "603.png", shot(3) + noise)
    outcome = audit(data)
    assert [case.text for case in codes(outcome)["near-duplicate-splits"].cases] == [
        "as part/test/good/603.png (test, train)"
    ]
    assert [case.path for case in codes(outcome, faults=False)["near-duplicate"].cases] == ["part/train/good/602.png"]


def test_the_same_picture_in_another_size(tmp_path):
    data = mvtec(tmp_path)
    smooth = np.asarray(Image.fromarray(shot(0)).resize((160, 128), Image.Resampling.BILINEAR))
    save(data / "part" / "train" / "good" / "large.png", smooth)
    (case,) = codes(audit(data), faults=False)["near-duplicate"].cases
    assert {case.path, case.text.removeprefix("as ")} == {"part/train/good/000.png", "part/train/good/large.png"}


def test_what_was_not_looked_at_is_told(tmp_path, monkeypatch):
    data = mvtec(tmp_path)
    noise = np.random.default_rng(0).integers(-1, 2, SIZE)
    for number in (1, 2):
        save(data / "part" / "train" / "good" / f"60{number}.png", shot(number) + noise)
    monkeypatch.setattr(looks, "LOOKED_AT", 1)
    monkeypatch.setattr(ledger, "LOOKED_AT", 1)
    found = codes(audit(data), faults=False)
    assert (found["near-duplicate"].count, found["not-sought"].cases[0].text) == (
        1,
        "2 pairs look alike, 1 were read again",
    )
    monkeypatch.setattr(ledger, "MOST", 19)
    (case,) = codes(audit(data), faults=False)["not-sought"].cases
    assert (case.path, case.text) == ("part", "20 photos, at most 19")


def test_masks_of_16_bit_and_of_several_tones(tmp_path):
    data = mvtec(tmp_path)
    mask = data / "part" / "ground_truth" / "scratch" / "s000_001_mask.png"
    Image.fromarray(blob(0).astype(np.uint16) * 255).save(mask)
    (case,) = codes(audit(data))["mask-values"].cases
    assert case.text == "uint16, expected 8 bit"
    save(mask, np.where(blob(0), 200 + np.arange(SIZE[1]) % 2, 0))
    (case,) = codes(audit(data, layout="folder"))["mask-values"].cases
    assert case.text == "holds 200, 201, expected 0 and one other"


def test_files_that_are_damaged_missing_or_out_of_place(tmp_path):
    data = mvtec(tmp_path)
    part = data / "part"
    (part / "test" / "good" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (part / "ground_truth" / "scratch" / "s001_001_mask.png").write_bytes(b"")
    (part / "ground_truth" / "scratch" / "s002_001_mask.png").unlink()
    save(part / "ground_truth" / "scratch" / "s999_001_mask.png", blob(0) * 255)
    save(part / "overview.png", shot(5))
    found = codes(audit(data))
    assert {case.path for case in found["unreadable"].cases} == {
        "part/test/good/000.png",
        "part/test/scratch/s001_001.png",
    }
    assert [case.path for case in found["no-mask"].cases] == ["part/test/scratch/s002_001.png"]
    assert [case.path for case in found["orphan-mask"].cases] == ["part/ground_truth/scratch/s999_001_mask.png"]
    assert [case.path for case in found["stray-file"].cases] == ["part/overview.png"]


def test_a_normal_photo_with_a_label_and_photos_of_two_sizes(tmp_path):
    data = mvtec(tmp_path)
    save(data / "part" / "ground_truth" / "good" / "001_mask.png", blob(1) * 255)
    save(data / "part" / "ground_truth" / "good" / "002_mask.png", blob(1) * 0)
    save(data / "part" / "train" / "good" / "800.png", shot(5, (48, 48)))
    outcome = audit(data)
    assert [case.path for case in codes(outcome)["labelled-normal"].cases] == ["part/test/good/001.png"]
    assert [case.text for case in codes(outcome, faults=False)["sizes"].cases] == ["48 x 48, most have 64 x 80"]


def test_a_label_on_nothing_is_faint_without_a_source(tmp_path):
    def flat(image, number):
        smooth = np.full(SIZE, 90 + number, np.uint8)
        return smooth, blob(number)

    found = codes(audit(mvtec(tmp_path, flat)))
    assert [case.value for case in found["faint"].cases] == [1.0] * 6
