"""What is no file, names of all sorts, and places that cannot be: alike for clouds and for photos."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_kit import encoded, grain, ply, process, wave


@dataclass(frozen=True)
class Kind:
    """A command, the bytes of a file that it reads, and where it puts what it makes of it."""

    line: str
    suffix: str
    good: bytes
    samples: str

    def made(self, out: Path) -> list[bytes]:
        """Return the names of the samples in OUT, sorted."""
        found = [path for path in (out / self.samples).rglob("*") if path.is_file() and path.suffix.lower() != ".jsonl"]
        return sorted(os.fsencode(path.relative_to(out / self.samples)) for path in found)


KINDS = {
    "clouds": Kind("pointcloud --no-report --strength 0.02", ".ply", ply(wave()), ""),
    "photos": Kind("images --no-report -g stain --area 0.05", ".png", encoded(grain()), "anomalous"),
}


@pytest.fixture(params=KINDS)
def kind(request) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def home(here, kind) -> Path:
    (here / "in").mkdir()
    return here


def put(home: Path, kind: Kind, *names: str, data: bytes | None = None) -> None:
    for name in names:
        (home / "in" / f"{name}{kind.suffix}").write_bytes(kind.good if data is None else data)


# What is no file.


@pytest.mark.slow
def test_a_pipe_does_not_hang(home, kind):
    line, name = kind.line.split(), f"pipe{kind.suffix}"
    os.mkfifo(home / "in" / name)
    done = process(*line, f"in/{name}", "out")
    assert (done.returncode, done.stderr) == (1, f"skipped: {name}: not a regular file\n")
    put(home, kind, "good")
    assert process(*line, "in", "out2").returncode == 3
    assert kind.made(home / "out2") == [f"good_000{kind.suffix}".encode()]
    # A source that was a file and is a pipe now is not waited for either.
    (home / "in" / f"good{kind.suffix}").unlink()
    os.mkfifo(home / "in" / f"good{kind.suffix}")
    assert process("verify", "out2").returncode == 3
    assert process(*line, "in", "out2").returncode == 1
    assert kind.made(home / "out2") == []
    os.mkfifo(home / "mix.yaml")
    assert process(line[0], "--recipe", "mix.yaml", "in", "out3").returncode == 2


def test_a_device_dangling_links_and_links_in_a_circle(home, call, kind):
    for name, target in (("zero", "/dev/zero"), ("gone", "nowhere"), ("loop", f"loop{kind.suffix}")):
        (home / "in" / f"{name}{kind.suffix}").symlink_to(target)
    (home / "in" / "again").symlink_to(home / "in")
    (home / "in" / "up").symlink_to("..")
    code, out, err = call(f"{kind.line} in out")
    assert (code, out) == (1, "out: 0 anomalous samples, 3 skipped\n")
    assert f"skipped: zero{kind.suffix}: not a regular file\n" in err
    assert f"skipped: gone{kind.suffix}: no such file\n" in err
    assert f"skipped: loop{kind.suffix}: " in err
    assert len(err.splitlines()) == 3
    put(home, kind, "good")
    assert call(f"{kind.line} in out2")[:2] == (3, "out2: 1 anomalous sample, 3 skipped\n")


def test_a_folder_with_the_name_of_a_file(home, call, kind):
    place = home / "in" / f"x{kind.suffix}"
    place.mkdir()
    code, _, err = call(f"{kind.line} in/{place.name} out")
    assert (code, err) == (1, f"error: in/{place.name}: no normal samples found\n")
    (place / f"y{kind.suffix}").write_bytes(kind.good)
    assert call(f"{kind.line} in out")[0] == 0
    assert kind.made(home / "out") == [f"x{kind.suffix}/y_000{kind.suffix}".encode()]
    assert call("verify out") == (0, "1 ok, 0 bad\n", "")


def test_a_missing_file_among_others(home, call, kind):
    put(home, kind, "good")
    code, _, err = call(f"{kind.line} in/good{kind.suffix} in/no{kind.suffix} out")
    assert (code, err.count(f"skipped: no{kind.suffix}: no such file\n")) == (3, 1)
    assert call(f"{kind.line} in/no{kind.suffix} other") == (1, "", f"error: in/no{kind.suffix}: no such file\n")
    assert call(f"{kind.line} 'in/*.none' other") == (1, "", "error: in/*.none: matches no file\n")
    assert not (home / "other").exists()


def test_what_another_command_reads_is_told(home, call, kind):
    other = next(one for one in KINDS.values() if one != kind)
    put(home, other, "b", "a")
    for more in ("", " --dry-run", " --json"):
        code, out, err = call(f"{kind.line}{more} in out")
        assert (code, out) == (1, "")
        reads = f"`anosynth {other.line.split()[0]}` reads a{other.suffix} and its like"
        assert err == f"error: in: no normal samples found\nhint: {reads}\n"
    assert not (home / "out").exists()


# Names.


NAMES = ["größe", "gro\u0308ße", "名前", "🙂", "with space", "-dash", "new\nline", "a'b\"c", "[a]", "$HOME", "a\\b"]
NAMES += ["two.dots", "trailing "]


@pytest.mark.parametrize("name", [*NAMES, "UPPER"])
def test_any_name(home, call, kind, name):
    suffix = kind.suffix.upper() if name == "UPPER" else kind.suffix
    (home / "in" / f"{name}{suffix}").write_bytes(kind.good)
    code, _, err = call(f"{kind.line} in out")
    assert code == 0, err
    [made] = kind.made(home / "out")
    assert os.fsdecode(made).lower() == f"{name}_000{kind.suffix}".lower()
    assert call("verify out")[0] == call("replay out")[0] == 0
    assert "1 of them from an earlier run" in call(f"{kind.line} in out")[1]


@pytest.mark.slow
def test_names_that_are_not_utf8(home, kind):
    for raw, data in ((b"a\xff", kind.good), (b"b\xfe\x80", b"")):
        put(home, kind, os.fsdecode(raw), data=data)
    done = process(*kind.line.replace("--no-report ", "").split(), "in", "out")
    assert done.returncode == 3
    assert f"skipped: b\\udcfe\\udc80{kind.suffix}: an empty file" in done.stderr
    assert "Traceback" not in done.stderr
    assert b"a\xff_000" + kind.suffix.encode() in kind.made(home / "out")
    assert (home / "out" / "report.html").stat().st_size > 10_000
    for command in ("verify", "replay"):
        assert process(command, "out").returncode == 0


def test_a_name_too_long_for_the_system(home, call, kind):
    put(home, kind, "n" * 250, "good")
    code, _, err = call(f"{kind.line} in out")
    assert code in (1, 3)
    assert re.search("name too long|longer than a path can be", err.lower())


# Places.


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_may_not_be_read_or_written(home, call, kind):
    put(home, kind, "good", "secret")
    (home / "in" / f"secret{kind.suffix}").chmod(0)
    code, _, err = call(f"{kind.line} in out")
    assert code == 3
    assert err.startswith(f"skipped: secret{kind.suffix}: cannot be read: Permission denied")
    (home / "locked").mkdir(mode=0o555)
    for out in ("locked", "locked/out"):
        code, _, err = call(f"{kind.line} in {out}")
        assert code == 1
        assert err.startswith(f"error: {out}: cannot be written to: Permission denied")


@pytest.mark.parametrize("out", ["file", "file/out", "/dev/null/out", "/proc/none/out", "x" * 300])
def test_an_out_that_cannot_be(home, call, kind, out):
    put(home, kind, "good")
    (home / "file").write_text("mine")
    code, printed, err = call(f"{kind.line} in {out}")
    assert (code, printed) == (1, "")
    assert err.startswith(f"error: {out}: ")
    assert len(err.splitlines()) == 1 + (out == "file")
    assert (home / "file").read_text() == "mine"


def test_a_forgotten_out_is_told(home, call, kind):
    put(home, kind, "a", "b")
    code, out, err = call(f"{kind.line} in/a{kind.suffix} in/b{kind.suffix}")
    assert (code, out) == (1, "")
    assert err == f"error: in/b{kind.suffix}: is not a folder\nhint: the last path is OUT, the folder to write to\n"
