# `make` lists the targets. Every target that needs the environment creates it first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VIDEO ?=
PYTEST_ARGS ?=
# processes that run tests; each file stays in one of them, and the long ones (e2e) come first
TEST_PROCESSES ?= 2
SEEDS ?=
MUTATIONS ?=
PARTS ?=
QUALITY_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY)  ## Create .venv and install everything into it, without system packages

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
	  { echo "Blur Farm needs Python 3.11 to 3.14: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[postgres,openvino,deepface,retinaface,sign]' --group dev
	@touch $@

.PHONY: demo
demo: $(READY)  ## Blur a clip with a real face, or your own video: make demo VIDEO=video.mp4
	$(BIN)/farm demo $(if $(VIDEO),"$(VIDEO)")

.PHONY: test
test: lint types contracts  ## Everything that must pass: lint, types, import contracts, tests
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "not faults and not benchmarks and not fuzz and not matrix and not exchange and not slow" $(PYTEST_ARGS)

.PHONY: slow
slow: $(READY)  ## Tests of whole farms that take long, and what they are about changes rarely
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile -m slow $(PYTEST_ARGS)

.PHONY: check
check: lint types contracts  ## Check lint, types and import contracts, without the tests

.PHONY: lint
lint: $(READY)  ## Check rules and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY)  ## Check types, strictly (mypy)
	$(BIN)/mypy

.PHONY: contracts
contracts: $(READY)  ## Check who may import whom (import-linter)
	$(BIN)/lint-imports

.PHONY: format
format: $(READY)  ## Format the code and apply ruff's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: faults
faults: $(READY)  ## Jobs under faults, and mutations; SEEDS=1-200 runs these schedules only; writes build/reliability.md
	$(if $(SEEDS),FARM_FAULT_SEEDS=$(SEEDS) )FARM_FAULT_REPORT=build/reliability.md $(BIN)/pytest -m faults $(if $(SEEDS),tests/faults/test_schedules.py) $(PYTEST_ARGS)

.PHONY: mutations
mutations: $(READY)  ## Take one defence after another out of a copy of the farm: the faults must catch each
	$(BIN)/pytest -rP tests/faults/test_mutations.py $(PYTEST_ARGS)

.PHONY: model
model: $(READY)  ## Check the coordinator against the model, 500 runs of 60 steps (FARM_MODEL_EXAMPLES, FARM_MODEL_STEPS)
	FARM_MODEL_EXAMPLES=$(or $(FARM_MODEL_EXAMPLES),500) FARM_MODEL_STEPS=$(or $(FARM_MODEL_STEPS),60) \
	  $(BIN)/pytest -o timeout=0 tests/integration/coordinator/test_model.py $(PYTEST_ARGS)

# pinned, in an environment of their own: together they bring more than the farm itself
EXCHANGE := build/exchange
$(EXCHANGE)/.ready: Makefile | $(BIN)/python
	$(PYTHON) -m venv $(EXCHANGE)
	$(EXCHANGE)/bin/python -m pip install --quiet datumaro==1.13.12 label-studio-sdk==2.1.2
	@touch $@

.PHONY: exchange
exchange: $(READY) $(EXCHANGE)/.ready  ## Check files of masks with the libraries of Datumaro and Label Studio
	FARM_EXCHANGE_PYTHON=$(EXCHANGE)/bin/python $(BIN)/pytest -m exchange tests/exchange $(PYTEST_ARGS)

.PHONY: gpu
gpu: $(READY)  ## Run the tests that need an NVIDIA GPU, with onnxruntime-gpu in place of onnxruntime
	$(BIN)/pytest tests/gpu $(PYTEST_ARGS)

# on a bare CUDA machine there is no .venv: the Python that has PyTorch
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,python3)
.PHONY: bench-gpu
bench-gpu:  ## What a GPU is worth here, in less than 8 minutes: make bench-gpu [GPU_PYTHON=python3] [BENCH_ARGS="--device cpu"]
	$(GPU_PYTHON) -m tests.gpu.bench $(BENCH_ARGS)

.PHONY: matrix
matrix: $(READY)  ## Check every property of every clip and footage file; writes build/matrix.md
	rm -f build/matrix.md
	FARM_MATRIX_REPORT=build/matrix.md $(BIN)/pytest -o timeout=900 tests/matrix/test_matrix.py $(PYTEST_ARGS); \
	  status=$$?; cat build/matrix.md; exit $$status

.PHONY: fuzz-media
fuzz-media: $(READY)  ## Run 450 damaged files (FARM_FUZZ_SEED, FARM_FUZZ_COUNT): each gives a verified output or one error line
	$(BIN)/pytest -m fuzz -s -o timeout=0 tests/matrix/test_fuzz.py $(PYTEST_ARGS)

.PHONY: bench
bench: $(READY)  ## Measure speed and memory; prints the tables of docs/benchmarks.md
	$(BIN)/pytest -m benchmarks -s -o timeout=0 $(PYTEST_ARGS)

.PHONY: quality
quality: $(READY)  ## Measure leaks, recall, plates, flicker, re-identification; writes docs/quality.md: make quality [PARTS=leak,reid]
	$(BIN)/python -m tests.quality $(if $(PARTS),--parts $(PARTS)) $(QUALITY_ARGS)

.PHONY: scale
scale: $(READY)  ## Measure what a chunk costs the coordinator, for jobs of 1,000 to 10,000 chunks (FARM_SCALE)
	$(BIN)/pytest -s -o timeout=0 tests/benchmarks/test_coordinator_scale.py $(PYTEST_ARGS)

.PHONY: paired
paired: $(READY)  ## Compare the CPU time of a job with that of another version: make paired BASE=COMMIT [VIDEO=…] [RUNS=7]
	@test -n "$(BASE)" || { echo "make paired BASE=COMMIT" >&2; exit 1; }
	rm -rf build/base && mkdir -p build/base && git archive $(BASE) | tar -x -C build/base
	$(BIN)/python -m tests.benchmarks.paired build/base $(if $(VIDEO),--video "$(VIDEO)") $(if $(RUNS),--runs $(RUNS))

.PHONY: fit-fusion
fit-fusion: $(READY)  ## Fit how CenterFace and YuNet are fused; needs FARM_TEST_DATA; writes farm/domain/fusion.py
	$(BIN)/python -m tests.quality.fit_fusion
	$(BIN)/ruff format -q farm/domain/fusion.py

.PHONY: docs
docs: $(READY)  ## Write the table of options in the README
	$(BIN)/python -m tests.option_table

# not torch: which build fits depends on a host's driver, and what it brings is gigabytes
LOCKED := --extra postgres --extra openvino --extra sign --extra deepface --extra retinaface

.PHONY: lock
lock: $(BIN)/python  ## Regenerate constraints.txt from pyproject.toml (add LOCK_ARGS=--upgrade for newer versions)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url $(LOCKED) --group dev \
	  --python-version 3.11 $(LOCK_ARGS) pyproject.toml -o constraints.txt

.PHONY: clean
clean:  ## Remove caches and build outputs, not .venv
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find farm workers migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean  ## Remove .venv too
	rm -rf $(VENV)
