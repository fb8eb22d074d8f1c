"""Where sources are found, plain pairs, references, and files that are no pictures."""

from __future__ import annotations

import numpy as np
import pytest
from audit_sets import blob, codes, honest, mvtec, run, save, shot

from anosynth.audit import Limits, audit, find, plain
from anosynth.errors import DataError, ParameterError, UnknownGenerator


def test_a_source_that_is_another_picture_is_named(tmp_path):
    found = codes(run(tmp_path, lambda image, number: (shot(300 + number), blob(number))))
    assert found["unlike-source"].count == 6
    assert "of the unlabelled pixels differ" in found["unlike-source"].cases[0].text
    assert "leak" not in found


def test_sources_of_another_form(tmp_path):
    def larger(image, number):
        big = np.pad(image, 8)
        return big, np.pad(blob(number), 8)

    texts = {case.text for case in codes(run(tmp_path, larger))["unlike-source"].cases}
    assert texts == {"its source is 64 x 80, 1 channel, uint8: the photo is 80 x 96, 1 channel, uint8"}


def test_grey_sources_of_coloured_photos_fit(tmp_path):
    def coloured(image, number):
        after, mask = honest(image, number)
        return np.dstack([after] * 3), mask

    assert run(tmp_path, coloured).counts["compared"] == 6


def test_sources_with_opacity_fit_what_has_none(tmp_path):
    def coloured(image, number):
        after, mask = honest(image, number)
        return np.dstack([after] * 3), mask

    data = mvtec(tmp_path, coloured)
    for path in (tmp_path / "sources").iterdir():
        number = int(path.stem[1:])
        save(path, np.dstack([shot(200 + number)] * 3 + [np.full((64, 80), 255)]))
    assert audit(data, sources=tmp_path / "sources").counts["compared"] == 6


def test_matching_finds_sources_whatever_their_names(tmp_path):
    data = mvtec(tmp_path)
    for number in range(6):
        (tmp_path / "sources" / f"s{number:03d}.png").rename(tmp_path / "sources" / f"x{9 - number}.png")
    blind = audit(data, sources=tmp_path / "sources")
    assert codes(blind, faults=False)["no-source"].count == 6
    seen = audit(data, sources=tmp_path / "sources", match=True)
    assert seen.counts["compared"] == 6
    assert seen.honest
    assert seen.findings == []


def test_files_that_lose_something_need_some_tolerance(tmp_path):
    data = tmp_path / "plain"
    for number in range(4):
        source = shot(number)
        after, mask = honest(source, number)
        save(tmp_path / "sources" / f"{number}.png", source)
        save(data / "images" / f"{number}.jpg", after, quality=97)
        save(data / "masks" / f"{number}.png", mask * 255)
    pairs = plain(data / "images", data / "masks")
    exact = codes(audit(pairs, sources=tmp_path / "sources"))
    assert "unlike-source" in exact or exact["leak"].cases[0].value > 0.5
    assert audit(pairs, sources=tmp_path / "sources", limits=Limits(tolerance=8 / 255, floor=9 / 255)).honest


def test_plain_pairs(tmp_path):
    for number in range(3):
        after, mask = honest(shot(number), number)
        save(tmp_path / "a" / f"{number}.png", after)
        save(tmp_path / "b" / f"{number}_mask.png", mask * 255)
        save(tmp_path / "c" / f"{number}.png", shot(number))
    save(tmp_path / "b" / "7.png", blob(0) * 255)
    (tmp_path / "b" / "2_mask.png").unlink()
    outcome = audit(plain(tmp_path / "a", tmp_path / "b", tmp_path / "c"), sources=tmp_path / "c")
    assert outcome.counts == {"normal": 3, "anomalous": 3, "compared": 2}
    found = codes(outcome)
    assert {code: finding.count for code, finding in found.items()} == {"no-mask": 1, "orphan-mask": 1}


def test_far_from_the_reference_is_a_fault_if_it_is_asked_for(tmp_path):
    data = mvtec(tmp_path / "one")
    real = mvtec(tmp_path / "two", lambda image, number: (image, blob(1) | np.roll(blob(1), 15, 1)))
    assert audit(data, against=real).honest
    found = codes(audit(data, against=real, limits=Limits(ks=0.5)))
    assert "area" in {case.path for case in found["distance"].cases}


