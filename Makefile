# drybeans. `make` lists what can be done; it needs Python 3.11 or newer and nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
BIN := .venv/bin
export PYTHON

# One stamp for each set of requirements: a second call costs nothing.
UP := .venv/.up
DEV := .venv/.dev

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: $(UP) ## Run everything on this machine until Ctrl-C (PORT=5000, WORKERS=cores)
	@$(BIN)/python -m shared.embedded

.PHONY: demo
demo: $(UP) ## Submit the sample beans and show their labels, to a running service or one of its own
	@$(BIN)/python -m shared.embedded demo

.PHONY: test
test: $(DEV) ## Run all tests; on Debian as root this installs the servers they need
	@tests/servers/install.sh
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: test-unit
test-unit: $(DEV) ## Run the tests that need no server, in seconds
	@$(BIN)/python -m pytest tests/unit -m "not slow" $(ARGS)

.PHONY: check
check: $(DEV) ## Check style, types, imports and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

.PHONY: format
format: $(DEV) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(DEV) ## Measure; bench/README.md says what and how
	@$(BIN)/python -m bench $(ARGS)

.PHONY: chaos
chaos: $(DEV) ## Strike the running parts with faults and count what was lost (minutes)
	@tests/servers/install.sh
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: train
train: $(UP) ## Train and publish the models: DATA=path/to/Dry_Bean_Dataset.csv, or ARGS=--download
	@$(BIN)/python -m worker.training $(if $(DATA),--data "$(DATA)") $(if $(DATA)$(ARGS),$(ARGS),--help)

.PHONY: lock
lock: $(DEV) ## Pin requirements/*.in into *.txt anew (ARGS=--upgrade takes newer versions)
	@requirements/lock.sh $(ARGS)

.PHONY: clean
clean: ## Remove .venv and caches; var/ with its database stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UP): requirements/up.txt requirements/install.sh pyproject.toml
	@requirements/install.sh up
	@touch $@

# The development set holds all of the other.
$(DEV): requirements/dev.txt requirements/install.sh pyproject.toml
	@requirements/install.sh dev
	@touch $(UP) $@
