# Every verb installs what is missing first (scripts/bootstrap: at once when all is there).
.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test check bench
BIN := .venv/bin
JOBS ?= 2

help:
	@echo "make demo       a small lake from generated products: ingest, catalog, cube, analysis, a picture (no account, no network)"
	@echo "make test       all tests"
	@echo "make check      style, types, layers"
	@echo "make bench      numbers, beside those of other tools"
	@echo "make bootstrap  only install what is missing"

bootstrap:
	@scripts/bootstrap

demo: bootstrap
	@$(BIN)/python scripts/demo.py $(ARGS)

test: bootstrap
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile $(ARGS)

check: bootstrap
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: bootstrap
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done
