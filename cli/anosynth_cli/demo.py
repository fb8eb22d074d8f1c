"""`anosynth demo`: the main job on embedded toy data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from . import making, running

EXAMPLE = "anosynth demo demo/"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write to.")] = Path("anosynth-demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Make toy parts, put every kind of defect on them, check the result and write a report."""
    from anosynth.datasets.layout import find_layout
    from anosynth.recipe import Recipe
    from anosynth.run import Plan, verify
    from anosynth.toy import make_toy

    parts = out / "parts"
    running.say(f"making toy parts in {parts}")
    make_toy("parts", parts, seed=0, count=2, points=20_000)
    plan = Plan(parts, find_layout("folder"), recipe=Recipe.read("all-defects"), count=2)
    made = out / "anomalous"
    running.say(f"putting defects on them: anosynth pointcloud --recipe all-defects --count 2 {parts} {made}")
    running.carry_out(making.Given(overwrite=overwrite, json=json), plan, made)
    findings = list(verify(made))
    bad = [finding for finding in findings if finding.state == "bad"]
    running.say(f"verified: {len(findings) - len(bad)} of {len(findings)} samples whole, labels exactly what changed")
    running.say(f"open {(made / 'report.html').resolve()} in a browser")
    if bad:
        raise typer.Exit(1)
