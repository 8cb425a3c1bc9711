# make demo        set up the environment and serve the app on http://127.0.0.1:7860 (PORT=8000 make demo: another port)
# make test        set up the environment and a browser, run the checks, then all tests
# make test-fast   the tests that need no browser and are not marked slow, in under two minutes
# make check       format, lint, types and import directions
PYTHON ?= python3.11
PORT ?= 7860
PY := .venv/bin/python
# Each file of tests runs in one process, because its tests share a server or a browser.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-fast check browser clean

demo: .venv/app
	@case "$(PORT)" in ''|*[!0-9]*) echo "PORT is a number, not $(PORT)."; exit 1;; esac
	GRADIO_SERVER_PORT=$(PORT) $(PY) app.py

test: .venv/dev browser check
	$(PY) -m pytest $(PARALLEL)

test-fast: .venv/dev
	$(PY) -m pytest $(PARALLEL) tests/drn tests/app -m "not slow"

check: .venv/dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

# A Chromium for the browser tests: an installed one, or else that of Debian, or else that of playwright.
browser: .venv/dev
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || (command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium) \
	  || $(PY) -m playwright install chromium

$(PY):
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python 3.11 with venv is needed (Debian: python3.11-venv)."; exit 1; }

.venv/app: requirements.txt | $(PY)
	$(PY) -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements.txt | $(PY)
	$(PY) -m pip install --quiet --requirement requirements-dev.txt
	touch .venv/app $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
