"""Atomic writes: a failure leaves the old file unchanged, and never leaves a partial file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file beside ``path`` and rename it to ``path``.

    Args:
        path: The file to create or replace.
        write: Called with the path of the temporary file; it must write the content.

    Raises:
        OSError: If the folder does not exist or the disk is full. Errors of ``write`` are raised unchanged.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    # tempfile and some writers restrict the file to its owner. Set the mode of an ordinary new file.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = temporary.stat().st_mode
    try:
        write(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
