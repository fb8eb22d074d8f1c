"""What anosynth raises; each error is also the builtin that fits, so plain `except ValueError` works.

    AnosynthError
    ├── ParameterError     (ValueError)   a parameter, recipe or option has a value that it cannot have
    ├── UnknownGenerator   (LookupError)  no generator, recipe, layout, export or toy of that name
    ├── DataError          (ValueError)   an input file or sample cannot be used
    │   ├── Impossible                    nor would another draw help
    │   └── NotMade                       no honest anomaly could be made of this sample
    └── WriteError         (OSError)      an output cannot be written

A message reads *what: value: expectation*, in lower case, with the way out on a `hint:` line if there is one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnosynthError(Exception):
    """Root of all errors that anosynth raises on purpose."""


class ParameterError(AnosynthError, ValueError):
    """A parameter, recipe or option has a value that it cannot have."""


class UnknownGenerator(AnosynthError, LookupError):
    """No generator, recipe, layout, export or toy goes by that name."""


class DataError(AnosynthError, ValueError):
    """An input file or sample cannot be used."""


class Impossible(DataError):
    """A sample cannot take this defect, whatever is drawn."""


class NotMade(DataError):
    """No honest anomaly could be made of this sample in the stated number of draws."""


class WriteError(AnosynthError, OSError):
    """An output cannot be written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the closest known name, or the list of all names."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower().replace("_", "-"), names, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(names)}" if names else ""
