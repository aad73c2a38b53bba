# The commands of users and developers; each makes its own environment in .venv first.

BIN := .venv/bin
READY := .venv/ready
PYTHONS := python3.11 python3.12 python3.13 python3.14 python3 python
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
HOUSE_RULES := $(wildcard tests/test_house_*.py tests/test_docs*.py)
OPENMP := .venv/openmp

# implicit looks for the system's libgomp.so.1, which a bare machine lacks; FAISS brings one that does as well.
export LD_LIBRARY_PATH := $(CURDIR)/$(OPENMP)$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))

.PHONY: setup demo up test check bench sbom audit clean

setup: $(READY)  ## .venv with exactly the packages of requirements.lock, and Endcap itself

demo: setup  ## a grocer's year: import, train, serve, one decision; ARGS="--check" ends after it
	@$(BIN)/endcap demo $(ARGS)

up: setup  ## Valkey, API and worker on one data directory; ARGS="--port 8080 --data-dir var"
	@$(BIN)/endcap up $(ARGS)

# Two processes whose numeric libraries took two threads each would fight for two cores.
test: setup  ## every test, two at a time; ARGS="-n 0 -k till" one after the other, those of the till
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: setup  ## format, lint, types, import directions, house rules, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q $(HOUSE_RULES)

bench: setup  ## measure on this machine what benchmarks/README.md reports
	@$(BIN)/python -m benchmarks.run $(ARGS)

sbom: setup  ## the bill of materials of requirements.lock, CycloneDX, in dist/
	@.ci/sbom $(ARGS)

audit: setup  ## known vulnerabilities of these packages; ARGS="--vulnerability-service osv" takes another source
	@.ci/audit $(ARGS)

clean:  ## remove what the targets made, but never data
	rm -rf .venv dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c '$(FITS)' 2>/dev/null; then \
	    for python in $(PYTHONS); do \
	        if $$python -c '$(FITS)' 2>/dev/null; then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo 'make: no Python 3.11 or newer with venv found; install it (Debian, Ubuntu: apt-get install python3 python3-venv)' >&2; \
	        exit 1; \
	    fi; \
	    $$found -m venv --clear .venv || exit 1; \
	fi
	@echo 'Installing the packages of requirements.lock into .venv (once; a minute or two)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	    || { echo 'make: requirements.lock could not be installed; the lines above say which package, `make` goes on from there' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { mkdir -p $(OPENMP) \
	    && ln -sf "$(CURDIR)"/.venv/lib/python3*/site-packages/faiss_cpu.libs/libgomp-*.so* $(OPENMP)/libgomp.so.1; }
	@touch $@
