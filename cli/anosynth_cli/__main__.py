"""`python -m anosynth_cli`: the `anosynth` command."""

from .main import main

if __name__ == "__main__":
    main()
