# `make` alone lists what there is. Only Python 3.11 or newer, git and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/first
# The extra that has no wheel for a platform must not stop the rest.
TEST_EXTRAS := mujoco,envpool,demos,ray,video,tensorboard,wandb,onnx,tune
CODE := src tests examples benchmarks docs conftest.py

.DEFAULT_GOAL := help
.PHONY: help train test types imports tests mutants reliability format bench bench-peers clean

help:
	@echo "make train        train PPO on CartPole and look at the result"
	@echo "make test         formatting, lint, types, import rule and tests"
	@echo "make mutants      break the code on purpose, one bug at a time, and see that the tests notice"
	@echo "make reliability  kill runs, damage them, fill the disk, and much more, hundreds of times; writes a table"
	@echo "make format       put the code into the project's format"
	@echo "make bench        measure speed on this machine"
	@echo "make bench-peers  the same hyper-parameters, here and in other libraries, in one run"

# An environment is made again when what it must hold has changed.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed, and $(PYTHON) is `$(PYTHON) --version`. Give one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing steepest into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . 2>&1 | { grep -v "^WARNING: Location" || true; }
	@$(BIN)/python -c 'import steepest'
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	@echo "installing what the tests need (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(TEST_EXTRAS)]' --requirement requirements-test.txt 2>&1 | { grep -v "^WARNING: Location" || true; }
	@$(BIN)/python -c 'import pytest, ruff'
	@touch $@

train: $(VENV)/installed
	@if test -e $(RUN); then \
	  echo "make: $(RUN) exists. Give another place: make train RUN=runs/second"; exit 2; fi
	@$(BIN)/steepest train ppo --env CartPole-v1 --total-steps 100000 --seeds 4 --run-dir $(RUN)

test: $(VENV)/installed-for-tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	@$(MAKE) --no-print-directory --jobs 2 types imports tests

types:
	$(BIN)/pyright

imports:
	$(BIN)/lint-imports

tests:
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

mutants: $(VENV)/installed-for-tests
	$(BIN)/python tests/mutants/run.py

reliability: $(VENV)/installed-for-tests
	$(BIN)/python tests/reliability/run.py $(TRIALS)

format: $(VENV)/installed-for-tests
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/installed-for-tests
	$(BIN)/python benchmarks/bench.py

bench-peers: $(VENV)/installed-for-tests
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
