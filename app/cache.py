"""Where visitors' files lie for a while: a folder of this process alone, and the end of what others left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "drn-app-"

MAX_AGE, EVERY = 2700, 600
"""Seconds after which a file may go, and seconds between two looks: none stays for an hour."""


def use_own_folder() -> None:
    """Let gradio store files in a folder of this process, unless ``GRADIO_TEMP_DIR`` names one.

    A server that was killed could not clear its folder, so those of processes that are gone are removed here.
    """
    if "GRADIO_TEMP_DIR" in os.environ:
        return
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX)
        if pid.isdecimal() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
    own = _own_folder()
    own.mkdir(mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(own)


def remove_own_folder() -> None:
    """Remove what is left of this process's files."""
    shutil.rmtree(_own_folder(), ignore_errors=True)


def _own_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
