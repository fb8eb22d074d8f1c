"""Kills, full and broken disks, clocks that jump and two runs at once: nothing half-written, nothing lost for good."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fault_kit
from fault_kit import INPUTS, KILLED, counted, fail_at, fork, forked, kill_at, samples, tree, wait, warm

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

WRITES = ("write", "create", "replace", "fsync", "mkdir")


class Whole:
    """An undisturbed run: its line without OUT, its calls and its tree of bytes."""

    def __init__(self, family: str, home: Path) -> None:
        self.family, self.home = family, home
        self.line = INPUTS[family](home / "good")
        warm(self.line, home / "warm" / "out")
        (home / "whole").mkdir()
        self.calls = counted([*self.line, str(home / "whole" / "out")], home / "calls")
        self.tree = tree(home / "whole" / "out")
        assert self.tree == tree(home / "warm" / "out")

    def at(self, name: object) -> tuple[Path, list[str]]:
        """Return an OUT of its own and the line that writes there."""
        out = self.home / str(name) / "out"
        return out, [*self.line, str(out)]

    def only_whole_files(self, out: Path) -> None:
        for name, digest in (samples(out) if out.exists() else {}).items():
            assert self.tree.get(name) == digest, f"{name} is not whole"

    def goes_on(self, out: Path, line: list[str], *more: str) -> None:
        ended = forked([*line[:1], *more, *line[1:]])
        assert ended.code == 0, ended
        assert tree(out) == self.tree


@pytest.fixture(scope="module", params=sorted(INPUTS))
def whole(request, tmp_path_factory) -> Whole:
    return Whole(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def clouds(tmp_path_factory) -> Whole:
    return Whole("pointcloud", tmp_path_factory.mktemp("more"))


# Kills.


@pytest.mark.slow
def test_a_kill_between_any_two_calls_loses_nothing(whole):
    kinds = {kind for kind, _ in whole.calls}
    assert {"write", "create", "replace", "mkdir", "unlink", "fsync"} <= kinds
    for place, call in enumerate(whole.calls, 1):
        out, line = whole.at(place)
        ended = forked(line, kill_at(place))
        assert ended.code == KILLED, (call, ended)
        whole.only_whole_files(out)
        whole.goes_on(out, line)
        shutil.rmtree(out.parent)


@pytest.mark.slow
def test_a_kill_while_an_earlier_data_set_is_replaced(clouds):
    before, line = clouds.at("before")
    assert forked([*line[:1], "--count", "2", *line[1:]]).code == 0
    old = tree(before)
    again = [*line[:1], "--overwrite", *line[1:]]
    copy = clouds.at("all")[0]
    shutil.copytree(before, copy)
    calls = counted([*again[:-1], str(copy)], clouds.home / "more-calls")
    assert tree(copy) == clouds.tree
    for place in range(1, len(calls) + 1, 2):
        out, _ = clouds.at(f"over-{place}")
        shutil.copytree(before, out)
        assert forked([*again[:-1], str(out)], kill_at(place)).code == KILLED
        for name, digest in samples(out).items():
            assert digest in (old.get(name), clouds.tree.get(name)), f"{name} is not whole"
        ended = forked([*again[:-1], str(out)])
        assert ended.code == 0, ended
        assert tree(out) == clouds.tree
        shutil.rmtree(out.parent)


def test_killed_again_and_again(clouds):
    out, line = clouds.at("again")
    for place in (9, 20, 3, 25, 14, 18):
        assert forked(line, kill_at(place)).code == KILLED
        clouds.only_whole_files(out)
    clouds.goes_on(out, line)


# Disks.


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_any_call(whole, code):
    for place, (kind, path) in enumerate(whole.calls, 1):
        if kind not in WRITES or (code == errno.EIO and place % 2):
            continue
        out, line = whole.at(f"{code}-{place}")
        ended = forked(line, fail_at(place, code, for_good=code == errno.ENOSPC))
        assert "Traceback" not in ended.err
        assert not [name for name in tree(out.parent) if name.endswith(".tmp")]
        whole.only_whole_files(out)
        if ended.code == 0:
            # A folder that was there is asked for again: that it is there is all that matters.
            assert kind == "mkdir"
            assert tree(out) == whole.tree
            continue
        assert ended.code == 1, (kind, path, ended)
        first = ended.err.splitlines()[0]
        assert first.startswith("error: "), (kind, path, ended)
        assert os.strerror(code).lower() in first.lower(), (kind, path, ended)
        assert "out" in first
        whole.goes_on(out, line)
        shutil.rmtree(out.parent)


def test_a_disk_that_is_really_full(clouds, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    try:
        line = [*clouds.line, str(disk / "out")]
        (disk / "ballast").write_bytes(bytes(36 << 10))
        ended = forked(line, aside=tmp_path / "said")
        assert ended.code == 1
        assert ended.err.startswith(f"error: {disk}/out/")
        assert "no space left on device" in ended.err.lower()
        assert not [name for name in tree(disk) if name.endswith(".tmp")]
        clouds.only_whole_files(disk / "out")
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert forked(line, aside=tmp_path / "said").code == 0
        assert samples(disk / "out") == {k: v for k, v in clouds.tree.items() if "manifest" not in k} | {
            "report.html": tree(disk / "out")["report.html"]
        }
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ended = forked([*line[:-1], str(disk / "other")], aside=tmp_path / "said")
        assert ended.code == 1
        assert "read-only file system" in ended.err.lower()
        assert "Traceback" not in ended.err
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


# Clocks.


@pytest.mark.parametrize("years", [-40, 60])
def test_a_clock_that_jumps_changes_nothing(whole, years, monkeypatch):
    out, line = whole.at(f"clock-{years}")
    assert forked(line, kill_at(len(whole.calls) // 2)).code == KILLED
    shift = years * 365 * 86_400
    for path in [*out.rglob("*"), *(whole.home / "good").iterdir()]:
        os.utime(path, (time.time() + shift, time.time() + shift))
    for name, unit in (("time", 1), ("time_ns", 10**9)):
        right = getattr(time, name)
        monkeypatch.setattr(time, name, lambda right=right, unit=unit: right() + shift * unit)
    whole.goes_on(out, line)


def test_a_clock_that_runs_backwards_changes_nothing(clouds, monkeypatch):
    out, line = clouds.at("backwards")
    start, right = time.time(), time.time
    monkeypatch.setattr(time, "time", lambda: 2 * start - right() - 10**8)
    clouds.goes_on(out, line)


# Two runs, and folders that go away.


def test_the_second_run_into_one_out_refuses_and_the_first_finishes(whole):
    out, line = whole.at("shared")
    ready, go = os.pipe(), os.pipe()

    def stall(number: int, *_: object) -> None:
        if number == 9:
            os.write(ready[1], b"x")
            os.read(go[0], 1)

    first = fork(line, stall)
    assert os.read(ready[0], 1) == b"x"
    before = tree(out)
    for more in ([], ["--overwrite"]):
        second = forked([*line[:1], *more, *line[1:]], aside=out.parent / "second")
        assert second.code == 1
        assert second.err == f"error: {out}: another run is writing here\nhint: wait for it, or choose another OUT\n"
        assert tree(out) == before
    os.write(go[1], b"x")
    assert wait(first).code == 0
    assert tree(out) == whole.tree
    for end in (*ready, *go):
        os.close(end)


def test_an_out_that_goes_away_is_told_and_comes_back(clouds):
    for place in range(2, len(clouds.calls) - 4, 3):
        out, line = clouds.at(f"gone-{place}")

        def remove(number: int, *_: object, out: Path = out, place: int = place) -> None:
            if number == place:
                subprocess.run(["rm", "-rf", str(out)], check=True)

        ended = forked(line, remove)
        assert ended.code == 1, (place, ended)
        assert ended.err.startswith("error: "), ended
        assert "Traceback" not in ended.err
        clouds.only_whole_files(out)
        clouds.goes_on(out, line, "--overwrite")
        shutil.rmtree(out.parent)


# Sources.


def _meddling(home: Path, what: str) -> fault_kit.Fault:
    """Return the fault of a source that becomes another while the first sample is made."""
    path = sorted(home.iterdir())[1]
    other = sorted(home.iterdir())[2].read_bytes()

    def fault(number: int, *_: object) -> None:
        if number == 6:
            data = path.read_bytes()
            path.unlink()
            if what == "truncated":
                path.write_bytes(data[: len(data) // 3])
            elif what == "changed":
                path.write_bytes(other)
            elif what == "emptied":
                path.write_bytes(b"")
            elif what == "a folder":
                path.mkdir()

    return fault


@pytest.mark.parametrize("what", ["removed", "truncated", "emptied", "a folder", "changed"])
def test_a_source_that_becomes_another_in_mid_run(whole, tmp_path, what):
    home, kept = whole.home / "good", tmp_path / "kept"
    shutil.copytree(home, kept)
    out, line = whole.at(what)
    try:
        ended = forked(line, _meddling(home, what))
        name = sorted(path.name for path in kept.iterdir())[1]
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err
        if what == "changed":
            assert ended.code == 0, ended
        else:
            assert ended.code == 3, ended
            assert f"skipped: {name}: " in ended.err
        assert forked(["verify", str(out)], aside=tmp_path / "said").code == 0
    finally:
        shutil.rmtree(home)
        shutil.copytree(kept, home)
    # With the source back, the same line makes what is missing and changes nothing else.
    whole.goes_on(out, line)
