# Each target sets up .venv by itself; nothing but Python >= 3.11, make and git is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo shipped-demo test test-kill test-slow test-browser screenshots check format bench lock clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml scripts/install.sh
	@scripts/install.sh $(PYTHON) $(VENV)
	@touch $@

# The studio on the demo project; `tacit demo` and `tacit demo --fast` compute one without a browser.
demo: $(STAMP)
	@$(BIN)/tacit serve --port 0

# Computes the demo project anew and writes app/shipped/demo.tacit.zip (under an hour on two cores).
DEMO_WORKSPACE ?= build/demo
shipped-demo: $(STAMP)
	@$(BIN)/python -m scripts.ship_demo $(DEMO_WORKSPACE)

test: $(STAMP)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-kill: $(STAMP)
	@$(BIN)/python -m pytest -m kill --timeout 1200

test-slow: $(STAMP)
	@$(BIN)/python -m pytest -m slow --timeout 1200

test-browser: $(STAMP)
	@scripts/browser.sh
	@$(BIN)/python -m pytest -m browser

# Of a finished project: `make demo` puts one into `workspace`.
WORKSPACE ?= workspace
PROJECT ?= demo
screenshots: $(STAMP)
	@scripts/browser.sh
	@$(BIN)/python -m scripts.screenshots $(WORKSPACE) $(PROJECT)

check: $(STAMP)
	@scripts/check.sh $(BIN)

format: $(STAMP)
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

bench: $(STAMP)
	@$(BIN)/python -m tests.bench

lock: $(STAMP)
	@scripts/lock.sh $(BIN)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
