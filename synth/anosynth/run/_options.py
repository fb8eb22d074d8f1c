"""Options of a plan that a layout may not have, and their place in the header."""

from __future__ import annotations

from typing import Any

from anosynth.datasets.layout import Layout
from anosynth.errors import ParameterError

SINKS = ("files", "webdataset", "recipe")
"""What becomes of samples: see `Plan.sink`."""


def check_format(name: str, layout: Layout) -> None:
    if not name or name in layout.formats:
        return
    if not layout.formats:
        raise ParameterError(f"--image-format: {name}: the layout `{layout.name}` has formats of its own: leave it out")
    if name.lower() in ("jpeg", "jpg"):
        raise ParameterError(
            "--image-format: jpeg: it changes pixels outside of the mask too, so no label would be what changed: "
            "must be png or tiff\nhint: make JPEG of normal and anomalous photos alike, afterwards, if a test needs it"
        )
    raise ParameterError(f"--image-format: {name}: must be {' or '.join(layout.formats)}")


def check_sink(name: str, shard_size: int, layout: Layout) -> None:
    if name not in SINKS:
        raise ParameterError(f"--sink: {name}: must be {', '.join(SINKS[:-1])} or {SINKS[-1]}")
    if shard_size < 1:
        raise ParameterError(f"--shard-size: {shard_size}: must be >= 1")
    if name != "files" and layout.holds_many:
        raise ParameterError(
            f"--sink: {name}: only for photos and clouds: must be files\n"
            "hint: a file of features holds many samples as it is; anosynth.features makes them while training"
        )


def sink_record(name: str, shard_size: int) -> dict[str, Any]:
    """Return what the header says of a sink: of files nothing, as they are where the lines say."""
    if name == "files":
        return {}
    return {"sink": {"name": name, **({"shard_size": shard_size} if name == "webdataset" else {})}}
