# The commands of this project. `make train` needs nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: train test test-slow check format docs bench clean

train: $(VENV)/installed ## train LeNet-5 on real digits, offline
	$(BIN)/neocog train

# A process a core with one thread each: what is tested is small, and threads that wait for each
# other take longer than one.
test: $(VENV)/developing ## the fast tests; with COVERAGE=1 the lines that they run, too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 \
		$(if $(COVERAGE),--cov neocog --cov-report term:skip-covered --cov-fail-under 95)

test-slow: $(VENV)/developing ## the tests that train for long
	$(BIN)/python -m pytest -m slow

check: $(VENV)/developing ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/documenting ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/developing ## speed against the tutorials' own way, as ratios
	$(BIN)/python benchmarks/speed.py && $(BIN)/python benchmarks/speed.py --where

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Neocog needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12 train")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

$(VENV)/documenting: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
