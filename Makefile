# Two commands do everything: `make demo` and `make test`. The rest is for working on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: audit bench chaos docs docs-serve install demo up check peers test test-slow lint types layers format lock screenshots clean help
.DEFAULT_GOAL := help

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## everything that is needed, into .venv

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Signoff needs Python 3.11 or newer; $$($(PYTHON) --version) is too old. Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@# The lock is complete, so nothing is resolved: that is faster, and pip's resolver stumbles over pins with extras.
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: install ## triage a pretend company's inbox: no account, no key
	@$(BIN)/signoff demo

up: install ## the server, a worker and all deployments, with your accounts
	@$(BIN)/signoff up

check: install ## is every workflow complete?
	@$(BIN)/signoff check

test: install lint types layers ## what must hold, without whole stacks and browsers (10 minutes)
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

test-slow: install ## the rest: stacks, browsers, PostgreSQL, kills, the documentation's commands (half an hour)
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m slow

lint: install ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install ## mypy, strict
	@$(BIN)/mypy

layers: install ## do imports point one way?
	@$(BIN)/lint-imports --no-cache

docs: install ## the documentation's site, into .signoff/site, with the reference made from the code
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict
	@echo "Open .signoff/site/index.html, or run make docs-serve for the search."

docs-serve: install ## the same at http://127.0.0.1:8000, built anew whenever a page changes, until Ctrl-C
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --strict

screenshots: install ## the documentation's pictures, taken anew (5 minutes)
	@$(BIN)/python docs/screenshots.py

bench: install ## how fast, and at what cost, next to the bare SDKs and to others (15 minutes)
	@$(BIN)/python -m benchmarks

peers: install ## others' frameworks, for make bench, into .venv-peers
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --no-deps --require-hashes -r benchmarks/peers/requirements.lock

chaos: install ## every fault, at every destination, with a kill -9 at every moment (10 minutes)
	@$(BIN)/python -m tests.chaos

format: install ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## pin everything anew; needs uv
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --generate-hashes --custom-compile-command "make lock" --upgrade -o requirements.lock -q
	@uv pip compile --group audit --universal --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --generate-hashes --custom-compile-command "make lock" --upgrade -o requirements-audit.lock -q
	@uv pip compile benchmarks/peers/requirements.in -c requirements.lock --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --generate-hashes --custom-compile-command "make lock" --upgrade \
		-o benchmarks/peers/requirements.lock -q

audit: ## does a pinned package have a known vulnerability? STRICT=1: fail when nobody can say
	@$(PYTHON) .ci/audit.py

clean: ## remove the environment and all local state
	rm -rf $(VENV) .venv-peers .signoff
