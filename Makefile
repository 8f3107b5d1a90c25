# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: demo serve install agents test lint format bench bench-quick packages clean

demo: .venv/.installed
	@$(BIN)/telephony demo

serve: .venv/.installed
	@$(BIN)/telephony serve

install: .venv/.installed

# The example worker that answers calls: .venv-agents/bin/telephony-agent start
agents: .venv-agents/.installed

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

# Half an hour; with BENCH_ARGS=--full medians of five runs of a minute and more cases: some four hours.
bench: .venv-bench/.installed
	@sh bench/packages.sh
	.venv-bench/bin/python -m bench $(BENCH_ARGS)

# A few minutes: whether every benchmark runs. Its figures say nothing.
bench-quick: .venv-bench/.installed
	@sh bench/packages.sh
	.venv-bench/bin/python -m bench --quick $(BENCH_ARGS)

# What the tests need beside Python: installed where it may be, named where it may not.
packages:
	@PYTHON="$(PYTHON)" sh tests/packages.sh

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

# livekit-agents pins an older livekit than the service's.
.venv-agents/.installed: .venv/.created pyproject.toml
	@echo "installing the example worker into .venv-agents ..."
	@$(PYTHON) -m venv .venv-agents
	@PYTHONWARNINGS=ignore .venv-agents/bin/python -m pip install --quiet --disable-pip-version-check -e '.[agents]'
	@touch $@

# The benchmarks' peers live in an environment of their own.
.venv-bench/.installed: pyproject.toml bench/requirements.txt
	@echo "installing the service and its peers into .venv-bench ..."
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[speech,postgres]' -r bench/requirements.txt
	@touch $@

clean:
	rm -rf .venv .venv-bench .venv-agents var build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
