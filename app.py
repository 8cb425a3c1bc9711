"""Entry point: serve the page."""

from __future__ import annotations

import sys

from app.main import serve
from drn.errors import InputError

if __name__ == "__main__":
    try:
        serve()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
