# Works on a bare machine with make and Python 3.11 or newer. Every target makes what it needs in .venv; a second call is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# One worker per core (four at most), one thread each: more threads than cores make PyTorch many times slower.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 4 ] && echo 4 || echo $$n)
# What trains in a test takes this precision unless the test says otherwise, and so many threads; the tests hold in all four ways.
PRECISION ?= float32
THREADS ?= 1
# Sources are compiled once, not in every process: the variable is empty even where it was set.
PYTEST := PYTHONDONTWRITEBYTECODE= VAEL_PRECISION=$(PRECISION) OMP_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# For `make mutants`: which part of the source, how many of its mutants, which ones, and in how many processes.
ROOM ?= objectives
SAMPLE ?= 200
SEED ?= 0
JOBS ?= $(WORKERS)

.PHONY: help demo test slow docs check format mutants tree clean

help:
	@echo 'make demo    train on handwritten digits and write a report (about a minute once everything is installed)'
	@echo 'make test    the tests that take seconds; set VAEL_DATA to a folder with MNIST and others to run those on real data too'
	@echo '             PRECISION=bfloat16 THREADS=2 runs them in another way, in which they hold too'
	@echo 'make slow    the tests that take minutes'
	@echo 'make mutants ROOM=objectives SAMPLE=200   change the source in one place at a time and count what the tests notice'
	@echo 'make docs    the pages under docs/, every one of them executed, to docs/_build/html'
	@echo 'make check   formatting, lint, types and import order'
	@echo 'make format  put the formatting right'
	@echo 'make tree    write the tree of files in docs/architecture.md, the folders in README.md and llms.txt anew'
	@echo 'make clean   remove .venv and caches'

demo: $(VENV)/.installed
	$(BIN)/vael train digits
	@echo
	@echo 'Open the report in a browser. What else there is: $(BIN)/vael --help'

test: $(VENV)/.developed
	$(PYTEST) -m 'not slow'

slow: $(VENV)/.developed
	$(PYTEST) -m slow --durations=10

docs: $(VENV)/.documented
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -j 2 -b html docs docs/_build/html
	@echo 'Open docs/_build/html/index.html in a browser.'

check: $(VENV)/.developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyrefly check
	$(BIN)/python -m pytest -n 0 tests/test_house.py

format: $(VENV)/.developed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

mutants: $(VENV)/.mutable
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python benchmarks/mutants.py $(ROOM) --sample $(SAMPLE) --seed $(SEED) --jobs $(JOBS)

tree:
	$(PYTHON) docs/tree.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "vael needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)."; \
	  echo 'Install a newer one and name it: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@touch $@

# PyTorch first and by itself, at its pinned version: any other order may fetch a second build of it.
$(VENV)/.torch: constraints.txt $(VENV)/.created
	@echo 'Installing PyTorch (a few hundred megabytes the first time) ...'
	$(PIP) install -c constraints.txt torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	@touch $@

# The editable package is built with the pinned hatchling, not with whatever is newest.
$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	$(PIP) install -c constraints.txt hatchling editables
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(VENV)/.documented: $(VENV)/.developed
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,docs]'
	@touch $@

$(VENV)/.mutable: $(VENV)/.developed
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,mutants]'
	@touch $@
