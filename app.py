"""Build the page and serve it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings

from app.serving.startup import prepare_environment
from drn.errors import InputError

M_ARENA_MAX = -8
"""glibc's number for the option of ``mallopt`` that bounds the memory arenas."""


def use_few_arenas() -> None:
    """Let threads share two of glibc's memory arenas: an arena keeps the memory of the largest job that used it."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def main() -> None:
    """Serve the page, with one sentence if it cannot be served."""
    try:
        prepare_environment()
    except InputError as error:
        sys.exit(f"error: {error}")
    # These import gradio, which reads the environment.
    from app.page import build, launch
    from app.serving.cache import remove_own_folder
    from app.serving.connections import raise_file_limit
    from app.serving.jobs import stop_jobs

    def stop(*_: object) -> None:
        """Stop all jobs, then end the server as Ctrl-C does; a handler of signals."""
        stop_jobs()
        raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    use_few_arenas()
    raise_file_limit()
    warnings.filterwarnings("ignore", module="PIL")
    try:
        launch(build())
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        pass
    remove_own_folder()
    sys.stdout.flush()
    os._exit(0)  # an ordinary exit would wait for, or be aborted by, the threads of gradio and torch


if __name__ == "__main__":
    main()
