"""Serve the page until SIGTERM or Ctrl-C; ``app.py`` and ``drn app`` call this."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from typing import NoReturn

from app.options import PageOptions
from app.serving.startup import prepare_environment
from drn.allocator import use_few_arenas


def serve(options: PageOptions = PageOptions()) -> NoReturn:
    """Build the page, serve it, and end the process.

    Args:
        options: The choices of the command line.

    Raises:
        InputError: If a folder, a file, the weights, or a setting in the environment cannot be used.
    """
    prepare_environment()
    # These modules import gradio, which reads the environment, so they are imported after it is prepared.
    from app.page import build, launch
    from app.serving.cache import remove_own_folder
    from app.serving.connections import raise_file_limit
    from app.serving.jobs import stop_jobs

    def stop(*_: object) -> None:
        stop_jobs()
        raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    use_few_arenas()
    raise_file_limit()
    warnings.filterwarnings("ignore", module="PIL")
    with contextlib.suppress(KeyboardInterrupt):
        launch(build(options), port=options.port)
    remove_own_folder()
    sys.stdout.flush()
    os._exit(0)  # an ordinary exit would wait for, or be aborted by, the threads of gradio and torch
