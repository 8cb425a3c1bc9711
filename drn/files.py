"""Atomic writes: a file is whole or it is not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: whole or not at all."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    # Readable as any new file is: tempfile, and some writers, would keep it from everyone but its owner.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = temporary.stat().st_mode
    try:
        write(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
