# Every target sets up what it needs, on a machine that has Python >= 3.11 and nothing else.
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen

# libFuzzer for Python has wheels for x86-64 alone, so it is no dependency: where there is none, hypothesis does it.
ATHERIS := $(shell test "$$(uname -m)" = x86_64 && echo --with atheris)

.PHONY: help demo test node-services check lint types unit bench fuzz fuzz-seeds soak reliability audit
.PHONY: dist release-check update-golden lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## a small service with switchable faults and the agent beside it
	@$(RUN) vitalsd demo

# What is compiled is kept, whatever the environment says, and is there before six workers and their agents want it.
test: export PYTHONDONTWRITEBYTECODE =
test: .venv/ready node-services ## every test; installs what they need from Debian when root, and from npm
	@scripts/debian-packages
	@$(RUN) pytest --collect-only -qq >/dev/null || true
	@rm -f .pytest_cache/v/cache/lastfailed
	$(RUN) pytest -n 6 --dist loadfile --no-loadscope-reorder --durations 25 || $(RUN) python scripts/failed-again $$?

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

bench: .venv/ready ## docs/benchmarks.md, in some 20 minutes; BENCH=name for one of its questions
	@scripts/bench-packages
	$(RUN) python -m bench questions $(BENCH)

fuzz: .venv/ready ## all that is read, by chance, for FUZZ_MINUTES (5); what fails becomes a seed in tests/fuzz/seeds
	@PYTHONPATH=tests:. $(RUN) $(ATHERIS) python -m fuzz

fuzz-seeds: .venv/ready ## the real seeds of the fuzzing, recorded anew from services that run
	@PYTHONPATH=tests:. $(RUN) python -m fuzz.record

reliability: .venv/ready ## the chaos suite, eight minutes, and its table in docs/reliability.md
	$(RUN) python -m bench.chaos --page docs/reliability.md

soak: .venv/ready ## the agent in 64 MiB beside 20 workers for SOAK_MINUTES (15)
	$(RUN) python -m bench soak

audit: .venv/ready ## known vulnerabilities of the locked dependencies, by PyPI
	@$(RUN) python scripts/audit --uv $(UV) -- $(UV) tool run --quiet pip-audit

dist: $(UV) ## sdist and wheel into dist/, the same bytes each time
	@$(PYTHON) scripts/dist --uv $(UV)

release-check: dist .venv/ready ## what dist has built, installed on every Python here, with the lowest and the newest dependencies
	@$(UV) tool run --quiet twine check --strict dist/vitalsd-*
	RELEASE_CHECK=dist $(RUN) pytest -n 2 tests/deploy/test_wheel.py tests/deploy/test_installed.py

update-golden: .venv/ready ## accept what the golden tests see now
	UPDATE_GOLDEN=1 $(RUN) pytest -q tests/golden

lock: $(UV) ## resolve the dependencies again
	$(UV) lock --upgrade

clean: ## remove what make has built
	rm -rf .venv .tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
	rm -rf tests/targets/shops/node_modules tests/support/axe/node_modules

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@
