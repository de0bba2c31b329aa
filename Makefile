# The two commands of the README are `make run` and `make test`; `make help` lists the rest.
PYTHON ?= python3.11
BIN := .venv/bin
QUESTION ?= How risky is AAPL over the next 10 days?
AS_OF ?= 2022-06-30

.PHONY: help install run test check bench clean
help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

install: .venv/installed ## make the environment with pinned dependencies

.venv/installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed; set PYTHON=... to another 3.11 or later" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

run: .venv/installed ## load the sample data and answer one question, end to end
	$(BIN)/outcry ingest --sample
	$(BIN)/outcry ask "$(QUESTION)" --as-of $(AS_OF)

test: .venv/dev ## run the tests
	$(BIN)/pytest -n 2

check: .venv/dev ## format, lint, types, import rules, and tests with branch coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --cov --cov-report=term

bench: .venv/dev ## measure speed and memory, side by side in one run
	$(BIN)/python benchmarks/bench.py

clean: ## remove the environment, caches, and .outcry with all its data and runs
	rm -rf .venv .outcry build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage*
