"""Coverage-guided fuzzing of every reader, for as long as you like.

    python tests/fuzz/atheris_readers.py CORPUS -max_total_time=600 -rss_limit_mb=3000 -timeout=25

needs `pip install atheris` (Linux and macOS). CORPUS is a folder; it is filled with valid files of every form when it
is empty, and with what libFuzzer finds. An input is one byte for the form, one for how the rest is used (as the file
itself, or as the choices by which a valid file is damaged), and the rest. Forms can be named in the environment:
FORMS="cloud-ply recipe". What is found is written to `crash-...`; give that file as the argument to see it again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["anosynth.io", "anosynth.recipe", "anosynth.params", "anosynth.run"]):
    import anosynth.io.clouds
    import anosynth.io.images
    import anosynth.io.tensors
    import anosynth.recipe
    import anosynth.run.manifest

    sys.path.insert(0, str(Path(__file__).parent))
    import fuzz_kit

with atheris.instrument_imports(include=["yaml", "zipfile", "tifffile", "numpy.lib", "trimesh.exchange.gltf"]):
    import tifffile

for _name in anosynth.io.clouds._CODECS.values():
    with atheris.instrument_imports(include=["anosynth.io"]):
        __import__(f"anosynth.io.{_name[0]}")

assert tifffile is not None
FORMS = tuple(os.environ.get("FORMS", "").split()) or fuzz_kit.FORMS
_RAW, _CHOICES = 0, 1


def one(data: bytes) -> None:
    """Read one input; whatever is raised, apart from an error of our own, is a finding."""
    if len(data) < 3:
        return
    form = FORMS[data[0] % len(FORMS)]
    if data[1] % 2 == _RAW:
        fuzz_kit.attempt(form, data[2:])
        return
    provider = atheris.FuzzedDataProvider(data[2:])
    fuzz_kit.attempt(form, fuzz_kit.damaged(form, lambda below: provider.ConsumeIntInRange(0, below - 1)))


def fill(corpus: Path) -> None:
    """Put a valid file of every form, and a few rows of choices, into an empty corpus."""
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    for index, form in enumerate(FORMS):
        for number, data in enumerate(fuzz_kit.seeds(form)):
            (corpus / f"{form}-{number}").write_bytes(bytes([index, _RAW]) + data)
        for number in range(4):
            (corpus / f"{form}-choices-{number}").write_bytes(bytes([index, _CHOICES]) + os.urandom(24))


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if given and not Path(given[0]).is_file():
        fill(Path(given[0]))
    for form in FORMS:
        # What is imported at the first use must not count as a reader that hangs.
        fuzz_kit.attempt(form, fuzz_kit.seeds(form)[0])
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
