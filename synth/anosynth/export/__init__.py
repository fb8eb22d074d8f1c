"""Exports of a finished run of photos to the forms that other tools read; one form a module."""

from ._base import Export, Outcome, Settings, export, export_names, find_export

__all__ = ["Export", "Outcome", "Settings", "export", "export_names", "find_export"]
