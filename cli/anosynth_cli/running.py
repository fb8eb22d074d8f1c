"""What the commands that make data sets share once a plan is made: dry runs, progress, outcome."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, ParameterError
from anosynth.io.remote import url_of
from anosynth.run import Plan, run
from anosynth.run._inputs import plain_inputs

if TYPE_CHECKING:
    from .making import Given

VIEWS = 40
"""Samples with a 3-D view in the report."""

_OTHERS = {"photos": ("pointcloud", "folder"), "folder": ("images", "photos")}
"""By the layout of plain files, the other command that one may have meant, and its layout."""

_SHOWN = 40
_COUNTED = ("samples", "files", "images", "defects")
_ALIKE = 10
"""From so many samples on, skipped for one and the same reason, it is said once."""


def say(text: str) -> None:
    """Print a message to stderr."""
    sys.stderr.write(text + "\n")


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what a plan would make and cost: a line a sample, JSON lines with `as_json`, the last one of kind total."""
    from anosynth.run.estimate import estimate

    total = _counted_samples(plan)
    for job in plan.jobs() if as_json else islice(plan.jobs(), _SHOWN):
        row = {"id": job.id, "kind": job.kind, "source": job.source.path.as_posix(), "generator": job.generator}
        if as_json:
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            drawn = {k: v for k, v in job.generator.items() if k not in ("generator", "family", "version")}
            values = " ".join(f"{name}={_short(value)}" for name, value in drawn.items() if value != "")
            name = job.generator.get("generator", "copy")
            sys.stdout.write(f"{row['source']} -> {job.id}  {name}  {values}".rstrip() + "\n")
    cost = estimate(plan)
    if as_json:
        sys.stdout.write(json.dumps({"kind": "total", **asdict(cost)}) + "\n")
        return
    if total > _SHOWN:
        sys.stdout.write(f"... and {total - _SHOWN} more\n")
    copied = f" and {number_of(cost.copied, 'normal samples')} copied" if cost.copied else ""
    say(f"{number_of(cost.made, 'samples')} would be made{copied}; nothing was")
    if cost.bytes is not None and cost.seconds is not None:
        say(f"about {_size(cost.bytes)} and {_duration(cost.seconds)} of CPU time, going by {cost.tried} of them")


def _counted_samples(plan: Plan) -> int:
    """Return how many samples a plan has.

    Raises:
        DataError: it has none; if another command reads what is there, the message says so.
    """
    try:
        return len(plan)
    except DataError as error:
        name, layout = _OTHERS.get(plan.layout.name, ("", ""))
        found = plain_inputs(plan.root, find_layout(layout)) if name and not plan.only else []
        if not found or "\nhint: " in str(error):
            raise
        raise DataError(f"{error}\nhint: `anosynth {name}` reads {found[0]} and its like") from None


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:.3g} s"


def carry_out(
    given: Given,
    plan: Plan,
    out: Path,
    *,
    say: Callable[[dict[str, Any]], str] = lambda record: "",
    noun: str = "anomalous samples",
) -> None:
    """Run a plan as a command line asks for, with a progress bar, write the report and print the outcome.

    Args:
        say: returns a line on the first record that was made.
        noun: what a made record is one of.

    Raises:
        typer.Exit: something was skipped: with 3, or with 1 if nothing was made.
    """
    if given.on_error not in ("skip", "stop"):
        raise ParameterError(f"--on-error: {given.on_error}: must be skip or stop")
    total, pages = _counted_samples(plan), given.report and plan.shard[1] == 1
    first: list[str] = []

    def notice(record: dict[str, Any]) -> None:
        if record["status"] == "made" and not first:
            first.append(say(record))
        step()

    # A stopped run must unwind, so that its workers end and its lock goes; what it made is kept.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_stopped()))
    try:
        with _progress(total) as step:
            summary = run(
                plan,
                out,
                workers=given.workers,
                engine=given.engine,
                address=given.address,
                overwrite=given.overwrite,
                on_error=given.on_error,
                views=VIEWS if pages else 0,
                progress=notice,
            )
    except KeyboardInterrupt:
        sys.exit(_stopped())
    finally:
        signal.signal(signal.SIGTERM, before)
    page = None
    if pages:
        from anosynth.run import write_report

        page = write_report(out, summary.views)
    _print_outcome(summary, url_of(out) or out, page, first, noun, as_json=given.json)
    if summary.skipped:
        raise typer.Exit(3 if summary.made else 1)


def _print_outcome(
    summary: Any, out: Path | str, page: Path | str | None, lengths: list[str], noun: str, *, as_json: bool
) -> None:
    for problem in _gathered(summary.problems):
        say(f"skipped: {problem}")
    if summary.skipped > len(summary.problems):
        say(f"skipped: and {summary.skipped - len(summary.problems)} more; the manifest names them")
    if as_json:
        row = {
            "out": str(out),
            "made": summary.made,
            "copied": summary.copied,
            "skipped": summary.skipped,
            "kept": summary.kept,
            "problems": summary.problems,
            "report": str(page) if page else None,
        }
        sys.stdout.write(json.dumps(row) + "\n")
        return
    for line in lengths:
        if line:
            say(line)
    kept = f", {summary.kept} of them from an earlier run" if summary.kept else ""
    copied = f", {number_of(summary.copied, 'normal samples')} copied" if summary.copied else ""
    skipped = f", {summary.skipped} skipped" if summary.skipped else ""
    sys.stdout.write(f"{out}: {number_of(summary.made, noun)}{copied}{skipped}{kept}\n")
    if page:
        sys.stdout.write(f"report: {page}\n")


def number_of(number: int, noun: str) -> str:
    """Return a number of things, `noun` being their name in the plural."""
    for many in _COUNTED if number == 1 else ():
        noun = noun.replace(many, many[:-1])
    return f"{number} {noun}"


def _gathered(problems: Sequence[str]) -> Iterator[str]:
    """Yield the problems; the names of many samples with one and the same are put on one line."""
    names: dict[str, list[str]] = {}
    for problem in problems:
        name, _, reason = problem.partition(": ")
        names.setdefault(reason, []).append(name)
    told = set()
    for problem in problems:
        reason = problem.partition(": ")[2]
        if len(names[reason]) < _ALIKE:
            yield problem
        elif reason not in told:
            told.add(reason)
            yield f"{', '.join(names[reason])}: {reason}"


@contextmanager
def counted(text: str = "") -> Iterator[Callable[..., None]]:
    """Yield step(done, total, text) for a Rich bar on a terminal, for nothing elsewhere; gone when done."""
    if not sys.stderr.isatty():
        yield lambda *told: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)

        def step(done: int, total: int, text: str = text) -> None:
            bar.update(task, description=text, completed=done, total=total)

        yield step


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Yield step() for a bar of samples; none for a few."""
    with counted("samples") as step:
        done = count(1)
        yield (lambda: step(next(done), total)) if total >= 4 else (lambda: None)


def _stopped() -> int:
    say("stopped; what was made is kept: give the same line again to go on")
    return 1


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
