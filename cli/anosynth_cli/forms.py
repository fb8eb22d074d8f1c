"""How help writes the values of options: alike for all commands, and with every version of the parser."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

FORMS: dict[Any, str] = {int: "INTEGER", bool: "true|false", float: "NUMBER", str: "TEXT", Path: "PATH"}
"""The written form of a value by its type."""


def with_forms(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` with the form of its value told for every option and argument that does not tell it itself."""
    signature = inspect.signature(function, eval_str=True)
    for parameter in signature.parameters.values():
        if get_origin(parameter.annotation) is not Annotated:
            continue
        kind, *told = get_args(parameter.annotation)
        while get_origin(kind) in (Union, UnionType, list):
            kind = get_args(kind)[0]
        for extra in told:
            if kind is not bool and extra.metavar is None:
                extra.metavar = FORMS.get(kind)
    declare(function, signature)
    return function


def declare(function: Callable[..., None], signature: inspect.Signature) -> None:
    """Give a function a signature that the parser reads in place of the function's own."""
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
