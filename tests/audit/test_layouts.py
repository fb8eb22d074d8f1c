"""anosynth's own data sets audit clean in every layout, and names tell of them what their manifests say."""

from __future__ import annotations

import json
import shutil

import pytest
from audit_sets import mvtec, save, shot

from anosynth.audit import audit, find
from anosynth.datasets.layout import find_layout, layout_names
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, run
from anosynth.toy import make_toy

LAYOUTS = [name for name in layout_names() if find_layout(name).family == "images"]


@pytest.fixture(scope="module")
def outs(tmp_path_factory):
    home, found = tmp_path_factory.mktemp("outs"), {}

    def get(layout):
        if layout not in found:
            root, out = home / f"toy-{layout}", home / layout
            if layout == "photos":
                for number in range(6):
                    save(root / f"{number}.png", shot(number))
            else:
                make_toy(layout, root, count=3)
            from anosynth.generator import find as generator

            recipe = Recipe([Vary(generator("images", name)) for name in ("scratch", "stain", "cutpaste")])
            run(Plan(root, find_layout(layout), recipe, count=2), out)
            found[layout] = out
        return found[layout]

    return get


@pytest.mark.parametrize("layout", [*LAYOUTS, "photos"])
def test_what_anosynth_makes_is_honest(outs, layout):
    outcome = audit(outs(layout))
    assert outcome.honest, outcome.findings
    assert outcome.counts["compared"] == outcome.counts["anomalous"] > 0
    assert outcome.counts["normal"] > 0
    assert outcome.found.made
    assert outcome.found.layout == layout
    assert outcome.properties["leak"].max == outcome.properties["dead"].max == 0
    assert not {finding.code for finding in outcome.findings} - {"near-duplicate"}


@pytest.mark.parametrize("layout", [*LAYOUTS, "photos"])
def test_names_tell_what_the_manifest_says(outs, layout, tmp_path):
    made = find(outs(layout))
    bare = shutil.copytree(outs(layout), tmp_path / "bare", ignore=shutil.ignore_patterns("manifest*"))
    named = find(bare, None if layout != "mpdd" else "mpdd")
    assert not named.made
    assert named.layout == layout
    assert not named.orphans
    assert not named.strays
    assert not named.lost

    def facts(found, splits):
        rows = [(s.path, s.split if splits else "", s.defective, s.masks) for s in found.samples]
        return sorted(row for row in rows if not row[0].startswith("/"))

    assert facts(named, layout != "photos") == facts(made, layout != "photos")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_toy_sets_of_every_layout_are_read(outs, layout):
    toy = outs(layout).parent / f"toy-{layout}"
    outcome = audit(toy, layout=layout)
    assert outcome.honest, outcome.findings
    assert outcome.counts["anomalous"] > 0
    assert outcome.properties["area"].count == outcome.counts["anomalous"]


def test_a_changed_photo_and_a_changed_label_of_ours_are_found(outs, tmp_path):
    import numpy as np
    from PIL import Image

    out = shutil.copytree(outs("photos"), tmp_path / "out")
    manifest = out / "manifest.jsonl"
    head, *rest = manifest.read_text().splitlines()
    header = json.loads(head)
    header["root"] = str(outs("photos").parent / "toy-photos")
    manifest.write_text("\n".join([json.dumps(header), *rest]) + "\n")
    assert audit(out).honest
    photo = np.array(Image.open(out / "anomalous" / "1_000.png"))
    photo[:9, :9] ^= 64
    save(out / "anomalous" / "1_000.png", photo)
    mask = np.array(Image.open(out / "ground_truth" / "2_001.png"))
    mask[:9, :9] = 255
    save(out / "ground_truth" / "2_001.png", mask)
    save(out / "left_over.png", photo)
    found = {finding.code: [case.path for case in finding.cases] for finding in audit(out).findings if finding.fault}
    assert found.pop("leak") == ["anomalous/1_000.png"]
    assert found.pop("dead") == ["anomalous/2_001.png"]
    found.pop("invisible", None)
    assert found.pop("stray-file") == ["left_over.png"]
    assert set(found) <= {"duplicate", "duplicate-splits"}


def test_sources_that_have_moved(outs, tmp_path):
    out = shutil.copytree(outs("mvtec"), tmp_path / "deep" / "er" / "out")
    gone = audit(out)
    assert gone.counts["compared"] == 0
    assert {finding.code for finding in gone.findings} == {"no-source"}
    assert audit(out, sources=outs("mvtec").parent / "toy-mvtec").counts["compared"] == gone.counts["anomalous"]


def test_folders_by_their_names(tmp_path):
    for number in range(3):
        save(tmp_path / "good" / f"{number}.png", shot(number))
        save(tmp_path / "crack" / f"{number}.jpg", shot(10 + number), quality=95)
        save(tmp_path / "masks" / "crack" / f"{number}_mask.png", (shot(10 + number) > 150) * 255)
    found = find(tmp_path)
    assert found.layout == "folder"
    kinds = {sample.path: (sample.kind, len(sample.masks)) for sample in found.samples}
    assert kinds == {
        **{f"good/{number}.png": ("good", 0) for number in range(3)},
        **{f"crack/{number}.jpg": ("crack", 1) for number in range(3)},
    }


