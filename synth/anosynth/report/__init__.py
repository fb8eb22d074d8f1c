"""The report: one HTML file that shows what was made, without network, library or second file."""

from __future__ import annotations

from anosynth.report.page import render
from anosynth.report.views import cloud_view

__all__ = ["cloud_view", "render"]
