"""The frame of the pages that need no network, no script and no second file."""

from __future__ import annotations

import base64
import hashlib

from anosynth._version import __version__

from ._text import escape

_SHEET = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-{digest}'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="anosynth">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{css}</style>
</head>
<body>
<header>
<p class="soft">anosynth {version}</p>
<h1>{title}</h1>
{lead}
</header>
<main>
{body}
</main>
</body>
</html>
"""


def sheet(title: str, lead: str, body: str, css: str) -> str:
    """Return a page as HTML whose policy lets nothing in but this style and pictures that the page holds itself.

    Args:
        title: plain text.
        lead, body: HTML; what came from files and users in it is escaped already.
    """
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    return _SHEET.format(digest=digest, title=escape(title), css=css, version=escape(__version__), lead=lead, body=body)
