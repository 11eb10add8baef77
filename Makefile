# otel-ml: every target installs what it needs and prints what it does; the second run starts in seconds.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON3 ?= python3
VENV ?= .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
INSTALL := $(UV) pip install --quiet --python $(PYTHON) --prerelease if-necessary-or-explicit --constraints constraints.txt
EXAMPLE := examples/fastapi_service
export UV_NO_PROGRESS := 1
# many tests start processes: each would compile what it imports
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
export OTEL_ML_PYTHON := $(PYTHON)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.uv:
	@echo "== creating $(VENV)"
	@$(PYTHON3) -c 'import sys; sys.exit("otel-ml needs Python 3.10 or newer; set PYTHON3=...") if sys.version_info < (3, 10) else None'
	@$(PYTHON3) -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(VENV)/.demo: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "== installing otel-ml and the example's dependencies"
	@$(INSTALL) --editable '.[fastapi,quality,ground-truth,console,gpu]' --group demo
	@touch $@

$(VENV)/.dev: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "== installing otel-ml with all extras and the tools of tests and checks"
	@$(INSTALL) --editable '.[all]' --group demo --group test --group check --group bench
	@touch $@ $(VENV)/.demo

FRONTEND := otel_ml/console/frontend
LIBRARY := otel_ml/console/web/static/library.js
$(LIBRARY): $(FRONTEND)/package.json $(FRONTEND)/package-lock.json $(FRONTEND)/library.js
	@echo "== building the libraries of the console's pages"
	@$(PYTHON3) $(FRONTEND)/build_library.py || true

.PHONY: install
install: $(VENV)/.dev $(LIBRARY) ## Set up the development environment in .venv

.PHONY: demo
demo: $(VENV)/.demo $(LIBRARY) ## Serve a model, send real traffic, serve the console (DEMO_DRIFT=1 breaks a column, DEMO_SECONDS=45 stops by itself)
	@$(PYTHON) -m otel_ml demo $(if $(DEMO_DRIFT),--drift) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

.PHONY: stack
stack: $(VENV)/.dev $(LIBRARY) ## The same through the real Collector, Prometheus, log and trace servers (STACK_SECONDS=60)
	@PATH="$(abspath $(VENV))/bin:$$PATH" EXAMPLE=$(EXAMPLE) OTEL_METRIC_EXPORT_INTERVAL=5000 OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=local \
	  $(PYTHON) deploy/local/stack.py $(if $(STACK_PORTS),--ports $(STACK_PORTS)) \
	  --process 'service=EXAMPLE_FOLDER="$$STACK_DIR/example" exec "$$PYTHON" -m uvicorn app:app --app-dir "$$ROOT/$$EXAMPLE" --host 127.0.0.1 --port "$$SERVICE_PORT" --log-level warning' \
	  --traffic '"$$PYTHON" "$$ROOT/$$EXAMPLE/replay.py" --patients --url "$$SERVICE_URL" >/dev/null' \
	  --verify '"$$PYTHON" "$$ROOT/deploy/local/verify.py"'
	@$(if $(STACK_SECONDS),$(PYTHON) deploy/local/alert_faults.py)

.PHONY: alerts
alerts: $(VENV)/.dev ## Break services and a Collector: six alerts arrive at a webhook and resolve
	@$(PYTHON) deploy/local/alert_faults.py

.PHONY: test
test: $(VENV)/.dev $(LIBRARY) ## Run all tests; builds the servers on the first run (AGAIN=1 runs what failed once more, alone)
	@$(PYTHON) deploy/local/build.py
	@$(PYTHON) -m pytest -q -n logical --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered --durations=15 tests || \
	  { status=$$?; [ -n "$(AGAIN)" ] && [ $$status = 1 ] || exit $$status; \
	    echo "== once more, alone: what failed"; $(PYTHON) -m pytest -q --last-failed --last-failed-no-failures none tests && \
	    echo "== passed at the second try: what the first summary names is flaky and has to be fixed"; }

.PHONY: screenshots
screenshots: $(VENV)/.dev $(LIBRARY) ## Take the pictures of the console while the demo runs (three minutes, needs Chromium)
	@$(PYTHON) tests/browser/screenshots.py

.PHONY: gpu
gpu: $(VENV)/.dev ## Compare the sampler with nvidia-smi, idle and under a real load (needs an NVIDIA driver, takes a minute)
	@$(PYTHON) tests/gpu/kit.py .gpu-kit
	@$(PYTHON) .gpu-kit/compare.py --out tests/data/nvml/recorded

.PHONY: test-quick
test-quick: $(VENV)/.dev ## Run unit and contract tests only
	@$(PYTHON) -m pytest -q tests/unit tests/contract

.PHONY: pipeline
pipeline: $(VENV)/.dev ## Run the tests against the real Collector, Prometheus, log and trace servers
	@$(PYTHON) deploy/local/build.py
	@$(PYTHON) -m pytest -q tests/pipeline

.PHONY: check
check: $(VENV)/.dev ## Check style, types, spelling and import rules
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo 2>/dev/null || $(VENV)/bin/lint-imports
	@$(VENV)/bin/codespell

.PHONY: faults
faults: $(VENV)/.dev ## Run every fault case, slow ones too, and print one table
	@$(PYTHON) tests/faults/table.py

.PHONY: bench
bench: $(VENV)/.dev ## Measure every budget beside the peers and print one table (BENCH="--only cpu --runs 5")
	@$(PYTHON) deploy/local/build.py collector > /dev/null
	@$(PYTHON) tests/benchmarks/run.py $(BENCH)

.PHONY: tiers
tiers: $(VENV)/.dev ## Two agents and two gateways at 5,000 predictions a second: lost, split, killed (TIERS="--rate 1000")
	@$(PYTHON) deploy/local/build.py collector-gateway > /dev/null
	@$(PYTHON) tests/benchmarks/tiers.py $(TIERS)

.PHONY: lock
lock: $(VENV)/.uv ## Update constraints.txt
	@$(UV) pip compile --quiet --universal --python-version 3.10 --prerelease if-necessary-or-explicit --upgrade --all-extras \
	  --group demo --group test --group check --group bench --no-annotate --no-header --no-emit-index-url \
	  --output-file constraints.txt pyproject.toml

.PHONY: clean
clean: ## Remove the environment and caches of this checkout
	rm -rf $(VENV) $(FRONTEND)/node_modules otel_ml/console/web/static/library.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
