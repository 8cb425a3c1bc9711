# make demo   set up and open the app on http://127.0.0.1:7860   (PORT=8000 make demo changes the port)
# make test   set up, browser included, then check and test everything
PYTHON ?= python3.11
PORT ?= 7860
PY := .venv/bin/python

.PHONY: demo test check browser clean

demo: .venv/app
	@case "$(PORT)" in ''|*[!0-9]*) echo "PORT is a number, not $(PORT)."; exit 1;; esac
	GRADIO_SERVER_PORT=$(PORT) $(PY) app.py

test: .venv/dev browser check
	$(PY) -m pytest

check: .venv/dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

# A Chromium for the browser tests: the one that is there, else Debian's, else playwright's own.
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
