# The steps of `make check`. Each can be run by itself: `make check-types`.

GATE := tests/gate
TOOLS := .tools
SAM := $(TOOLS)/sam
CHECKOV := $(TOOLS)/checkov
PYRIGHT := $(TOOLS)/pyright
SECOND_ENGINE := $(TOOLS)/second-engine
STEP = @$(GATE)/step $(@:check-%=%)
# Where steps alone look, what they import is compiled then: a third of what is installed.
LAZILY := --no-compile
# Nothing sent home, no account looked up.
OFFLINE := env SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 PYTHONPATH=.:shared:local

# The Lambda functions run on 3.13; 3.11 is the oldest that `make run` works on.
TESTED = $(sort 3.11 3.13 $(VENV_VERSION))
VENV_VERSION = $(shell $(or $(wildcard $(BIN)/python),$(PYTHON)) \
	-c 'import sys; print("%d.%d" % sys.version_info[:2])')

STATIC := $(addprefix check-,format lint types imports dead-code dependencies generated \
	machine-names)
TEMPLATE := $(addprefix check-,sam-files sam-validate template state-machine checkov)

.PHONY: check $(STATIC) $(TEMPLATE) check-page check-exiftool check-sam-build check-layer \
	check-wheel check-second-engine check-seeded-faults

# What takes longest comes first, and the others wait for what it needs.
check: ## What CI runs: tests on each Python, lint, types, imports, template, state machine
	@rm -rf build/check && mkdir -p build/check
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target \
		check-tests-$(VENV_VERSION) $(TESTED:%=check-tests-%) check-page check-layer check-wheel check-second-engine $(STATIC) $(TEMPLATE) \
		check-exiftool check-seeded-faults; \
		status=$$?; $(GATE)/summary; exit $$status

check-format: $(VENV)/.check
	$(STEP) $(BIN)/ruff format --check --diff .

check-lint: $(VENV)/.check
	$(STEP) $(BIN)/ruff check .

check-types: $(VENV)/.check
	$(STEP) $(BIN)/mypy shared/dropscale local functions docs tests

check-imports: $(VENV)/.check
	$(STEP) $(OFFLINE) $(BIN)/lint-imports --no-cache

check-dead-code: $(VENV)/.check
	$(STEP) $(BIN)/vulture

# From shared/, deptry goes by the layer's requirements.txt: what ships must ship what it needs.
# Deliver alone brings pyvips and pi-heif, which brings Pillow.
check-dependencies: $(VENV)/.check
	$(STEP) $(OFFLINE) sh -ec '$(abspath $(BIN))/deptry shared functions local; cd shared; \
		$(abspath $(BIN))/deptry dropscale ../functions --known-first-party dropscale \
		--per-rule-ignores "DEP001=pi_heif|pyvips,DEP003=PIL|certifi|httpx|pi_heif|pydantic_core|pyvips|urllib3"'

check-generated: $(VENV)/.check
	$(STEP) $(OFFLINE) $(BIN)/python docs/generate.py --check

check-machine-names:
	$(STEP) $(GATE)/machine-names

check-exiftool: $(VENV)/.check
	$(STEP) $(OFFLINE) $(GATE)/with-exiftool $(BIN)/python -m tests.gate.read_with_exiftool

check-sam-files: $(SAM)/.installed
	$(STEP) $(OFFLINE) $(SAM)/bin/python $(GATE)/sam_files.py

# First without linting (samconfig.toml asks for it), which alone knows the policy templates.
check-sam-validate: $(SAM)/.installed
	$(STEP) $(OFFLINE) sh -ec '$(SAM)/bin/sam validate --config-env plain; \
		$(SAM)/bin/sam validate --lint'

check-template: $(SAM)/.installed
	$(STEP) $(OFFLINE) $(SAM)/bin/python $(GATE)/transformed_template.py

