# Everything happens in .venv; a second call of any target does only what has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What the installed services run on: never a Python under a home folder, which the system's service can't see.
SERVICE_PYTHON ?= /usr/bin/python3
SERVICE := $(SERVICE_PYTHON) -B systemd/install.py
PURGE ?=

.PHONY: help deps run test lint bench torture lock
.PHONY: install-service uninstall-service install-user-service uninstall-user-service
.DELETE_ON_ERROR:

help:
	@echo 'make run    listen to the microphone and show what is heard (without one: play a recording)'
	@echo 'make test   run the tests; ARGS="-k gate" chooses some'
	@echo 'make lint   check style and types'
	@echo 'make bench  measure processor time, memory and delay'
	@echo 'make torture  let it live through faults and measure how; ARGS="--quick" in minutes'
	@echo 'make deps   install what these need, into .venv and, where permitted, through apt'
	@echo 'make lock   renew the versions and hashes that the service is installed with'
	@echo
	@echo 'sudo make install-service     listen from boot on, as a service of this machine'
	@echo 'make install-user-service     the same in your own session, through its sound server'
	@echo 'sudo make uninstall-service   remove it again; so does make uninstall-user-service'
	@echo '                              (settings, profiles and mute stay; PURGE=1 removes them too)'
	@echo
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

torture: deps
	$(BIN)/python benchmarks/torture.py $(ARGS)

install-service:
	@PYTHON=$(SERVICE_PYTHON) .ci/system-packages run
	@$(SERVICE) install --python $(SERVICE_PYTHON)

uninstall-service:
	@$(SERVICE) uninstall $(if $(PURGE),--purge)

install-user-service:
	@PYTHON=$(SERVICE_PYTHON) .ci/system-packages run
	@$(SERVICE) install --user --python $(SERVICE_PYTHON)

uninstall-user-service:
	@$(SERVICE) uninstall --user $(if $(PURGE),--purge)

# Resolved with the oldest Python that is supported, so that the versions fit all of them.
LOCK := systemd/requirements.txt
lock: | $(VENV)/.python
	@$(PIP) pip-tools
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --build-deps-for=wheel \
		--annotation-style=line --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file=$(LOCK).new pyproject.toml
	@{ echo '# What the service is installed with: exact versions and the hashes of their files.'; \
		echo '# Made by `make lock` from pyproject.toml; do not edit.'; \
		grep -v '^# The following packages are' $(LOCK).new; } >$(LOCK)
	@rm $(LOCK).new

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
