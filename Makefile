# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=

.PHONY: demo serve install test lint format bench packages clean

demo: .venv/.installed
	@$(BIN)/telephony demo

serve: .venv/.installed
	@$(BIN)/telephony serve

install: .venv/.installed

test: packages lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev
	$(BIN)/python -m bench.parse
	$(BIN)/python -m bench.calls
	$(BIN)/python -m bench.setup

# What the tests need beside Python: installed where it may be, named where it may not.
packages:
	@sh tests/packages.sh

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit("Telephony needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.created pyproject.toml
	@echo "installing into .venv ..."
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[speech]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "installing what the tests need into .venv ..."
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[speech,dev]'
	@touch $@

clean:
	rm -rf .venv var build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
