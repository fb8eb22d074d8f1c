"""Tables of scores from anywhere: forms, names of columns, labels, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anosynth.errors import DataError, ParameterError
from anosynth.threshold import read_scores


def write(tmp_path, text, name="scores.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


ROWS = [("a", 0.25, 0, ""), ("b", 1e-3, 0, ""), ("c", 2.5, 1, "0.5"), ("d", -1.0, 1, "1.5")]


@pytest.mark.parametrize("form", ["csv", "tsv", "semicolon", "jsonl", "json", "bom", "windows"])
def test_every_form_gives_the_same_table(tmp_path, form):
    cut = {"tsv": "\t", "semicolon": ";"}.get(form, ",")
    text = "\n".join(["id,Score,LABEL,size_mm".replace(",", cut)] + [cut.join(map(str, row)) for row in ROWS]) + "\n"
    if form == "jsonl":
        rows = [{"id": i, "score": s, "label": n, "size_mm": float(v) if v else None} for i, s, n, v in ROWS]
        text = "\n".join(map(json.dumps, rows)) + "\n\n"
    if form == "json":
        text = json.dumps([{"id": i, "Score": s, "label": n, "size_mm": v} for i, s, n, v in ROWS], indent=1)
    if form == "semicolon":
        text = text.replace(".", ",")
    if form == "windows":
        text = text.replace("\n", "\r\n")
    name = {"tsv": "s.tsv", "jsonl": "s.jsonl", "json": "s.json"}.get(form, "s.csv")
    found = read_scores(write(tmp_path, text, name, "utf-8-sig" if form == "bom" else "utf-8"))
    assert found.score.tolist() == [0.25, 1e-3, 2.5, -1.0]
    assert found.anomalous.tolist() == [False, False, True, True]
    values, unit = found.values("size_mm")
    assert np.array_equal(values, [np.nan, np.nan, 0.5, 1.5], equal_nan=True)
    assert unit == ""


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ("0 1", ["", ""]),
        ("False True", ["", ""]),
        ("0.0 1.0", ["", ""]),
        ("good anomalous", ["", ""]),
        ("OK NG", ["", ""]),
        ("good scratch", ["", "scratch"]),
    ],
)
def test_labels_are_numbers_or_words(tmp_path, labels, kinds):
    normal, bad = labels.split()
    found = read_scores(write(tmp_path, f"score,label\n1,{normal}\n2,{bad}\n"))
    assert found.anomalous.tolist() == [False, True]
    assert list(found.kind) == kinds


@pytest.mark.parametrize("label", ["2", "-1", "", "scratch", "1.5"])
def test_other_labels_are_refused_by_their_row(tmp_path, label):
    with pytest.raises(DataError, match=r"row 2: label: .*: expected 0 or 1, or good or anomalous"):
        read_scores(write(tmp_path, f"score,label\n1,0\n2,{label}\n"))


def test_missing_columns_are_named_with_what_there_is(tmp_path):
    path = write(tmp_path, "id,pred_score,gt\n1,0.5,0\n2,0.7,1\n")
    with pytest.raises(DataError, match="no column `score`: found id, pred_score, gt\nhint: --columns score=NAME"):
        read_scores(path)
    with pytest.raises(DataError, match=r"no column `scor` \(--columns score=scor\): found id, pred_score, gt"):
        read_scores(path, {"score": "scor", "label": "gt"})
    with pytest.raises(ParameterError, match=r"--columns: lable: must be one of .*; did you mean `label`"):
        read_scores(path, {"lable": "gt"})
    assert read_scores(path, {"score": "pred_score", "label": "GT"}).score.tolist() == [0.5, 0.7]


def test_a_mapped_column_takes_the_place_of_one_of_its_name(tmp_path):
    path = write(tmp_path, "score,other,label\n1,5,0\n2,6,1\n")
    assert read_scores(path, {"score": "other"}).score.tolist() == [5, 6]


@pytest.mark.parametrize("score", ["", "nan", "inf", "high"])
def test_scores_are_finite_numbers(tmp_path, score):
    with pytest.raises(DataError, match=r"row 1: score: .*: expected a number"):
        read_scores(write(tmp_path, f"score,label\n{score},0\n2,1\n"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "score,label\n", "no rows"),
        ("a.csv", "score,label\n1,0,5\n", "row 1: 3 cells: expected 2"),
        ("a.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("a.jsonl", '{"score": 1\n', "line 1: not a JSON object"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_scores(write(tmp_path, text, name))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: no such file"):
        read_scores(tmp_path / "none.csv")
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_scores(tmp_path / "photo.csv")


def test_values_may_have_one_unit(tmp_path):
    path = write(tmp_path, "score,label,size,depth\n1,1,0.5mm,1 um\n2,1,2 mm,2 mm\n3,0,,\n")
    found = read_scores(path)
    values, unit = found.values("size")
    assert (values[:2].tolist(), unit) == ([0.5, 2.0], "mm")
    with pytest.raises(DataError, match="depth: units mm, um: expected one"):
        found.values("depth")
    with pytest.raises(DataError, match="no column `weight`: it has score, label, size, depth"):
        found.values("weight")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="score: two columns of this name: expected one"):
        read_scores(write(tmp_path, "score,label,Score\n1,0,2\n2,1,3\n"))
    assert len(read_scores(write(tmp_path, ",score,label,\n0,1,0,x\n1,2,1,y\n"))) == 2


def test_json_lines_end_at_line_feeds_alone(tmp_path):
    text = '{"score": 1, "label": "good"}\r\n{"score": 2, "label": "a\u2028b\u0085c"}\n'
    assert list(read_scores(write(tmp_path, text, "s.jsonl")).kind) == ["", "a\u2028b\u0085c"]
