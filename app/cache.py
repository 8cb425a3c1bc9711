"""Where visitors' files lie for a while: a folder of this process alone, which is swept, and left empty."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

PREFIX = "drn-app-"

MAX_AGE, EVERY = 2700.0, 600.0
"""Seconds after which a file may go, and seconds between two sweeps: none stays for an hour."""


def use_own_folder() -> None:
    """Let gradio store files in a folder of this process, inside ``GRADIO_TEMP_DIR`` or the system's temporary folder.

    A server that was killed could not remove its folder, so those of processes that are gone are removed here.
    """
    root = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()))
    own = root / f"{PREFIX}{os.getpid()}"
    if root.name == own.name:
        return
    for left in root.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX)
        if pid.isdecimal() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
    own.mkdir(mode=0o700, parents=True)
    os.environ["GRADIO_TEMP_DIR"] = str(own)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def start_sweeping(is_running: Callable[[], bool]) -> None:
    """From now on remove files from the folder as they grow old, but those that are there now: the page's own.

    Args:
        is_running: Whether the server still runs; asked before each sweep.
    """
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    keep = set(folder.rglob("*"))

    def sweep() -> None:
        time.sleep(EVERY)
        while is_running():
            for path in set(folder.rglob("*")) - keep:
                with contextlib.suppress(OSError):  # gone already, or written again meanwhile
                    if path.is_file() and time.time() - path.stat().st_mtime > MAX_AGE:
                        path.unlink()
            time.sleep(EVERY)

    threading.Thread(target=sweep, name="sweep", daemon=True).start()


def remove_own_folder() -> None:
    """Remove what is left of this process's files."""
    shutil.rmtree(os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
