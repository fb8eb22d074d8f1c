"""The data set's card: where it comes from, how it was made, what is in it, what it is not good for."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ._base import Export, Outcome, Settings
from ._card import Facts, card_text
from ._picture import ready
from ._run import Run


class Card(Export):
    """`README.md`, from the manifest alone; it may go beside the run's own files."""

    name: ClassVar[str] = "card"
    options: ClassVar[frozenset[str]] = frozenset(["license"])
    files: ClassVar[tuple[str, ...]] = ("README.md",)

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome, facts = Outcome(), Facts()
        for entry in run.entries():
            facts.add(entry)
            outcome.count(entry, len(entry.defects))
        ready(folder / "README.md").write_text(card_text(run, facts, settings.license), encoding="utf-8")
        return outcome
