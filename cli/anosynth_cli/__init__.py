"""The `anosynth` command: a thin layer over the library, one module a command."""
