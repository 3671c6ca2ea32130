PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(addprefix tests/unit/test_, project.py transforms.py decomposition.py)
READY := $(VENV)/.ready
# Threads that wait leave the processor to others: beside other work, small matrices are twenty times as fast.
export OMP_WAIT_POLICY = PASSIVE
# Ray's workers step aside for everybody else unless told otherwise, and would never end beside other tests.
export RAY_worker_niceness = 0
IN_VENV = PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1
# One more than two processors: some tests wait for a browser or for a process that was killed.
PYTEST = $(IN_VENV) python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder
NBTEST = $(IN_VENV) FAST=1 python tools/notebooks.py test

.PHONY: help demo app test test-fast test-unit test-slow test-browser test-notebooks setup notebooks readme measures pictures clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(READY)  ## explain a prompt on a real language model
	$(BIN)/interlib explain "A red apple falls to the ground because of the pull of" --model smollm2 --players 10 --out demo

app: $(READY)  ## type a sentence in the browser and see what a model reacts to
	$(BIN)/interlib app

test: $(READY)  ## everything that must hold: clean and exported notebooks, the house, all tests, all notebooks
	$(PYTEST) $(CORE)
	$(PYTEST) tests $(CORE:%=--ignore %)
	$(NBTEST)

test-fast: $(READY)  ## the core, in less than five minutes
	$(PYTEST) $(CORE) tests/unit/test_interactions.py tests/unit/test_bad_input.py -m "not slow"
	$(NBTEST) nbs/core

test-unit: $(READY)  ## the tests that take a moment each and need no browser
	$(PYTEST) tests/unit

test-slow: $(READY)  ## networks that are trained, kills, damage, many players
	$(PYTEST) tests/slow

test-browser: $(READY)  ## the tests that need chromium
	$(PYTEST) tests/browser

test-notebooks: $(READY)  ## run all notebooks
	$(NBTEST)

setup: $(READY)  ## an environment in .venv, and git hooks that keep notebooks clean

# Installs again only when the requirements change. Kept in a stamp, so that a half-finished installation is not taken for a good one.
$(READY): setup.py settings.ini constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("interlib needs Python 3.10 or newer; call make PYTHON=/path/to/python3" if sys.version_info < (3, 10) else 0)'
	@$(PYTHON) -c 'import ensurepip' || { echo "This Python cannot make virtual environments: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[all]'
	@if git rev-parse --git-dir >/dev/null 2>&1; then PATH="$(abspath $(BIN)):$$PATH" nbdev_install_hooks || echo "git hooks were not installed"; fi
	@touch $@

notebooks: $(READY)  ## run all notebooks again and store their outputs
	PATH="$(abspath $(BIN)):$$PATH" python tools/notebooks.py store

readme: $(READY)  ## README.md from nbs/index.ipynb, docs/mistakes.md from the tests
	PATH="$(abspath $(BIN)):$$PATH" python tools/notebooks.py readme
	PATH="$(abspath $(BIN)):$$PATH" python tests/unit/test_bad_input.py

measures: $(READY)  ## docs/measures.md, and what breaks a rule of the house
	PATH="$(abspath $(BIN)):$$PATH" python tools/house.py --write

pictures: $(READY)  ## screenshots of the widgets and the gallery, into docs
	PATH="$(abspath $(BIN)):$$PATH" INTERLIB_SCREENSHOTS="$(abspath docs)" python -m pytest -q tests/browser/test_widgets.py

clean:  ## remove the environment
	rm -rf $(VENV)
