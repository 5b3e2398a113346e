# Every target sets up what it needs, on a machine that has Python >= 3.11 and nothing else.
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen

.PHONY: help demo test node-services check lint types unit bench audit update-golden lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## a small service with switchable faults and the agent beside it
	@$(RUN) vitalsd demo

test: .venv/ready node-services ## every test; installs what they need from Debian when root, and from npm
	@scripts/debian-packages
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 25

node-services: ## Express, Fastify and axe-core from npm, which tests use
	@scripts/npm-packages

check: lint types unit ## what runs before a commit

lint: .venv/ready ## ruff, rules and format
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: .venv/ready ## mypy, strict
	$(RUN) mypy

unit: .venv/ready ## the tests that need no other process
	$(RUN) pytest -q tests/unit tests/golden tests/docs

bench: .venv/ready ## docs/benchmarks.md, in 20 minutes; BENCH=name for one of its questions
	@scripts/bench-packages
	$(RUN) python -m bench questions $(BENCH)

audit: .venv/ready ## known vulnerabilities of the locked dependencies, by PyPI
	@$(RUN) python scripts/audit --uv $(UV) -- $(UV) tool run --quiet pip-audit

update-golden: .venv/ready ## accept what the golden tests see now
	UPDATE_GOLDEN=1 $(RUN) pytest -q tests/golden

lock: $(UV) ## resolve the dependencies again
	$(UV) lock --upgrade

clean: ## remove what make has built
	rm -rf .venv .tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf tests/targets/shops/node_modules tests/support/axe/node_modules

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@
