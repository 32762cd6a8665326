# Two commands do all the set-up on a fresh machine with Python 3.11 and pip: `make audit` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SUITE ?= quick

.PHONY: audit test check format lint types

audit: $(READY)
	@$(BIN)/assay assets pull
	@$(BIN)/assay audit --suite $(SUITE); code=$$?; \
	case $$code in 0|1|3) echo "The audit ran; its verdict is exit code $$code of assay audit.";; *) exit $$code;; esac

test: $(READY)
	$(BIN)/python -m pytest

check: lint types test

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	touch $(READY)
