"""What mkdocs calls: adds the pages and pictures that are generated, and fills the blocks of the written pages.

A block is a line `<!-- NAME -->` in a page, where NAME is one of `BLOCKS`, or `<!-- file PATH -->` for a file.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(HOME / "tools"))

from mkdocs.structure.files import File, Files  # noqa: E402

from handbook import families, layouts, papers, pictures, reference  # noqa: E402

_README_ENDS = "\nThe documentation is in"

BLOCKS = {
    "readme": lambda: readme(),
    "recipes": papers.recipes,
    "sources": papers.sources,
    "layouts": layouts.layouts,
    "exports": layouts.exports,
    "commands": reference.commands,
    "schemas": reference.schemas,
}


def on_files(files: Files, config: Any) -> Files:
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    pictures.draw_all(missing=True)
    for file, _, _ in pictures.wanted():
        files.append(File.generated(config, f"generators/pictures/{file}", abs_src_path=str(pictures.FOLDER / file)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return filled(markdown)


def generated() -> dict[str, str]:
    """Return the pages that have no file, by their paths in the site."""
    pages = {f"generators/{family}.md": families.page(family) for family in families.FAMILIES}
    pages["generators/masks.md"] = families.mask_page()
    pages[f"reference/{reference.SCHEMA_FILE}"] = reference.whole_schema()
    pages["changelog.md"] = (HOME / "CHANGELOG.md").read_text(encoding="utf-8")
    pages["contributing.md"] = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return pages


def filled(markdown: str) -> str:
    """Return a page with its blocks filled."""
    markdown = re.sub(r"^( *)<!-- file (\S+) -->$", _file, markdown, flags=re.MULTILINE)
    return re.sub(
        r"^<!-- (\w+) -->$",
        lambda found: BLOCKS[found[1]]() if found[1] in BLOCKS else found[0],
        markdown,
        flags=re.MULTILINE,
    )


def _file(found: re.Match[str]) -> str:
    path = HOME / found[2]
    kind = {".py": "python", ".toml": "toml"}[path.suffix]
    text = f'```{kind} title="{found[2]}"\n{path.read_text(encoding="utf-8")}```'
    return textwrap.indent(text, found[1])


def readme() -> str:
    """Return the top of the README: the promise, the picture, two commands, three lines of Python."""
    text = (HOME / "README.md").read_text(encoding="utf-8")
    top, found, _ = text.partition(_README_ENDS)
    if not found:
        raise RuntimeError(f"README.md: no line `{_README_ENDS.strip()}`: the front page ends there")
    return top.replace("](docs/", "](")
