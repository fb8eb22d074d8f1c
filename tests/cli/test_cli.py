"""The command: data on stdout, messages on stderr, exit codes 0 done, 1 failed, 2 usage, 3 done with skipped files."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anosynth import __version__
from anosynth.generator import FAMILIES, find, names
from anosynth.images import Image
from anosynth.io.clouds import read_cloud, write_cloud
from anosynth.io.images import write_image
from anosynth.pointclouds import PointCloud
from anosynth.recipe import recipe_names
from anosynth.schema import generator_schema
from anosynth.toy import KINDS
from anosynth.toy.images import toy_image
from anosynth_cli import main, making, options
from anosynth_cli.main import COMMANDS, run

GENERATORS = names("pointclouds")


def wavy(seed: int = 0, points: int = 800, **more) -> PointCloud:
    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 40, (points, 2))
    z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + seed)
    return PointCloud(np.column_stack([xy, z]).astype(np.float32), **more)


@pytest.fixture
def home(here) -> Path:
    """A working folder with `in.ply`, the folder `parts` of three clouds and the folder `good` of a photo."""
    write_cloud("in.ply", wavy())
    (here / "good").mkdir()
    write_image(here / "good" / "photo.png", Image(toy_image("fabric", 0, size=96)[0]))
    (here / "parts" / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.ply", "b.ply", "sub/c.ply"]):
        write_cloud(here / "parts" / name, wavy(number))
    return here


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# The line of the task.


def test_the_first_line_that_anybody_types(home, call):
    code, out, err = call("pointcloud --octaves 4 --strength 0.02 in.ply out/")
    assert code == 0
    assert out == "out: 1 anomalous sample\nreport: out/report.html\n"
    assert re.fullmatch(r"in_000\.ply: perlin-surface: strength 0\.02 of the diagonal = .* mean spacings\n", err)
    assert files(home / "out") == ["in_000.ply", "manifest.jsonl", "report.html"]
    cloud, before = read_cloud("out/in_000.ply"), read_cloud("in.ply")
    assert cloud.attributes["label"].any()
    assert ((cloud.points != before.points).any(axis=1) == (cloud.attributes["label"] == 1)).all()
    line = json.loads((home / "out" / "manifest.jsonl").read_text().splitlines()[1])
    assert (line["generator"]["octaves"], line["generator"]["strength"]) == (4, 0.02)
    assert np.abs(cloud.attributes["height"]).max() == pytest.approx(0.02 * before.diagonal, rel=1e-3)


def test_the_same_line_as_a_process(home):
    line = [sys.executable, "-m", "anosynth_cli", "pointcloud", "--octaves", "4", "--strength", "0.02", "in.ply"]
    done = subprocess.run([*line, "out/"], capture_output=True, text=True, check=True)
    assert done.stdout == "out: 1 anomalous sample\nreport: out/report.html\n"
    assert run(["pointcloud", "--octaves", "4", "--strength", "0.02", "in.ply", "again/"]) == 0
    for name in files(home / "again"):
        assert (home / "again" / name).read_bytes() == (home / "out" / name).read_bytes()


def test_the_seed_is_0_unless_told(home, call):
    call("pointcloud --no-report in.ply a")
    call("pointcloud --no-report --seed 0 in.ply b")
    call("pointcloud --no-report --seed 1 in.ply c")
    a, b, c = ((home / name / "in_000.ply").read_bytes() for name in "abc")
    assert a == b != c


def test_a_random_seed_is_said_and_recorded(home, call):
    _, _, err = call("pointcloud --no-report --seed random in.ply a")
    seed = re.match(r"seed: (\d+)\n", err)[1]
    assert json.loads((home / "a" / "manifest.jsonl").read_text().splitlines()[0])["seed"] == int(seed)
    call(f"pointcloud --no-report --seed {seed} in.ply b")
    assert (home / "a" / "in_000.ply").read_bytes() == (home / "b" / "in_000.ply").read_bytes()


# Inputs.


@pytest.mark.parametrize(
    ("inputs", "made"),
    [
        ("parts", ["a_000.ply", "b_000.ply", "sub/c_000.ply"]),
        ("parts/", ["a_000.ply", "b_000.ply", "sub/c_000.ply"]),
        ("'parts/*.ply'", ["a_000.ply", "b_000.ply"]),
        ("'parts/**/*.ply'", ["a_000.ply", "b_000.ply", "sub/c_000.ply"]),
        ("'parts/[!a].ply'", ["b_000.ply"]),
        ("parts/a.ply", ["a_000.ply"]),
        ("parts/a.ply parts/b.ply", ["a_000.ply", "b_000.ply"]),
        ("parts/b.ply parts/a.ply parts/a.ply", ["a_000.ply", "b_000.ply"]),
        ("parts/a.ply parts/sub/c.ply", ["a_000.ply", "sub/c_000.ply"]),
        ("in.ply parts", ["in_000.ply", "parts/a_000.ply", "parts/b_000.ply", "parts/sub/c_000.ply"]),
        ("parts/sub ./parts/../parts/a.ply", ["a_000.ply", "sub/c_000.ply"]),
    ],
)
def test_files_folders_and_patterns(home, call, inputs, made):
    code, _, err = call(f"pointcloud --no-report {inputs} out")
    assert code == 0, err
    assert files(home / "out") == sorted([*made, "manifest.jsonl"])


def test_a_file_is_drawn_alike_alone_and_in_its_folder(home, call):
    call("pointcloud --no-report parts all")
    call("pointcloud --no-report parts/b.ply one")
    assert (home / "all" / "b_000.ply").read_bytes() == (home / "one" / "b_000.ply").read_bytes()


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("pointcloud in.ply", 2, "PATHS: expected inputs and OUT\nhint: anosynth pointcloud"),
        ("pointcloud", 2, "PATHS: expected inputs and OUT"),
        ("pointcloud nope.ply out", 1, "nope.ply: no such file"),
        ("pointcloud 'parts/*.stl' out", 1, "parts/*.stl: matches no file"),
        ("pointcloud in.ply in.ply", 1, "in.ply: is not a folder"),
        ("pointcloud in.ply .", 1, ".: holds the input\nhint: choose a folder of its own for OUT"),
        ("pointcloud in.ply parts", 1, "parts: holds files that are not anosynth's (a.ply, ...)"),
        ("pointcloud --strength 0.5 in.ply out", 2, "`strength`: 0.5: must be <= 0.2 (allowed: 0 to 0.2)"),
        ("pointcloud --strength=-0.1 in.ply out", 2, "`strength`: -0.1: must be > 0 (allowed: 0 to 0.2)"),
        ("pointcloud --strength 0 in.ply out", 2, "`strength`: 0.0: must be > 0"),
        ("pointcloud --strength wide in.ply out", 2, "`strength`: wide: expected a number or a number with a unit"),
        ("pointcloud --strength '' in.ply out", 2, "`strength`: : expected a number"),
        ("pointcloud --strength nan in.ply out", 2, "`strength`: nan: must be a finite number"),
        ("pointcloud --strength 0.03:0.01 in.ply out", 2, "the low end of a range must not exceed the high end"),
        ("pointcloud --octaves 2.5 in.ply out", 2, "`octaves`: 2.5: must be a valid integer"),
        ("pointcloud --octaves true in.ply out", 2, "`octaves`: True: must be a number"),
        ("pointcloud --octaves 3:99 in.ply out", 2, "`octaves`: 99: must be <= 12 (allowed: 1 to 12)"),
        ("pointcloud --mode locl in.ply out", 2, "`mode`: locl: must be one of `local`, `pca` or `solid`"),
        ("pointcloud --strenth 0.1 in.ply out", 2, "No such option: --strenth"),
        ("pointcloud --lip 0.1 in.ply out", 2, "--lip: `perlin-surface` has no such parameter"),
        ("pointcloud -g dnet in.ply out", 2, "no generator `dnet` among the pointclouds; did you mean `dent`?"),
        ("pointcloud -r machind in.ply out", 2, "no recipe file or name `machind`; did you mean `machined`?"),
        ("pointcloud -r machined -g dent in.ply out", 2, "give one of the two"),
        ("pointcloud --dataset mvtec3 in.ply", 2, "did you mean `mvtec3d`?"),
        ("pointcloud --dataset mvtec3d in.ply out", 2, "with --dataset give OUT alone"),
        ("pointcloud --dataset mvtec3d out", 1, "datasets/mvtec3d: no data set here\nhint: "),
        ("pointcloud --root x in.ply out", 2, "--root and --category: only together with --dataset"),
        ("pointcloud --unit ell in.ply out", 2, "--unit: ell: must be one of um, mm, cm, m, inch"),
        ("pointcloud --seed lucky in.ply out", 2, "--seed: lucky: must be a whole number or `random`"),
        ("pointcloud --shard 3/2 in.ply out", 2, "--shard: 3/2: expected i/n with 1 <= i <= n"),
        ("pointcloud --shard third in.ply out", 2, "--shard: third: must be i/n, e.g. 1/8"),
        ("pointcloud --count 0 in.ply out", 2, "Invalid value for '--count'"),
        ("pointcloud --workers 0 in.ply out", 2, "Invalid value for '--workers'"),
        ("pointcloud --sample -1 in.ply out", 2, "Invalid value for '--sample'"),
        ("pointcloud --held-out 1 in.ply out", 2, "--held-out: 1.0: must be > 0 and < 1"),
        ("pointcloud --on-error panic in.ply out", 2, "--on-error: panic: must be skip or stop"),
        ("pointcloud --generator", 2, "requires an argument"),
        ("pointclod in.ply out", 2, "No such command 'pointclod'"),
        ("--verbose", 2, "No such option: --verbose"),
        ("show dnet", 2, "did you mean `dent`?"),
        ("schema dnet", 2, "did you mean `dent`?"),
        ("toy gearr x", 2, "no toy `gearr`; did you mean `gear`?"),
        ("toy gear in.ply", 1, "in.ply"),
        ("verify parts", 1, "parts: no manifest here: not a data set of anosynth"),
        ("verify nowhere", 1, "nowhere: no manifest here"),
        ("replay parts", 1, "parts: no manifest here"),
        ("list --jsn", 2, "No such option: --jsn"),
    ],
)
def test_what_cannot_be_done_is_told_with_a_way_out(home, call, line, code, text):
    before = files(home)
    found, out, err = call(line)
    assert found == code, err
    assert text in err
    assert out == ""
    assert files(home) == before
    if "Usage:" not in err:
        assert err.startswith(("error: ", "Error: "))
        assert all(more.startswith(("hint: ", "      ")) for more in err.splitlines()[1:])


def test_an_unknown_option_says_which_ones_are_near(call):
    assert "--strength" in call("pointcloud --strenth 0.1 in.ply out")[2]
    assert "pointcloud" in call("pointclod in.ply out")[2].splitlines()[-1]


# Units.


def test_lengths_with_a_unit(home, call):
    code, _, err = call("pointcloud --unit mm --strength 0.5mm in.ply out")
    assert code == 0
    share = 0.5 / read_cloud("in.ply").diagonal
    assert err.startswith(f"in_000.ply: perlin-surface: strength {share:.4g} of the diagonal = 0.5 mm = ")
    heights = read_cloud("out/in_000.ply").attributes["height"]
    assert np.abs(heights).max() == pytest.approx(0.5, rel=1e-3)
    code, _, _ = call("pointcloud --unit cm --strength 5mm in.ply cm")
    assert np.abs(read_cloud("cm/in_000.ply").attributes["height"]).max() == pytest.approx(0.5, rel=1e-3)


def test_a_unit_in_the_file_is_enough(home, call):
    write_cloud("mm.ply", wavy(unit="mm"))
    assert call("pointcloud --strength 0.5mm mm.ply out")[0] == 0


def test_a_length_without_a_unit_to_go_with(home, call):
    code, out, err = call("pointcloud --no-report --strength 0.15mm in.ply out")
    assert code == 1
    assert err == (
        "skipped: in.ply: `strength`: 0.15mm: the file does not say its unit\n"
        "hint: say it with --unit, e.g. --unit mm\n"
    )
    assert out == "out: 0 anomalous samples, 1 skipped\n"


def test_a_length_out_of_bounds_for_this_file(home, call):
    code, _, err = call("pointcloud --no-report --unit mm --strength 30mm in.ply out")
    assert code == 1
    assert "`strength`: " in err
    assert "must be <= 0.2" in err
    assert "30.0mm is that fraction of the diagonal" in err


# Recipes, counts, shards, workers.


def test_a_recipe_by_name_and_by_file(home, call):
    (home / "mix.yaml").write_text(
        "recipe: mix\ngenerators:\n- {generator: bulge, area: 0.1}\n- {generator: dent, area: 0.1}\n"
    )
    assert call("pointcloud -r mix.yaml --count 5 --no-report parts out")[0] == 0
    lines = [json.loads(line) for line in (home / "out" / "manifest.jsonl").read_text().splitlines()]
    assert lines[0]["recipe"]["recipe"] == "mix"
    assert {line["generator"]["generator"] for line in lines[1:]} == {"bulge", "dent"}
    assert len(lines) == 16
    assert call("pointcloud --recipe=3d-pnas --dry-run --json in.ply out")[1].count('"mode": "pca"') == 1


def test_the_last_generator_counts_in_every_spelling(home, call):
    for flags in ("-gscratch", "-g scratch", "--generator=scratch", "--generator scratch", "-g dent -g scratch"):
        code, out, _ = call(f"pointcloud {flags} --lip 0.2 --dry-run in.ply out")
        assert code == 0
        assert "in.ply -> in_000.ply  scratch  " in out
        assert "lip=0.2" in out


def test_shards_by_command(home, call):
    for index in (1, 2):
        assert call(f"pointcloud --no-report --shard {index}/2 parts out")[0] == 0
    assert call("pointcloud --no-report parts whole")[0] == 0
    for name in ("a_000.ply", "b_000.ply", "sub/c_000.ply"):
        assert (home / "out" / name).read_bytes() == (home / "whole" / name).read_bytes()


@pytest.mark.slow
def test_workers_by_command(home):
    line = [sys.executable, "-m", "anosynth_cli", "pointcloud", "parts", "two", "--workers", "2", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["made"] == 3
    assert run(["pointcloud", "parts", "one"]) == 0
    for name in files(home / "one"):
        assert (home / "one" / name).read_bytes() == (home / "two" / name).read_bytes(), name


def test_going_on_and_overwriting(home, call):
    assert call("pointcloud --no-report parts out")[1] == "out: 3 anomalous samples\n"
    assert call("pointcloud --no-report parts out")[1] == "out: 3 anomalous samples, 3 of them from an earlier run\n"
    code, out, err = call("pointcloud --no-report --seed 1 parts out")
    assert (code, out) == (1, "")
    assert "differs in: seed" in err
    assert "hint: choose another OUT, or --overwrite" in err
    assert call("pointcloud --no-report --seed 1 --overwrite parts out")[0] == 0


def test_out_in_the_folder_of_the_inputs(home, call):
    assert call("pointcloud --no-report parts parts/out")[1] == "parts/out: 3 anomalous samples\n"
    assert "3 of them from an earlier run" in call("pointcloud --no-report parts parts/out")[1]
    code, out, _ = call("pointcloud --no-report in.ply parts out")
    assert (code, out) == (0, "out: 4 anomalous samples\n")


def test_bad_files_are_skipped_or_stop_the_run(home, call):
    (home / "parts" / "b.ply").write_bytes(b"")
    code, out, err = call("pointcloud --no-report parts out")
    assert code == 3
    assert out == "out: 2 anomalous samples, 1 skipped\n"
    assert "skipped: b.ply: an empty file (0 bytes): expected a point cloud or mesh\n" in err
    code, out, err = call("pointcloud --no-report --on-error stop parts other")
    assert (code, out) == (1, "")
    assert err.splitlines()[-2:] == [
        "error: b.ply: an empty file (0 bytes): expected a point cloud or mesh",
        "hint: --on-error skip goes on without it",
    ]


def test_a_data_set_by_its_layout(home, call, monkeypatch):
    assert call("toy real3d datasets/real3d --count 2 --points 600")[0] == 0
    code, out, err = call("pointcloud --dataset real3d --area 0.1 --no-report")
    assert code == 0, err
    assert re.match(r"anosynth-out/real3d: \d+ anomalous samples, \d+ normal samples copied\n", out)
    assert call("verify anosynth-out/real3d")[0] == 0
    monkeypatch.setenv("ANOSYNTH_DATASETS", str(home / "datasets"))
    monkeypatch.chdir(home / "parts")
    assert call("pointcloud --dataset real3d --area 0.1 --no-report --dry-run")[0] == 0
    code, _, err = call("pointcloud --dataset real3d --category nuts x")
    assert code == 1
    assert "no category `nuts`: it holds " in err


# Dry runs and JSON.


def test_a_dry_run_tells_and_writes_nothing(home, call):
    before = files(home)
    code, out, err = call("pointcloud --dry-run --count 2 parts out")
    assert code == 0
    assert re.fullmatch(
        r"6 samples would be made; nothing was\nabout \S+ [kM]?B and \S+ s of CPU time, going by 3 of them\n",
        err,
    )
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        f"{source}.ply -> {source}_{variant:03d}.ply" for source in ("a", "b", "sub/c") for variant in (0, 1)
    ]
    assert files(home) == before
    assert not (home / "out").exists()
    call("pointcloud --no-report --count 2 parts out")
    code, out, err = call("pointcloud --dry-run --json --count 2 parts out")
    *planned, total = [json.loads(line) for line in out.splitlines()]
    assert (total["kind"], total["made"], total["copied"]) == ("total", 6, 0)
    made = [json.loads(line) for line in (home / "out" / "manifest.jsonl").read_text().splitlines()[1:]]
    written = sum((home / "out" / output["path"]).stat().st_size for row in made for output in row["outputs"])
    assert total["bytes"] == pytest.approx(written, rel=0.3)
    assert [(row["id"], row["generator"]) for row in planned] == [(row["id"], row["generator"]) for row in made]


def test_a_long_dry_run_is_cut_for_people_not_for_programs(home, call):
    _, out, err = call("pointcloud --dry-run --count 50 in.ply out")
    assert out.splitlines()[-1] == "... and 10 more"
    assert len(out.splitlines()) == 41
    assert err.startswith("50 samples")
    assert len(call("pointcloud --dry-run --json --count 50 in.ply out")[1].splitlines()) == 51


def test_a_dry_run_names_no_value_that_is_empty(home, call):
    assert not re.search(r"=( |$)", call("images -g scratch --dry-run good out")[1])
    assert " centre=0.5,0.5 " in call("images -g scratch --centre 0.5,0.5 --dry-run good out")[1]


def test_one_is_written_as_one(home, call):
    assert call("pointcloud --dry-run in.ply out")[2].startswith("1 sample would be made; ")
    assert call("images --no-report -g stain good out")[1] == "out: 1 anomalous sample\n"
    assert call("merge out")[1] == "out: one data set already: 1 anomalous sample\n"
    assert call("export coco out coco")[1].endswith("1 good, 1 defective with 1 defect\n")


def test_the_outcome_as_json(home, call):
    (home / "parts" / "b.ply").write_bytes(b"")
    code, out, err = call("pointcloud --json parts out")
    assert code == 3
    assert json.loads(out) == {
        "out": "out",
        "made": 2,
        "copied": 0,
        "skipped": 1,
        "kept": 0,
        "problems": ["b.ply: an empty file (0 bytes): expected a point cloud or mesh"],
        "report": "out/report.html",
    }
    assert err == "skipped: b.ply: an empty file (0 bytes): expected a point cloud or mesh\n"


def test_list(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    assert all(re.search(rf"^  {name} +\S", out, re.MULTILINE) for name in GENERATORS)
    assert all(name in out.splitlines()[-1] for name in recipe_names())
    row = json.loads(call("list --json")[1])
    found = [(entry["family"], entry["generator"]) for entry in row["generators"]]
    assert found == [(family, name) for family in FAMILIES for name in names(family)]
    assert row["recipes"] == recipe_names()
    assert all(entry["summary"] for entry in row["generators"])


@pytest.mark.parametrize("name", GENERATORS)
def test_show_and_schema(call, name):
    cls = find("pointclouds", name)
    code, out, err = call(f"show {name}")
    assert (code, err) == (0, "")
    assert inspect.getdoc(cls) in out
    for field in cls.model_fields:
        assert f"  --{field.replace('_', '-')} " in out
        assert options.describe(cls, field) in out
    assert out.splitlines()[-1] == f"Example: anosynth pointcloud --generator {name} in.ply out/"
    assert json.loads(call(f"schema {name}")[1]) == json.loads(call(f"show --json {name}")[1])
    assert json.loads(call(f"schema {name}")[1]) == json.loads(json.dumps(generator_schema(cls)))


@pytest.mark.parametrize("name", recipe_names())
def test_show_a_recipe(call, name):
    code, out, _ = call(f"show {name}")
    assert code == 0
    assert json.loads(out)["recipe"] == name


@pytest.mark.parametrize("name", sorted(set(recipe_names()) & set(names("images"))))
def test_a_generator_with_the_name_of_a_recipe(call, name):
    code, out, err = call(f"show {name}")
    assert (code, json.loads(out)["recipe"]) == (0, name)
    hint = f"anosynth show --family images {name}"
    assert err == f"There is a generator of this name, too: {hint}\n"
    code, out, err = call(hint.removeprefix("anosynth "))
    assert (code, err) == (0, "")
    assert out.startswith(f"{name} (images, version ")


# Verify and replay.


def test_verify_and_replay_by_command(home, call):
    call("pointcloud --no-report parts out")
    assert call("verify out") == (0, "3 ok, 0 bad\n", "")
    assert call("replay out") == (0, "3 ok, 0 bad\n", "")
    assert call("replay out --only sub/c_000.ply") == (0, "1 ok, 0 bad\n", "")
    code, out, err = call("replay out --only d_000.ply")
    assert (code, out) == (1, "")
    assert err == "error: out: no made row `d_000.ply` in the manifest\n"
    rows = [json.loads(line) for line in call("verify --json out")[1].splitlines()]
    assert [(row["id"], row["state"]) for row in rows] == [(f"{n}_000.ply", "ok") for n in ("a", "b", "sub/c")]
    (home / "out" / "a_000.ply").unlink()
    code, out, err = call("verify out")
    assert (code, err) == (1, "")
    assert out == "bad: a_000.ply: a_000.ply: No such file or directory\n2 ok, 1 bad\n"
    (home / "parts").rename(home / "moved")
    code, out, _ = call("verify out")
    assert out.splitlines()[-1] == "0 ok, 1 bad, 2 unchecked"
    assert call("verify --root moved out")[1].splitlines()[-1] == "2 ok, 1 bad"
    assert call("replay --root moved out")[1] == "3 ok, 0 bad\n"


# Help.


def test_help_names_every_command(call):
    for line in ("--help", "-h"):
        code, out, err = call(line)
        assert (code, err) == (0, "")
        assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in COMMANDS)
        assert "Example: anosynth demo" in out
    assert call("")[0] == 2


def test_version(call):
    for line in ("--version", "--version list"):
        assert call(line) == (0, f"anosynth {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_options(call, name):
    code, out, err = call(f"{name} --help")
    assert (code, err) == (0, "")
    assert call(f"{name} -h")[1] == out
    assert f"Example: {importlib.import_module(f'anosynth_cli.{name}').EXAMPLE}" in " ".join(out.split())
    body = out.partition("Options:\n")[2].partition("\n\n")[0]
    entries = re.split(r"\n(?=  -)", body)
    assert len(entries) >= 1
    for entry in entries:
        flags, _, text = entry.strip().partition("  ")
        assert flags.startswith("-")
        assert len(text.split()) >= 3, f"no help: {entry}"
    for argument in re.findall(r"\n  ([A-Z.]+)(.*)", out.partition("Arguments:")[2].partition("Options:")[0]):
        assert argument[1].strip(), f"no help: {argument[0]}"


@pytest.mark.parametrize("name", GENERATORS)
def test_help_lists_the_generators_own_parameters_with_bounds(call, name):
    code, out, _ = call(f"pointcloud --generator {name} --help")
    assert code == 0
    text = " ".join(out.split())
    cls = find("pointclouds", name)
    for field_name in cls.model_fields:
        flag = f"--{field_name.replace('_', '-')}"
        about = " ".join(options.describe(cls, field_name).split())
        assert f"{flag} {options.form(cls.model_fields[field_name])}"[:20] in text
        assert f"[{name}] {about}".replace("-", "").replace(" ", "") in text.replace("-", "").replace(" ", "")
    others = set(find("pointclouds", "scratch").model_fields) - set(cls.model_fields)
    assert not [other for other in others if f"[scratch] {other}" in text]


@pytest.mark.parametrize(
    ("command", "family"),
    [("pointcloud", "pointclouds"), ("images", "images"), ("ladder", "images"), ("ladder", "pointclouds")],
)
def test_no_parameter_hides_an_option_of_the_command(command, family):
    own = inspect.signature(importlib.import_module(f"anosynth_cli.{command}")._run).parameters
    fixed = {*own, *(field.name for field in dataclasses.fields(making.Given)), "help", "version", "no_report"}
    for name in names(family):
        assert not fixed & set(find(family, name).model_fields), name


def test_every_option_tells_the_form_of_its_value(call):
    for name in COMMANDS:
        options = call(f"{name} --help")[1].partition("Options:\n")[2].partition("\n\n")[0]
        for line in re.findall(r"^  (-.*)", options, re.MULTILINE):
            form = re.fullmatch(r"(?:-\w, )?--[\w-]+(?: / --[\w-]+)?(?: (\S+))?(?:  .*)?", line)
            assert form, f"{name}: {line}"
            assert not form[1] or re.fullmatch(r"[A-Z,.]+|[a-z0-9|-]+", form[1]), f"{name}: {line}"


def test_defaults_are_written_as_they_are_given(call):
    text = " ".join(call("images -g external --help")[1].split())
    assert "(degrees); from -180 to 180; varies over" in " ".join(call("images -g scratch --help")[1].split())
    assert "for any; default empty" in text
    assert "default True" not in text + call("show hypersphere")[1]


@pytest.mark.parametrize("name", GENERATORS)
def test_every_parameter_can_be_given_on_the_line(call, home, name):
    cls = find("pointclouds", name)
    flags = " ".join(f"--{field.replace('_', '-')} {info.default}" for field, info in cls.model_fields.items())
    code, out, err = call(f"pointcloud -g {name} {flags} --dry-run --json in.ply out")
    assert code == 0, err
    assert {**cls().record()} == json.loads(out.splitlines()[0])["generator"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("images --severity 0.5 good out", "--severity: a parameter of generators (blank, "),
        ("images --severity=0.5 -r draem good out", "--severity: a parameter of generators (blank, "),
        ("pointcloud -g hole --strength 0.2 in.ply out", "--strength: `hole` has no such parameter"),
        ("pointcloud --shard-size 3 in.ply out", "--shard-size: only together with --sink webdataset"),
        ("pointcloud --held-out 0.3 in.ply out", "--held-out: only together with --dataset"),
        ("images --unit mm good out", "--unit: an option of `anosynth pointcloud`, not of this command"),
        ("images --backbone=filters good out", "--backbone: an option of `anosynth features`, not of this command"),
        ("pointcloud --mm-per-px 0.1 in.ply out", "--mm-per-px: an option of `anosynth images`, not of this command"),
        ("pointcloud --given 1 in.ply out", "No such option: --given"),
        ("show rusty", "did you mean `rust`?"),
        ("replay out --write out", "out: is the data set itself"),
    ],
)
def test_options_that_do_not_fit(home, call, line, says):
    call("pointcloud --no-report in.ply out")
    code, out, err = call(line)
    assert (code, out) == (2, "")
    assert says in err


def test_what_follows_two_dashes_is_no_option(home, call):
    for name in ("--lip", "--foreground"):
        assert call(f"pointcloud --no-report -- {name} out") == (1, "", f"error: {name}: no such file\n")


# Examples.


@pytest.fixture
def all_inputs(home) -> Path:
    """The working folder with what the examples of all commands read."""
    np.save("train.npy", np.random.default_rng(0).normal(size=(3, 8, 4, 4)))
    for number in range(9):
        good, harmed = toy_image("tablet", number, size=64), toy_image("tablet", 100 + number, size=64, defect="chip")
        write_image(home / "good" / f"{number}.png", Image(good[0]))
        for folder, pixels in [("defects", harmed[0]), ("masks", harmed[1].astype(np.uint8) * 255)]:
            (home / folder).mkdir(exist_ok=True)
            write_image(home / folder / f"{number}.png", Image(pixels))
    rows = [f"{number / 10},{int(number > 150)},{number / 200}" for number in range(200)]
    Path("scores.csv").write_text("\n".join(["score,label,severity", *rows]))
    return home


QUICKLY = {"rank": " --masks masks --seeds 1 --made 8 --draws 20 --size 64 --no-looks"}


def test_the_example_of_every_command_runs(all_inputs, call):
    lines = {name: importlib.import_module(f"anosynth_cli.{name}").EXAMPLE for name in COMMANDS}
    for shard in (1, 2, 3):
        assert call(f"images --generator stain --shard {shard}/3 --no-report good shard-{shard}")[0] == 0
    if importlib.util.find_spec("torch") is None:
        del lines["features"], lines["rank"]
    for name in [*(name for name in lines if name not in ("demo", "toy"))]:
        program, _, line = lines[name].partition(" ")
        assert program == "anosynth"
        assert line.split()[0] == name
        code, _, err = call(
            line.replace(" anomalous/", " merged/") if name == "merge" else line + QUICKLY.get(name, "")
        )
        assert code == 0, err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "schema"])
def test_every_command_answers_in_json_if_asked(call, name):
    assert "--json" in call(f"{name} --help")[1].split()


@pytest.mark.slow
def test_toy_by_command(home, call):
    example = importlib.import_module("anosynth_cli.toy").EXAMPLE.removeprefix("anosynth ")
    code, out, err = call(f"{example} --points 500")
    assert (code, err) == (0, "")
    printed = out.splitlines()
    assert len(printed) == 5
    assert all(len(read_cloud(path)) for path in printed)


@pytest.mark.slow
def test_the_demo(home, call):
    example = importlib.import_module("anosynth_cli.demo").EXAMPLE.removeprefix("anosynth ")
    code, out, err = call(example)
    assert code == 0, err
    made = int(re.search(r"demo/anomalous: (\d+) anomalous samples\n", out)[1])
    assert made >= 30
    assert f"verified: {made} of {made} samples whole" in err
    assert (home / "demo" / "anomalous" / "report.html").stat().st_size > 10_000
    assert call("verify demo/anomalous") == (0, f"{made} ok, 0 bad\n", "")


# Pipes.


@pytest.mark.parametrize("line", ["list", "pointcloud --dry-run --json --count 300 in.ply out"])
def test_a_reader_that_goes_early_is_no_bug(home, line):
    command = [sys.executable, "-m", "anosynth_cli", *line.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        said = child.stderr.read()
    assert child.returncode in (0, 1)
    assert b"Traceback" not in said
    assert b"Exception" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("line", ["--version", "list", "pointcloud --no-report --json in.ply out"])
def test_a_full_disk_behind_stdout_is_told(home, line):
    command = [sys.executable, "-m", "anosynth_cli", *line.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: stdout: No space left on device"
    assert "Traceback" not in done.stderr


def test_a_stop_while_the_command_is_read_is_no_bug(monkeypatch, capsys):
    def stopped(name: str, arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_command", stopped)
    monkeypatch.setattr(sys, "argv", ["anosynth", "list"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_messages_and_data_do_not_mix(home):
    (home / "parts" / "b.ply").write_bytes(b"")
    line = [sys.executable, "-m", "anosynth_cli", "pointcloud", "--json", "parts", "out"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["skipped"] == 1
    assert done.stderr.startswith("skipped: b.ply: ")
    assert "\x1b" not in done.stderr + done.stdout


def test_lengths_in_millimetres_need_the_size_of_a_pixel(home, call):
    code, _, err = call("images --no-report -g scratch --length 3mm:9mm good out")
    assert code == 2
    assert err == "error: `length`: 3.0mm:9.0mm: what a pixel measures is not known\nhint: give it with --mm-per-px\n"
    assert call("images --no-report -g scratch --length 3mm:9mm --mm-per-px 0.1 good out")[0] == 0


def test_one_reason_for_many_samples_is_said_once(home, call):
    for number in range(12):
        (home / "good" / f"{number:02d}.png").write_bytes(b"text")
    (home / "good" / "empty.png").write_bytes(b"")
    code, _, err = call("images --no-report good out")
    assert code == 3
    lines = [line for line in err.splitlines() if line.startswith("skipped: ")]
    names = ", ".join(f"{number:02d}.png" for number in range(12))
    assert [line.split(": ")[1] for line in lines] == [names, "empty.png"]


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_help_describes_every_toy_within_the_terminal(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERMINAL_WIDTH", str(columns))
    out = call("toy --help")[1]
    assert max(map(len, out.partition("Arguments:")[0].splitlines())) <= min(columns, 80)
    for name, text in KINDS.items():
        assert f"{name} {text}" in " ".join(out.split())
