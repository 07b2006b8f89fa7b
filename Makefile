# Everything is done from here; `make test` is what continuous integration runs.
#
# The lock is requirements.lock: every distribution of the core, the extras and the dev group, by version and
# hash, for every supported Python and platform. It is not a uv.lock because that records the address of the
# registry it was made from in each entry; this file names no host, so whatever index pip is configured with
# serves it, and the hashes hold it to the same bytes. `make lock` writes it anew (uv resolves, pip installs).

# The system's Python where it will do: Debian's takes up to a tenth less of the processor for an event than what pyenv
# builds by default (benchmarks/README.md, "Which Python"). `make PYTHON=python3.13` takes another.
SUITABLE := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell /usr/bin/python3 -c '$(SUITABLE)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

DEMO  ?=
PORT  ?=
SEED  ?=
KILLS ?=
MINUTES ?=
EVENTS ?=
NODES ?= 1
JOBS  ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv run test lint bench sim crash transfers long kafka promtool torture lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "  %-9s %s\n", $$1, $$2 }'

venv: $(VENV)/.installed ## make .venv from the lock, with the project editable in it

# Two stamps: a new lock rebuilds the environment, an edit of pyproject.toml only installs the project again.
$(VENV)/.locked: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: venv ## run the whole product in one process (DEMO=1 for sample traffic, PORT=8080)
	$(BIN)/plimsoll run $(if $(filter-out 0,$(DEMO)),--demo) $(if $(PORT),--port $(PORT))

lint: venv ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports --no-logo

# pytest comes last and alone, so that its closing line is the last one printed. A file's tests share a process.
test: lint ## lint, then every test, in two processes with a broker each (JOBS)
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

bench: venv ## the benchmarks, with hardware and versions in the output
	$(BIN)/python -m benchmarks

sim: venv ## the seeded simulation with faults (SEED=42 repeats a run)
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED))

crash: venv ## SIGKILL the real processes under load, 100 times, and hold what is left against a replay (SEED, KILLS)
	$(BIN)/python -m tests.integration.crash $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS))

transfers: venv ## SIGKILL the product under 10,000 transfers, and hold the sum of money against what was paid in (SEED, KILLS)
	$(BIN)/python -m tests.integration.crash.transfers $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS))

long: venv ## one mixed history of a million events, audited (SEED, EVENTS)
	$(BIN)/python -m tests.long $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS))

kafka: ## a local broker on this machine (NODES=3 for a cluster)
	NODES=$(NODES) deploy/kafka/run.sh

promtool: ## check and test the alert rules with promtool (Debian: package prometheus)
	@command -v promtool >/dev/null || { echo "expected promtool on the PATH, found none: install Prometheus (Debian: apt install prometheus)" >&2; exit 1; }
	cd deploy/prometheus && promtool check config prometheus.yml && promtool check rules alerts.yml && promtool test rules alerts_test.yml

torture: venv ## workers on a real broker, killed, frozen, wiped, for ten minutes (MINUTES, SEED, NODES=3)
	$(BIN)/python -m tests.integration.torture --nodes $(NODES) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

lock: ## resolve again and write requirements.lock; existing pins are kept unless UPGRADE=1
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --universal --all-extras --group dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		$(if $(filter-out 0,$(UPGRADE)),--upgrade) --output-file requirements.lock pyproject.toml
	build/lock/bin/uv pip compile --quiet --universal --extra kafka --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command 'make lock' --constraint requirements.lock \
		--output-file deploy/docker/runtime.lock pyproject.toml
	echo hatchling | build/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command 'make lock' --constraint requirements.lock \
		--output-file deploy/docker/build.lock -

clean: ## remove what was built, the environment too
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find engine projections notifiers schemas tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
