"""`anosynth audit` on the command line: exit codes, texts, JSON and the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc

import pytest
from audit_sets import blob, mvtec, save, shot

from anosynth.audit import audit
from anosynth.audit.compare import PROPERTIES
from anosynth_cli.main import run

KEYS = ["audit", "data", "honest", "counts", "splits", "limits", "findings", "properties", "against"]


def leaky(image, number):
    after = image.copy()
    after[blob(number + 3)] += 40
    return after, blob(number)


@pytest.fixture
def honest(tmp_path):
    return mvtec(tmp_path / "honest")


@pytest.fixture
def bad(tmp_path):
    return mvtec(tmp_path / "bad", leaky)


def test_exit_codes(honest, bad, capsys):
    assert run(["audit", str(honest)]) == 0
    assert run(["audit", str(bad), "--sources", str(bad.parent / "sources")]) == 3
    capsys.readouterr()
    assert run(["audit", str(honest / "none")]) == 1
    assert run(["audit"]) == 2
    assert run(["audit", str(honest), "--layout", "mvtek"]) == 2
    assert run(["audit", str(honest), "--images", "x"]) == 2
    assert run(["audit", str(honest), "--ks", "0.5"]) == 2
    assert run(["audit", str(honest), "--floor", "900"]) == 2
    assert run(["audit", str(honest), "--html", str(honest)]) == 1
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 7
    assert "Traceback" not in errors


def test_the_table_says_findings_first_and_the_verdict_last(bad, capsys):
    run(["audit", str(bad), "--sources", str(bad.parent / "sources"), "--show", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(
        "mvtec, by its names: 12 normal photos, 6 anomalous (6 train, 12 test), 6 compared with their source"
    )
    assert lines[2].startswith("fault: leak: 6: changed pixels outside of the mask: more than 1 %")
    assert lines[5] == "  and 4 more (--show 0 lists all)"
    assert lines.index("") < next(place for place, line in enumerate(lines) if line.startswith("area"))
    assert lines[-1] == "faults: 18 (leak, dead, invisible)"


def test_a_verdict_claims_no_more_than_was_checked(honest, capsys):
    run(["audit", str(honest)])
    assert "as far as can be told" in capsys.readouterr().out
    run(["audit", str(honest), "--sources", str(honest.parent / "sources")])
    assert capsys.readouterr().out.endswith("no faults: every mask is exactly what changed\n")


def test_thresholds_are_options(bad):
    line = ["audit", str(bad), "--sources", str(bad.parent / "sources")]
    assert run([*line, "--leak", "1", "--dead", "1", "--invisible", "1"]) == 0
    assert run([*line, "--leak", "1", "--dead", "1"]) == 3
    assert run([*line, "--leak", "1", "--dead", "1", "--invisible", "1", "--full", "0.01"]) == 3


def test_json_is_one_object_of_stable_keys(bad, honest, capsys):
    run(["audit", str(bad), "--sources", str(bad.parent / "sources"), "--against", str(honest), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert list(record) == KEYS
    assert record["honest"] is False
    assert [finding["code"] for finding in record["findings"]] == ["leak", "dead", "invisible"]
    for finding in record["findings"]:
        assert list(finding) == ["code", "fault", "title", "count", "cases"]
        assert finding["count"] == len(finding["cases"]) == 6
        values = [case["value"] for case in finding["cases"]]
        assert values == sorted(values, reverse=True)
    assert list(record["against"]) == ["data", "counts", "properties", "distances"]
    assert record["against"]["distances"]["area"]["ks"] == 0
    assert record["properties"]["area"]["count"] == 6
    assert record["properties"]["instances"] is None


def test_a_reference_stands_beside_what_is_audited(bad, honest, tmp_path, capsys):
    page = tmp_path / "audit.html"
    line = ["audit", str(bad), "--sources", str(bad.parent / "sources"), "--against", str(honest)]
    assert run([*line, "--html", str(page)]) == 3
    lines = capsys.readouterr().out.splitlines()
    heads = next(" ".join(line.split()) for line in lines if "by chance" in line)
    assert heads == "n 5 % median 95 % ref. n ref. 5 % ref. median ref. 95 % KS by chance"
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["area"][1:5] == rows["area"][5:9]
    assert rows["area"][9:] == ["0.00", "<", "0.78"]
    assert rows["leak"][5:] == ["0", "-", "-", "-", "-", "-"]
    assert f"ref.: {honest}: 6 anomalous photos" in lines
    text = page.read_text(encoding="utf-8")
    assert text.count("<th>reference</th>") == len(PROPERTIES)
    assert f"reference: {honest}" in text
    assert "below 0.78" in text


def test_pairs_on_the_command_line(bad, capsys):
    part = bad / "part"
    line = ["--images", str(part / "test" / "scratch"), "--masks", str(part / "ground_truth" / "scratch")]
    assert run(["audit", *line, "--normals", str(part / "train" / "good")]) == 0
    assert capsys.readouterr().out.startswith("photos and masks, by its names: 6 normal photos, 6 anomalous")
    assert run(["audit", *line, "--sources", str(bad.parent / "sources")]) == 3


def test_the_page_holds_all_it_needs_and_lets_nothing_else_in(tmp_path, capsys):
    data = mvtec(tmp_path, leaky)
    scratch = data / "part" / "test" / "scratch"
    mask = data / "part" / "ground_truth" / "scratch"
    (scratch / "s000_001.png").rename(scratch / "s000_<b>&.png")
    (mask / "s000_001_mask.png").rename(mask / "s000_<b>&_mask.png")
    page = tmp_path / "audit.html"
    assert run(["audit", str(data), "--sources", str(tmp_path / "sources"), "--html", str(page)]) == 3
    text = page.read_text(encoding="utf-8")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}';")
    assert "<script" not in text
    assert "style=" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "s000_&lt;b&gt;&amp;.png" in text
    assert "<b>" not in text
    # Of three faults with six cases each and of the six faintest, a photo and one with its mask.
    assert text.count('<img src="data:image/png;base64,') == 48


def test_the_page_paints_what_leaks(tmp_path):
    import io

    import numpy as np
    from PIL import Image

    from anosynth.audit.pictures import OUTSIDE, STILL, Pictures

    outcome = audit(mvtec(tmp_path, leaky), sources=tmp_path / "sources")
    row = next(row for row, sample in enumerate(outcome.found.samples) if sample.defective)
    photo, marked = (
        np.asarray(Image.open(io.BytesIO(data))).astype(int)
        for data in Pictures(outcome, tmp_path / "sources", match=False).of(row)
    )
    painted = (photo != marked).any(axis=2)
    outside, still = blob(3) & ~blob(0), blob(0) & ~blob(3)
    assert (painted == (blob(0) | blob(3))).all()
    for part, colour in ((outside, OUTSIDE), (still, STILL)):
        assert np.abs(marked[part] - (0.45 * photo[part] + 0.55 * np.array(colour))).max() <= 1


def test_memory_does_not_follow_the_number_of_photos(tmp_path):
    def peak(count):
        data = tmp_path / str(count)
        for number in range(count):
            save(data / "part" / "train" / "good" / f"{number:05d}.png", shot(number, (256, 256)))
        save(data / "part" / "test" / "crack" / "0.png", shot(9999, (256, 256)))
        save(data / "part" / "ground_truth" / "crack" / "0_mask.png", blob(1, (256, 256)) * 255)
        audit(data)
        tracemalloc.start()
        audit(data)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # A photo has 65 536 bytes.
    assert peak(60) - peak(20) < 40 * 3000
