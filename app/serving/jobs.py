"""Long work in a thread, controlled by a generator that yields progress. Closing the generator cancels the work."""

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

from app.serving.cache import folder_for, make_room
from app.serving.uploads import NO_ROOM
from drn.device import lacks_memory
from drn.errors import InputError
from drn.upscaler import Cancelled, OnTile

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

HEARTBEAT = 0.25
"""Seconds after which the last step is yielded again, so that the caller can stop in the middle of a step."""

JOB_SECONDS = 120.0
"""Longest time for the work of one request, in seconds."""

MAX_RESULT_BYTES = 64_000_000
"""Size of the largest result: 16 megapixels of RGBA."""

NO_MEMORY = "The server has too little memory for this just now: choose a smaller image, or try again later."

_closing = threading.Event()


def deadline() -> float:
    """Return the time, by ``time.monotonic()``, at which a job that starts now must end."""
    return time.monotonic() + JOB_SECONDS


def stop_jobs() -> None:
    """Stop all running and future jobs, because the server is closing."""
    _closing.set()


@contextlib.contextmanager
def errors_for_visitor(quote: Callable[[str], str] = escape) -> Iterator[None]:
    """Turn bad input, a full disk and a lack of memory into a message for the page or the client.

    A full disk and a lack of memory are logged too.

    Args:
        quote: Escapes a sentence for its place; the page needs HTML.

    Raises:
        gr.Error: With the message.
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
    """Store a result in a new folder, which is removed with the page's other temporary files.

    Args:
        name: Name of the file.
        write: Called with the path, to which it must write the file.

    Returns:
        The path of the file.

    Raises:
        OSError: If it cannot be written, for example because the disk is full; neither file nor folder is left.
    """
    make_room(MAX_RESULT_BYTES)
    path = Path(get_upload_folder()) / secrets.token_hex(16) / name
    with folder_for(path):
        write(path)
    return path


def run_in_steps(
    work: Callable[[OnTile, Callable[[], bool]], Result], ends: float | None = None
) -> Generator[tuple[int, int], None, Result]:
    """Run work in a thread and yield its progress; repeat the last step every ``HEARTBEAT`` seconds.

    Args:
        work: Called with two functions. ``work`` calls ``on_tile(done, total)`` to report progress. It must stop when
            ``cancelled()`` returns True, which happens after the generator is closed.
        ends: The time limit; None for the ``deadline()`` of a job that starts now.

    Yields:
        The (done, total) that was reported last.

    Returns:
        The result of ``work`` (the generator's value).

    Raises:
        InputError: If the work takes too long; ``cancelled()`` is True from then on.
        Exception: Any exception that ``work`` raises.
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

    # The context holds the visitor's request, which a ZeroGPU Space needs to provide the GPU.
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
    """Iterates over a generator of steps and keeps its return value as ``result``."""

    steps: Generator[tuple[int, int], None, Result]
    result: Result = field(init=False)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the steps."""
        self.result = yield from self.steps
