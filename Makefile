# Everything runs from $(VENV), which `make install` builds from the lock file.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One more than there are cores: many tests wait for processes of theirs.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: install demo test test-pythons lint chaos bench lock clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALL_ARGS) --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: install
	$(BIN)/bidder demo

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

# The unit tests on every other supported Python that is present.
test-pythons: install
	.ci/other-pythons

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bidder tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# A campaign of simulated days with crashes and a misbehaving exchange.
chaos: install
	$(BIN)/bidder chaos --seeds 1-40

bench: install
	$(BIN)/python -m benchmarks

# Needs uv. The lock holds hashes for every platform and no index address.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --custom-compile-command "make lock" --extra dev --extra postgres --extra parquet --extra tune \
	    pyproject.toml build-requirements.in -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --custom-compile-command "make lock" --extra postgres -c requirements.lock \
	    pyproject.toml -o requirements-runtime.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --custom-compile-command "make lock" -c requirements.lock \
	    build-requirements.in -o requirements-build.lock

clean:
	rm -rf .venv .venv-3.* .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
