# run: listen and show; test, lint, bench: what they say; deps: everything these need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: deps run test lint bench

deps: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[train,dev]'
	touch $@

run: deps
	$(BIN)/ser-daemon --demo

test: deps
	$(BIN)/python -m pytest

lint: deps
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: deps
	$(BIN)/python benchmarks/bench.py
