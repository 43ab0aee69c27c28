# The verbs of the house. A fresh machine needs Python 3.10 or newer and make; `make help` lists the rest.
#
#   make demo PYTHON=python3.12                      another interpreter
#   make demo MINUTES=10 RUN=runs/longer             by default runs/digits, then runs/digits-2: no run is overwritten
#   make setup PIP_FLAGS="--find-links /some/wheels" anything else pip should know, for example another build of PyTorch

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
PY := $(VENV)/bin/python
PIP := "$(PY)" -m pip install --disable-pip-version-check --no-input -c constraints.txt
MINUTES ?= 2
RUN ?=
WORKERS ?= 2

# Idle threads spin for some microseconds, then sleep: spinning for long makes a step tenfold slower on a busy machine, and sleeping at
# once (OMP_WAIT_POLICY=passive) twofold on an idle one.
export GOMP_SPINCOUNT ?= 10000

.DEFAULT_GOAL := help
# One pip at a time in one environment, whatever -j says.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev setup-docs setup-bench demo test slow lint format types bench docs docs-serve clean

help: ## list the verbs
	@echo "make VERB, where VERB is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

# --- the environment: one stamp for each extra, made again only when the pins or the dependencies change ---

setup: $(VENV)/.ready ## create the environment and install the package
setup-dev: $(VENV)/.ready-dev
setup-docs: $(VENV)/.ready-docs
setup-bench: $(VENV)/.ready-bench

$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || { echo "make: expected Python 3.10 or newer, found no '$(PYTHON)'; install it or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else "make: expected Python 3.10 or newer, got %d.%d; say make PYTHON=python3.12, or another that you have" % v[:2])'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { echo "make: expected Python's venv module, found none in '$(PYTHON)'; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	"$(PYTHON)" -m venv "$(VENV)"
	@touch "$@"

$(VENV)/.ready: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing PyTorch and the rest into $(VENV): once, a minute or a few."
	$(PIP) $(PIP_FLAGS) pip torch hatchling editables setuptools
	$(PIP) $(PIP_FLAGS) --no-build-isolation -e .
	@touch "$@"

$(VENV)/.ready-%: $(VENV)/.ready
	$(PIP) $(PIP_FLAGS) --no-build-isolation torch -e ".[$*]"
	@touch "$@"

# --- what people do ---

demo: setup ## fit a diffusion model on handwritten digits (about two minutes) and print the report's path
	"$(VENV)/bin/pushforward" fit digits --minutes $(MINUTES) $(if $(RUN),--out "$(RUN)")

# Two processes of one thread each: the tests are many and small.
test: setup-dev ## the fast suite
	OMP_NUM_THREADS=1 "$(PY)" -m pytest -m "not slow" -n $(WORKERS) --dist worksteal $(ARGS)

slow: setup-dev ## the long recipes and laws
	"$(PY)" -m pytest -m slow $(ARGS)

lint: setup-dev ## style and types: ruff and pyright
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .
	"$(PY)" -m pyright

types: setup-dev
	"$(PY)" -m pyright

format: setup-dev ## let ruff lay the code out
	"$(PY)" -m ruff check --fix .
	"$(PY)" -m ruff format .

BENCHES ?= $(filter-out _% harness,$(basename $(notdir $(wildcard bench/[a-z]*.py))))
bench: setup-bench ## time us against our peers; BENCHES="flows" picks
	@for name in $(BENCHES); do "$(PY)" -m bench $$name || exit 1; done

docs: setup-docs ## draw the figures and build the book in site/
	"$(PY)" docs/figures
	NO_MKDOCS_2_WARNING=1 "$(PY)" -m mkdocs build --strict

docs-serve: setup-docs ## show the book while you write it
	"$(PY)" docs/figures
	NO_MKDOCS_2_WARNING=1 "$(PY)" -m mkdocs serve

clean: ## remove the environment and everything that was built; runs/ stays
	rm -rf "$(VENV)" site docs/assets build dist .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
