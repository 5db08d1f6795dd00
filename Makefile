# Fantômes, left to right: run = crawl -> classify -> publish -> serve. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
FANTOMES := $(BIN)/fantomes
MODEL := data/model/model.npz
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run demo crawl classify publish serve test train evaluate sanity bench lint lock browser player redis clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(MODEL)  ## the main job on the bundled sample web, then the catalogue on http://127.0.0.1:8001
	@$(FANTOMES) demo

demo: $(MODEL)  ## the same without serving: ends when data/catalog.db is ready
	@$(FANTOMES) demo --no-serve

crawl: $(FANTOMES)  ## fetch the pages of data/sources/*.yml
	@$(FANTOMES) crawl

classify: $(MODEL)  ## judge voices and tag claims of new pages
	@$(FANTOMES) classify

publish: $(FANTOMES)  ## build data/catalog.db from the working store
	@$(FANTOMES) publish

serve: $(FANTOMES)  ## serve data/catalog.db
	@$(FANTOMES) serve

test: .venv/dev browser player redis lint $(MODEL)  ## all tests, a real browser included
	@$(BIN)/python -m pytest

train: $(FANTOMES)  ## train the classifier on data/corpus
	@$(FANTOMES) train

evaluate: .venv/dev $(MODEL)  ## measure it beside baselines (half an hour), write docs/: make evaluate [FILE=blocks.jsonl]
	@$(FANTOMES) evaluate --baselines --docs docs --raise-floors $(FILE)

sanity: .venv/dev  ## the same features on a public set of dark patterns: make sanity FILE=dataset.tsv
	@$(BIN)/python tests/darkpattern.py $(FILE)

bench: .venv/dev $(MODEL)  ## speed and memory, as ratios where noise would lie: make bench [WARC=file]
	@$(BIN)/python tests/bench.py $(WARC)

lint: .venv/dev  ## style, types, and the walls between the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo > .lint-imports.log || { cat .lint-imports.log; exit 1; }

lock:  ## bring requirements*.txt up to date with pyproject.toml (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --quiet --output-file requirements.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-header --no-emit-index-url --quiet --output-file requirements-dev.txt

clean:  ## forget everything that was built: stores, archives, model, environment
	rm -rf .venv data/fantomes.db* data/fantomes.crawl.log data/catalog.db data/archive data/model tests/pictures

# Built by the above. The package itself is installed without its build being isolated: everything comes from the lock.
$(FANTOMES): requirements.txt pyproject.toml
	@echo "building the environment in .venv (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fantômes needs Python 3.11 or newer")'
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements.txt
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: $(FANTOMES) requirements-dev.txt
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(MODEL): $(FANTOMES) $(wildcard data/corpus/*.jsonl data/patterns/*.yml data/withdrawals/*.yml classifier/*.py)
	@$(FANTOMES) train --quiet

# Debian's Chromium where there is one or root can install it, Playwright's own elsewhere.
browser: .venv/dev
	@command -v chromium > /dev/null || \
		if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "installing Debian's Chromium for the browser tests"; \
			apt-get update -qq && apt-get install -y -qq chromium > /dev/null; \
		else $(BIN)/playwright install chromium; fi

# ReplayWeb.page is AGPL and not ours: fetched for the replay tests, never committed. Without npm these are skipped.
player: .venv/dev  ## fetch ReplayWeb.page for the replay tests (needs npm)
	@test -f .venv/player/sw.js || { command -v npm > /dev/null || { echo "no npm: the replay tests are skipped"; exit 0; }; \
		mkdir -p .venv/player && cd .venv/player && npm pack --silent replaywebpage@2.4.6 > /dev/null && \
		echo "6faef5c261e94b6e83cd6ee975bd0378fd4bc948bb14d36d45c709ffecb261b8  replaywebpage-2.4.6.tgz" | sha256sum -c --quiet && \
		tar -xzf replaywebpage-2.4.6.tgz --strip-components 1 package/ui.js package/sw.js package/LICENSE || \
		echo "ReplayWeb.page could not be fetched: the replay tests are skipped"; }

# A real Redis for the tests of several hosts; skipped where it cannot be installed.
redis:  ## install a Redis for the tests of several hosts (Debian, root)
	@command -v redis-server > /dev/null || \
		if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "installing Debian's Redis for the tests of several hosts"; \
			apt-get update -qq && apt-get install -y -qq redis-server > /dev/null; \
		else echo "no redis-server: the tests of several hosts are skipped"; fi
