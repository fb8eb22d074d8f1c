"""Fitting: known parameters come back, few defects stay near the defaults, recipes run, distances shrink."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from fit_sets import goods, real, save, surface

from anosynth.audit import audit, plain
from anosynth.errors import DataError
from anosynth.fit import fit_recipe, recipe_text
from anosynth.fit.cutouts import write_cutouts
from anosynth.fit.estimate import _default, _range
from anosynth.fit.rules import FOLLOWS
from anosynth.generator import find
from anosynth.images import Blank, EdgeChip, Hole, MissingPart, Pit, Rust, Scratch, Stain
from anosynth.io.images import read_image
from anosynth.recipe import Recipe, Vary, load_yaml
from anosynth_cli.main import run


def fitted(folder, vary, number=14, part=None, **more):
    folder, made = real(folder, vary, number, part=part, **more)
    found = plain(folder / "images", folder / "masks")
    good = goods(folder / "good", part=part is not None, **more)
    return fit_recipe(found, sorted(good.glob("*.png"))), made


def middle(part, name):
    ends = [float(end) for end in str(part.values[name]).removesuffix(":log").split(":")]
    return math.sqrt(ends[0] * ends[-1])


def test_scratches_come_back(tmp_path):
    told = {"length": (0.3, 0.5), "width": (0.02, 0.03), "strength": (0.25, 0.35), "bend": 0.1, "softness": 0.2}
    vary = Vary(Scratch, **told, orientation=(20.0, 40.0), polarity="dark", highlight=0.3)
    found, made = fitted(tmp_path, vary)
    assert found.groups[0].generator == "scratch"
    assert len(found.groups[0].figures) >= 12
    _, part = found.recipe.parts[0]
    for name in ("length", "width", "strength"):
        truth = np.exp(np.mean([np.log(getattr(generator, name)) for generator in made]))
        # A quarter off at most: half of the default's pull with fourteen defects, and the error of the factor.
        assert middle(part, name) == pytest.approx(truth, rel=0.3), name
    low, high = part.values["orientation"].ends()
    assert 10 < (low + high) / 2 < 50
    assert high - low < 60
    assert part.values["polarity"] == "dark"


def test_stains_and_pits_come_back(tmp_path):
    vary = Vary(Stain, area=(0.01, 0.02), strength=(0.2, 0.3), elongation=(1.0, 1.5), softness=(0.1, 0.3), rim=0.0)
    found, made = fitted(tmp_path / "stains", vary)
    assert found.groups[0].generator == "stain"
    _, part = found.recipe.parts[0]
    truth = np.exp(np.mean([np.log(generator.area) for generator in made]))
    assert middle(part, "area") == pytest.approx(truth, rel=0.3)
    vary = Vary(Pit, pits=1, spread=0.0, size=(0.04, 0.05), strength=(0.3, 0.5), highlight=0.0)
    found, made = fitted(tmp_path / "pits", vary)
    assert found.groups[0].generator == "pit"
    _, part = found.recipe.parts[0]
    assert (part.values["pits"], part.values["spread"]) == (1, 0.0)
    truth = np.exp(np.mean([np.log(generator.size) for generator in made]))
    assert middle(part, "size") == pytest.approx(truth, rel=0.35)


ROWS, COLUMNS = np.mgrid[:160, :200]
PLATE = ((ROWS - 80) / (0.38 * 160)) ** 2 + ((COLUMNS - 100) / (0.38 * 200)) ** 2 <= 1


def came_back(found, made, generator, *names):
    """Assert that most defects are of this kind, and that their values are those that were asked for."""
    assert found.groups[0].generator == generator
    assert len(found.groups[0].figures) >= 0.8 * len(made)
    _, part = found.recipe.parts[0]
    for name in names:
        truth = np.exp(np.mean([np.log(getattr(one, name)) for one in made]))
        assert middle(part, name) == pytest.approx(truth, rel=0.3), name
    return part.values


def test_holes_come_back_with_what_is_seen_through_them(tmp_path):
    told = {"width": (0.09, 0.13), "elongation": (1.2, 1.5), "depth": 0.2}
    found, made = fitted(tmp_path / "seen", Vary(Hole, **told, place="interior"), part=PLATE)
    assert came_back(found, made, "hole", "width", "elongation")["fill"] == "auto"
    found, made = fitted(tmp_path / "dark", Vary(Hole, **told))
    assert came_back(found, made, "hole", "width", "elongation")["fill"] == "dark"


def test_missing_parts_come_back(tmp_path):
    vary = Vary(MissingPart, area=(0.02, 0.04), elongation=(1.1, 1.6))
    came_back(*fitted(tmp_path, vary, weave=30.0), "missing-part", "area")


def test_what_is_whiter_comes_back_white_and_as_strong(tmp_path):
    told = {"strength": (0.3, 0.5), "area": (0.01, 0.03), "softness": 0.1}
    found, made = fitted(tmp_path, Vary(Blank, fill="white", outline="blob", **told))
    assert came_back(found, made, "blank", "area", "strength")["fill"] == "white"
    assert "fill: white" in recipe_text(found)


def test_rust_comes_back(tmp_path):
    vary = Vary(Rust, area=(0.02, 0.05), strength=(0.5, 0.7), elongation=(1.0, 1.5))
    came_back(*fitted(tmp_path, vary, base=110.0), "rust", "area", "strength")


def test_pieces_off_the_rim_become_chips(tmp_path):
    vary = Vary(EdgeChip, area=(0.01, 0.02), strength=0.1)
    found, _ = fitted(tmp_path, vary, part=PLATE)
    assert found.groups[0].generator == "edge-chip"
    assert found.recipe.parts[0][1].values.get("place", "anywhere") == "anywhere"


def test_what_is_made_is_nearer_to_the_real_ones_than_the_default_mix(tmp_path):
    vary = Vary(Scratch, length=(0.5, 0.7), width=(0.03, 0.04), strength=(0.3, 0.4), polarity="light", bend=0.1)
    folder, _ = real(tmp_path / "real", vary, 12)
    good = goods(tmp_path / "good", 6)
    recipe = tmp_path / "recipe.yaml"
    pair = ["--images", str(folder / "images"), "--masks", str(folder / "masks")]
    assert run(["fit", "--good", str(good), *pair, "-o", str(recipe)]) == 0
    reference = plain(folder / "images", folder / "masks")
    distances = {}
    for name in ("photo-defects", str(recipe)):
        out = tmp_path / f"out-{len(distances)}"
        assert run(["images", str(good), str(out), "-r", name, "--count", "4", "--no-report"]) == 0
        apart = audit(out, against=reference).against.distances
        distances[name] = {key: apart[key].ks for key in ("area", "size", "elongation", "contrast")}
    before, after = distances.values()
    assert sum(after.values()) < 0.7 * sum(before.values())
    assert all(after[key] <= before[key] + 0.05 for key in before)


@pytest.mark.parametrize("number", [3, 6, 40])
def test_few_defects_stay_near_the_default_and_many_do_not(number):
    generator, follow = find("images", "scratch"), FOLLOWS["scratch"][0]
    values = np.exp(np.log(1.0) + 0.02 * np.linspace(-1, 1, number))
    text = _range(generator, follow, values)
    low, high = (float(end) for end in text.removesuffix(":log").split(":"))
    mean, variance = _default(generator, follow)
    spread = (3 / 10 if number == 3 else 0) * 0 + ((number - 1) * np.log(values).var(ddof=1) + 4 * variance) / (
        number + 3
    )
    assert math.log(high / low) == pytest.approx(2 * math.sqrt(3 * spread * (1 + 1 / number)), rel=0.02)
    assert math.sqrt(low * high) == pytest.approx(math.exp(mean / (number + 1)), rel=0.02)
    assert pytest.approx(math.exp(mean)) == (0.15 * 0.7) ** 0.5


def test_one_defect_that_does_not_show_does_not_decide():
    generator, follow = find("images", "scratch"), next(one for one in FOLLOWS["scratch"] if one.figure == "contrast")
    clear = np.full(9, 0.3)
    texts = [_range(generator, follow, np.append(clear, value)) for value in (0.0, 0.3 / 20)]
    assert texts[0] == texts[1]
    low, high = (float(end) for end in texts[0].removesuffix(":log").split(":"))
    assert 0.1 < math.sqrt(low * high) < 0.3


def test_ranges_keep_to_the_bounds_of_their_parameters():
    for name, follows in FOLLOWS.items():
        generator = find("images", name)
        for follow in follows:
            for values in (np.full(5, 1e-6), np.full(5, 50.0), np.array([1e-4, 1e4, 1.0])):
                Vary(generator, **{follow.parameter: _range(generator, follow, values)})


def test_the_recipe_is_commented_yaml_that_reads_back(tmp_path):
    found, _ = fitted(tmp_path, Vary(Scratch, strength=0.4, length=0.5, width=0.02), 6)
    text = recipe_text(found, prior="p.png")
    assert text.startswith("# Fitted to ")
    assert "# scratch" not in text
    again = Recipe.from_record(load_yaml(text, "fitted"))
    assert again.record() == found.recipe.record()
    for line in text.splitlines():
        assert len(line) < 200
    json.dumps(found.record(), allow_nan=False)


def test_it_is_the_same_each_time(tmp_path):
    vary = Vary(Scratch, strength=0.4, length=0.5, width=0.02)
    folder, _ = real(tmp_path, vary, 4)
    good = sorted(goods(tmp_path / "good").glob("*.png"))
    found = [recipe_text(fit_recipe(plain(folder / "images", folder / "masks"), good)) for _ in range(2)]
    assert found[0] == found[1]


def test_crumbs_and_empty_masks_are_told_apart(tmp_path):
    folder, _ = real(tmp_path, SCRATCHES, 5)
    crumb = np.zeros((160, 200), np.uint8)
    save(folder / "masks" / "d0.png", crumb)
    crumb[5:7, 5:7] = 255
    save(folder / "masks" / "d1.png", crumb)
    empty, small = fit_recipe(plain(folder / "images", folder / "masks")).passed
    assert empty.endswith("d0.png: its mask is empty")
    assert small.endswith("d1.png: no region of 8 pixels")


def test_two_defects_are_too_few(tmp_path):
    folder, _ = real(tmp_path, Vary(Scratch, strength=0.4, length=0.5, width=0.02), 2)
    with pytest.raises(DataError, match="2 defects with masks can be measured: expected at least 3"):
        fit_recipe(plain(folder / "images", folder / "masks"))


def test_photos_without_a_usable_mask_are_passed_over_and_named(tmp_path, capsys):
    from fit_sets import save

    folder, _ = real(tmp_path, Vary(Scratch, strength=0.4, length=0.5, width=0.02), 4)
    save(folder / "images" / "x.png", surface(1))
    save(folder / "masks" / "x.png", np.zeros((20, 20), np.uint8))
    assert run(["fit", "--images", str(folder / "images"), "--masks", str(folder / "masks")]) == 0
    told = capsys.readouterr()
    assert "passed over: " in told.err
    assert "x.png: mask-size" in told.err
    assert "# Passed over: " in told.out
    assert "Nothing was tried out" in told.out


def test_a_data_set_of_any_layout_with_a_map_and_cut_outs(tmp_path, capsys):
    source = goods(tmp_path / "photos", 10)
    data, recipe = tmp_path / "data", tmp_path / "r.yaml"
    assert run(["images", str(source), str(data), "-g", "stain", "--count", "2", "--no-report"]) == 0
    bank = tmp_path / "bank"
    line = ["fit", "--real", str(data), "--good", str(source), "-o", str(recipe), "--bank", str(bank), "--json"]
    capsys.readouterr()
    assert run(line) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["photos"] == 20
    assert record["output"] == str(recipe)
    assert (tmp_path / "r-prior.png").is_file()
    assert "--prior" in recipe.read_text()
    assert len(list(bank.glob("*_mask.png"))) == 20
    out = tmp_path / "out"
    more = ["--prior", str(tmp_path / "r-prior.png"), "--no-report"]
    assert run(["images", str(source), str(out), "-r", str(recipe), "--count", "1", *more]) == 0
    rows = map(json.loads, (out / "manifest.jsonl").read_text().splitlines()[1:])
    kinds = {row["generator"]["generator"] for row in rows}
    assert "defect-bank" in kinds
    capsys.readouterr()
    assert run(line) == 1
    assert "is there already\nhint: --overwrite" in capsys.readouterr().err
    recipe.unlink()
    assert run(line) == 1
    assert "r-prior.png: is there already\nhint: --overwrite" in capsys.readouterr().err
    (bank / "0099.png").write_bytes(b"")
    (bank / "mine.txt").write_bytes(b"")
    assert run([*line, "--overwrite"]) == 0
    assert not (bank / "0099.png").exists()
    assert (bank / "mine.txt").exists()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ([], 2, "--real: missing: give a data set, or --images and --masks"),
        (["--real", "none"], 1, "none: not a folder"),
        (["--real", ".", "--images", "x"], 2, "--images: x: cannot be given together with --real"),
        (["--images", "a"], 2, "--masks: missing: give --images and --masks together"),
        (["--real", ".", "--layout", "mvtek"], 2, "no layout of photos `mvtek`"),
        (["--real", "{data}", "--good", "none"], 1, "--good: none: holds no photos"),
        (["--real", "{data}", "-o", "."], 1, ".: a folder: expected the name of a file"),
    ],
)
def test_mistakes_are_told_without_a_traceback(tmp_path, capsys, more, code, message):
    folder, _ = real(tmp_path, Vary(Scratch, strength=0.4, length=0.5, width=0.02), 3)
    assert run(["fit", *(word.format(data=folder) for word in more)]) == code
    assert message in capsys.readouterr().err


SCRATCHES = Vary(Scratch, length=(0.3, 0.5), width=(0.02, 0.03), strength=(0.25, 0.35))


def test_photos_given_as_masks_are_refused(tmp_path, capsys):
    folder, _ = real(tmp_path, SCRATCHES, 4)
    images = str(folder / "images")
    assert run(["fit", "--images", images, "--masks", images]) == 1
    err = capsys.readouterr().err
    assert "0 defects with masks can be measured" in err
    assert "d0.png: its mask is the photo itself" in err
    shutil.copytree(folder / "images", folder / "again")
    with pytest.raises(DataError, match=r"again/d0\.png: several tones, as a photo has: expected black and one other"):
        fit_recipe(plain(folder / "images", folder / "again"))


def test_a_bad_mask_is_named_and_passed_over_and_not_cut_out(tmp_path):
    folder, _ = real(tmp_path, SCRATCHES, 6)
    save(folder / "masks" / "d1.png", surface(1))
    save(folder / "masks" / "d3.png", np.full((160, 200), 255, np.uint8))
    found = plain(folder / "images", folder / "masks")
    outcome = fit_recipe(found)
    assert outcome.photos == 4
    photo, whole = outcome.passed
    assert "masks/d1.png: several tones" in photo
    assert "masks/d3.png: labels 100 % of the photo: expected at most 90 %" in whole
    assert write_cutouts(found, tmp_path / "bank") == 4


@pytest.mark.parametrize("form", ["grey of 1", "rgb", "16 bit", "opaque"])
def test_masks_of_one_tone_count_in_any_form(tmp_path, form):
    folder, _ = real(tmp_path, SCRATCHES, 3)
    for path in (folder / "masks").iterdir():
        mask = read_image(path).pixels > 0
        forms = {
            "grey of 1": mask.astype(np.uint8),
            "rgb": mask[:, :, None] * np.array([255, 0, 0], np.uint8),
            "16 bit": mask * np.uint16(65535),
            "opaque": np.dstack([mask * np.uint8(255)] * 3 + [np.full(mask.shape, 255, np.uint8)]),
        }
        save(path, forms[form])
    assert fit_recipe(plain(folder / "images", folder / "masks")).photos == 3
