"""What a run would cost, from a few of its samples made in a temporary folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

from ._options import sink_record
from .execute import Place, execute
from .manifest import line
from .plan import Job, Plan
from .sinks import Sink, find_sink


@dataclass(frozen=True)
class Estimate:
    """What a run would write.

    Attributes:
        made, copied: samples that would be made, and normal ones that would be taken over, of this shard.
        bytes: of all files but manifest and report, with the sink `recipe` of the manifest; None if none of the tried
            samples could be made.
        seconds: of CPU time of one process, without its start and the report; None likewise.
        tried: samples that bytes and seconds are reckoned from, the first of the plan.
    """

    made: int
    copied: int
    bytes: int | None
    seconds: float | None
    tried: int


def estimate(plan: Plan, *, tried: int = 3) -> Estimate:
    """Make the first `tried` samples of a plan in a temporary folder and reckon up what all of them cost.

    Samples of one recipe differ, so this is a rough number; it touches nothing but a temporary folder. Files of
    features are as large as the disk may be and their generators may have to learn first: these are counted alone.
    """
    if plan.layout.holds_many:
        return Estimate(len(plan), 0, None, None, 0)
    jobs = plan.jobs()
    copies = list(takewhile(lambda job: job.kind == "copy", jobs))
    # `takewhile` has eaten the first job that is none.
    made = len(plan) - len(copies)
    wanted = list(islice(_of_different_sources(islice(plan.jobs(), len(copies), None)), tried))
    with tempfile.TemporaryDirectory(prefix="anosynth-") as folder:
        out = Path(folder)
        place = Place(plan.root, out, plan.layout, plan.seed, plan.reading)
        sink = find_sink(sink_record(plan.sink, plan.shard_size))
        # Once untimed, for what is imported at the first use.
        for job in wanted:
            _cost(job, place, sink)
        costs = [cost for job in wanted if (cost := _cost(job, place, sink))]
        # The source just read is not read again: variants of it cost less than the first.
        again = [cost for job in wanted[-1:] if (cost := _cost(job, place, sink))]
        copied = [cost for job in copies[:tried] if (cost := _cost(job, place, sink))]
    if (made and not costs) or (copies and not copied):
        return Estimate(made, len(copies), None, None, 0)
    size = made * _mean([c[0] for c in costs]) + len(copies) * _mean([c[0] for c in copied])
    reading = max(0.0, costs[-1][1] - again[-1][1]) if len(wanted) > 1 and costs and again else 0.0
    variants = max(0, made - len(plan.sources))
    seconds = made * _mean([c[1] for c in costs]) - variants * reading + len(copies) * _mean([c[1] for c in copied])
    return Estimate(made, len(copies), round(size), seconds, len(costs) + len(copied))


def _of_different_sources(jobs: Iterator[Job]) -> Iterator[Job]:
    """Yield the first job of each of a few sources, then of what is left: variants of one source share its reading."""
    seen, rest = set(), []
    for job in islice(jobs, 1000):
        if job.source.path in seen:
            rest.append(job)
        else:
            seen.add(job.source.path)
            yield job
    yield from chain(rest, jobs)


def _cost(job: Job, place: Place, sink: Sink) -> tuple[int, float] | None:
    began = time.process_time()
    record = execute(job, place)
    seconds = time.process_time() - began
    if record["status"] == "skipped":
        return None
    if not sink.stored:
        return len(line(record)), seconds
    return sum((place.out / output["path"]).stat().st_size for output in record["outputs"]), seconds


def _mean(values: list[int] | list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
