"""Label Studio: tasks with a brush region per defect, as predictions to be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from anosynth._version import __version__

from ._base import Export, Outcome, Settings
from ._picture import instances, opened, place_image, ready
from ._rle import brush_rle
from ._run import Run
from ._text import rows

_COLOURS = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#008080",
    "#9a6324",
    "#808000",
    "#000075",
    "#f032e6",
)


class LabelStudio(Export):
    """`images/`, `tasks.json` to import, `labels.xml` as the labelling interface.

    Label Studio serves the images from local storage: its document root must be the folder that holds `images/`. Good
    images are tasks without a prediction.
    """

    name: ClassVar[str] = "label-studio"
    options: ClassVar[frozenset[str]] = frozenset(["link"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome = Outcome()
        with rows(folder / ".tasks") as tasks:
            for entry in run.entries():
                with opened(entry) as picture:
                    name = place_image(entry, picture, folder / "images", entry.name, link=settings.link)
                height, width = picture.image.shape
                result = [
                    _region(number, kind, brush_rle(mask), width, height)
                    for number, kind, mask in instances(entry, picture)
                ]
                data = {
                    "image": f"/data/local-files/?d={quote(f'images/{name}')}",
                    "label": entry.label,
                    "split": entry.split,
                    "product": entry.category,
                }
                predictions = [{"model_version": f"anosynth {__version__}", "result": result}] if result else []
                tasks.add({"data": data, "predictions": predictions})
                outcome.count(entry, len(result))
            with (folder / "tasks.json").open("wb") as file:
                tasks.close()
                tasks.copy_to(file)
                file.write(b"\n")
        ready(folder / "labels.xml").write_text(_interface(run.types), encoding="utf-8")
        return outcome


def _region(number: int, kind: str, rle: list[int], width: int, height: int) -> dict[str, Any]:
    return {
        "id": f"defect{number}",
        "type": "brushlabels",
        "from_name": "defect",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": rle, "brushlabels": [kind]},
    }


def _interface(types: list[str]) -> str:
    labels = [
        f"    <Label value={quoteattr(name)} background={quoteattr(_COLOURS[number % len(_COLOURS)])}/>"
        for number, name in enumerate(types)
    ]
    opening = '  <BrushLabels name="defect" toName="image">'
    image = '  <Image name="image" value="$image" zoom="true"/>'
    return "\n".join(["<View>", image, opening, *labels, "  </BrushLabels>", "</View>"]) + "\n"
