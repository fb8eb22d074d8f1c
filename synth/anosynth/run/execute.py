"""One job: read, make, write, and return its line of the manifest. No state but a cache of the last file read."""

from __future__ import annotations

import errno
import hashlib
import importlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anosynth.datasets.layout import Layout, Output, Source
from anosynth.datasets.truth import placed
from anosynth.errors import AnosynthError, DataError, WriteError
from anosynth.generator import Anomaly, from_record
from anosynth.io.atomic import atomic_write
from anosynth.io.files import regular_bytes
from anosynth.io.images import limited
from anosynth.io.inner import fault, printable
from anosynth.seeding import stream

from .manifest import line
from .plan import Job
from .reading import AS_FOUND, Reading

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Place:
    """Where and how jobs are carried out; the same for all jobs of a run."""

    root: Path
    out: Path
    layout: Layout
    seed: int
    reading: Reading = AS_FOUND


def execute(job: Job, place: Place, *, view: bool = False) -> dict[str, Any]:
    """Carry out one job and return its record; a job that cannot be done gives a record that says why.

    With `view`, the record of a made sample also has a `view` for the report, which is no part of the manifest.

    Raises:
        WriteError: an output cannot be written (a full disk is no fault of the sample's).
    """
    if job.source.problem:
        return _skipped(job, place, job.source.problem)
    if why := fault(job.id):
        return _skipped(job, place, f"would be written as `{printable(job.id)}`, {why}")
    try:
        return _copied(job, place) if job.kind == "copy" else _made(job, place, view)
    except WriteError:
        raise
    except (AnosynthError, OSError) as error:
        return _skipped(job, place, str(error))
    except MemoryError:
        return _skipped(job, place, "not enough memory for it")
    except Exception as error:  # one sample's bug must not take the other samples with it
        return _skipped(job, place, f"internal error: {type(error).__name__}: {error}")


def job_of(record: dict[str, Any]) -> Job:
    """Return the job that a made or copied record, as of the sink `files`, is of."""
    source = Source(Path(record["source"]["path"]), record["category"])
    if record["status"] == "made":
        return Job(record["id"], "make", source, record["variant"], record["split"], record["generator"])
    targets = [output["path"] for output in record["outputs"]]
    # What belongs to a copied sample keeps its path.
    files = ((record["source"]["path"], targets[0]), *((path, path) for path in targets[1:]))
    return Job(record["id"], "copy", source, split=record["split"], files=files)


def make(job: Job, place: Place) -> Anomaly:
    """Return the anomaly of a "make" job, a pure function of the job, the seed and the source file."""
    generator = from_record(job.generator)
    with limited(place.reading.max_pixels):
        sample = load(place.root / job.source.path, place, job)
        return generator(sample, stream(place.seed, generator.name, job.source.key, job.variant))


def _made(job: Job, place: Place, view: bool) -> dict[str, Any]:
    source = place.root / job.source.path
    version = _version(source)
    digest = digest_of_source(source)
    family = family_of(place.layout)
    if place.layout.holds_many:
        with limited(place.reading.max_pixels):
            outputs, told = family.make_all(load(source, place, job), job, place)
        try:
            _check_unchanged(source, version)
        except DataError:
            # Files of features are read as they are worked on, so that it is known too late.
            for output in outputs:
                (place.out / output.path).unlink(missing_ok=True)
            raise
        return _record(job, place, digest, outputs, told)
    anomaly = make(job, place)
    _check_unchanged(source, version)
    told = {
        "mask": {"count": int(anomaly.mask.sum()), "area": anomaly.stats["area"]},
        "effect": _effect(anomaly, family.unit(anomaly)),
        "instances": _instances(anomaly, family),
        "stats": {key: value for key, value in anomaly.stats.items() if key != "area"},
    }
    try:
        line(told)
    except ValueError:
        raise DataError(f"{source}: values too large: its effect and statistics are not finite") from None
    try:
        outputs = place.layout.write(place.root, place.out, job.source, job.id, anomaly)
    except WriteError:
        raise
    except Exception:
        _take_back(job, place, anomaly)
        raise
    record = _record(job, place, digest, outputs, told)
    return {**record, "view": family.view(anomaly)} if view else record


