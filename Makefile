# `make demo` and `make test` are all a newcomer needs; both make their own .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv/bin

.PHONY: help bootstrap demo test nightly check format format-check lint imports types deps policies completions docs lock clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

bootstrap: ## Make .venv with the locked dependencies.
	@sh scripts/bootstrap.sh

demo: bootstrap ## Run llmcp end to end against a built-in sample provider.
	@$(VENV)/llmcp demo

test: bootstrap ## Run all tests (ARGS="-k name" to choose).
	@$(VENV)/python -m pytest -n 2 --dist loadgroup $(ARGS)

nightly: bootstrap ## Run the long fuzzing and soak tests.
	@LLMCP_NIGHTLY=1 $(VENV)/python -m pytest -m nightly --timeout 3600 $(ARGS)

check: format-check lint imports types deps policies completions ## Run every check but the tests.

format: bootstrap ## Format the code.
	@$(VENV)/ruff format .

format-check: bootstrap
	@$(VENV)/ruff format --check .

lint: bootstrap ## Lint.
	@$(VENV)/ruff check .

imports: bootstrap ## Hold the layers.
	@$(VENV)/lint-imports

types: bootstrap ## Check types.
	@$(VENV)/mypy

deps: bootstrap ## Look for unused and undeclared dependencies.
	@$(VENV)/deptry src

policies: bootstrap ## Check the example policies.
	@$(VENV)/llmcp policy check policies

completions: bootstrap ## Hold the checked-in completions equal to the generated ones.
	@$(VENV)/python scripts/generate.py --check

docs: bootstrap ## Regenerate completions and the generated parts of the docs.
	@$(VENV)/python scripts/generate.py

lock: bootstrap ## Compile requirements/*.txt anew (needs uv).
	uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--no-header --extra aws --extra demo --extra parquet --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--no-header pyproject.toml -o requirements/run.txt

clean: ## Remove what was built.
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