def test_what_cannot_be_audited_is_refused_in_words(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        find(tmp_path / "nothing")
    with pytest.raises(DataError, match="holds no photos"):
        find(tmp_path)
    save(tmp_path / "good" / "1.png", shot(1))
    with pytest.raises(DataError, match="1 photos, none anomalous"):
        find(tmp_path)
    with pytest.raises(UnknownGenerator, match="did you mean `mvtec`"):
        find(tmp_path, "mvtek")
    with pytest.raises(ParameterError, match="`leak`: 2: must be"):
        Limits(leak=2)
    with pytest.raises(ParameterError, match="`tolerance`"):
        Limits(tolerance=0.5)


def test_names_that_are_no_text_and_files_that_are_none(tmp_path):
    import os

    from anosynth.audit.page import page
    from anosynth.audit.table import table

    data = mvtec(tmp_path)
    good = data / "part" / "train" / "good"
    (good / "000.png").rename(os.fsdecode(bytes(good) + b"/\xff\n.png"))
    os.mkfifo(good / "pipe.png")
    (good / "dangling.png").symlink_to("nowhere")
    (data / "part" / "test" / "loop").symlink_to("..")
    outcome = audit(data, sources=tmp_path / "sources")
    assert {finding.code: [case.path[16:] for case in finding.cases] for finding in outcome.findings} == {
        "unreadable": ["dangling.png", "pipe.png"]
    }
    assert outcome.counts["normal"] == 14
    (good / "001.png").unlink()
    save(good / "001.png", shot(0))
    twice = audit(data)
    lines = table(twice).splitlines()
    assert "  part/train/good/\\udcff\\n.png: as part/train/good/001.png" in lines
    page(twice).encode("utf-8")


def test_deep_and_high_pictures(tmp_path):
    from anosynth.images import Image
    from anosynth.io.images import write_image

    for number, dtype in enumerate([np.uint16, np.float32]):
        source = (shot(number) / 255 * (65535 if dtype == np.uint16 else 1)).astype(dtype)
        mask = blob(number)
        after = np.where(mask, source * np.array(0.8, dtype=np.float32), source).astype(dtype)
        for folder, pixels in (("sources", source), ("images", after)):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_image(tmp_path / folder / f"{number}.tiff", Image(pixels))
        save(tmp_path / "masks" / f"{number}.png", mask * 255)
    outcome = audit(plain(tmp_path / "images", tmp_path / "masks"), sources=tmp_path / "sources")
    assert outcome.honest, outcome.findings
    assert outcome.counts["compared"] == 2
    assert 0.05 < outcome.properties["change"].min < outcome.properties["change"].max < 0.2


@pytest.mark.parametrize("mask", ["masks/{}.png", "defects/{}_mask.png", "ground_truth/{}_mask.png"])
def test_a_reference_may_be_one_folder_of_photos_and_masks(tmp_path, mask):
    for number in range(3):
        after, place = honest(shot(number), number)
        save(tmp_path / "real" / "defects" / f"{number}.png", after)
        save(tmp_path / "real" / mask.format(number), place * 255)
    against = audit(mvtec(tmp_path / "made"), against=tmp_path / "real").against
    assert against.anomalous == against.properties["area"].count == 3


def test_the_hint_for_a_reference_is_not_that_for_the_audited_set(tmp_path):
    save(tmp_path / "real" / "1.png", shot(1))
    with pytest.raises(DataError) as caught:
        audit(mvtec(tmp_path / "made"), against=tmp_path / "real")
    said, hint = str(caught.value).split("\n")
    assert said.startswith(f"--against: {tmp_path / 'real'}: 1 photos, none anomalous")
    assert "masks/NAME.png" in hint
    assert "--images" not in hint
    assert "--layout" not in hint


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest_train.jsonl"])
def test_manifests_of_other_tools_are_none_of_ours(tmp_path, name):
    data = mvtec(tmp_path)
    (data / name).write_text('{"image": "part/test/scratch/s000_001.png"}\n')
    outcome = audit(data)
    assert outcome.honest
    assert not outcome.found.made
