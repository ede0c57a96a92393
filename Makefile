# Every target works in a fresh clone; a second run starts in seconds.
PYTHON ?= python3
JOBS ?= 2

BIN := .venv/bin
# The stamp's name holds what decides an installation, so it is made again only when one of them changes.
KEY := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
STAMP := .venv/.installed-$(KEY)
DOCS_STAMP := .venv/.installed-docs-$(KEY)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

.PHONY: install demo test lint bench nightly compat docs

install: $(STAMP)

# torch by itself first: whatever build of it pip is told to prefer is then the one that everything else meets.
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Spanmix needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into .venv (some minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e '.[dev]'
	@rm -f .venv/.installed-*
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(PIP) -e '.[docs]'
	@touch $@

demo: $(STAMP)
	$(BIN)/spanmix demo --out runs/demo

test: $(STAMP)
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	@set -e; for script in $(filter-out %_sides.py %_checks.py %_inputs.py %_processes.py %soak.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script; done

nightly: $(STAMP)
	SPANMIX_NIGHTLY=1 $(PYTEST) --timeout 3600

compat: $(STAMP)
	$(BIN)/python compat/run.py --write docs/compat.md

docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Built site/index.html"
