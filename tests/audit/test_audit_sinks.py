"""Audits of data sets in tars, and of those that are made when they are read: as of files."""

from __future__ import annotations

import json
import shutil
import tempfile

import pytest
from audit_sets import blob, save, shot

from anosynth.audit import audit, find
from anosynth.audit.page import page
from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError
from anosynth.images import Stain
from anosynth.io.images import limited
from anosynth.recipe import Recipe
from anosynth.run import Plan, run
from anosynth.run.reading import Reading
from anosynth.toy import make_toy
from anosynth_cli import main as command

SINKS = ("files", "webdataset", "recipe")
RECIPE = Recipe([Stain(instances=2)], name="stains")


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Of each kind of input a folder with a run into each sink."""
    found = {kind: tmp_path_factory.mktemp(kind) for kind in ("photos", "mvtec", "visa")}
    for number in range(5):
        save(found["photos"] / "in" / f"{number}.png", shot(number))
    # The same photo twice, and nearly the same: pairs that are read again.
    save(found["photos"] / "in" / "near.png", shot(0) + blob(3))
    for kind in ("mvtec", "visa"):
        make_toy(kind, found[kind] / "in", count=3)
    for kind, home in found.items():
        for sink in SINKS:
            plan = Plan(home / "in", find_layout(kind), RECIPE, seed=2, split=(0.5, 0, 0.5), sink=sink, shard_size=3)
            run(plan, home / sink)
    return found


@pytest.fixture
def aside(tmp_path, monkeypatch):
    """The folder of temporary files, of this test alone."""
    folder = tmp_path / "aside"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def said(out, **more):
    """Return what an audit says of a data set, but for where it is, and its page."""
    outcome = audit(out, **more)
    record = outcome.record()
    assert record["data"].pop("root") == str(out)
    text = page(outcome, sources=more.get("sources")).replace(str(out), "OUT").replace(f"of {out.name}", "of OUT")
    return json.loads(json.dumps(record)), text


@pytest.mark.parametrize("kind", ["photos", "mvtec", "visa"])
def test_an_audit_is_the_same_whatever_the_sink(kind, homes, aside):
    files, *others = (said(homes[kind] / sink) for sink in SINKS)
    assert files[0]["data"]["manifest"]
    assert files[0]["counts"]["compared"] == files[0]["counts"]["anomalous"] > 0
    assert files[0]["honest"] == (kind != "photos")
    assert others == [files, files]
    assert "data:image/png" in files[1]
    assert not list(aside.iterdir())


def test_photos_may_be_as_large_as_the_run_allowed(homes):
    with limited(100):
        outcome = audit(homes["mvtec"] / "files")
        assert outcome.honest
        assert "data:image/png" in page(outcome)


@pytest.mark.parametrize("sink", SINKS[1:])
def test_a_reference_may_be_such_a_set(sink, homes):
    for out in (homes["mvtec"] / "files", homes["mvtec"] / sink):
        outcome = audit(out, against=homes["mvtec"] / sink)
        assert {apart.ks for apart in outcome.against.distances.values() if apart} == {0.0}


def test_pictures_beside_tars_are_strays(homes, tmp_path):
    shutil.copytree(homes["mvtec"], tmp_path / "home")
    out = tmp_path / "home" / "webdataset"
    name = find(out).samples[0].path
    save(out / name, shot(1))
    (finding,) = (one for one in audit(out).findings if one.code == "stray-file")
    assert [case.path for case in finding.cases] == [name]


def test_damage_is_found_at_its_sample(homes, tmp_path, aside):
    shutil.copytree(homes["mvtec"], tmp_path / "home")
    out = tmp_path / "home" / "webdataset"
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    record = next(line for line in lines if line.get("status") == "made")
    tar = out / record["outputs"][0]["path"]
    whole = bytearray(tar.read_bytes())
    whole[record["outputs"][0]["offset"] + 60] ^= 1
    tar.write_bytes(whole)
    (finding,) = (one for one in audit(out).findings if one.fault)
    assert finding.code == "unreadable"
    assert [case.path for case in finding.cases] == [record["outputs"][0]["file"]]
    assert str(aside) not in finding.cases[0].text
    tar.unlink()
    findings = {one.code: one for one in audit(out).findings}
    assert all(f"{tar}: cannot be read" in case.text for case in findings["unreadable"].cases)


@pytest.mark.parametrize("kind", ["photos", "mvtec"])
def test_sources_that_moved(kind, homes, tmp_path):
    shutil.copytree(homes[kind], tmp_path / "home")
    shutil.move(tmp_path / "home" / "in", tmp_path / "moved")
    wanted = said(homes[kind] / "files")[0]
    moved = (str(homes[kind] / "in"), str(tmp_path / "moved"))
    for sink in SINKS:
        record = said(tmp_path / "home" / sink, sources=tmp_path / "moved")[0]
        assert json.dumps(record) == json.dumps(wanted).replace(*moved)


def test_sources_that_are_not_there(homes, tmp_path):
    shutil.copytree(homes["mvtec"], tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "in")
    out = tmp_path / "home" / "recipe"
    with pytest.raises(DataError, match=r"in: not a folder: the photos of .* are made of .*\nhint: --sources says"):
        audit(out)
    with pytest.raises(DataError, match=r"^--against: .*in: not a folder"):
        audit(homes["mvtec"] / "files", against=out)


def test_sources_that_are_gone_or_changed(homes, tmp_path):
    shutil.copytree(homes["photos"], tmp_path / "home")
    (tmp_path / "home" / "in" / "1.png").unlink()
    save(tmp_path / "home" / "in" / "2.png", shot(50))
    outcome = audit(tmp_path / "home" / "recipe")
    texts = {case.path: case.text for one in outcome.findings if one.code == "unreadable" for case in one.cases}
    assert set(texts) == {"anomalous/1_000.png", "anomalous/2_000.png"}
    assert "1.png: no such file" in texts["anomalous/1_000.png"]
    assert "is not the file that it was" in texts["anomalous/2_000.png"]


ran = []


def everywhere(pixels):
    ran.append(pixels.shape)
    return pixels >= 0


def test_functions_that_a_manifest_names_are_not_run(homes, tmp_path):
    reading = Reading(foreground=f"{__name__}:everywhere")
    plan = Plan(homes["photos"] / "in", find_layout("photos"), RECIPE, reading=reading, sink="recipe")
    run(plan, tmp_path / "out")
    assert ran
    ran.clear()
    with pytest.raises(DataError, match=r"line 2: names the function .*: expected files\nhint: .*--run-functions"):
        audit(tmp_path / "out")
    assert not ran


@pytest.mark.parametrize("sink", SINKS[1:])
def test_who_opens_paths_is_told_that_there_are_none(sink, homes):
    found = find(homes["mvtec"] / sink)
    with pytest.raises(DataError, match=rf"--sink {sink}\): expected files\nhint: anosynth replay .* --write DIR"):
        assert found.root
    assert find(homes["mvtec"] / "files").root == homes["mvtec"] / "files"


@pytest.mark.parametrize("sink", SINKS[1:])
def test_the_command(sink, homes, tmp_path, capsys):
    assert command.run(["audit", str(homes["mvtec"] / sink), "--html", str(tmp_path / "page.html")]) == 0
    assert "no faults: every mask is exactly what changed" in capsys.readouterr().out
    assert "data:image/png" in (tmp_path / "page.html").read_text()
