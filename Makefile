# Everything runs in .venv, which `make setup` makes and keeps up to date; every other target sets up first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that is new enough; PYTHON=… chooses another, VENV_FLAGS=--system-site-packages takes its torch along.
PYTHON ?= $(shell for name in python3 python python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
VENV_FLAGS ?=
EXTRAS ?= all,test
ARGS ?=
comma := ,

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := .venv/.setup-$(subst $(comma),-,$(EXTRAS))
LINTERS := .venv/.linters
PLOTTER := .venv/.plotter
RESULT ?= benchmarks/results/cpu-$(shell date -u +%F).json
CPP = $(shell find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu')

# Idle worker threads sleep instead of spinning: on few cores spinning costs more than it saves.
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_REQUIRE_VIRTUALENV ?= 1

.PHONY: help setup demo test lint format bench gpu-check fuzz resources clean

help:
	@echo "make setup   make .venv and build warpkit into it (every target below does this first)"
	@echo "make demo    people from photos move: out/demo.mp4 and out/demo.png"
	@echo "make test    run the tests                (ARGS='-k warp' passes options to pytest)"
	@echo "make lint    ruff, clang-format, mypy"
	@echo "make format  let ruff and clang-format rewrite what they can"
	@echo "make bench   measure the kernels and a frame of imitation, with torch.compile and a picture (ARGS='rasterize --quick')"
	@echo "make gpu-check  on a machine with a GPU, without a package index: build, test on CUDA, sanitize, measure (OUT=folder)"
	@echo "make fuzz    hostile inputs through the CPU kernels under sanitizers   (FUZZ_SECONDS=600, FUZZ_SEED=…)"
	@echo "make resources  write docs/cuda-resources.md: registers and spills of the CUDA kernels"
	@echo "make clean   remove .venv, build folders and caches"

setup: $(STAMP)

demo: setup
	$(BIN)/python -m warpkit.models.app.demo --out out $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup $(LINTERS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run -Werror $(CPP)
	$(BIN)/mypy

format: $(LINTERS)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

bench: setup $(PLOTTER)
	$(BIN)/python -m benchmarks --compile --json $(RESULT) $(ARGS)
	$(BIN)/python -m benchmarks.plot $(RESULT)
	$(BIN)/python -m benchmarks.imitation

# These three build by CMake alone, with the Python that has torch: the one of .venv where there is one.
LOCAL_PYTHON = $(if $(filter command environment,$(origin PYTHON)),$(PYTHON),$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)))
OUT ?=
FUZZ_SECONDS ?= 600
FUZZ_SEED ?=

gpu-check:
	$(LOCAL_PYTHON) tests/gpu_check.py $(if $(OUT),--out '$(OUT)') $(ARGS)

fuzz:
	$(LOCAL_PYTHON) tests/fuzz.py --seconds $(FUZZ_SECONDS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

resources:
	$(LOCAL_PYTHON) tests/gpu_check.py --build-only --architectures '80-real;90;120-real' --seconds 3600
	cp build/gpu/logs/cuda-resources.md docs/cuda-resources.md

clean:
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	@if [ -z "$(PYTHON)" ]; then \
		echo "warpkit needs Python 3.11 or newer, and found none; install it, or say where it is: make setup PYTHON=…" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "warpkit needs Python 3.11 or newer; PYTHON=$(PYTHON) answers: $$($(PYTHON) --version 2>&1)" >&2; exit 1; fi
	@if ! command -v $${CXX-} c++ g++ clang++ >/dev/null; then \
		echo "warpkit needs a C++ compiler, and found none; on Debian and Ubuntu: apt install g++" >&2; exit 1; fi
	@echo "== a virtual environment in .venv, with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV_FLAGS) .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# A torch that is there already stays if it is new enough: kernels build against it. Otherwise the tested one is
# fetched. Building without isolation lets CMake compile again only what changed.
$(STAMP): pyproject.toml constraints.txt CMakeLists.txt Makefile $(shell find csrc) | .venv/bin/pip
	@if $(BIN)/python -c 'import sys, torch; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11))' 2>/dev/null; \
	then grep -v '^torch==' constraints.txt >.venv/constraints.txt; \
	else echo "== PyTorch"; cp constraints.txt .venv/constraints.txt; $(PIP) install -c .venv/constraints.txt torch; fi
	@echo "== what warpkit is built with"
	@requires=$$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])'); \
	$(PIP) install -q -c .venv/constraints.txt $$requires cmake ninja
	@echo "== warpkit [$(EXTRAS)]: the kernels are compiled now: a minute or two, several more where nvcc is found"
	@$(PIP) install -c .venv/constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $@

$(PLOTTER): constraints.txt | .venv/bin/pip
	@$(PIP) install -q -c constraints.txt 'matplotlib>=3.9'
	@touch $@

$(LINTERS): constraints.txt | .venv/bin/pip
	@$(PIP) install -q -c constraints.txt ruff mypy clang-format
	@touch $@
