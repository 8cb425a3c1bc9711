"""Serve the page with its usual options; ``drn app`` takes others."""

from __future__ import annotations

import sys

from app.main import serve
from drn.errors import InputError

if __name__ == "__main__":
    try:
        serve()
    except InputError as error:
        sys.exit(f"error: {error}")
