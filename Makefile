# Everything is installed into .venv. A second call of a target does only what has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The Python of the installed services. It must not be below a home folder: the system's service cannot see those.
SERVICE_PYTHON ?= /usr/bin/python3
SERVICE := PYTHONPATH=model:daemon $(SERVICE_PYTHON) -B -m ser_daemon.install
PURGE ?=
# Most tests wait for a daemon most of the time.
TEST_WORKERS ?= 2

.PHONY: help deps run test lint bench bench-quick torture fuzz lock man schema docs wheel sdist deb sbom audit
.PHONY: check-wheels container test-arm64 test-debian13
.PHONY: install-service uninstall-service install-user-service uninstall-user-service
.DELETE_ON_ERROR:

help:
	@echo 'make run      listen to the microphone and show the results (without one: play a recording)'
	@echo 'make test     run the tests; ARGS="-k gate" selects some'
	@echo 'make lint     check style and types'
	@echo 'make bench    measure processor time, memory and delay'
	@echo 'make bench-quick  count instructions and wake-ups, and compare them with the last committed ones; 2 minutes'
	@echo 'make torture  cause faults and measure how the daemon behaves; ARGS="--quick" takes minutes'
	@echo 'make fuzz     feed every parser and state machine with random input; ARGS="--minutes 60" takes an hour'
	@echo 'make deps     install what these need, into .venv and, where permitted, with apt'
	@echo 'make lock     renew the versions and hashes of the packages that the service is installed with'
	@echo 'make man      write the manual pages and completions in share from the parsers of the commands'
	@echo 'make schema   write docs/protocol.schema.json from the classes of the protocol'
	@echo 'make docs     write the documentation as a site into dist/site, and check its links'
	@echo 'make wheel    build the wheel into dist; the same source gives the same bytes'
	@echo 'make sdist    build the source distribution into dist; the same commit gives the same bytes'
	@echo 'make deb      build the Debian package of program and service into dist, for the Debian of this machine'
	@echo 'make container      build the images ser-daemon and ser-bridges; ENGINE=docker, else podman if it is there'
	@echo 'make sbom     list what is installed with the service, with licences and hashes, in dist (CycloneDX)'
	@echo 'make audit    look for known vulnerabilities of the locked packages'
	@echo 'make check-wheels   ask the package index whether x86-64 and ARM have wheels of the locked packages'
	@echo 'make test-arm64     compare the results on 64-bit ARM, emulated, with those here, and test there; takes long'
	@echo 'make test-debian13  the same in Debian 13, and its systemd with the service'
	@echo
	@echo 'sudo make install-service     install a service of this machine, which listens from boot on'
	@echo 'make install-user-service     install a service of your own session, which uses its sound server'
	@echo 'sudo make uninstall-service   remove the service; likewise make uninstall-user-service'
	@echo '                              (settings, profiles and mute stay; PURGE=1 removes them too)'
	@echo
	@echo 'PYTHON=...    Python for the first installation, 3.11 to 3.13 (now: $(PYTHON))'

deps: $(VENV)/.full
	@PYTHON=$(BIN)/python .ci/system-packages run
	@PYTHON=$(BIN)/python .ci/system-packages test

run: $(VENV)/.base
	@PYTHON=$(BIN)/python .ci/system-packages run
	@$(BIN)/ser-daemon --demo

test: deps
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(ARGS)

lint: $(VENV)/.full
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.base
	@PYTHON=$(BIN)/python .ci/system-packages run
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-quick: deps
	$(BIN)/python benchmarks/quick.py $(ARGS)

torture: deps
	$(BIN)/python benchmarks/torture.py $(ARGS)

fuzz: $(VENV)/.full
	$(BIN)/python tests/fuzz/run.py $(ARGS)

install-service:
	@PYTHON=$(SERVICE_PYTHON) .ci/system-packages run
	@$(SERVICE) install-service --python $(SERVICE_PYTHON)

uninstall-service:
	@$(SERVICE) uninstall-service $(if $(PURGE),--purge)

install-user-service:
	@PYTHON=$(SERVICE_PYTHON) .ci/system-packages run
	@$(SERVICE) install-service --user --python $(SERVICE_PYTHON)

uninstall-user-service:
	@$(SERVICE) uninstall-service --user $(if $(PURGE),--purge)

# Use the oldest supported Python, so that the versions fit all of them.
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

man: $(VENV)/.full
	@$(BIN)/python -B release/pages.py

schema: $(VENV)/.base
	@$(BIN)/python -B release/protocol_schema.py

docs: $(VENV)/.full
	@$(BIN)/python -B release/documentation.py $(ARGS)

wheel: | $(VENV)/.python
	@$(BIN)/python -B release/wheel.py

sdist: | $(VENV)/.python
	@$(BIN)/python -B release/sdist.py

deb: | $(VENV)/.python
	@$(BIN)/python -B release/deb.py

# podman keeps the health check only in Docker's format. ARGS="--build-arg BASE=..." names another base.
ENGINE ?= $(if $(shell command -v podman),podman,docker)
IMAGE = $(ENGINE) build $(if $(findstring docker,$(ENGINE)),,--format docker) $(ARGS) -f Containerfile \
	--build-arg COMMIT="$$(git rev-parse HEAD 2>/dev/null)"
container:
	$(IMAGE) -t ser-daemon .
	$(IMAGE) --target bridges -t ser-bridges .

sbom: $(VENV)/.release
	@$(BIN)/python -B release/sbom.py

audit: $(VENV)/.release
	@$(BIN)/python -B release/audit.py

check-wheels: | $(VENV)/.python
	@$(BIN)/python -B release/check_wheels.py $(ARGS)

# They make roots of other Debian systems, as root.
test-arm64: $(VENV)/.full
	@$(BIN)/python -B release/try_root.py arm64 $(ARGS)

test-debian13: $(VENV)/.full
	@$(BIN)/python -B release/try_root.py debian13 $(ARGS)

# The program alone, without torch. In an environment with more packages this changes nothing.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/.python
	@echo 'Installing ser-daemon into $(VENV) ...'
	@$(PIP) -e .
	@touch $@

# With what examines the packages.
$(VENV)/.release: pyproject.toml constraints.txt | $(VENV)/.python
	@$(PIP) -e '.[release]'
	@touch $(VENV)/.base $@

# The program with the packages for training and tests.
$(VENV)/.full: pyproject.toml constraints.txt | $(VENV)/.python
	@echo 'Installing ser-daemon, its training and its tests into $(VENV); the first time takes minutes ...'
	@$(PIP) -e '.[train,dev]'
	@touch $(VENV)/.base $(VENV)/.release $@

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo 'There is no $(PYTHON): install Python 3.11 to 3.13, or name one with PYTHON=/path/to/python.'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "ser-daemon needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) -V 2>&1): name another with PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make environments: install its package python3-venv (sudo apt-get install python3-venv).'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@
