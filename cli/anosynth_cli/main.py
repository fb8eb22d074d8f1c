"""Entry point: answers `--version` at once and imports only the command that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

COMMANDS = {
    "pointcloud": "Make labelled anomalies on point clouds, meshes and depth maps",
    "images": "Make labelled anomalies on photos",
    "features": "Make labelled anomalies of features, or of photos by way of a backbone",
    "list": "List the generators",
    "show": "Show a generator: its formula, source, parameters and bounds",
    "schema": "Print the JSON Schema of a generator's parameters",
    "audit": "Measure whether a data set of photos and masks is honest, whichever tool made it",
    "rank": "Rank recipes by how well they help to find real defects, or by what they cover",
    "fit": "Estimate a recipe from a few real defects and their masks",
    "ladder": "Make a grid of severities and sizes, to see from where on a detector finds defects",
    "threshold": "Choose a detector's threshold from its scores, and say which defects it finds",
    "verify": "Check that a data set is whole and that its labels are what changed",
    "replay": "Make samples again from their manifest lines and compare the bytes",
    "merge": "Join the shards of a run into one data set",
    "export": "Write a data set of photos as COCO, YOLO, Label Studio and other tools read it",
    "toy": "Make licence-free toy parts to try things on",
    "demo": "Make toy parts, put defects on them and write a report: half a minute",
}
"""The commands and their one-line help, so that `--help` needs none of their modules."""


_STOPPED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 done with skipped files or with faults found."""
    for stream in (sys.stdout, sys.stderr):
        # File names need not be UTF-8; a message about one must not fail for it.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _STOPPED
    except BrokenPipeError:
        # The reader of our output (`head`, a pager) has gone; that is its right.
        code = 1
        _drop_output()
    except OSError as error:
        code = 1
        _drop_output()
        sys.stderr.write(f"error: {error.filename or 'stdout'}: {error.strerror or error}\n")
    sys.exit(code)


def _drop_output() -> None:
    """Let what is still to be written to stdout go nowhere: the interpreter would fail with it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` (without the program's name) and return its exit code."""
    if list(arguments) == ["--version"]:
        _print_version()
        return 0
    from anosynth.errors import AnosynthError, ParameterError, UnknownGenerator

    try:
        _app(arguments)(args=list(arguments), prog_name="anosynth")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except AnosynthError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, (ParameterError, UnknownGenerator)) else 1
    return 0


def _app(arguments: Sequence[str]) -> Any:
    import typer

    app = typer.Typer(
        help="Labelled synthetic anomalies from normal samples: exact masks, seeded, replayable.",
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(epilog="Example: anosynth demo")
    def options(
        version: bool = typer.Option(False, "--version", help="Print the version and exit.", callback=_version),
    ) -> None:
        pass

    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for name, line in COMMANDS.items():
        if name == wanted:
            function, example = _command(name, arguments)
            app.command(name, short_help=line, epilog=f"Example: {example}")(function)
        else:
            app.command(name, help=line, short_help=line)(_nothing)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        _print_version()
        sys.exit(0)


def _print_version() -> None:
    from anosynth._version import __version__

    sys.stdout.write(f"anosynth {__version__}\n")


def _command(name: str, arguments: Sequence[str]) -> tuple[Callable[..., None], str]:
    import importlib

    from .forms import with_forms

    module = importlib.import_module(f"anosynth_cli.{name}")
    return with_forms(module.command(arguments)), module.EXAMPLE


def _nothing() -> None:
    """Stand for a command that this line does not call."""
