"""Which paths a manifest may name, and whether links lead them astray."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anosynth.datasets.truth import placed
from anosynth.errors import DataError, WriteError
from anosynth.io.inner import fault, inner, inside, leading_out, printable

FINE = ["a.png", "a/b/c.png", "a//b.png", "./a.png", "a b/.c", "...", "a/..b", "a\\b", "\udcff.png", "é" * 100, "a\nb"]
NOT = [
    *("../a", "a/../b", "a/..", "..", "/a", "//a", "", ".", "./.", "a\0b", "\ud800.png", "a" * 256, "a/" * 300 + "b"),
    *("é" * 200, ("a" * 200 + "/") * 30, None, 3, True, [], {}, {"path": "a"}, b"a", 1.5),
]


@pytest.mark.parametrize("name", FINE)
def test_what_a_manifest_may_name(tmp_path, name):
    assert fault(name) == ""
    assert inner(name, tmp_path) == name
    assert inside(tmp_path, name)
    path = placed(tmp_path, name)
    path.write_bytes(b"x")
    assert tmp_path in path.resolve().parents


@pytest.mark.parametrize("name", NOT, ids=range(len(NOT)))
def test_what_a_manifest_may_not_name(tmp_path, name):
    assert fault(name).startswith("which ")
    assert not inside(tmp_path, name)
    for use in (inner, lambda name, out: placed(out, name)):
        with pytest.raises(DataError, match=r"the manifest names `.*`, which [^\n]*$") as caught:
            use(name, tmp_path)
        assert len(str(caught.value)) < len(str(tmp_path)) + 200
        str(caught.value).encode()
    assert not any(tmp_path.iterdir())


def test_messages_name_where_and_what(tmp_path):
    with pytest.raises(DataError) as caught:
        inner("../x", "out/manifest.jsonl: line 3", "the source ", " the root")
    assert str(caught.value) == (
        "out/manifest.jsonl: line 3: the manifest names the source `../x`, which lies outside the root"
    )


@pytest.mark.parametrize("value", ["a\nb\x1b[2J\0", "\ud800", "x" * 5000, ["x" * 5000], 10**400, None])
def test_what_is_printed_is_one_short_line(value):
    text = printable(value)
    assert text.isprintable()
    assert len(text) <= 80


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(name=st.text(alphabet="abcl./\\\0\ud800é", max_size=12))
def test_whatever_is_allowed_stays_inside(tmp_path, name):
    out = tmp_path / "out"
    if not out.exists():
        (out / "a" / "b").mkdir(parents=True)
        (out / "l").symlink_to(tmp_path)
        (out / "c").symlink_to(out / "a" / "b")
        (out / "b").symlink_to(out / "l")
    try:
        truly = out.resolve() in (out / name).resolve().parents
    except ValueError:
        truly = False
    assert not inside(out, name) or truly
    # Nothing else is refused than by the lexical rule or for lying outside; no name here comes back by `out`.
    assert inside(out, name) or fault(name) or not truly


LINKS = {
    "outside": ("a", "../aside", True),
    "absolute": ("a", "{aside}", True),
    "deep": ("a/b", "../../aside", True),
    "dangling": ("a", "../nowhere", True),
    "to OUT itself": ("a", ".", True),
    "a loop": ("a", "a", False),
    "within OUT": ("a", "other", False),
    "a name that begins alike": ("a", "../out-2", True),
}


@pytest.mark.parametrize("how", LINKS)
def test_nothing_is_made_through_a_link_that_leads_out(tmp_path, how):
    name, target, refused = LINKS[how]
    out = tmp_path / "out"
    for folder in (out / "other", tmp_path / "aside", tmp_path / "out-2"):
        folder.mkdir(parents=True)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).symlink_to(target.format(aside=tmp_path / "aside"))
    assert leading_out(out, f"{name}/new/x.png") == (name if refused else "")
    if how == "within OUT":
        placed(out, f"{name}/new/x.png").write_bytes(b"x")
        assert (out / "other" / "new" / "x.png").is_file()
        return
    with pytest.raises(WriteError, match=rf"out/{name}(: is a link to .*, which is not in |/new: cannot be made: )"):
        placed(out, f"{name}/new/x.png")
    for folder in ("aside", "out-2", "nowhere"):
        assert not (tmp_path / folder).exists() or not any((tmp_path / folder).iterdir())


def test_out_itself_may_be_a_link(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    placed(tmp_path / "out", "a/x.png").write_bytes(b"x")
    assert (tmp_path / "disk" / "a" / "x.png").is_file()
    (tmp_path / "disk" / "l").symlink_to("a")
    assert inside(tmp_path / "out", "l/x.png")
    assert inside(tmp_path / "out", "x.png")
    monkeypatch.chdir(tmp_path / "out")
    for here in (".", ""):
        assert inside(type(tmp_path)(here), "a/x.png")
        assert placed(type(tmp_path)(here), "a/y.png").parent.is_dir()
    os.chdir("/")
