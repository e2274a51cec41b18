# drybeans. `make` lists the commands. They need Python 3.11 or newer; `make check` needs Node 20.19
# or newer with npm too.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
BIN := .venv/bin
export PYTHON

# The images: `make images` names them for this machine, `make push` for a registry.
DOCKER ?= docker
TAG ?= dev
REPOSITORY ?=
IMAGES = $(if $(REPOSITORY),$(REPOSITORY)/)
LABELS = --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD)

# One stamp for each set of requirements: a second call costs nothing.
UP := .venv/.up
DEV := .venv/.dev
NODE := node_modules/.package-lock.json

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: $(UP) ## Run everything on this machine until Ctrl-C (PORT=5000, WORKERS=cores, FLOWER=1)
	@$(BIN)/python -m shared.embedded

.PHONY: demo
demo: $(UP) ## Submit the sample beans and show their labels, to a running service or one of its own
	@$(BIN)/python -m shared.embedded demo

.PHONY: admin
admin: $(UP) ## Run an operator's command: ARGS=doctor, ARGS="jobs --limit 5"
	@$(BIN)/python -m shared.admin $(or $(ARGS),doctor)

.PHONY: test
test: $(DEV) ## Run all tests; on Debian as root this installs the servers they need
	@tests/servers/install.sh
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --no-loadscope-reorder $(ARGS)

.PHONY: test-unit
test-unit: $(DEV) ## Run the tests that need no server, in seconds
	@$(BIN)/python -m pytest tests/unit -m "not slow" $(ARGS)

.PHONY: check
check: $(DEV) $(NODE) ## Check style, types, imports, spelling and known advisories
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	node_modules/.bin/eslint .
	node_modules/.bin/tsc
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.cloudbuild cloudbuild.yaml
	@$(BIN)/python requirements/audit.py
	@# It has no wheel for some platforms.
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile.*; fi

.PHONY: format
format: $(DEV) $(NODE) ## Format the code and fix what the linters can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	node_modules/.bin/eslint --fix .

.PHONY: bench
bench: $(DEV) ## Measure; bench/README.md says what and how
	@$(BIN)/python -m bench $(ARGS)

.PHONY: screenshots
screenshots: $(DEV) ## Take the screenshots of the pages in docs/screenshots
	@tests/servers/install.sh
	@$(BIN)/python -m tests.e2e.screenshots

.PHONY: chaos
chaos: $(DEV) ## Strike the running parts with faults and count what was lost (minutes)
	@tests/servers/install.sh
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## Send generated requests and hold the answers to the OpenAPI document (minutes)
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: train
train: $(UP) ## Train and publish the models: DATA=path/to/Dry_Bean_Dataset.csv, or ARGS=--download
	@$(BIN)/python -m worker.training $(if $(DATA),--data "$(DATA)") $(if $(DATA)$(ARGS),$(ARGS),--help)

.PHONY: env
env: ## Add missing passwords, random ones, to .env, for docker compose and Kubernetes
	@umask 077; touch .env; test -z "$$(tail -c 1 .env)" || echo >>.env; \
	while read -r line; do \
	  case $$line in *=) \
	    if ! grep -q "^$$line" .env; then \
	      echo "$$line$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>.env; \
	      echo "drybeans: added $${line%=} to .env"; \
	    fi ;; \
	  esac; \
	done <.env.example

.PHONY: images
images: ## Build both images with Docker: TAG=dev, REPOSITORY= to name a registry
	$(DOCKER) build --file Dockerfile.api --tag $(IMAGES)drybeans-api:$(TAG) $(LABELS) .
	$(DOCKER) build --file Dockerfile.worker --tag $(IMAGES)drybeans-worker:$(TAG) $(LABELS) .

.PHONY: push
push: ## Build both images and push them: REPOSITORY=host/project/repository TAG=1.2.3
	@test -n "$(REPOSITORY)" || { echo "drybeans: make push REPOSITORY=… TAG=…"; exit 1; }
	@$(MAKE) images
	$(DOCKER) push $(IMAGES)drybeans-api:$(TAG)
	$(DOCKER) push $(IMAGES)drybeans-worker:$(TAG)

.PHONY: lock
lock: $(DEV) ## Pin requirements/*.in into *.txt anew (ARGS=--upgrade takes newer versions)
	@requirements/lock.sh $(ARGS)

.PHONY: clean
clean: ## Remove .venv, node_modules and caches; var/ with its database stays
	rm -rf .venv node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UP): requirements/up.txt requirements/install.sh pyproject.toml
	@requirements/install.sh up
	@touch $@

# The development set holds all of the other.
$(DEV): requirements/dev.txt requirements/install.sh pyproject.toml
	@requirements/install.sh dev
	@touch $(UP) $@

# npm writes this file last.
$(NODE): package.json package-lock.json
	@npm ci --silent --no-audit --no-fund
	@touch $@
