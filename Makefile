.PHONY: demo test check docs site bench
PYTHON ?= python3
BIN = .venv/bin

demo:
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q . && $(BIN)/anosynth demo

test:
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -c constraints.txt '.[dev]' && $(BIN)/python -m pytest

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/docs.py --check

docs:
	$(BIN)/python tools/docs.py

site:
	$(BIN)/python tools/docs.py --site

bench:
	$(BIN)/python benchmarks/noise_engine.py
	$(BIN)/python benchmarks/orientation.py
	$(BIN)/python benchmarks/labels.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/offline.py
	$(BIN)/python benchmarks/command.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/rank.py
	$(BIN)/python benchmarks/soak.py
