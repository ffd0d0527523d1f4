# Everything happens in .venv; a second call of any target does only what has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help deps run test lint bench
.DELETE_ON_ERROR:

help:
	@echo 'make run    listen to the microphone and show what is heard (without one: play a recording)'
	@echo 'make test   run the tests; ARGS="-k gate" chooses some'
	@echo 'make lint   check style and types'
	@echo 'make bench  measure processor time, memory and delay'
	@echo 'make deps   install what these need, into .venv and, where permitted, through apt'
	@echo 'PYTHON=...  which Python to use at first, 3.11 to 3.13 (now: $(PYTHON))'

deps: $(VENV)/.full
	@PYTHON=$(BIN)/python .ci/system-packages run
	@PYTHON=$(BIN)/python .ci/system-packages test

run: $(VENV)/.base
	@PYTHON=$(BIN)/python .ci/system-packages run
	@$(BIN)/ser-daemon --demo

test: deps
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.full
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.base
	@PYTHON=$(BIN)/python .ci/system-packages run
	$(BIN)/python benchmarks/bench.py $(ARGS)

# The program alone, without torch. In an environment that has more, this adds and removes nothing.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/.python
	@echo 'Installing ser-daemon into $(VENV) ...'
	@$(PIP) -e .
	@touch $@

# The program with what training and the tests need.
$(VENV)/.full: pyproject.toml constraints.txt | $(VENV)/.python
	@echo 'Installing ser-daemon, its training and its tests into $(VENV); the first time takes minutes ...'
	@$(PIP) -e '.[train,dev]'
	@touch $(VENV)/.base $@

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo 'There is no $(PYTHON): install Python 3.11 to 3.13, or name one with PYTHON=/path/to/python.'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "ser-daemon needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) -V 2>&1): name another with PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make environments: install its package python3-venv (sudo apt-get install python3-venv).'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@
