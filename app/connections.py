"""Connections: how many there may be, how long one may take to send, and how much they may write to the log."""

from __future__ import annotations

import asyncio
import logging
import resource
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PIECE_SECONDS, REQUEST_SECONDS = 15.0, 120.0
"""Longest wait for the next piece of a request, and for all of it."""

SEND_SECONDS = 60.0
"""Longest wait for a visitor to take a piece of an answer."""

SPARE_FILES = 256
"""File descriptors that are kept for other uses than connections."""

LOGGERS = ("uvicorn.error", "asyncio", "app.guard", "app.uploads", "app.jobs")
"""Loggers that requests of visitors can make write."""


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one: each connection takes a file descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections() -> int:
    """Connections that may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, min(4096, soft - SPARE_FILES))


class OncePerSecond(logging.Filter):
    """Lets the same message of a logger through once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is logged."""
        text, now = record.getMessage()[:200], time.monotonic()
        if now - self._last.get(text, -1.0) < 1.0:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[text] = now
        return True


def bound_the_log() -> None:
    """Let no logger that visitors can reach write the same line more than once a second."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, OncePerSecond) for known in logger.filters):
            logger.addFilter(OncePerSecond())


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol with bounds: on connections, on the time that a request's head takes, and on its rest.

    The rest is what arrives of a request after its answer has been sent. A body that is read for the answer is
    bounded where it is read (``app.guard``).
    """

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at once if there are too many; else wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Close the connection in ``PIECE_SECONDS`` if all that is awaited then is still awaited."""
        is_head = self.conn.their_state is h11.IDLE
        is_rest = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not (is_head or is_rest):
            self._stop()
        elif self._closing is None:
            self._closing = self.loop.call_later(PIECE_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
