"""Tables of data-set layouts and exports, from their docstrings."""

from __future__ import annotations

import importlib
import inspect

from anosynth.datasets.layout import find_layout, layout_names
from anosynth.export import export_names, find_export
from anosynth.schema import summary

from .words import cell, code, prose, table


def layouts() -> str:
    """Return the table of layouts, then what each writes, and under which names."""
    rows, parts = [], []
    for name in layout_names():
        layout = find_layout(name)
        about = summary(importlib.import_module(type(layout).__module__))
        rows.append([f"[{name}](#{name})", layout.family, cell(about)])
        parts.append(f"### {name}\n\n{summary(layout)}\n\n{prose(layout)}")
    return table(["layout", "holds", "what it is"], rows) + "\n\n" + "\n\n".join(parts)


def exports() -> str:
    """Return the table of exports."""
    rows = []
    for name in export_names():
        form = find_export(name)
        text = inspect.getdoc(form) or ""
        rows.append([code(name), cell(summary(inspect.getmodule(form))), cell(text)])
    return table(["format", "what it is", "what is written"], rows)
