"""The text of a data set's card, shared by the exports that write one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from anosynth._version import __version__
from anosynth.run.splits import SPLITS

from ._run import Entry, Run

WARNING = "Synthetic: do not report results on these images as performance on real defects."

LIMITS = (
    "The defects are drawn by formulas. Real ones differ in ways that no formula knows, and detectors rank differently "
    "on them.",
    "A mask is the pixels that the defect changed by more than a floor, not what a person would outline; a recipe may "
    "say `mask: region` instead, the region that was meant.",
    "The shares of the kinds of defects are those of the recipe, not those of a production line.",
    "An image and what was made of it share their background. They are in one split, but for categories of a single "
    "normal image; other images of the same part, camera or lot may be in two.",
)

_APART = ("generator", "weight")
"""What has a column of its own."""
_UNKNOWN = "unknown"
_LIKE_A_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass
class Facts:
    """Counts over the entries of a run; their number is that of kinds and categories, not of images."""

    images: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By (category, split, label)."""
    defects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (type, split)."""
    versions: dict[str, set[int]] = field(default_factory=dict)
    seeds: set[int] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        self.images[entry.category, entry.split, entry.label] += 1
        if not entry.defective:
            return
        self.defects.update((part["type"], entry.split) for part in entry.defects)
        generator = entry.record["generator"]
        self.versions.setdefault(generator["generator"], set()).add(generator["version"])
        self.seeds.add(entry.record["seed"])

    def count(self, *, split: str = "", label: str = "", category: str | None = None) -> int:
        """Return the number of images of a category, a split, a label; all by default."""
        return sum(
            number
            for (c, s, kind), number in self.images.items()
            if category in (None, c) and split in ("", s) and label in ("", kind)
        )


def card_text(run: Run, facts: Facts, license_name: str, *, folders: bool = False) -> str:
    """Return the card as Markdown with the YAML header that Hugging Face reads.

    `folders` adds where the splits are, for data sets that have a folder for each.
    """
    parts = [_header(facts, license_name, folders), "<!-- written by anosynth export -->\n"]
    parts += ["# Images with synthetic defects", f"**{WARNING}**", _origin(run, facts), _licence(license_name)]
    parts += [
        _making(run, facts),
        _contents(run, facts),
        "## Known limits\n",
        "\n".join(f"- {text}" for text in LIMITS),
    ]
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    # What a recipe is called may be no text that UTF-8 holds.
    return text.encode("utf-8", "replace").decode()


def licence_id(name: str) -> str:
    """Return a licence as identifiers are written (`CC BY-NC-SA 4.0` becomes `cc-by-nc-sa-4.0`), or "other"."""
    plain = "-".join(name.strip().lower().split())
    return plain if _LIKE_A_NAME.fullmatch(plain) else "other"


def _header(facts: Facts, license_name: str, folders: bool) -> str:
    import yaml

    number = facts.count()
    values: dict[str, Any] = {"license": licence_id(license_name)}
    if values["license"] == "other":
        values["license_name"] = license_name
    values["tags"] = ["anomaly-detection", "defect-detection", "synthetic", "anosynth"]
    values["task_categories"] = ["image-segmentation", "image-classification"]
    values["size_categories"] = [next((text for most, text in _SIZES if number < most), "n>10M")]
    if folders:
        splits = [split for split in SPLITS if facts.count(split=split)]
        files = [{"split": split, "path": f"{split}/**"} for split in splits]
        values["configs"] = [{"config_name": "default", "data_files": files}]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _origin(run: Run, facts: Facts) -> str:
    header, goods = run.header, facts.count(label="good")
    where = "plain photos" if not run.layout.holds_out else f"a data set in the layout `{run.layout.name}`"
    lines = [
        "## Sources\n",
        f"- {goods} normal images of {where}; the anomalous ones were made of them or of others like them",
        f"- SHA-256 over the names of the input files: `{header['fingerprint']}`",
    ]
    named = [name for name in run.categories if name]
    return "\n".join(lines + ([f"- categories: {', '.join(named)}"] if named else []))


def _licence(name: str) -> str:
    if name.strip().lower() == _UNKNOWN:
        text = "The licence of the source images was not stated. Whoever passes this data set on must find it out:"
        return f"## Licence\n\n{text} what is made of an image inherits its licence."
    return f"## Licence\n\nThe source images: {name}. What is made of an image inherits its licence."


def _making(run: Run, facts: Facts) -> str:
    header = run.header
    seeds = ", ".join(str(seed) for seed in sorted(facts.seeds | {header["seed"]}))
    lines = [
        "## How it was made\n",
        f"By anosynth {header['anosynth']} (this card: {__version__}), scheme {header['scheme']}, seed {seeds}, "
        f"{header['count']} anomalous for each source. The manifest has the drawn parameters of every image; "
        "`anosynth replay` makes each again, byte for byte.\n",
        f"Recipe `{header['recipe'].get('recipe') or 'of one generator'}`:\n",
    ]
    rows = []
    for part in header["recipe"]["generators"]:
        name = part["generator"]
        values = ", ".join(f"{key} {value}" for key, value in part.items() if key not in _APART and value != "")
        versions = ", ".join(str(number) for number in sorted(facts.versions.get(name, ()))) or "not drawn"
        rows.append([name, f"{part.get('weight', 1):g}", versions, values])
    return "\n".join(lines) + "\n" + _table(["generator", "weight", "version", "parameters and ranges"], rows)


def _contents(run: Run, facts: Facts) -> str:
    splits = [split for split in SPLITS if facts.count(split=split)]
    rows = [
        [category or "(none)", split, str(facts.count(category=category, split=split, label="good")),
         str(facts.count(category=category, split=split, label="defective"))]
        for category in run.categories
        for split in splits
    ]  # fmt: skip
    images = _table(["category", "split", "good", "defective"], rows)
    kinds = sorted({kind for kind, _ in facts.defects})
    rows = [[kind, *(str(facts.defects[kind, split]) for split in splits)] for kind in kinds]
    return f"## Contents\n\nImages:\n\n{images}\n\nDefects:\n\n{_table(['type', *splits], rows)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
