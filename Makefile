# The two commands: `make serve` and `make test`. `make help` lists the rest.
#
# Everything is installed into .venv and node_modules of this folder, once; a stamp keeps the
# second call quick.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help serve test check unit long fuzz interop bench install clean

help:  ## List what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

serve: $(STAMPS)/install  ## Run the server (ARGS='--port 4300' for its options)
	@exec $(BIN)/bandstand serve $(ARGS)

test: check $(STAMPS)/node  ## Install what the tests need and run all of them
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMPS)/test  ## Formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(STAMPS)/test  ## Only the tests that need no Node
	$(BIN)/python -m pytest tests/unit tests/integration tests/conformance tests/fuzz \
		tests/hostile tests/simulation tests/cancellation tests/crash $(ARGS)

long: $(STAMPS)/test $(STAMPS)/node  ## The long modes: 1,000 kills, 20,000 power losses, 20,000 worlds, 1 GB (some hours)
	$(BIN)/python -m pytest tests/crash --kills 1000 --power-losses 20000 \
		--megabytes 1000 --restarts 20
	RESTARTS=20 $(BIN)/python -m pytest tests/interop/test_restarts_under_load.py
	$(BIN)/python -m pytest tests/hostile --hostile-scale whole
	$(BIN)/python -m pytest tests/simulation --runs 20000

fuzz: $(STAMPS)/fuzz  ## Look for inputs that break a decoder or the node (ARGS='--seconds 60 header')
	$(BIN)/python -m tests.fuzz $(ARGS)

interop: $(STAMPS)/test $(STAMPS)/node  ## Only the tests with real Jazz clients and browsers
	$(BIN)/python -m pytest tests/interop tests/browser $(ARGS)

bench: $(STAMPS)/test $(STAMPS)/node  ## Side by side with Jazz's own server
	$(BIN)/python -m bench $(ARGS)

install: $(STAMPS)/install  ## Create the virtual environment and install the server

clean:  ## Remove everything that was installed
	rm -rf $(VENV) $(STAMPS) bench/reference/node_modules tests/browser/tools/node_modules \
		tests/interop/clients/*/node_modules

# Debian and Ubuntu ship python3 without venv: say which package has it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bandstand needs Python 3.11 or later; set PYTHON=... to name one" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "python3 cannot make virtual environments here; on Debian and Ubuntu:" >&2; \
		echo "    apt install python3-venv" >&2; exit 1; }

$(STAMPS)/install: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(STAMPS)/install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test
	@touch $@

$(STAMPS)/fuzz: $(STAMPS)/test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz || { \
		echo "atheris cannot be installed here (it has wheels for Linux on x86_64): the coverage-guided" >&2; \
		echo "fuzzer cannot run; the inputs in tests/fuzz/corpus are replayed by the tests" >&2; exit 1; }
	@touch $@

# The script is quick if nothing changed, and says loudly if there is no Node.
.PHONY: $(STAMPS)/node
$(STAMPS)/node: $(STAMPS)/test
	@$(BIN)/python tests/interop/install.py
	@$(BIN)/python -m tests.browser.install
