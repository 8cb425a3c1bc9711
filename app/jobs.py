"""Long work on a thread of its own, seen as a generator: progress as it comes, and closing it cancels the work."""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TypeVar

from drn.inference import Cancelled, Progress

Result = TypeVar("Result")


HEARTBEAT = 0.25
"""Seconds after which a step is yielded again, so that whoever iterates can stop in the middle of one."""


def in_steps(work: Callable[[Progress, Callable[[], bool]], Result]) -> Generator[tuple[int, int], None, Result]:
    """Run ``work(progress, cancelled)`` and yield the (done, total) that it reported last, again and again.

    Returns:
        What ``work`` returned (the generator's value). Closing the generator makes ``cancelled()`` True.

    Raises:
        Exception: Whatever ``work`` raised.
    """
    steps: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
    closed = threading.Event()
    future: Future[Result] = Future()

    def target() -> None:
        try:
            future.set_result(work(lambda done, total: steps.put((done, total)), closed.is_set))
        except Cancelled:
            future.cancel()
        except Exception as error:
            future.set_exception(error)
        finally:
            steps.put(None)

    # The context tells whose request this is, which a ZeroGPU Space needs to know.
    threading.Thread(target=contextvars.copy_context().run, args=(target,)).start()
    try:
        step: tuple[int, int] | None = (0, 1)
        while step is not None:
            yield step
            with contextlib.suppress(queue.Empty):
                step = steps.get(timeout=HEARTBEAT)
    finally:
        closed.set()
    return future.result()
