"""Entry point: build the page and serve it."""

from __future__ import annotations

from app.ui import build, launch

if __name__ == "__main__":
    launch(build())