def test_masks_of_a_folder_belong_to_the_defects_not_to_the_normal_photos(tmp_path):
    for number in range(3):
        save(tmp_path / "normal" / f"{number}.png", shot(number))
        save(tmp_path / "abnormal" / f"{number}.png", shot(10 + number))
        save(tmp_path / "masks" / f"{number}.png", (shot(10 + number) > 150) * 255)
    outcome = audit(tmp_path)
    assert outcome.honest, outcome.findings
    assert outcome.counts == {"normal": 3, "anomalous": 3, "compared": 0}


def test_a_tree_of_jpeg_is_no_mvtec(tmp_path):
    data = mvtec(tmp_path)
    for path in [*data.rglob("good/*.png"), *data.rglob("test/scratch/*.png")]:
        path.rename(path.with_suffix(".jpg"))
    assert find(data).layout == "folder"
    assert audit(data).honest


def test_an_unlabelled_photo_among_labelled_ones_is_normal_and_an_empty_mask_is_told(tmp_path):
    for number in range(4):
        save(tmp_path / "images" / f"{number}.png", shot(number))
        if number:
            save(tmp_path / "masks" / f"{number}.png", (shot(number) > 150) * 255 * (number > 1))
    outcome = audit(tmp_path)
    assert outcome.honest
    # The one with the empty mask is normal in the numbers as it is in the note.
    assert outcome.counts == {"normal": 2, "anomalous": 2, "compared": 0}
    assert outcome.properties["area"].count == 2
    real = find(tmp_path)
    assert audit(mvtec(tmp_path / "made"), against=real).against.anomalous == 2
    assert [finding.code for finding in outcome.findings] == ["maybe-normal"]


def test_maps_of_several_defects_are_no_strays(tmp_path):
    from anosynth.generator import find as generator

    make_toy("mvtec", tmp_path / "toy", count=3)
    recipe = Recipe([Vary(generator("images", "scratch"), instances=3)])
    run(Plan(tmp_path / "toy", find_layout("mvtec"), recipe), tmp_path / "out")
    assert any((tmp_path / "out" / "_truth").rglob("*.png"))
    outcome = audit(tmp_path / "out")
    assert outcome.honest, outcome.findings
    assert outcome.properties["instances"].max == 3


def test_sources_of_one_name_are_told_apart_by_their_category(tmp_path):
    for place, category in enumerate(["bolt", "nut"]):
        for number in range(2):
            source = shot(10 * place + number)
            after = source.copy()
            after[20:30, 20:30] += 40
            mask = (after != source) * 255
            home = tmp_path / "data" / category
            save(tmp_path / "sources" / category / f"{number}.png", source)
            save(home / "test" / "dent" / f"{number}_0.png", after)
            save(home / "ground_truth" / "dent" / f"{number}_0_mask.png", mask)
    for number in range(20):
        save(tmp_path / "sources" / "a" / f"x{number}" / "0.png", shot(50 + number))
    outcome = audit(tmp_path / "data", sources=tmp_path / "sources")
    assert outcome.honest, outcome.findings
    assert outcome.counts["compared"] == 4


def test_a_mask_belongs_to_the_test_photo_of_its_name(tmp_path):
    data = mvtec(tmp_path)
    save(data / "part" / "train" / "scratch" / "s001_001.png", shot(77))
    found = find(data)
    owners = [sample.path for sample in found.samples if any("s001" in mask for mask in sample.masks)]
    assert owners == ["part/test/scratch/s001_001.png"]


def test_real_iad_without_its_tables_is_read_by_names(outs, tmp_path):
    toy = shutil.copytree(outs("real-iad").parent / "toy-real-iad", tmp_path / "toy")
    listed = {(sample.path, sample.kind, sample.masks) for sample in find(toy).samples}
    shutil.rmtree(toy / "realiad_jsons")
    photo = next(path for path in sorted(toy.rglob("*.jpg")) if "/NG/" in path.as_posix())
    save(photo.with_name("lost_mask.png"), shot(0))
    save(toy / "overview.png", shot(0))
    found = find(toy)
    assert found.layout == "real-iad"
    assert {(sample.path, sample.kind, sample.masks) for sample in found.samples} == listed
    assert {sample.split for sample in found.samples} == {""}
    assert found.orphans == [photo.with_name("lost_mask.png").relative_to(toy).as_posix()]
    assert found.strays == ["overview.png"]


def test_what_a_table_names_and_is_gone_is_told(outs, tmp_path):
    toy = shutil.copytree(outs("real-iad").parent / "toy-real-iad", tmp_path / "toy")
    gone = next(path for path in sorted(toy.rglob("*.jpg")) if "/OK/" in path.as_posix())
    gone.unlink()
    (finding,) = (one for one in audit(toy).findings if one.code == "missing-file")
    assert [case.path for case in finding.cases] == [gone.relative_to(toy).as_posix()]