def _take_back(job: Job, place: Place, anomaly: Anomaly) -> None:
    """Remove what is there of a sample that cannot be written whole: what is there when that is tried elsewhere."""
    with tempfile.TemporaryDirectory(prefix="anosynth-") as folder:
        with suppress(Exception):
            place.layout.write(place.root, Path(folder), job.source, job.id, anomaly)
        for path in Path(folder).rglob("*"):
            if path.is_file():
                (place.out / path.relative_to(folder)).unlink(missing_ok=True)


def _record(job: Job, place: Place, digest: str, outputs: list[Output], told: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": "made",
        "source": {"path": job.source.path.as_posix(), "sha256": digest},
        "category": job.source.category,
        "split": job.split,
        "generator": job.generator,
        "seed": place.seed,
        "key": job.source.key,
        "variant": job.variant,
        "epoch": 0,
        "stream": f"{stream(place.seed, job.generator['generator'], job.source.key, job.variant).key:032x}",
        "outputs": [_output(place.out, output) for output in outputs],
        **told,
    }


def _copied(job: Job, place: Place) -> dict[str, Any]:
    outputs = []
    for number, (origin, target) in enumerate(job.files):
        data = regular_bytes(place.root / origin)
        with atomic_write(placed(place.out, target)) as file:
            file.write(data)
        digest = hashlib.sha256(data).hexdigest()
        outputs.append({"role": "truth" if number else "sample", "path": target, "sha256": digest})
    source = {"path": job.source.path.as_posix(), "sha256": outputs[0]["sha256"]}
    place_of = {"category": job.source.category, "split": job.split}
    return {"id": job.id, "status": "copied", "source": source, **place_of, "outputs": outputs}


def _skipped(job: Job, place: Place, reason: str) -> dict[str, Any]:
    path = str(place.root / job.source.path)
    relative = job.source.path.as_posix()
    # Where root and OUT lie is a fact of this machine; the record must read the same on any.
    reason = reason.replace(path, relative).removeprefix(f"{place.out}: ").removeprefix(f"{place.out}/")
    reason = reason if relative in reason else f"{relative}: {reason}"
    source = {"path": relative}
    return {"id": job.id, "status": "skipped", "reason": reason, "source": source, "generator": job.generator}


_last: dict[str, Any] = {}


def load(path: Path, place: Place, job: Job) -> Any:
    """Read a source, or return the one just read: variants of a source follow one another."""
    family = family_of(place.layout)
    key = (str(path), place.layout.family, family.reading(place, job.source.key), _version(path))
    if _last.get("key") != key:
        _last.clear()
        sample = family.read(path, place, job.source.key)
        _last.update(key=key, sample=sample)
    return _last["sample"]


def family_of(layout: Layout) -> Any:
    """Return the module that knows the samples of a layout's family."""
    homes = {"pointclouds": ".of_clouds", "images": ".of_images", "features": ".of_features"}
    return importlib.import_module(homes[layout.family], __package__)


def digest_of_source(path: Path) -> str:
    """Return the source's sha256; its regular-file check keeps a FIFO from blocking the run."""
    if not path.is_file():
        raise DataError(f"{path}: not a regular file" if path.exists() else f"{path}: no such file")
    key = (str(path), _version(path))
    if _last.get("digest_key") != key:
        try:
            _last.update(digest_key=key, digest=file_sha256(path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return str(_last["digest"])


def _check_unchanged(path: Path, version: tuple[int, ...]) -> None:
    """Raise DataError if a source is not what it was before it was hashed: its hash may be of something else."""
    if _version(path) != version:
        raise DataError(f"{path}: has changed while it was read: expected a file that nobody writes to")


def _version(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is written anew."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a regular file, read in pieces.

    Raises:
        OSError: it cannot be read, or is something else (a FIFO would block).
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _output(out: Path, output: Output) -> dict[str, str]:
    entry = {"role": output.role, "path": output.path, "sha256": file_sha256(out / output.path)}
    return {**entry, "data_sha256": output.data_sha256} if output.data_sha256 else entry


def _effect(anomaly: Anomaly, unit: str | None) -> dict[str, Any]:
    values = anomaly.effect[anomaly.mask].astype(np.float64)
    least, most, mean = float(values.min()), float(values.max()), float(np.abs(values).mean())
    return {"min": least, "max": most, "mean_abs": mean, "unit": unit}


def _instances(anomaly: Anomaly, family: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(1, int(anomaly.instances.max()) + 1):
        inside = anomaly.instances == number
        box = family.box(anomaly, inside) if inside.any() else []
        found.append({"id": number, "type": anomaly.generator.name, "count": int(inside.sum()), "box": box})
    return found
