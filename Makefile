# Everything a fresh clone needs, from Python 3.11 and make alone. `make` prints what there is.
#
# The virtual environment holds exactly the versions of constraints.txt. A stamp per set of extras makes
# the second run skip pip; changing pyproject.toml or constraints.txt installs again.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

VENV ?= .venv
OUT  ?= out
KEY  ?=
WORKERS ?= 3
COMMA := ,

# The first interpreter that is new enough; PYTHON=/path/to/python3 chooses another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	$$name -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo $$name; exit; }; done; echo python3)

BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
PINNED := pyproject.toml constraints.txt

# Flower and Ray post usage data by default; nothing that starts here does.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help demo federation test check bench prove clean

help: ## what can be asked of make
	@echo "FedValue. On a machine with Python 3.11 or newer and make:"
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables: PYTHON=python3.12, KEY=name (bench, prove), ARGS='-k words' (test), VENV=.venv, OUT=out"

demo: $(VENV)/.base ## six made-up hospitals, one study, one decision; writes out/demo/report.html
	@$(BIN)/fedvalue demo --out $(OUT)/demo

federation: $(VENV)/.base ## three hospitals and a coordinator as processes here, with TLS and papers; writes out/federation
	@$(BIN)/fedvalue demo --processes --out $(OUT)/federation

test: $(VENV)/.test ## run the tests; ARGS='-k survival' runs some of them
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.check ## format, lint, types, protos, import rules, and the wheel tried outside the checkout
	@status=0; \
	run() { echo "== $$1"; shift; "$$@" || status=1; }; \
	run "format"       $(BIN)/ruff format --quiet --check .; \
	run "lint"         $(BIN)/ruff check --quiet .; \
	run "types"        $(BIN)/mypy; \
	run "types"        $(BIN)/mypy .ci/wheel.py; \
	run "protos"       $(BIN)/python .ci/protos.py; \
	run "import rules" $(BIN)/lint-imports --no-cache --no-logo; \
	run "wheel"        $(BIN)/python .ci/wheel.py; \
	test $$status = 0 && echo "make check: all good" || { echo "make check: something above failed"; exit 1; }

bench: $(VENV)/.bench ## print the benchmark table and write out/bench.json; KEY=round_vs_ray runs one row
	@$(BIN)/python -m benchmarks --out $(OUT)/bench.json $(if $(KEY),--key $(KEY))

prove: ## run one long proof, by its key: make prove KEY=name
	@test -d proofs || { echo "There are no long proofs in this release; make test runs everything there is."; exit 1; }
	@$(MAKE) --no-print-directory $(VENV)/.test
	@test -n "$(KEY)" || { echo "Which one? make prove KEY=name; the keys are:"; $(BIN)/python -m proofs --list; exit 2; }
	@$(BIN)/python -m proofs --key $(KEY)

clean: ## remove .venv, caches and builds; results in out/ stay
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "removed $(VENV), caches and builds; $(OUT)/ is untouched"

# ---- the virtual environment -------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "FedValue needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version 2>&1)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }

# install(extras, what to call it, stamps of the sets that are then there). pip's own words go to a log;
# every twentieth package shows progress.
define install
	@echo "installing $(2) as pinned in constraints.txt; the first time takes a minute or two"
	@{ $(PIP) install -c constraints.txt hatchling editables && \
	   $(PIP) install -c constraints.txt --no-build-isolation --editable '.$(1)'; \
	   echo $$? > $(VENV)/install.status; } 2>&1 | tee $(VENV)/install.log | \
	awk '/^ *(Collecting|Processing) /{ if (++n % 20 == 0) { print "  " n " packages found"; fflush() } } \
	     /^Installing collected/ && n > 20 { print "  unpacking"; fflush() }'
	@test "$$(cat $(VENV)/install.status)" = 0 || { grep -v '^WARNING' $(VENV)/install.log | tail -n 15; \
		echo "The installation failed; the whole log is $(VENV)/install.log"; exit 1; }
	@touch $(addprefix $(VENV)/.,$(3))
endef

$(VENV)/.base: $(PINNED) | $(BIN)/python
	$(call install,,fedvalue,base)

$(VENV)/.test: $(PINNED) | $(BIN)/python
	$(call install,[test],fedvalue with its tests,base test)

$(VENV)/.check: $(PINNED) | $(BIN)/python
	$(call install,[test$(COMMA)check],fedvalue with its tests and checks,base test check)

$(VENV)/.bench: $(PINNED) | $(BIN)/python
	$(call install,[bench],fedvalue with its benchmarks,base bench)
