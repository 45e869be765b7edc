# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The demo's own folder: models of your own go to work/, which no demo touches.
DEMO := work/demo

.PHONY: demo setup test prove check serve bench docs lock clean
.DEFAULT_GOAL := demo

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "wardcast needs Python 3.11 or newer; set PYTHON=")'
	@echo "Setting up: about 2 minutes, 1.5 GB in $(VENV)/"
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)            ## the whole way on a made-up hospital
	$(BIN)/wardcast demo --work $(DEMO) $(ARGS)

setup: $(READY)           ## the program alone, as on a server

test: check               ## the suite that gates a change
	$(BIN)/python -m pytest -m "not prove" -n 2 --dist loadfile $(ARGS)

prove: $(READY)           ## long repeats; results go to benchmarks/
	$(BIN)/python -m pytest -m prove $(ARGS)

check: $(READY)           ## style, types, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: $(READY)           ## the API on the champions of the last demo
	$(BIN)/wardcast serve --work $(DEMO) --insecure-demo $(ARGS)

bench: $(READY)           ## what the speed claims are measured with
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY)            ## the pages that are made from the code
	$(BIN)/python -m tests.definitions > docs/definitions.md
	$(BIN)/wardcast dictionary --markdown > docs/dictionary.md
	$(BIN)/wardcast tables --markdown > docs/tables.md
	$(BIN)/wardcast settings --markdown > docs/settings.md
	$(BIN)/python -m training.report.checklist > docs/reporting.md

lock: $(READY)            ## resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --upgrade --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) $(DEMO)
