"""By URL a run leaves what it leaves on a disk, and goes on from it wherever it is given again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from run_kit import wavy

fsspec = pytest.importorskip("fsspec")

from anosynth.datasets.layout import find_layout  # noqa: E402
from anosynth.errors import DataError, ParameterError, WriteError  # noqa: E402
from anosynth.io import remote  # noqa: E402
from anosynth.io.clouds import write_cloud  # noqa: E402
from anosynth.io.remote import Store, mirror, url_of  # noqa: E402
from anosynth.pointclouds import PerlinSurface  # noqa: E402
from anosynth.recipe import Recipe, Vary  # noqa: E402
from anosynth.run import Plan, _staging, replay, run, verify, write_again  # noqa: E402
from anosynth.run.reading import Reading  # noqa: E402
from anosynth_cli import main as command  # noqa: E402

SINKS = ["files", "webdataset", "recipe"]
PARTS = 6


def make(root: Path, sink: str = "files", **values) -> Plan:
    recipe = Recipe([Vary(PerlinSurface, area="0.1:0.2")], name="perlin-surface")
    return Plan(root, find_layout("folder"), recipe, sink=sink, shard_size=2, **values)


def tree(place: Path | str) -> dict[str, bytes]:
    """All files of a folder or URL."""
    if isinstance(place, Path):
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    fs, start = fsspec.url_to_fs(place)
    found = fs.find(start) if fs.exists(start) else []
    return {name[len(start.rstrip("/")) + 1 :]: fs.cat_file(name) for name in found}


def without_root(files: dict[str, bytes]) -> dict[str, bytes]:
    """The tree with no root in the headers of its manifests, which is where the input is from OUT."""
    changed = {}
    for name, data in files.items():
        first, _, rest = data.partition(b"\n")
        if name.startswith("manifest"):
            data = json.dumps({**json.loads(first), "root": ""}).encode() + b"\n" + rest
        changed[name] = data
    return changed


def all_ok(findings) -> bool:
    states = {finding.state for finding in findings}
    return states == {"ok"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "anosynth"


@pytest.fixture
def parts(tmp_path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(PARTS):
        write_cloud(folder / f"p{number}.ply", wavy(number))
    return folder


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "file":
        yield f"file://{tmp_path}/store/out"
        return
    fs = fsspec.filesystem("memory")
    yield "memory://bucket/out"
    if fs.exists("/bucket"):
        fs.rm("/bucket", recursive=True)


@pytest.fixture
def disk(tmp_path) -> str:
    return f"file://{tmp_path}/store/out"


# The same bytes.


@pytest.mark.parametrize("sink", SINKS)
def test_by_url_there_is_what_there_is_on_a_disk(parts, tmp_path, url, cache, sink):
    run(make(parts, sink), tmp_path / "out")
    summary = run(make(parts, sink), url)
    assert (summary.made, summary.kept) == (PARTS, 0)
    found = tree(url)
    assert without_root(found) == without_root(tree(tmp_path / "out"))
    assert json.loads(found["manifest.jsonl"].partition(b"\n")[0])["root"] == ""
    assert str(tmp_path).encode() not in found["manifest.jsonl"]
    assert not list((cache / "runs").iterdir())
    assert run(make(parts, sink), url).kept == PARTS
    assert tree(url) == found


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["files", "webdataset"])
def test_workers_put_the_same_bytes_there(parts, tmp_path, disk, sink):
    run(make(parts, sink), disk, workers=2)
    run(make(parts, sink), tmp_path / "out")
    assert without_root(tree(disk)) == without_root(tree(tmp_path / "out"))


def test_shards_share_a_url(parts, tmp_path, url):
    for index in (2, 1):
        run(make(parts, "webdataset", shard=(index, 2)), url)
        run(make(parts, "webdataset", shard=(index, 2)), tmp_path / "out")
    assert without_root(tree(url)) == without_root(tree(tmp_path / "out"))
    assert run(make(parts, "webdataset", shard=(1, 2)), url).kept == PARTS // 2
    with pytest.raises(DataError, match="differs in: shard"):
        run(make(parts, "webdataset", shard=(3, 3)), url)


def test_the_command(parts, tmp_path, disk, capsys):
    line = ["pointcloud", "--area", "0.1:0.2", str(parts), disk]
    assert command.run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], told["made"], told["report"]) == (disk, PARTS, f"{disk}/report.html")
    assert b"p3_000.ply" in tree(disk)["report.html"]
    assert command.run(["verify", disk, "--root", str(parts)]) == 0
    assert command.run(["replay", disk, "--root", str(parts), "--only", "p1_000.ply"]) == 0
    assert capsys.readouterr().out == f"{PARTS} ok, 0 bad\n1 ok, 0 bad\n"
    assert command.run([*line, "--workers", "2"]) == 0
    assert "6 of them from an earlier run" in capsys.readouterr().out
    assert command.run(["pointcloud", str(parts), "memory://b/out", "--workers", "2"]) == 2
    assert "memory://b/out: no other process sees it" in capsys.readouterr().err
    assert command.run(["pointcloud", str(parts), "zz://b/out"]) == 2
    assert capsys.readouterr().err.startswith("error: zz://b/out: Protocol not known: zz: expected")


# Going on.


@pytest.mark.slow
@pytest.mark.parametrize(("sink", "workers"), [("files", 1), ("webdataset", 2)])
def test_a_killed_run_goes_on_on_another_machine(tmp_path, disk, sink, workers):
    for part in range(12):
        path = tmp_path / "parts" / f"p{part:02d}.ply"
        path.parent.mkdir(exist_ok=True)
        write_cloud(path, wavy(part))
    line = ["pointcloud", "--area", "0.1:0.2", "--no-report", "--sink", sink]
    line += ["--shard-size", "3"] if sink == "webdataset" else []
    ends = [str(tmp_path / "parts"), disk]
    with subprocess.Popen(
        [sys.executable, "-m", "anosynth_cli", *line, "--workers", str(workers), *ends], stdout=subprocess.DEVNULL
    ) as child:
        end = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < end and not (tmp_path / "store/out").exists():
            time.sleep(0.001)
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
    os.environ[remote.CACHE] = str(tmp_path / "elsewhere")
    assert command.run([*line, *ends]) == 0
    assert command.run([*line, ends[0], str(tmp_path / "whole")]) == 0
    assert without_root(tree(disk)) == without_root(tree(tmp_path / "whole"))


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_told_there_is_kept(parts, tmp_path, url, cache, monkeypatch, gone):
    """With the folder of this machine or without it; the manifest there is only as new as its last copy."""
    run(make(parts), tmp_path / "out")
    (parts / "p3.ply").rename(tmp_path / "p3.ply")
    (parts / "p3.ply").write_bytes(b"")
    monkeypatch.setattr(_staging, "_EVERY", 0.0)
    with pytest.raises(DataError, match="--on-error skip goes on"):
        run(make(parts), url, on_error="stop")
    assert set(tree(url)) == {"manifest.jsonl.part", "p0_000.ply", "p1_000.ply", "p2_000.ply"}
    (tmp_path / "p3.ply").replace(parts / "p3.ply")
    if gone:
        monkeypatch.setenv(remote.CACHE, str(tmp_path / "elsewhere"))
    assert run(make(parts), url).kept == 3
    assert without_root(tree(url)) == without_root(tree(tmp_path / "out"))


def test_less_does_not_replace_more(parts, url, monkeypatch, tmp_path):
    """A run that is given again on a new machine, and killed at once, does not forget what the first one told."""
    (parts / "p9.ply").write_bytes(b"")
    with pytest.raises(DataError):
        run(make(parts), url, on_error="stop")
    told = tree(url)["manifest.jsonl.part"]
    assert told.count(b"\n") == PARTS + 2
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "elsewhere"))
    monkeypatch.setattr(_staging, "_EVERY", 0.0)

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make(parts), url, progress=stop)
    assert tree(url)["manifest.jsonl.part"] == told
    assert run(make(parts), url).kept == PARTS


@pytest.mark.parametrize("sink", ["files", "webdataset"])
def test_what_is_not_what_it_was_is_made_again(parts, url, sink):
    run(make(parts, sink), url)
    wanted = tree(url)
    name = "p1_000.ply" if sink == "files" else "shards/00001.tar"
    store = Store(url)
    for damage in (wanted[name][:-1], b"", None):
        if damage is None:
            store.remove(name)
        else:
            fs, there = fsspec.url_to_fs(f"{url}/{name}")
            fs.pipe_file(there, damage)
        assert run(make(parts, sink), url).kept == PARTS - (1 if sink == "files" else 2)
        assert tree(url) == wanted


def test_a_source_that_turned_bad_leaves_nothing_there(parts, url):
    run(make(parts), url)
    (parts / "p1.ply").write_bytes(b"")
    summary = run(make(parts), url)
    assert (summary.kept, summary.skipped) == (PARTS - 1, 1)
    assert "p1_000.ply" not in tree(url)


def test_a_store_that_fails_stops_the_run(parts, tmp_path, url, monkeypatch):
    right, calls = Store.put, []

    def failing(self, file, name):
        calls.append(name)
        if len(calls) == 4:
            with self._said(name, WriteError, "cannot be written"):
                raise RuntimeError("the bucket is full\nmore of it")
        right(self, file, name)

    monkeypatch.setattr(Store, "put", failing)
    with pytest.raises(WriteError, match=r"out/p2_000\.ply: cannot be written: RuntimeError: the bucket is full$"):
        run(make(parts), url)
    monkeypatch.setattr(Store, "put", right)
    assert run(make(parts), url).kept == 2
    run(make(parts), tmp_path / "out")
    assert without_root(tree(url)) == without_root(tree(tmp_path / "out"))


# Whose URL it is.


def test_an_out_of_other_settings_or_of_others(parts, tmp_path, url):
    run(make(parts), url)
    wanted = tree(url)
    with pytest.raises(DataError, match=r"differs in: seed") as caught:
        run(make(parts, seed=1), url)
    assert str(caught.value).startswith(f"{url}: holds a data set made with other settings")
    assert tree(url) == wanted
    (tmp_path / "notes.txt").write_text("mine")
    Store(url).put(tmp_path / "notes.txt", "notes.txt")
    run(make(parts, seed=1), url, overwrite=True)
    run(make(parts, seed=1), tmp_path / "out")
    assert without_root(tree(url)) == {**without_root(tree(tmp_path / "out")), "notes.txt": b"mine"}
    Store(f"{url}2").put(tmp_path / "notes.txt", "notes.txt")
    with pytest.raises(WriteError, match=r"holds files that are not anosynth's \(notes\.txt, \.\.\.\)"):
        run(make(parts), f"{url}2")


def test_a_data_set_that_was_removed_there_is_not_gone_on_with(parts, url):
    (parts / "p9.ply").write_bytes(b"")
    with pytest.raises(DataError):
        run(make(parts), url, on_error="stop")
    fs, there = fsspec.url_to_fs(url)
    fs.rm(there, recursive=True)
    (parts / "p9.ply").unlink()
    assert run(make(parts, seed=1), url).kept == 0


def test_overwriting_never_reaches_outside(parts, tmp_path, disk):
    run(make(parts), disk)
    precious = tmp_path / "store" / "precious.txt"
    precious.write_text("mine")
    path = tmp_path / "store" / "out" / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, name in enumerate(["../precious.txt", str(precious), "a/../../precious.txt"], 1):
        lines[number]["outputs"][0]["path"] = name
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert run(make(parts), disk).kept == PARTS - 3
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    run(make(parts, seed=1), disk, overwrite=True)
    assert precious.read_text() == "mine"
    for name in ("../x", "/x", "a/../../x"):
        with pytest.raises(DataError, match="lies outside"):
            Store(disk).put(precious, name)


def test_what_cannot_be_by_url(parts, tmp_path, url):
    from anosynth.toy import make_toy

    with pytest.raises(WriteError, match="holds the input"):
        run(make(parts, origin=f"{url}/in"), url)
    make_toy("visa", tmp_path / "visa", count=2)
    recipe = Recipe.from_record({"recipe": "scratch", "family": "images", "generators": [{"generator": "scratch"}]})
    with pytest.raises(ParameterError, match=r"`visa` has tables of all its files .*\nhint: or --sink webdataset"):
        run(Plan(tmp_path / "visa", find_layout("visa"), recipe), url)
    assert run(Plan(tmp_path / "visa", find_layout("visa"), recipe, sink="webdataset"), url).made
    before = tree(url)
    with pytest.raises(ParameterError, match="tables"):
        run(Plan(tmp_path / "visa", find_layout("visa"), recipe), url, overwrite=True)
    assert tree(url) == before
    mapped = Reading(roi=str(tmp_path / "visa"))
    with pytest.raises(ParameterError, match="--roi: only where OUT is a folder of this machine"):
        run(Plan(tmp_path / "visa", find_layout("visa"), recipe, sink="recipe", reading=mapped), f"{url}3")
    np.save(tmp_path / "x.npy", np.zeros((4, 3), np.float32))
    features = Recipe.from_record({"recipe": "g", "family": "features", "generators": [{"generator": "gaussian"}]})
    with pytest.raises(ParameterError, match="files of features"):
        run(Plan(tmp_path, find_layout("features"), features, only=(Path("x.npy"),)), url)


def test_without_fsspec(parts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    for use in (lambda: run(make(parts), "s3://b/out"), lambda: list(verify("s3://b/out")), lambda: mirror("s3://b")):
        with pytest.raises(ParameterError, match=r"s3://b.*: fsspec is not installed\nhint: pip install"):
            use()
    assert run(make(parts), tmp_path / "out").made == PARTS


def test_a_scheme_without_its_library(parts):
    if "s3fs" in sys.modules:
        pytest.skip("s3fs is installed")
    with pytest.raises(ParameterError, match="s3://b/out: Install s3fs"):
        run(make(parts), "s3://b/out")


# Reading.


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("s3://b/x/", "s3://b/x"),
        (Path("s3://b/x"), "s3://b/x"),
        ("gs://b", "gs://b"),
        (Path("file:///tmp/x"), "file:///tmp/x"),
        ("file:///tmp/x", "file:///tmp/x"),
        ("memory://x", "memory://x"),
        ("/tmp/x", ""),
        ("out", ""),
        ("a:b", ""),
        ("C:/x", ""),
        ("./s3://b", ""),
        ("Parts:/x", ""),
    ],
)
def test_what_is_a_url(given, wanted):
    assert url_of(given) == wanted


@pytest.mark.parametrize("sink", SINKS)
def test_reading_by_url(parts, tmp_path, url, sink):
    torch = pytest.importorskip("torch")
    from anosynth.torch import ManifestDataset

    run(make(parts, sink), tmp_path / "out")
    run(make(parts, sink), url)
    assert all_ok(verify(url, parts))
    assert all_ok(replay(url, root=parts))
    assert all_ok(write_again(url, tmp_path / "again", root=parts))
    items = ManifestDataset(url, root=parts)
    assert len(items) == PARTS
    for item, other in zip(items, ManifestDataset(tmp_path / "out"), strict=True):
        assert torch.equal(item["sample"], other["sample"])
    fs, there = fsspec.url_to_fs(url)
    name = {"files": "p1_000.ply", "webdataset": "shards/00000.tar"}.get(sink)
    if name:
        fs.pipe_file(f"{there}/{name}", b"damaged")
        assert not all_ok(verify(url, parts))


def test_an_input_by_url(parts, tmp_path, url, cache):
    (parts / "bad.ply").write_bytes(b"")
    for path in parts.iterdir():
        Store(f"{url}/in").put(path, path.name)
    plan = make(mirror(f"{url}/in"), origin=f"{url}/in")
    run(plan, f"{url}/made")
    run(plan, tmp_path / "out")
    run(make(parts), tmp_path / "local")
    found = tree(f"{url}/made")
    assert without_root(found) == without_root(tree(tmp_path / "local")) == without_root(tree(tmp_path / "out"))
    assert json.loads(found["manifest.jsonl"].partition(b"\n")[0])["root"] == f"{url}/in"
    assert str(tmp_path / "cache").encode() not in found["manifest.jsonl"]
    assert all_ok(verify(f"{url}/made", f"{url}/in"))
    # Nothing that a manifest says is fetched unless it is asked for.
    assert {finding.state for finding in verify(tmp_path / "out")} == {"ok", "unchecked"}


def test_an_input_by_url_on_the_command_line(parts, tmp_path, disk, capsys):
    for path in parts.iterdir():
        Store(f"{disk}/in").put(path, path.name)
    assert command.run(["pointcloud", "--area", "0.1", f"{disk}/in", str(tmp_path / "out"), "--no-report"]) == 0
    assert command.run(["pointcloud", "--area", "0.1", f"{disk}/in/p1.ply", str(tmp_path / "one"), "--no-report"]) == 0
    assert tree(tmp_path / "one")["p1_000.ply"] == tree(tmp_path / "out")["p1_000.ply"]
    capsys.readouterr()
    assert command.run(["pointcloud", f"{disk}/in", str(parts), str(tmp_path / "two")]) == 2
    assert "with an input by URL give this one and OUT alone" in capsys.readouterr().err
    assert command.run(["pointcloud", f"{disk}/nothing", str(tmp_path / "two")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    assert command.run(["pointcloud", str(parts), f"{disk}/in"]) == 1
    assert "holds files that are not anosynth's" in capsys.readouterr().err


def test_a_mirror_fetches_what_has_changed(parts, tmp_path, url, monkeypatch):
    store = Store(url)
    for path in parts.iterdir():
        store.put(path, f"sub/{path.name}")
    assert tree(mirror(url)) == {f"sub/{name}": data for name, data in tree(parts).items()}
    fetched: list[str] = []
    right = Store.get

    def get(self, name, file):
        fetched.append(name)
        return right(self, name, file)

    monkeypatch.setattr(Store, "get", get)
    (tmp_path / "new").write_bytes(b"new")
    store.put(tmp_path / "new", "sub/p1.ply")
    store.remove("sub/p2.ply")
    again = tree(mirror(url))
    assert fetched == ["sub/p1.ply"]
    assert again["sub/p1.ply"] == b"new"
    assert "sub/p2.ply" not in again
    assert len(again) == PARTS - 1
    (mirror(url) / "sub" / "p3.ply").unlink()
    assert "sub/p3.ply" in tree(mirror(url))
