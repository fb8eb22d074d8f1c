"""`anosynth export`: a finished data set in the form that another tool reads."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

EXAMPLE = "anosynth export coco anomalous/ coco/"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    from anosynth.export import export_names

    _run.__doc__ = (
        "Write a finished data set of photos in the form that another tool reads.\n\n"
        f"FORMATs: {', '.join(export_names())}. DEST is a folder of its own; card may also go into OUT. croissant\n"
        "describes OUT where it is: DEST is OUT, or a folder that holds it."
    )
    return _run


def _run(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="What to write.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A data set that `anosynth images` wrote.")],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to write to: empty, or an earlier export.")],
    root: Annotated[Optional[Path], typer.Option(help="Where the sources are now.")] = None,  # noqa: UP045
    license: Annotated[str, typer.Option(help="Licence of the source images; the data set inherits it.")] = "unknown",
    link: Annotated[bool, typer.Option("--link", help="Link images (hard links) instead of copying them.")] = False,
    shard_size: Annotated[int, typer.Option(help="Samples in a tar (webdataset).")] = 1000,
    creator: Annotated[str, typer.Option(help="Who publishes the data set (croissant).")] = "",
    url: Annotated[str, typer.Option(help="Where it is published (croissant).")] = "",
    published: Annotated[str, typer.Option(help="When, YYYY-MM-DD (croissant).")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into DEST whatever is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    from anosynth.export import Settings, export, find_export

    from . import running

    settings = Settings(link, shard_size, license, creator, url, published)
    outcome = export(name, out, dest, settings=settings, root=root, overwrite=overwrite)
    if license == "unknown" and "license" in find_export(name).options:
        outcome.warnings.append("the licence of the source images is not stated: --license says it")
    for text in outcome.warnings:
        running.say(f"warning: {text}")
    row = {"dest": str(dest), "format": name, **outcome.record()}
    sys.stdout.write((jsonlib.dumps(row) if json else _sentence(row)) + "\n")


def _sentence(row: dict[str, Any]) -> str:
    from .running import number_of

    splits = ", ".join(f"{number} {split}" for split, number in row["splits"].items())
    images = number_of(row["images"], "images") + (f" ({splits})" if splits else "")
    defects = number_of(row["instances"], "defects")
    return f"{row['dest']}: {images}: {row['good']} good, {row['defective']} defective with {defects}"
