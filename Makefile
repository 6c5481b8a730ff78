# Two commands do it all on a machine with Python 3.11 and make: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
WORK ?= .onepoint
SOURCE ?= configs/sources/simulated_bank.yaml
DATA ?=
ONCE ?=
ONLY ?=

export BENTOML_DO_NOT_TRACK := true
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_DISABLE_TELEMETRY := true
export PYTHONUNBUFFERED := 1
# threads that wait for each other sleep instead of spinning: cores may be shared
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help run test lint bench soak audit serve mlflow lock clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (about two minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/development: requirements-dev.lock $(VENV)/runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/runtime  ## simulate (or read SOURCE and DATA), train, serve, ask; ONCE=1 stops after the answer
	@$(BIN)/python -m experiments demo --source $(SOURCE) --work $(WORK) $(if $(DATA),--data $(DATA)) $(if $(ONCE),--once)

test: $(VENV)/development  ## the whole suite
	@$(BIN)/python -m pytest

lint: $(VENV)/development  ## style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/development  ## benchmarks, one JSON object a line; ONLY=name runs one
	@$(BIN)/python -m experiments bench $(if $(ONLY),--only $(ONLY))

soak: $(VENV)/development  ## kill -9, swaps, restarts, half an hour of requests; ONLY=name runs one
	@$(BIN)/python -m experiments soak $(if $(ONLY),--only $(ONLY))

audit: $(VENV)/development  ## known vulnerabilities of the locked packages (needs the index's service)
	@$(BIN)/python -m experiments audit

serve: $(VENV)/runtime  ## serve what `make run` left in WORK
	@$(BIN)/python -m serving serve --work $(WORK)

mlflow: $(VENV)/runtime  ## the reviewer's page of runs, on port 5000
	@$(BIN)/python -m training mlflow --work $(WORK)

lock:  ## renew the lock files (needs uv)
	@uv pip compile -q pyproject.toml --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	@uv pip compile -q pyproject.toml --extra dev -c requirements.lock --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -o requirements-dev.lock

clean:  ## remove what the commands above made
	@rm -rf $(VENV) $(WORK) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
