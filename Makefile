# make help lists the targets
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Two workers with a thread each are faster than one with two on what the tests do.
WORKERS ?= 2

QUICKSTART_RUNS := runs/quickstart

# Found by hand for these data, on dev; the settings' own defaults are the published code's.
DEMO := recipe=none trainer=quickstart optim.backbone_lr=1e-4 optim.prompt_lr=2e-2 prompt.length=10 prompt.dropout=0
MINI := mini-entities,mini-roles,mini-questions

.PHONY: help quickstart demo reproduce-table test slow lint docs format clean

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

test: $(VENV)/installed-dev  ## own environment, then the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

slow: $(VENV)/installed-dev  ## the tests that take long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/installed-dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed-dev  ## the documentation site, into site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/installed-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:       ## remove environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,joblib]'
	touch $@ $(VENV)/installed
