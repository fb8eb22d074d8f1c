"""Functions that a manifest names are run when whoever reads it says so, and not before."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from anosynth.errors import DataError
from anosynth.images import Image
from anosynth.io.images import write_image
from anosynth.run import execute, replay, verify, write_again
from anosynth.run.merge import merge, views
from anosynth_cli.main import run as command

CALLS: list[str] = []


def brighter(image, mask, rng):
    CALLS.append("brighter")
    return np.clip(image.astype(np.int64) + 60, 0, 255).astype(np.uint8)


def everywhere(pixels):
    CALLS.append("everywhere")
    return np.ones(pixels.shape[:2], dtype=np.bool_)


EXTERNAL = ("-g", "external", "--function", f"{__name__}.brighter", "--foreground", "none")
FOREGROUND = ("-g", "stain", "--foreground", f"{__name__}:everywhere")
NAMES = {EXTERNAL: f"{__name__}.brighter", FOREGROUND: f"{__name__}:everywhere"}
BOTH = pytest.mark.parametrize("given", [EXTERNAL, FOREGROUND], ids=["external", "foreground"])


def said(*words: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command([str(word) for word in words])
    return code, out.getvalue() + err.getvalue()


def made(home: Path, given: tuple[str, ...], *more: str) -> Path:
    (home / "good").mkdir(exist_ok=True)
    for index in range(2):
        pixels = np.random.default_rng(index).integers(60, 180, (32, 32, 3), dtype=np.uint8)
        write_image(home / "good" / f"p{index}.png", Image(pixels))
    code, text = said("images", *given, "--area", "0.1", "--no-report", *more, home / "good", home / "out")
    assert code == 0, text
    assert CALLS, "generation is by the user's own line"
    forget()
    return home / "out"


def forget() -> None:
    """Forget the calls, and the photo that was read last with what the function made of it."""
    CALLS.clear()
    execute._last.clear()


def refusal(out: Path, given: tuple[str, ...], line: int = 2) -> str:
    return (
        f"{out}/manifest.jsonl: line {line}: names the function `{NAMES[given]}`, which making samples again would "
        "run: expected --run-functions (in Python: functions=True)"
    )


@BOTH
@pytest.mark.parametrize("more", [(), ("--only", "anomalous/p1_000.png"), ("--write",)], ids=["all", "one", "write"])
def test_replay_runs_them_when_told_to(tmp_path, given, more):
    out = made(tmp_path, given)
    words = ["replay", out, *more, *([tmp_path / "again"] if more == ("--write",) else [])]
    code, text = said(*words)
    assert (code, text.splitlines()[0]) == (1, f"error: {refusal(out, given, 3 if '--only' in more else 2)}")
    assert not CALLS
    assert not (tmp_path / "again").exists()
    code, text = said(*words, "--run-functions")
    assert code == 0, text
    assert set(CALLS) == {NAMES[given][len(__name__) + 1 :]}


@BOTH
def test_verify_runs_none_where_samples_are_stored(tmp_path, given):
    out = made(tmp_path, given)
    assert said("verify", out) == (0, "2 ok, 0 bad\n")
    assert not CALLS


@BOTH
def test_verify_runs_them_when_told_to_where_nothing_is_stored(tmp_path, given):
    out = made(tmp_path, given, "--sink", "recipe")
    code, text = said("verify", out)
    assert code == 1
    assert text.startswith(f"error: {refusal(out, given)}\n")
    assert not CALLS
    assert said("verify", out, "--run-functions") == (0, "2 ok, 0 bad\n")
    assert CALLS


@BOTH
def test_in_python(tmp_path, given):
    out = made(tmp_path, given, "--sink", "recipe")
    for look in (lambda **more: verify(out, **more), lambda **more: replay(out, **more)):
        with pytest.raises(DataError, match="functions=True"):
            list(look())
        assert not CALLS
        assert [finding.state for finding in look(functions=True)] == ["ok", "ok"]
        forget()
    with pytest.raises(DataError, match="functions=True"):
        list(write_again(out, tmp_path / "again"))
    assert not CALLS


@BOTH
def test_a_data_set_for_training(tmp_path, given):
    torch = pytest.importorskip("anosynth.torch")
    out = made(tmp_path, given, "--sink", "recipe")
    for check in (False, True):
        with pytest.raises(DataError, match="functions=True"):
            torch.ManifestDataset(out, check=check)[0]
        assert not CALLS
        assert torch.ManifestDataset(out, check=check, functions=True)[0]["label"] == 1
        assert CALLS
        forget()


@BOTH
def test_a_stored_data_set_for_training_needs_none(tmp_path, given):
    torch = pytest.importorskip("anosynth.torch")
    assert torch.ManifestDataset(made(tmp_path, given))[0]["label"] == 1
    assert not CALLS


@BOTH
def test_the_report_of_a_merge(tmp_path, given):
    for part in ("1/2", "2/2"):
        out = made(tmp_path, given, "--shard", part)
    merge([out], out)
    with pytest.raises(DataError, match="expected --run-functions"):
        views(out, 2)
    assert not CALLS
    assert len(views(out, 2, functions=True)) == 2


def test_a_header_that_keeps_quiet_about_it(tmp_path):
    """What counts is what a line would run, whatever the header says of generators."""
    out = made(tmp_path, FOREGROUND)
    lines = [json.loads(text) for text in (out / "manifest.jsonl").read_text().splitlines()]
    lines[0]["foreground"] = "none"
    lines[2]["generator"] = {
        "generator": "external",
        "family": "images",
        "version": 1,
        "function": f"{__name__}.brighter",
    }
    (out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match="line 3: names the function"):
        list(replay(out))
    assert not CALLS


def test_going_on_with_a_run_is_the_users_own_line(tmp_path):
    out = made(tmp_path, EXTERNAL)
    (out / "anomalous" / "p0_000.png").unlink()
    made(tmp_path, EXTERNAL)
    assert (out / "anomalous" / "p0_000.png").exists()
