# `make run`: set up, link a document with the trained parts that ship, run the pipeline on the embedded sample, and
# show its result.
# `make test`: set up and run every check that CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# DVC runs `python` and finds the one of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Modules are compiled when they are first imported, and then kept: to compile all that is installed takes
# longer than the installation.
unexport PYTHONDONTWRITEBYTECODE

# No run hangs. A test has a limit of its own (pyproject.toml); this is the limit of all tests together.
# At its end pytest is interrupted, so that it tells what has failed, and is killed if it stays.
LIMITED := $(if $(shell command -v timeout),timeout --foreground --signal INT --kill-after 1m 30m)

.PHONY: run first-link test lint setup

run: first-link
	dvc repro
	@cat report/test.md
	@echo "To look at: report/index.html"

first-link: setup models/sample/manifest.json
	el link --linker models/sample
	@echo "These links are to a small slice of MeSH. For all of MeSH: el index"

models/sample/manifest.json: $(VENV)/.installed $(wildcard src/el/trained/*/*.json src/el/ontology/sample_mesh/*)
	el index sample --output models/sample --force

test: setup lint
	$(LIMITED) pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup
	ruff check
	ruff format --check
	mypy
	lint-imports --no-logo

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[pipeline,minilm,ontologies,pandas,spacy,dev]'
	touch $@
