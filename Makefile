# `make` lists what there is. Every target sets up what it needs first.

PYTHON ?= python3
VENV ?= .venv
# How to install torch: auto (the CUDA build if there is an NVIDIA GPU, else the CPU build), cpu, pypi.
TORCH ?= auto
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Every test trains with one thread: processes beside one another take the other cores.
PYTEST_PARALLEL ?= --numprocesses logical --maxprocesses 4 --dist worksteal
# 0 builds the documentation without running its examples.
GALLERY ?= 1

PY := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts/python.exe,bin/python)
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
# What pip must not replace: the build of torch that tools/install_torch.sh chose.
CONSTRAINTS := $(VENV)/torch-constraint.txt
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
DOCS_STAMP := $(VENV)/.installed-docs
DOCS_HTML := docs/_build/html

.DEFAULT_GOAL := help
.PHONY: help venv setup demo demo-short test test-slow test-lowest test-versions lint format docs wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUN_STAMP): pyproject.toml sk_ulmfit/_version.py tools/install_torch.sh
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@tools/install_torch.sh $(PY) $(TORCH) $(CONSTRAINTS)
	@echo "Installing sk_ulmfit and what it needs into $(VENV)."
	@$(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "Installing what tests and checks need into $(VENV)."
	@$(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

$(DOCS_STAMP): $(DEV_STAMP)
	@echo "Installing what the documentation needs into $(VENV)."
	@$(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable '.[dev,docs]'
	@touch $@

venv: $(DEV_STAMP) ## make the virtual environment for development
setup: venv

demo: $(RUN_STAMP) ## TF-IDF, features and the classifier on bank customers' questions (DEMO_ARGS=--all: on all)
	$(PY) examples/demo_banking77.py $(DEMO_ARGS)

demo-short: $(RUN_STAMP) ## the demo on half as many questions
	$(PY) examples/demo_banking77.py --short $(DEMO_ARGS)

test: $(DEV_STAMP) ## run the tests (PYTEST_ARGS="tests/test_x.py -k y" runs some)
	$(PY) -m pytest $(PYTEST_PARALLEL) $(PYTEST_ARGS)

test-slow: $(DEV_STAMP) ## run the slow tests
	$(PY) -m pytest -m slow --timeout 1800 $(PYTEST_ARGS)

test-lowest: ## run the tests with the lowest versions of all dependencies
	tools/test_versions.sh lowest $(PYTEST_PARALLEL) $(PYTEST_ARGS)

test-versions: test-lowest ## the same, then with the highest
	tools/test_versions.sh highest $(PYTEST_PARALLEL) $(PYTEST_ARGS)

lint: $(DEV_STAMP) ## check style, types and docstrings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/check_docstrings.py

format: $(DEV_STAMP) ## rewrite the code in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(DOCS_STAMP) ## build the documentation in docs/_build/html (GALLERY=0 runs no examples)
	rm -rf docs/_build docs/api/generated
	$(PY) -m sphinx -b html --nitpicky --fail-on-warning --keep-going --quiet \
		-d docs/_build/doctrees -D plot_gallery=$(GALLERY) docs $(DOCS_HTML)
	$(PY) tools/check_links.py $(DOCS_HTML)

wheel: $(DEV_STAMP) ## build the wheel in dist/ and check what is in it
	rm -rf dist
	$(PY) -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .
	$(PY) tools/check_wheel.py dist

clean: ## remove the virtual environment, builds and caches
	rm -rf $(VENV) .venv-lowest .venv-highest dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf docs/_build docs/api/generated docs/api/backreferences docs/auto_examples
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
