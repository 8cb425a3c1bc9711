"""Entry point: build the page and serve it."""

from __future__ import annotations

import sys

from app.ui import build, launch
from drn.errors import InputError

if __name__ == "__main__":
    try:
        page = build()
    except InputError as error:
        sys.exit(f"error: {error}")
    launch(page)
