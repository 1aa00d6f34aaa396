# Each target sets up .venv by itself; nothing but Python >= 3.11, make and git is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo shipped-demo test test-kill test-slow test-browser test-gpu screenshots check format bench bench-gpu image licences audit lock clean

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
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-kill: $(STAMP)
	@scripts/bubblewrap.sh
	@$(BIN)/python -m pytest -m kill --timeout 1200

test-slow: $(STAMP)
	@$(BIN)/python -m pytest -m slow --timeout 1200

test-browser: $(STAMP)
	@scripts/browser.sh
	@$(BIN)/python -m pytest -m browser

# Both need CUDA's torch and an NVIDIA GPU, and say so where there is none; the last test of several GPUs needs two.
test-gpu: $(STAMP)
	@$(BIN)/python -m scripts.gpu
	@$(BIN)/python -m pytest -m gpu tests/gpu --timeout 1200

bench-gpu: $(STAMP)
	@$(BIN)/python -m scripts.gpu
	@$(BIN)/python -m tests.bench_train
	@$(BIN)/python -m tests.bench_write

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

# The image of the Dockerfile, by docker or buildah; scripts/image.sh tells what can be set.
image:
	@scripts/image.sh tacit-studio

# Every package that Tacit needs with its version and licence.
licences: $(STAMP)
	@$(BIN)/python -m scripts.licences

# What is known of holes in the lock's versions; asks a service on the net, so CI runs it where that is reached.
audit: $(STAMP)
	@$(BIN)/python -c 'import pip_audit' 2>/dev/null || $(BIN)/python -m pip install --quiet pip-audit
	@$(BIN)/python -m pip_audit --disable-pip --no-deps --requirement requirements.lock

lock: $(STAMP)
	@scripts/lock.sh $(BIN)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
