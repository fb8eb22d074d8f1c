"""`anosynth threshold` as users call it: text, JSON, page, exit codes."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from anosynth.errors import DataError
from anosynth.threshold import Scores, assess
from anosynth.threshold._chart import detection_chart
from anosynth.threshold.judge import selected
from anosynth.threshold.reading import from_columns
from anosynth_cli.main import run


def table(tmp_path, normals=400, defects=160, name="scores.csv", split=False):
    draw = np.random.default_rng(0)
    lines = ["id,score,label,type,severity,size_mm,group" + ",split" * split]
    for i, score in enumerate(draw.normal(size=normals)):
        lines.append(f"n{i},{float(score)!r},good,,,,p{i}" + (",train" if i % 2 else ",test") * split)
    for i in range(defects):
        size, severity = float(draw.lognormal(0, 0.7)), 0.25 * (i % 5)
        score = float(draw.normal() + 3 * size * (0.4 + severity))
        lines.append(f"d{i},{score!r},anomalous,{('dent', 'pit')[i % 2]},{severity},{size!r},q{i}" + ",test" * split)
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_text_says_threshold_confidence_and_what_is_found(tmp_path, capsys):
    assert run(["threshold", str(table(tmp_path))]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert re.match(r"threshold: \d\.\d+ \(at most 1 % of the normal samples are above it\)", lines[0])
    assert lines[1].startswith("false positives: 1 % (4 of 400; ")
    assert "with 95 % confidence, the false positive rate is at most 2.27 %; from " in lines[2]
    assert "detection against severity: " in out
    assert "detection against size_mm (mm): found with 90 % probability: " in out
    assert "(a90/95, penalised likelihood ratio bound)" in out
    assert re.search(r"^dent +80 ", out, re.MULTILINE)


def test_json_is_the_same_in_one_line_and_its_numbers_agree(tmp_path, capsys):
    path = table(tmp_path)
    assert run(["threshold", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    above = [float(row[1]) > record["threshold"] for row in rows]
    bad = [row[2] == "anomalous" for row in rows]
    assert record["operating"]["false_positives"]["hits"] == sum(a and not b for a, b in zip(above, bad, strict=True))
    assert record["found"]["hits"] == sum(a and b for a, b in zip(above, bad, strict=True))
    assert record["found"]["hits"] == sum(one["hits"] for one in record["types"].values())
    assert [one["against"] for one in record["detection"]] == ["severity", "size_mm"]
    assert record["assured"]["threshold"] > record["threshold"]
    assert record["needed"] == 299


def test_too_few_normal_samples_say_how_many_it_takes(tmp_path, capsys):
    path = table(tmp_path, normals=100)
    assert run(["threshold", str(path)]) == 0
    assert "cannot be said by 100 normal samples: it takes at least 299" in capsys.readouterr().out
    assert run(["threshold", str(path), "--assure"]) == 1
    assert "100 normal samples: too few to assure" in capsys.readouterr().err
    assert run(["threshold", str(path), "--fpr", "0.05", "--assure", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["chosen"] == "assured"
    assert record["sure"] is True
    assert record["operating"]["at_most"] <= 0.05


def test_a_given_threshold_is_used(tmp_path, capsys):
    assert run(["threshold", str(table(tmp_path)), "--threshold", "0.5", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["threshold"], record["chosen"]) == (0.5, "given")


def test_normal_samples_that_were_all_learned_from_are_named():
    columns = {"score": ["1", "2", "3"], "label": ["0", "0", "1"], "split": ["train", "train", "test"]}
    assert any("and the threshold comes out too low" in note for note in assess(from_columns(columns)).notes)
    columns["split"] = ["test"] * 3
    assert not any("training split" in note for note in assess(from_columns(columns)).notes)


def test_rows_can_be_chosen(tmp_path, capsys):
    path = table(tmp_path, split=True)
    run(["threshold", str(path), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert any("200 normal samples are of the training split" in note for note in record["notes"])
    run(["threshold", str(path), "--json", "--split", "test", "--where", "type=pit", "--where", "severity=0.50"])
    record = json.loads(capsys.readouterr().out)
    assert record["counts"] == {"normal": 200, "anomalous": 16}
    assert run(["threshold", str(path), "--where", "type=crack"]) == 1
    assert "--where type=crack: leaves no anomalous row of 160" in capsys.readouterr().err


def test_normal_scores_alone_give_a_threshold(tmp_path, capsys):
    assert run(["threshold", str(table(tmp_path, defects=0))]) == 0
    assert "no anomalous samples: nothing is known of what it finds" in capsys.readouterr().out
    assert run(["threshold", str(table(tmp_path, defects=0)), "--against", "severity"]) == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--columns", "score"], 2),
        (["--columns", "score=none"], 1),
        (["--fpr", "1.5"], 2),
        (["--confidence", "95"], 2),
        (["--pod", "0"], 2),
        (["--against", "weight"], 1),
        (["--against", "type"], 1),
        (["--scale", "sqrt"], 2),
        (["--where", "type"], 2),
        (["--threshold", "1", "--assure"], 2),
        (["--threshold", "nan"], 2),
        (["--html", "."], 1),
        (["--split", "none"], 1),
    ],
)
def test_mistakes_are_told_without_a_traceback(tmp_path, capsys, more, code):
    assert run(["threshold", str(table(tmp_path)), *more]) == code
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert told.out == ""


def test_the_page_stands_alone_and_shows_the_curves(tmp_path, capsys):
    target = tmp_path / "page.html"
    path = table(tmp_path, name="<b>&.csv")
    assert run(["threshold", str(path), "--html", str(target)]) == 0
    assert capsys.readouterr().out.endswith(f"page: {target}\n")
    text = target.read_text()
    css = re.search("<style>(.*)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in text
    assert "prefers-color-scheme: dark" in css
    assert "style=" not in text
    assert "<script" not in text
    assert "<b>&.csv" not in text
    assert text.count("<svg") == 3
    assert text.count('class="curve"') == text.count('class="low"') == 2
    assert "nan" not in re.sub(r"[A-Za-z]+nan|nan[A-Za-z]+", "", text)


@pytest.mark.parametrize("hits", [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
def test_pages_of_what_cannot_be_fitted(hits):
    from anosynth.threshold.page import page
    from anosynth.threshold.table import table as text

    scores = Scores(
        np.r_[np.zeros(5), np.array(hits, float)], np.arange(9) > 4, others={"size": [""] * 5 + list("1234")}
    )
    outcome = assess(scores, fpr=0.2)
    assert "<svg" in page(outcome)
    assert "detection against size" in text(outcome)
    json.dumps(outcome.record(), allow_nan=False)


def test_units_that_do_not_agree_are_refused():
    scores = Scores(np.arange(4.0), np.arange(4) > 1, others={"size": ["", "", "1mm", "2mm"]})
    assert assess(scores, fpr=0.5, unit="mm").detections[0].unit == "mm"
    from anosynth.errors import ParameterError

    with pytest.raises(ParameterError, match="--unit: um: size is given in mm"):
        assess(scores, fpr=0.5, unit="um")


def test_groups_are_allowed_for_and_said():
    draw = np.random.default_rng(3)
    score = np.r_[np.repeat(draw.normal(size=80), 4), draw.normal(3, 1, 20)]
    groups = [f"p{i // 4}" for i in range(320)] + [f"q{i}" for i in range(20)]
    plain = assess(Scores(score, np.arange(340) >= 320), fpr=0.05)
    grouped = assess(Scores(score, np.arange(340) >= 320, group=groups), fpr=0.05)
    assert grouped.point.threshold == plain.point.threshold
    assert grouped.point.at_most > plain.point.at_most
    assert any("groups: 80 among 320" in note for note in grouped.notes)


def test_enough_normal_samples_that_groups_make_too_few(tmp_path, capsys):
    path = table(tmp_path, normals=320)
    scores = np.repeat(np.random.default_rng(5).normal(size=80), 4)
    lines = ["score,label,group", *(f"{score},0,p{i // 4}" for i, score in enumerate(scores.tolist())), "9,1,q"]
    path.write_text("\n".join(lines))
    assert run(["threshold", str(path)]) == 0
    assert "by 320 normal samples: it takes at least 299 independent ones\n" in capsys.readouterr().out
    assert run(["threshold", str(path), "--assure"]) == 1
    assert "needs at least 299 independent ones, and these are in groups" in capsys.readouterr().err


@pytest.mark.parametrize("normals", [["", ""], ["2", "1"], ["2", ""]])
def test_selecting_keeps_all_normal_rows(normals):
    scores = Scores(np.arange(4.0), np.arange(4) > 1, others={"size": [*normals, "1", "2"]})
    kept = selected(scores, where={"size": "1.0"})
    assert kept.score.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no column `x`"):
        selected(scores, where={"x": "1"})


def test_the_defects_that_are_looked_at_do_not_move_the_threshold(tmp_path, capsys):
    path = table(tmp_path)
    path.write_text(path.read_text().replace(",good,,,,p", ",good,,0.5,,p"))
    thresholds = []
    for more in ([], ["--where", "group=q3"], ["--where", "severity=0.25"]):
        assert run(["threshold", str(path), "--json", *more]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["counts"]["normal"] == 400
        thresholds.append(record["threshold"])
    assert len(set(thresholds)) == 1


def test_a_column_that_is_missing_is_told_with_all_that_are_there(tmp_path, capsys):
    assert run(["threshold", str(table(tmp_path)), "--where", "nosuch=1"]) == 1
    told = capsys.readouterr().err
    assert "no column `nosuch`: it has score, label, type, group, id, severity, size_mm" in told


def graded(found, tested=(0.0, 0.25, 0.5, 0.75, 1.0)):
    """Return an assessment of 40 defects at each severity, of which so many are found."""
    hits = np.concatenate([np.arange(40) < n for n in found]).astype(float)
    texts = [str(value) for value in np.repeat(tested, 40).tolist()]
    scores = np.r_[np.zeros(100), hits]
    return assess(Scores(scores, np.arange(len(scores)) >= 100, others={"severity": [""] * 100 + texts}), fpr=0.1)


def test_the_chart_draws_no_severity_that_the_text_withholds():
    from anosynth.threshold.page import page
    from anosynth.threshold.table import summary

    outcome = graded((2, 6, 12, 20, 28))
    one = outcome.detections[0]
    assert one.curve.a > 1
    assert "found with 90 % probability: at no severity up to 1;" in summary(one)
    text = page(outcome)
    assert "a90" not in re.search('aria-label="Probability of detection.*?</svg>', text, re.DOTALL)[0]
    assert text.count('class="level"') == 1
    feet = [float(tick) for tick in re.findall(r'text-anchor="middle">([-\d.]+)</text>', detection_chart(one))]
    assert max(feet) == 1


def test_the_chart_draws_what_the_text_gives():
    from anosynth.threshold.table import summary

    one = graded((2, 14, 30, 38, 40)).detections[0]
    assert one.curve.a < one.curve.a_bound < 1
    for name, value in (("a90", one.curve.a), ("a90/95", one.curve.a_bound)):
        assert f"{name} = {value:.4g}</text>" in detection_chart(one)
        assert f"{value:.4g}" in summary(one)
    # Multiples of a strength go on beyond 1.
    one = graded((2, 10, 25, 38, 40), (0.5, 1.0, 1.5, 2.0, 2.5)).detections[0]
    assert 1 < one.curve.a < 2.5
    assert "a90 = " in detection_chart(one)


def test_the_page_rounds_the_threshold_and_the_text_does_not(tmp_path, capsys):
    target = tmp_path / "page.html"
    assert run(["threshold", str(table(tmp_path)), "--html", str(target)]) == 0
    told = re.match(r"threshold: (\S+) ", capsys.readouterr().out)[1]
    assert run(["threshold", str(table(tmp_path)), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["threshold"]
    assert float(told) == value
    text = target.read_text()
    assert f'<p class="big">threshold: {value:.6g} (' in text
    assert f">threshold {value:.6g}</text>" in text
    assert told not in text
