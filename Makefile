PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml shared/requirements.txt constraints.txt
# The runs below must never spend money, whatever the environment holds.
FREE := env -u MAGIC_HOUR_API_KEY -u MAGIC_HOUR_BASE_URL
# They start many processes: each module is compiled for the first.
unexport PYTHONDONTWRITEBYTECODE

# Each process takes whole files of tests; how many there are, tests/conftest.py says.
PARALLEL := --no-loadscope-reorder --numprocesses=auto
QUICK := tests/unit tests/corpus

.PHONY: help setup run test quick generate bench chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.local ## Make .venv with what running needs

run: $(VENV)/.local ## Upscale examples/ into out/ on this machine: no account, no charge
	@$(FREE) $(BIN)/dropscale run examples --out out

test: $(VENV)/.test ## Run every test
	@$(FREE) $(BIN)/python -m pytest $(PARALLEL) $(TESTS)

quick: ## Run the tests of the rules alone: units, and the corpus of specs
	@$(MAKE) --no-print-directory test TESTS="$(QUICK)" PARALLEL="$(PARALLEL:auto=logical)"

generate: $(VENV)/.local ## Write the files that come from the code
	$(BIN)/python docs/generate.py

bench: $(VENV)/.test ## Measure cold starts, costs, busy places, refusals, a million keys, large plans, memory, and our client beside the vendor's
	@status=0; for bench in imports costs places throttled reconciliation plans memory clients; do \
		$(FREE) $(BIN)/python -m tests.bench.$$bench || status=1; done; exit $$status

chaos: $(VENV)/.test ## Break every use case at every point, in virtual time (minutes; SEED=n replays)
	@$(FREE) $(BIN)/python -m tests.chaos $(SEED:%=--seed %)
	@$(FREE) $(BIN)/python -m tests.chaos.damaged_images $(SEED:%=--seed %)
	@$(FREE) $(BIN)/python -m tests.chaos.burst_on_the_stack
	@$(FREE) $(BIN)/python -m pytest $(PARALLEL) -m hypothesis --hypothesis-profile=chaos
	@$(FREE) $(BIN)/python -m tests.chaos.mutants

clean: ## Remove what these commands made
	rm -rf $(VENV) $(VENV)-3.* .tools out build .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(PINS) | $(BIN)/python
	@echo "Installing what running needs into $(VENV): 360 MB, a minute or two, this once"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local]'
	@touch $@

# At once what the stamp before stands for, as it is needed, too.
$(VENV)/.test: $(PINS) | $(BIN)/python
	@echo "Installing what running and the tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt \
		--editable '.[local,test]'
	@touch $(VENV)/.local $@

include tests/gate/check.mk
