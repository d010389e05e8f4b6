# make help lists the targets
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Two workers with a thread each are faster than one with two on what the tests do.
WORKERS ?= 2

# The extras that the targets below need, and the torch that every environment gets; make test-oldest TORCH=2.6.0 takes
# the oldest one. Where the usual package index has only a CUDA build of it (Linux: several GB), name PyTorch's index of
# CPU builds in PIP_EXTRA_INDEX_URL.
EXTRAS := dev,joblib
comma  := ,
TORCH  ?= $(shell sed -n 's/^torch==//p' constraints.txt)
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml $(foreach extra,$(subst $(comma), ,$(EXTRAS)),--extra $(extra)) \
	--quiet --upgrade --no-annotate --no-emit-index-url --no-emit-find-links
TEST := -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

QUICKSTART_RUNS := runs/quickstart

# Found by hand for these data, on dev; the settings' own defaults are the published code's.
DEMO := recipe=none trainer=quickstart optim.backbone_lr=1e-4 optim.prompt_lr=2e-2 prompt.length=10 prompt.dropout=0
MINI := mini-entities,mini-roles,mini-questions

.PHONY: help quickstart demo reproduce-table results test test-newest test-oldest torture lock slow lint docs format clean

help:        ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

quickstart: $(VENV)/installed  ## own environment, then the three methods on a made-up task: about three minutes
	$(BIN)/ptv2 train task=mini-entities method=fine-tuning,prompt-tuning,p-tuning-v2 out=$(QUICKSTART_RUNS) $(ARGS) -m
	@$(BIN)/ptv2 report $(QUICKSTART_RUNS) --output $(QUICKSTART_RUNS)/report.html --title "Quick start"
	$(BIN)/ptv2 table $(QUICKSTART_RUNS) --split test --headline
	@$(BIN)/python scripts/quickstart.py $(QUICKSTART_RUNS) $(QUICKSTART_RUNS)/report.html

demo: $(VENV)/installed  ## the three methods on four made-up tasks, and their table: half an hour and more
	$(BIN)/ptv2 train task=mini-inference,$(MINI) method=fine-tuning out=runs/demo $(DEMO) -m
	$(BIN)/ptv2 train task=mini-inference method=prompt-tuning,p-tuning-v2 out=runs/demo $(DEMO) trainer.epochs=4 -m
	$(BIN)/ptv2 train task=$(MINI) method=prompt-tuning,p-tuning-v2 out=runs/demo $(DEMO) trainer.epochs=3 -m
	$(BIN)/ptv2 table runs/demo --split test --headline

reproduce-table: $(VENV)/installed  ## a table of the paper: TABLE=2|3|4 [BACKBONE=minilm] [DATA=DIR] [ARGS=--plan]
	$(BIN)/ptv2 reproduce table=$(TABLE) $(if $(BACKBONE),model=$(BACKBONE)) $(if $(DATA),data=$(DATA)) $(ARGS)

results: $(VENV)/installed-dev  ## the tables and figures in results/, from the records in results/runs/
	$(BIN)/python scripts/write_results.py $(ARGS)

test: $(VENV)/installed-dev  ## own environment, then the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

test-newest: ## the tests with the newest versions that pyproject.toml allows, in .venv-newest
	$(PYTHON) -m venv --clear .venv-newest
	@echo "Installing the newest versions into .venv-newest: about 140 packages, 2.2 GB on disk; a few minutes."
	.venv-newest/bin/python -m pip install torch==$(TORCH) --editable '.[$(EXTRAS)]'
	OMP_NUM_THREADS=1 .venv-newest/bin/python $(TEST)

test-oldest: $(VENV)/installed-dev  ## the tests with the oldest versions that pyproject.toml allows, in .venv-oldest
	$(PYTHON) -m venv --clear .venv-oldest
	echo "torch==$(TORCH)" | $(UV_COMPILE) --resolution lowest-direct --python .venv-oldest/bin/python \
		--constraint - --output-file .venv-oldest/constraints.txt
	@echo "Installing the oldest versions into .venv-oldest: about 130 packages, 2 GB on disk; a few minutes."
	.venv-oldest/bin/python -m pip install --constraint .venv-oldest/constraints.txt --editable '.[$(EXTRAS)]'
	OMP_NUM_THREADS=1 .venv-oldest/bin/python $(TEST)

lock: $(VENV)/installed-dev  ## new constraints.txt: the newest versions that go with constraints.in, for every platform
	$(UV_COMPILE) --universal --python-version 3.11 --constraint constraints.in \
		--custom-compile-command "make lock" --output-file constraints.txt

slow: $(VENV)/installed-dev  ## the tests that take long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(ARGS)

torture: $(VENV)/installed-dev  ## random kills, damage and malformed input: an hour (ARGS="--minutes 5 --only mutations --seed 2")
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m torture $(ARGS)

lint: $(VENV)/installed-dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32

docs: $(VENV)/installed-dev  ## the documentation site, into site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/installed-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:       ## remove environment and caches; runs stay
	rm -rf $(VENV) .venv-newest .venv-oldest .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing ptv2 into $(VENV): about 80 packages, 1.5 GB on disk with torch's CPU build; a few minutes."
	$(BIN)/python -m pip install --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing ptv2 and its tools into $(VENV): about 140 packages, 2.2 GB on disk with torch's CPU build; a few minutes."
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/installed