check-state-machine: $(SAM)/.installed
	$(STEP) sh -ec 'mkdir -p build/check; for first in ChooseByStatus WaitForRender; do \
		sed "s/\$${FirstState}/$$first/" functions/upscale.asl.yaml >build/check/$$first.asl.yaml; \
		$(SAM)/bin/statelint --yaml build/check/$$first.asl.yaml; done'

# Waivers stand in the template, each with its reason: "checkov:skip=".
check-checkov: $(CHECKOV)/.installed
	$(STEP) $(CHECKOV)/bin/checkov --file template.yaml --framework cloudformation \
		--skip-download --quiet --compact

check-sam-build: $(SAM)/.installed
	$(STEP) $(OFFLINE) $(GATE)/with-python 3.13 $(SAM)/bin/sam build

# What is ejected is what check-sam-build builds.
check-wheel: $(VENV)/.check $(SAM)/.installed $(PYRIGHT)/.installed
	$(STEP) env PATH="$(abspath $(SAM))/bin:$$PATH" PYRIGHT=$(abspath $(PYRIGHT))/bin/pyright \
		$(BIN)/python -m tests.gate.installed_wheel

check-layer: check-sam-build $(VENV)/.check
	$(STEP) $(OFFLINE) $(BIN)/python -m tests.gate.built_layer

# ministack, and Lambda's runtime behind the emulator that SAM CLI ships.
check-second-engine: $(VENV)/.check $(SAM)/.installed $(SECOND_ENGINE)/.installed
	$(STEP) $(OFFLINE) TOOLS=$(abspath $(TOOLS)) $(GATE)/with-python 3.13 \
		$(abspath $(BIN))/python -m pytest tests/second_engine

# On a further Python: the rules, their contracts, and one run of the whole. The rest (embedded
# servers, virtual time) takes minutes, and depends on no version.
FURTHER := tests/unit tests/contract \
	tests/e2e/test_run_command.py::test_one_image_with_json_output_exits_with_0

# PARALLEL is Makefile's.
check-tests-%: $(VENV)/.check
	$(STEP) $(GATE)/with-python $* $(MAKE) test PYTHON=python$* \
		$(if $(filter $*,$(VENV_VERSION)),VENV=$(VENV),VENV=$(VENV)-$* PARALLEL="$(PARALLEL:auto=2)" PIP_OPTIONS=$(LAZILY) TESTS="$(FURTHER)")

check-page: $(VENV)/.check
	$(STEP) $(GATE)/with-chromium $(BIN)/python -m pytest tests/page

# Only where the steps pass does it mean anything that they fail on a seeded fault.
check-seeded-faults: $(STATIC) $(TEMPLATE)
	$(STEP) env VENV=$(abspath $(VENV)) TOOLS=$(abspath $(TOOLS)) \
		$(BIN)/python -m pytest $(PARALLEL) $(GATE)

# At once all that the other two stamps stand for, as they are needed, too.
$(VENV)/.check: $(PINS) | $(BIN)/python
	@$(GATE)/step install$(VENV) $(BIN)/python -m pip install --quiet \
		--constraint constraints.txt --editable '.[local,test,check]'
	@touch $(VENV)/.local $(VENV)/.test $@

# What Lambda runs functions by, it runs on their Python. Without that, its step is skipped.
$(SECOND_ENGINE)/.installed: $(GATE)/requirements-second-engine.txt | $(BIN)/python
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(GATE)/step install-second-engine $(GATE)/with-python 3.13 sh -ec 'python3.13 -m venv --without-pip $(@D); \
		$(BIN)/python -m pip --python $(@D)/bin/python install --quiet $(LAZILY) --requirement $<'
	@[ ! -x $(@D)/bin/python ] || touch $@

$(TOOLS)/%/.installed: $(GATE)/requirements-%.txt | $(BIN)/python
	@rm -rf $(@D)
	@$(GATE)/step install-$* sh -ec '$(PYTHON) -m venv --without-pip $(@D); \
		$(BIN)/python -m pip --python $(@D)/bin/python install --quiet $(LAZILY) --requirement $<'
	@touch $@
