"""Verify and replay: what they find, what they remark on, and what they refuse."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_kit import make, parts, records, rewrite, states, tree, wavy

from anosynth.errors import DataError
from anosynth.io.clouds import read_cloud, write_cloud
from anosynth.pointclouds import PointCloud
from anosynth.run import replay, run, verify
from anosynth.run.execute import file_sha256


@pytest.fixture
def few(tmp_path) -> Path:
    return parts(tmp_path / "parts")


@pytest.fixture
def made(few, tmp_path) -> Path:
    run(make(few), tmp_path / "out")
    return tmp_path / "out"


def with_cloud(out: Path, number: int, change) -> None:
    """Change a written sample and put its new hash into the manifest, as a careful forger would."""
    path = out / f"p{number}_000.ply"
    cloud = read_cloud(path)
    points, fields = cloud.points.copy(), {name: field.copy() for name, field in cloud.attributes.items()}
    change(points, fields)
    write_cloud(path, PointCloud(points, attributes=fields, unit=cloud.unit, document=cloud.document))
    lines = records(out)
    lines[number + 1]["outputs"][0]["sha256"] = file_sha256(path)
    lines[number + 1]["mask"]["count"] = int((fields["label"] == 1).sum())
    rewrite(out, lines)


def expect_bad(out: Path, sample: str, text: str) -> None:
    found = states(verify(out))
    assert found[sample][0] == "bad"
    assert text in found[sample][1]
    assert {state for name, (state, _) in found.items() if name != sample} == {"ok"}


def test_an_untouched_data_set_is_whole(made):
    assert states(verify(made)) == {f"p{i}_000.ply": ("ok", "") for i in range(5)}


def test_forging_without_change_is_no_finding(made):
    with_cloud(made, 1, lambda points, fields: None)
    assert {state for state, _ in states(verify(made)).values()} == {"ok"}


def test_files_that_nothing_names_are_remarked_on(made, few, caplog):
    plain = [vars(finding) for finding in verify(made)]
    assert not caplog.records
    for name in (
        "x.ply",
        "sub/a\n.ply",
        "sub/deep/b.ply",
        ".hidden",
        ".git/c",
        "nested/manifest.jsonl",
        "nested/d.ply",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).touch()
    for name in ("report.html", "README.md", ".manifest.jsonl.lock", "manifest.jsonl.part", "splits.csv"):
        (made / name).touch()
    assert [vars(finding) for finding in verify(made)] == plain
    told = r"holds 3 files that nothing names (x.ply, sub/a\n.ply, sub/deep/b.ply): left by a run"
    assert [told in record.message for record in caplog.records] == [True]
    for number in range(9):
        (made / f"y{number}.ply").touch()
    caplog.clear()
    list(verify(made))
    assert "holds 12 files that nothing names (x.ply, y0.ply, y1.ply, y2.ply, y3.ply, ...)" in caplog.text


def test_what_a_killed_run_left_is_remarked_on_when_another_took_its_place(few, tmp_path, caplog):
    out = tmp_path / "out"
    run(make(few, count=2), out)
    lines = records(out)
    rewrite(out, lines[:3], "manifest.jsonl.part")
    (out / "manifest.jsonl").unlink()
    run(make(few), out, overwrite=True)
    list(verify(out))
    assert "holds 4 files that nothing names (p1_001.ply, " in caplog.text


def test_of_shards_that_are_not_here_nothing_is_said(few, tmp_path, caplog):
    for index in (1, 2):
        run(make(few, shard=(index, 2)), tmp_path / "out")
    list(verify(tmp_path / "out"))
    (tmp_path / "out" / "manifest-00002-of-00002.jsonl").unlink()
    list(verify(tmp_path / "out"))
    assert not caplog.records


def test_a_users_copy_of_a_manifest_is_none(made):
    shutil.copy(made / "manifest.jsonl", made / "manifest-old.jsonl")
    assert len(list(verify(made))) == 5


def test_a_changed_byte(made):
    data = bytearray((made / "p1_000.ply").read_bytes())
    data[-5] ^= 1
    (made / "p1_000.ply").write_bytes(data)
    expect_bad(made, "p1_000.ply", "p1_000.ply: is not the file that was written")


def test_a_missing_file(made):
    (made / "p1_000.ply").unlink()
    expect_bad(made, "p1_000.ply", "p1_000.ply: No such file or directory")


def test_a_fifo_for_a_file(made):
    (made / "p1_000.ply").unlink()
    os.mkfifo(made / "p1_000.ply")
    expect_bad(made, "p1_000.ply", "not a regular file")


@pytest.mark.parametrize("height", [0, 1])
def test_a_label_too_many(made, height):
    def forge(points, fields):
        row = np.flatnonzero(fields["label"] == 0)[0]
        fields["label"][row], fields["height"][row] = 1, height

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "dead 0.")


def test_a_label_too_few(made):
    with_cloud(made, 1, lambda points, fields: fields["label"].__setitem__(np.flatnonzero(fields["label"])[0], 0))
    expect_bad(made, "p1_000.ply", "leak 0.")


def test_a_label_count_that_is_not_the_manifests(made):
    lines = records(made)
    lines[2]["mask"]["count"] += 1
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "labelled, the manifest says")


def test_a_point_moved_outside_the_mask(made):
    def forge(points, fields):
        row = np.flatnonzero(fields["label"] == 0)[7]
        points[row, 2] = np.nextafter(points[row, 2], np.float32(99))

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "leak 0.")


def test_a_point_moved_back_inside_the_mask(made, few):
    before = read_cloud(few / "p1.ply").points

    def forge(points, fields):
        row = np.flatnonzero(fields["label"])[0]
        points[row] = before[row]

    with_cloud(made, 1, forge)
    expect_bad(made, "p1_000.ply", "dead 0.")


def test_points_cut_off(made):
    path = made / "p1_000.ply"
    cloud = read_cloud(path)
    rows = np.arange(len(cloud) - 1)
    write_cloud(path, cloud.taken(rows, None))
    lines = records(made)
    lines[2]["outputs"][0]["sha256"] = file_sha256(path)
    lines[2]["mask"]["count"] = int(cloud.attributes["label"][rows].sum())
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "does not fit the source's 150")


def test_a_sample_without_labels(made):
    path = made / "p1_000.ply"
    write_cloud(path, PointCloud(read_cloud(path).points))
    lines = records(made)
    lines[2]["outputs"][0]["sha256"] = file_sha256(path)
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "has no `label`, `height` and `instance`")


def test_sources_that_are_gone_or_changed_are_unchecked(made, few, tmp_path):
    (few / "p0.ply").unlink()
    write_cloud(few / "p1.ply", wavy(5))
    found = states(verify(made))
    assert found["p0_000.ply"] == ("unchecked", "the source is not here; only hashes were checked (--root says where)")
    assert found["p1_000.ply"][0] == "unchecked"
    assert found["p2_000.ply"] == ("ok", "")
    few.rename(tmp_path / "moved")
    assert {state for state, _ in states(verify(made)).values()} == {"unchecked"}
    assert states(verify(made, tmp_path / "moved"))["p2_000.ply"] == ("ok", "")


def test_an_out_behind_a_link_still_finds_its_sources(few, tmp_path):
    far = tmp_path / "far" / "away" / "disk"
    far.mkdir(parents=True)
    (tmp_path / "out").symlink_to(far)
    run(make(few), tmp_path / "out")
    for place in (tmp_path / "out", far):
        assert {state for state, _ in states(verify(place)).values()} == {"ok"}


def test_text_under_the_name_of_another_format_is_still_the_same_points(tmp_path):
    (tmp_path / "parts").mkdir()
    write_cloud(tmp_path / "x.npy", wavy(1))
    (tmp_path / "x.npy").rename(tmp_path / "parts" / "x.xyz")
    run(make(tmp_path / "parts"), tmp_path / "out")
    assert states(verify(tmp_path / "out")) == {"x_000.xyz": ("ok", "")}


def test_skipped_rows_are_no_fault(few, tmp_path):
    (few / "p1.ply").write_bytes(b"")
    run(make(few), tmp_path / "out")
    found = states(verify(tmp_path / "out"))
    assert found["p1_000.ply"] == ("ok", "skipped: p1.ply: an empty file (0 bytes): expected a point cloud or mesh")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, r: r["outputs"][0].update(path="../x.ply"), "the manifest names `../x.ply`, which lies outside"),
        (lambda h, r: r["outputs"][0].update(path="/etc/hostname"), "the manifest names `/etc/hostname`, which lies"),
        (lambda h, r: r["outputs"][0].update(path="a\0b"), "which lies outside"),
        (lambda h, r: r["outputs"][0].update(path=3), "not a manifest of this anosynth"),
        (lambda h, r: r.update(id="../../x"), "the manifest names `../../x`, which lies outside"),
        (lambda h, r: r["source"].update(path="../../etc/x"), "names the source `../../etc/x`, which lies outside"),
        (lambda h, r: r["source"].update(path="/etc/x"), "names the source `/etc/x`, which lies outside the root"),
        (lambda h, r: r["source"].pop("sha256"), "a record lacks 'sha256'"),
        (lambda h, r: r.pop("status"), "a record lacks 'status'"),
        (lambda h, r: r.update(status="good"), "a record has the status 'good'"),
        (lambda h, r: r.pop("category"), "a record lacks 'category'"),
        (lambda h, r: r.update(variant="one"), "`variant` of a record is no int"),
        (lambda h, r: r.update(outputs=None), "`outputs` of a record is no list"),
        (lambda h, r: r.pop("mask"), "a record lacks 'mask'"),
        (lambda h, r: r["outputs"][0].pop("sha256"), "a record lacks 'sha256'"),
        (lambda h, r: h.update(scheme=2), "made under scheme 2: this anosynth reads scheme 1"),
        (lambda h, r: h.pop("scheme"), "made under scheme None"),
        (lambda h, r: h.pop("root"), "a record lacks 'root'"),
        (lambda h, r: h.update(seed="x"), "not a manifest of this anosynth"),
        (lambda h, r: h.pop("kind"), "has no header line: not a manifest of anosynth"),
    ],
)
def test_manifests_that_lead_astray_are_refused(made, change, message):
    lines = records(made)
    change(lines[0], lines[1])
    rewrite(made, lines)
    for look in (verify, replay):
        with pytest.raises(DataError) as caught:
            list(look(made))
        assert message in str(caught.value)


@pytest.mark.parametrize(("cut", "message"), [(9, "line 6: cut off"), (0, "")])
def test_a_finished_manifest_that_is_cut_off(made, cut, message):
    data = (made / "manifest.jsonl").read_bytes()
    (made / "manifest.jsonl").write_bytes(data[: len(data) - cut] if cut else data + b"garbage\n")
    with pytest.raises(DataError, match=message or "line 7: not a JSON record"):
        list(verify(made))


def test_an_unknown_role_is_a_finding(made):
    lines = records(made)
    lines[2]["outputs"][0]["role"] = "picture"
    rewrite(made, lines)
    expect_bad(made, "p1_000.ply", "no file with the role 'sample'")


def test_no_data_set_and_an_unfinished_one(few, tmp_path, made):
    with pytest.raises(DataError, match=r"parts: no manifest here: not a data set of anosynth$"):
        list(verify(few))
    with pytest.raises(DataError, match="no manifest here"):
        list(verify(tmp_path / "nowhere"))
    (made / "manifest.jsonl").rename(made / "manifest.jsonl.part")
    with pytest.raises(DataError, match=r"hint: the run was stopped \(manifest\.jsonl\.part\); give its line again"):
        list(verify(made))


# Replay.


def test_replay_makes_the_same_bytes_elsewhere(made):
    before = tree(made)
    assert states(replay(made)) == {f"p{i}_000.ply": ("ok", "") for i in range(5)}
    assert states(replay(made, only="p3_000.ply")) == {"p3_000.ply": ("ok", "")}
    assert tree(made) == before
    with pytest.raises(DataError, match=r"out: no made row `p9_000\.ply` in the manifest"):
        list(replay(made, only="p9_000.ply"))


def test_replay_finds_what_differs(made, few, tmp_path):
    lines = records(made)
    lines[1]["outputs"][0]["sha256"] = "0" * 64
    lines[2]["generator"]["strength"] *= 1.5
    lines[3]["seed"] = 4
    lines[4]["generator"]["generator"] = "bulge"
    lines[5]["generator"] = {"generator": "no-such", "family": "pointclouds", "version": 1}
    rewrite(made, lines)
    found = states(replay(made))
    assert {state for state, _ in found.values()} == {"bad"}
    assert found["p0_000.ply"][1] == found["p2_000.ply"][1].replace("p2", "p0") == "made again, p0_000.ply differs"
    assert "no generator `no-such`" in found["p4_000.ply"][1]
    write_cloud(few / "p0.ply", wavy(5))
    assert states(replay(made, "p0_000.ply"))["p0_000.ply"] == ("bad", "the source p0.ply is not the file that it was")
    few.rename(tmp_path / "moved")
    assert "p1.ply: no such file" in states(replay(made, "p1_000.ply"))["p1_000.ply"][1]
    assert "differs" in states(replay(made, "p1_000.ply", tmp_path / "moved"))["p1_000.ply"][1]
