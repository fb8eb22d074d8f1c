"""Build the site: draw the pictures, run mkdocs with warnings as errors, and look for what it would fetch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from . import pictures

HOME = Path(__file__).resolve().parent.parent.parent

_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|prefetch|preconnect|icon|modulepreload))[^>]*"""
    r"""\bhref=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<object\b[^>]*\bdata=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//[^"')\s]+|url\(["']?(?:https?:)?//[^"')\s]+""",
    re.IGNORECASE,
)


def site(out: Path, *, keep: bool = False) -> None:
    """Build into the folder `out`; with `keep`, pictures that are there are not drawn again.

    Raises:
        SystemExit: mkdocs warns of something, or a page fetches from elsewhere.
    """
    count = pictures.draw_all(missing=keep)
    sys.stdout.write(f"{count} pictures drawn\n")
    sys.stdout.flush()
    # The theme advertises its successor unless it is told not to.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", *arguments(out)], cwd=HOME, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    if outside := fetched(out):
        sys.exit("\n".join(["the site fetches from elsewhere:", *outside]))
    pages = len(list(out.rglob("*.html")))
    sys.stdout.write(f"{out / 'index.html'}: {pages} pages, nothing is fetched from elsewhere\n")


def arguments(out: Path) -> list[str]:
    """Return the words of mkdocs; `--quiet` is none of them, for it would hide the warnings from `--strict`."""
    return ["build", "--strict", "--config-file", str(HOME / "mkdocs.yml"), "--site-dir", str(out.resolve())]


def fetched(out: Path) -> list[str]:
    """Return what the pages and styles of a built site would load from another host."""
    found = []
    for path in sorted(out.rglob("*")):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(out)}: {load[0][:120]}" for load in _LOADS.finditer(text)]
            if 'class="mermaid"' in text:
                # The theme fetches a library for diagrams of that kind.
                found.append(f"{path.relative_to(out)}: a mermaid diagram")
    return found
