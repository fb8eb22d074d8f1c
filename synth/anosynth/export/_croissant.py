"""The vocabulary of Croissant 1.1: its context, and the nodes that a description is made of.

Source: MLCommons, Croissant Format Specification 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from anosynth.run.execute import file_sha256

_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip

_KINDS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".webp": "image/webp",
}  # fmt: skip

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


def file_object(name: str, url: str, path: Path, form: str, text: str) -> dict[str, Any]:
    """Return the node of a file; `url` is relative to the description, `path` where the file is now."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": text,
        "contentUrl": url,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": form,
        "sha256": file_sha256(path),
    }


def file_set(name: str, patterns: Sequence[str], text: str) -> dict[str, Any]:
    """Return the node of all files below the description that fit one of the patterns, which end in a suffix each."""
    kinds = sorted({_KINDS[PurePosixPath(pattern).suffix.lower()] for pattern in patterns})
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": text,
        "encodingFormat": kinds if len(kinds) > 1 else kinds[0],
        "includes": list(patterns),
    }


def field(records: str, name: str, kind: str, table: str) -> dict[str, Any]:
    """Return the node of a field that is a column of a table."""
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        "dataType": kind,
        "source": {"fileObject": {"@id": table}, "extract": {"column": name}},
    }


def image_records(prefix: PurePosixPath) -> dict[str, Any]:
    """Return the record set of the pixels, each joined to its row of the table by its path."""

    def of_file(name: str, kind: str, what: str) -> dict[str, Any]:
        source: dict[str, Any] = {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": what}}
        return {"@type": "cr:Field", "@id": f"images/{name}", "name": name, "dataType": kind, "source": source}

    row = {"fileObject": {"@id": "samples-table"}, "extract": {"column": "image"}}
    path = {**of_file("path", "sc:Text", "fullpath"), "references": row}
    # mlcroissant joins paths with texts, which are never equal, unless a transform has made texts of them.
    path["source"]["transform"] = {"regex": "^(.*)$"}
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "key": {"@id": "images/path"},
        "field": [
            path,
            of_file("content", "sc:ImageObject", "content"),
            *(field("images", name, "sc:Text", "samples-table") for name in ("split", "label", "defect")),
        ],
    }
