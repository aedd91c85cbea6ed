# Everything a fresh machine needs: Python >= 3.11, git and make. Nothing outside this folder is touched.
#
#   make demo     a gateway with credits, a key and a backend to call; Ctrl-C stops it
#   make test     the test suite, on real Postgres and Valkey
#   make prove    money safety, layer by layer, with a table; LAYERS="T2 T5" for some; make prove-long for a night
#   make bench    CPU per request beside nginx and others, in one run; needs nginx and wrk (bench/README.md)
#   make check    format, lint, types, import contracts, tests: the whole gate
#   make test-pages   the pages in a real browser; needs chromium and npm
#   make setup    only .venv, with .venv/bin/farebox ready; the others begin with it
#
# Another interpreter: make setup PYTHON=/path/to/python3.12

.PHONY: setup demo test check check-code test-pages bench prove prove-long lock

BIN := .venv/bin
READY := .venv/farebox-ready
PYTHON ?=
# What pytest gets on top, as in: make test TESTS="tests/config -x"
# One process more than cores of a small machine: many tests wait for servers.
TESTS ?= -n 3 --dist worksteal

setup: $(READY)

# The stamp is written last, so an interrupted set-up is taken up again.
$(READY): pyproject.toml requirements/dev.txt
	@python=''; seen=''; \
	for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		version=$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))' 2>/dev/null) \
			&& fits=yes || fits=no; \
		[ -z "$$version" ] || seen="$$seen $$candidate is $$version."; \
		[ $$fits = yes ] || continue; \
		if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
		lacking=$$version; \
	done; \
	if [ -z "$$python" ] && [ -n "$$lacking" ]; then \
		echo "Python $$lacking is here, but without its venv module. On Debian and Ubuntu: apt install python$$lacking-venv" >&2; exit 1; \
	elif [ -z "$$python" ]; then \
		echo "Farebox needs Python 3.11 or newer.$${seen:- No python3 was found.} Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if [ -x $(BIN)/python ] && $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Using .venv (Python $$($(BIN)/python -c 'import platform; print(platform.python_version())'))"; \
	else \
		echo "Making .venv with $$python (Python $$version)"; \
		"$$python" -m venv --clear .venv; \
	fi
	@echo "Installing $$(grep -c == requirements/dev.txt) locked packages into .venv; the first time takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
	@echo "Ready: $(BIN)/farebox"

demo: setup
	@$(BIN)/farebox demo

test: setup
	@$(BIN)/pytest $(TESTS)

check-code: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: check-code test

# Playwright stands beside the packages of .venv, not among them: httpbin, which other tests serve, wants an older greenlet.
PLAYWRIGHT := .venv/pages
AXE := tests/pages/node_modules/.package-lock.json
# One test only: make test-pages PAGES="-k buy"
PAGES ?=

test-pages: setup $(PLAYWRIGHT)/ready $(AXE)
	@PYTHONPATH=$(PLAYWRIGHT) $(BIN)/pytest tests/pages $(PAGES)

$(PLAYWRIGHT)/ready: requirements/pages.txt $(READY)
	@rm -rf $(PLAYWRIGHT)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target $(PLAYWRIGHT) -r requirements/pages.txt
	@touch $@

$(AXE): tests/pages/package.json tests/pages/package-lock.json
	@command -v npm >/dev/null || { echo "make test-pages needs npm, which fetches axe-core. On Debian: apt install npm" >&2; exit 1; }
	@npm ci --prefix tests/pages --cache $(CURDIR)/.venv/npm --loglevel=error
	@touch $@

bench: setup
	@$(BIN)/python -m bench $(BENCH)

# Some layers only: make prove LAYERS="T2 T5". The table of the document: make prove PROVE="--write docs/safety.md"
BENCH ?=
LAYERS ?=
PROVE ?=

prove: setup
	@$(BIN)/python -m tests.proving $(LAYERS) $(PROVE)

prove-long: setup
	@$(BIN)/python -m tests.proving --long $(LAYERS) $(PROVE)

# Run after changing dependencies in pyproject.toml; the only target that needs uv.
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra embedded pyproject.toml -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra embedded --group pyproject.toml:dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--group pyproject.toml:pages -o requirements/pages.txt
