"""Trust, but check: `verify` re-hashes a data set and compares labels with sources; `replay` makes rows again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from anosynth.datasets.layout import Source, find_layout
from anosynth.errors import AnosynthError, DataError
from anosynth.io.images import limited
from anosynth.seeding import SCHEME

from .drive import inside
from .execute import Place, execute, family_of, file_sha256, load
from .manifest import division, manifest_name, manifests, read_lines
from .plan import Job
from .reading import Reading

_NEEDED: dict[str, dict[str, type]] = {
    "made": {"outputs": list, "source": dict, "category": str, "generator": dict, "seed": int, "variant": int},
    "copied": {"outputs": list, "source": dict},
    "skipped": {"reason": str, "source": dict},
}
"""What `verify` and `replay` read of the records of each status."""


@dataclass(frozen=True)
class Finding:
    """What was found about one row: "ok", "unchecked" (its source is not here) or "bad", and why."""

    id: str
    state: str
    text: str = ""


def verify(out: Path, root: Path | None = None) -> Iterator[Finding]:
    """Yield a finding for each row of the manifests in OUT, and one for each table of the data set that is missing.

    Every named file must be there with its hash; the labels must be what differs from the source: no changed element
    outside the mask, no unchanged one inside (where the source is at hand and the format keeps the order of points).

    Raises:
        DataError: there is no manifest, or it is not readable.
    """
    for place, record in _rows(out, root, maps=False):
        if record["status"] == "skipped":
            yield Finding(record["id"], "ok", f"skipped: {record['reason']}")
            continue
        problem = _files_problem(out, record)
        if problem:
            yield Finding(record["id"], "bad", problem)
            continue
        yield _labels_finding(place, record) if record["status"] == "made" else Finding(record["id"], "ok")
    yield from _missing_tables(out)
    for name in _missing_shards(out):
        yield Finding(name, "unchecked", "this shard is not here, or not finished")


def replay(out: Path, only: str | None = None, root: Path | None = None) -> Iterator[Finding]:
    """Make rows again from their manifest lines in a temporary folder and compare every byte.

    Args:
        only: the id of the one row to make; all made rows by default.
        root: where the sources are now; the manifest's own by default.

    Raises:
        DataError: there is no manifest, no such row, or it was made under another scheme.
    """
    found = False
    for place, record in _rows(out, root, maps=True):
        if record["status"] != "made" or (only is not None and record["id"] != only):
            continue
        found = True
        with tempfile.TemporaryDirectory(prefix="anosynth-replay-") as folder:
            there = replace(place, out=Path(folder), seed=record["seed"])
            yield _compared(record, execute(_job(record), there))
    if only is not None and not found:
        raise DataError(f"{out}: no made row `{only}` in the manifest")


def _missing_shards(out: Path) -> list[str]:
    here = {path.name for path in manifests(out)}
    numbers = sorted({division(name) for name in here})
    whole = [manifest_name((index, number)) for number in numbers for index in range(1, number + 1)]
    return [name for name in whole if name not in here]


def _missing_tables(out: Path) -> Iterator[Finding]:
    """Yield a finding for each file of the whole data set that should be there by what else is, and is not."""
    for path in manifests(out)[:1]:
        header = next(read_lines(path))
        outputs = header.get("outputs", [])
        named = {entry.get("path") for entry in outputs if isinstance(entry, dict)} if outputs else set()
        for table in find_layout(header["layout"]).due(out) if named else []:
            if table in named and not (out / table).is_file():
                yield Finding(table, "bad", "this table is missing; the line that made the data set writes it again")


def _rows(out: Path, root: Path | None, *, maps: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
    for path in manifests(out):
        lines = read_lines(path, finished=True)
        header = next(lines, None)
        if header is None or header.get("kind") != "header":
            raise DataError(f"{path}: has no header line: not a manifest of anosynth")
        if header.get("scheme") != SCHEME:
            raise DataError(f"{path}: made under scheme {header.get('scheme')}: this anosynth reads scheme {SCHEME}")
        try:
            layout = find_layout(header["layout"])
            base = root if root is not None else out / header["root"]
            reading = Reading.from_record(header, out, maps=maps)
            place = Place(base, out, layout, int(header["seed"]), reading)
            for record in lines:
                _check_record(out, record)
                yield place, record
        except AnosynthError:
            raise
        except KeyError as error:
            raise DataError(f"{path}: a record lacks {error}: not a manifest of this anosynth") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: {error}: not a manifest of this anosynth") from None


def _check_record(out: Path, record: dict[str, Any]) -> None:
    needed = _NEEDED.get(record["status"])
    if needed is None:
        raise ValueError(f"a record has the status {record['status']!r}")
    for key, kind in needed.items():
        if not isinstance(record[key], kind):
            raise TypeError(f"`{key}` of a record is no {kind.__name__}")
    paths = [output["path"] for output in record.get("outputs", []) if output["sha256"]]
    for path in [*paths, record["id"]]:
        if not inside(out, out / path):
            raise DataError(f"{out}: the manifest names `{path}`, which lies outside")
    source = PurePosixPath(record["source"]["path"])
    if source.is_absolute() or ".." in source.parts:
        raise DataError(f"{out}: the manifest names the source `{source}`, which lies outside the root")
    if record["status"] == "made" and not (record["source"]["sha256"] and record["mask"]["count"]):
        raise ValueError("a made record without source or labels")


def _job(record: dict[str, Any]) -> Job:
    source = Source(Path(record["source"]["path"]), record["category"])
    return Job(record["id"], "make", source, record["variant"], record["split"], record["generator"])


def _compared(record: dict[str, Any], again: dict[str, Any]) -> Finding:
    if again["status"] != "made":
        return Finding(record["id"], "bad", again["reason"])
    if again["source"] != record["source"]:
        return Finding(record["id"], "bad", f"the source {record['source']['path']} is not the file that it was")
    before = {output["path"]: output["sha256"] for output in record["outputs"]}
    after = {output["path"]: output["sha256"] for output in again["outputs"]}
    different = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return (
        Finding(record["id"], "bad", f"made again, {different[0]} differs")
        if different
        else Finding(record["id"], "ok")
    )


def _files_problem(out: Path, record: dict[str, Any]) -> str:
    for output in record["outputs"]:
        try:
            if file_sha256(out / output["path"]) != output["sha256"]:
                return f"{output['path']}: is not the file that was written"
        except OSError as error:
            return f"{output['path']}: {error.strerror}"
    return ""


def _labels_finding(place: Place, record: dict[str, Any]) -> Finding:
    job = _job(record)
    try:
        if file_sha256(place.root / job.source.path) != record["source"]["sha256"]:
            return Finding(
                record["id"], "unchecked", "the source is not the file that it was; only hashes were checked"
            )
    except OSError:
        return Finding(
            record["id"], "unchecked", "the source is not here; only hashes were checked (--root says where)"
        )
    try:
        with limited(place.reading.max_pixels):
            before = load(place.root / job.source.path, place, job)
            truth = place.layout.read_truth(place.out, record)
    except AnosynthError as error:
        return Finding(record["id"], "bad", str(error))
    except KeyError as error:
        return Finding(record["id"], "bad", f"the manifest names no file with the role {error}")
    if truth is None:
        return Finding(record["id"], "ok", "labels not compared: the format does not keep the order of points")
    if int(truth.mask.sum()) != record["mask"]["count"]:
        return Finding(
            record["id"], "bad", f"{int(truth.mask.sum())} labelled, the manifest says {record['mask']['count']}"
        )
    shown = family_of(place.layout).compare(before, truth)
    if isinstance(shown, str):
        return Finding(record["id"], "bad", shown)
    if record["generator"].get("mask") == "region":
        text = f"labels are the intended region: leak {shown.leak:.4f}, dead {shown.dead:.4f}"
        return Finding(record["id"], "ok", text)
    if shown.leak or shown.dead:
        return Finding(record["id"], "bad", f"labels: leak {shown.leak:.4f}, dead {shown.dead:.4f}; both must be 0")
    return Finding(record["id"], "ok")
