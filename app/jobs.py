"""Long work on a thread of its own, seen as a generator: progress as it comes, and closing it cancels the work."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import gradio as gr
from gradio.utils import get_upload_folder

from app.cache import folder_for, make_room
from app.uploads import NO_ROOM
from drn.errors import InputError
from drn.inference import Cancelled, Progress, lacks_memory

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

HEARTBEAT = 0.25
"""Seconds after which a step is yielded again, so that whoever iterates can stop in the middle of one."""

JOB_SECONDS = 120.0
"""How long the network may run for one request."""

MAX_RESULT_BYTES = 64_000_000
"""The largest file a job makes: 16 megapixels, RGBA."""

NO_MEMORY = "The server has too little memory for this just now: choose a smaller image, or try again later."

_closing = threading.Event()


def deadline() -> float:
    """When a job that starts now has to end, by ``time.monotonic()``."""
    return time.monotonic() + JOB_SECONDS


def stop_jobs() -> None:
    """Stop whatever runs, and whatever will be started: the server is closing."""
    _closing.set()


@contextlib.contextmanager
def told_to_visitor(quote: Callable[[str], str] = escape) -> Iterator[None]:
    """Turn bad input, a full disk and a lack of memory into the message that the page or the client shows.

    The log says no more than that files cannot be stored, or that memory is short.

    Args:
        quote: Makes a sentence fit for where it is shown; the page takes HTML.
    """
    try:
        yield
    except InputError as error:
        raise gr.Error(quote(str(error)), print_exception=False) from error
    except OSError as error:
        logger.error("Files cannot be stored: %s", error.strerror)
        raise gr.Error(NO_ROOM, print_exception=False) from error
    except Exception as error:
        if not (lacks_memory(error) or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem)):
            raise
        logger.error("Memory is short: %s", type(error).__name__)
        raise gr.Error(NO_MEMORY, print_exception=False) from error


def store_result(name: str, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a file called ``name``, in a folder of its own that the page's cache clears.

    Raises:
        OSError: If the disk is full, for example; then neither file nor folder is left.
    """
    make_room(MAX_RESULT_BYTES)
    path = Path(get_upload_folder()) / secrets.token_hex(16) / name
    with folder_for(path):
        write(path)
    return path


def in_steps(
    work: Callable[[Progress, Callable[[], bool]], Result], ends: float | None = None
) -> Generator[tuple[int, int], None, Result]:
    """Run ``work(progress, cancelled)`` and yield the (done, total) that it reported last, again and again.

    Args:
        ends: When to give up; the ``deadline()`` of this moment if None.

    Returns:
        What ``work`` returned (the generator's value). Closing the generator makes ``cancelled()`` True.

    Raises:
        InputError: If it takes too long; ``cancelled()`` is True from then on.
        Exception: Whatever ``work`` raised.
    """
    steps: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
    closed = threading.Event()
    ends = deadline() if ends is None else ends
    future: Future[Result] = Future()

    def cancelled() -> bool:
        return closed.is_set() or _closing.is_set()

    def target() -> None:
        try:
            future.set_result(work(lambda done, total: steps.put((done, total)), cancelled))
        except Cancelled:
            future.set_exception(InputError("The server is closing: try again in a minute."))
        except Exception as error:
            future.set_exception(error)
        finally:
            steps.put(None)

    # The context tells whose request this is, which a ZeroGPU Space needs to know.
    threading.Thread(target=contextvars.copy_context().run, args=(target,)).start()
    try:
        step: tuple[int, int] | None = (0, 1)
        while step is not None:
            if time.monotonic() > ends:
                raise InputError(
                    f"This takes longer than {JOB_SECONDS:.0f} seconds, the limit for one job on this server: "
                    "choose a smaller image, or leave out DRN+."
                )
            yield step
            with contextlib.suppress(queue.Empty):
                step = steps.get(timeout=HEARTBEAT)
    finally:
        closed.set()
    return future.result()


@dataclass
class Job(Generic[Result]):
    """A generator of steps to iterate over, whose return value is ``result`` from then on."""

    steps: Generator[tuple[int, int], None, Result]
    result: Result = field(init=False)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.result = yield from self.steps
