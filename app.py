"""Entry point: build the page and serve it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings

from app.cache import remove_own_folder
from app.connections import raise_file_limit
from app.jobs import stop_jobs
from app.page import build, launch
from drn.errors import InputError

M_ARENA_MAX = -8


def use_few_arenas() -> None:
    """Let threads share glibc's memory arenas: one of its own would keep the largest job that a thread ever ran."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def stop(*_: object) -> None:
    stop_jobs()
    raise KeyboardInterrupt


if __name__ == "__main__":
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    use_few_arenas()
    raise_file_limit()
    warnings.filterwarnings("ignore", module="PIL")
    try:
        launch(build())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        pass
    remove_own_folder()
    sys.stdout.flush()
    os._exit(0)  # gradio's and torch's threads would abort a slower end
