"""Entry point: build the page and serve it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys

from app.cache import remove_own_folder
from app.jobs import stop_jobs
from app.ui import build, launch
from drn.errors import InputError


def stop(*_: object) -> None:
    stop_jobs()
    raise KeyboardInterrupt


if __name__ == "__main__":
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    try:
        launch(build())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        pass
    remove_own_folder()
    sys.stdout.flush()
    os._exit(0)  # gradio's and torch's threads would abort a slower end
