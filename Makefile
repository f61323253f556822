# `make demo` and `make test` set up what they need by themselves, in .venv.
# PYTHON=python3.13 make test   uses that Python and a folder of its own, .venv-3.13.
# ARGS="-k configuration"       is handed to pytest, or to the daemon by `make run`; ARGS="-n 0 ..."
#                               runs the tests in one process, as a debugger wants it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test check lint run soak systemd peers bench clean

export PIP_DISABLE_PIP_VERSION_CHECK = 1

# By whole files, so that what a file's tests share is made once. Two for each processor, for a test
# of real processes waits for half of its time; four at most, for some of them want their share of
# memory and disk.
TOGETHER = -n $(shell n=$$(nproc 2>/dev/null || echo 2); n=$$((2 * n)); [ $$n -gt 4 ] && n=4; echo $$n) \
           --dist loadfile --no-loadscope-reorder

# A Python counts when it runs (a pyenv shim may be there and fail), is new enough and has venv.
IS_USABLE = -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1

ifdef PYTHON
  CANDIDATES := $(PYTHON)
  VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
  VENV := .venv-$(VERSION)
  NONE := PYTHON=$(PYTHON) cannot be used:
else
  CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
  VENV := .venv
endif
BIN := $(VENV)/bin
PY := $(BIN)/python

# A stamp is worth nothing when its Python is gone, as after an upgrade of the system's.
ifneq ($(shell $(PY) -c 'print("alive")' 2>/dev/null),alive)
  $(shell rm -f $(VENV)/.batchd-run $(VENV)/.batchd-dev)
endif

help:
	@echo 'make demo    show all of it in half a minute, without a key'
	@echo 'make run     run the daemon here: inbox/, outbox/, config/batchd.toml (needs OPENAI_API_KEY)'
	@echo 'make test    run the tests'
	@echo 'make check   format, lint, types, import contracts, then the tests'
	@echo 'make soak    kill it thousands of times, for half an hour or more; figures at the end'
	@echo 'make systemd install it under a real systemd, in namespaces of its own: root, three minutes'
	@echo 'make peers   let two published tools use the sandbox: what it answers is what they expect'
	@echo 'make bench   measure what it costs against the least that it can; writes benchmarks/RESULTS.md'
	@echo 'make clean   remove .venv*/ and caches; never inbox/, outbox/ or var/'

demo: $(VENV)/.batchd-run
	@$(PY) -m batchd demo

run: $(VENV)/.batchd-run
	@exec $(PY) -m batchd run $(ARGS)

test: $(VENV)/.batchd-dev
	@$(PY) -m pytest $(TOGETHER) $(ARGS)

# The installed wheel under a real systemd, booted in namespaces of its own.
systemd: $(VENV)/.batchd-dev
	@BATCHD_TEST_SYSTEMD=1 $(PY) -m pytest -v tests/systemd $(ARGS)

# Other people's tools, each in an environment of its own (.cache/peers).
peers: $(VENV)/.batchd-dev
	@BATCHD_TEST_PEERS=1 $(PY) -m pytest -v tests/acceptance/test_peers.py $(ARGS)

# The crash matrix first: 200 rounds of each point in-process, 10 with real processes. Then ten
# minutes of everything at once. ARGS="--files 50 --seconds 120 --kills 40 --seed 7" makes it
# another size, and repeats one. By themselves, for some ten minutes each:
#   .venv/bin/python -m tests.soak.month    10,000 jobs through one daemon, and what it grows by
#   .venv/bin/python -m tests.soak.storm    100,000 files at once: memory, and the loop's lateness
soak: $(VENV)/.batchd-dev
	@BATCHD_MATRIX_ROUNDS=200 BATCHD_MATRIX_KILLS=10 $(PY) -m pytest -v tests/faults/test_matrix.py
	@$(PY) -m tests.soak $(ARGS)

# About an hour. ARGS="--rounds 1 --rows native,opened" makes it shorter; a row that is not measured
# anew keeps its figures. Wants a quiet machine, and 15 GB of disk for the largest (--folder DIR).
bench: $(VENV)/.batchd-dev
	@$(PY) -m benchmarks $(ARGS)

check: lint test

lint: $(VENV)/.batchd-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.batchd-run: pyproject.toml
	@if $(PY) $(IS_USABLE) && $(PY) -m pip --version >/dev/null 2>&1; then \
	  echo 'bringing $(VENV) up to date ...'; \
	else \
	  found=; \
	  for one in $(CANDIDATES); do if "$$one" $(IS_USABLE); then found=$$one; break; fi; done; \
	  if [ -z "$$found" ]; then \
	    echo '$(NONE) batchd needs Python 3.11 or newer with venv;' \
	      'on Debian: apt install python3 python3-venv' >&2; \
	    exit 1; \
	  fi; \
	  echo "setting up $(VENV) with $$("$$found" -V) (once, about a minute) ..."; \
	  "$$found" -m venv --clear $(VENV); \
	fi
	@$(PY) -m pip install --quiet --editable .
	@touch $@

# `pip install --group` needs pip 25.1.
$(VENV)/.batchd-dev: $(VENV)/.batchd-run
	@echo 'adding what the tests need ...'
	@$(PY) -m pip install --quiet 'pip>=25.1' && $(PY) -m pip install --quiet --group dev
	@touch $@

clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
