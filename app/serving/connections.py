"""Limits on connections: their number, the time for requests and answers, and the number of lines in the log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import h11
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.serving.hosts import trusted_proxies, visitor
from app.serving.refused import Refused

try:
    import resource
except ModuleNotFoundError:  # Windows, which has no limit on open files
    resource = None  # type: ignore[assignment]

PIECE_SECONDS, REQUEST_SECONDS = 15.0, 120.0
"""Longest time for the next piece of a request, and for the whole request, in seconds."""

UPLOAD_RATE = 16_000
"""Bytes of an upload that extend its ``REQUEST_SECONDS`` by a second, so that a slow phone can send a large file."""

SEND_SECONDS = 60.0
"""Longest time for a visitor to receive a piece of an answer, in seconds."""

MOST_CONNECTIONS = 4096
"""Connections that may be open at the same time, whatever the limit on open files."""

SPARE_FILES = 256
"""Number of file descriptors that are reserved for other uses than connections."""

SHARES = 8
"""One address may use one part in ``SHARES`` of the connections."""

MANY_REQUESTS = "Too many requests from your address are open: close some of its pages, or try again in a minute."

LOGGERS = ("uvicorn.error", "asyncio", "app.serving.guard", "app.serving.uploads", "app.serving.jobs")
"""Loggers whose messages visitors' requests can cause."""

QUOTING_LOGGERS = ("python_multipart.multipart",)
"""Loggers whose lines contain data from visitors."""


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard limit, because each connection takes a file descriptor."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections() -> int:
    """Return the number of connections that may be open at the same time."""
    if resource is None:
        return MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, min(MOST_CONNECTIONS, soft - SPARE_FILES))


def max_connections_each() -> int:
    """Return the number of connections, or of requests that are being answered, that one address may have."""
    return max(32, max_connections() // SHARES)


_requests: Counter[str] = Counter()
"""The number of requests that are being answered, by address; many of them may come through one proxy."""


@contextlib.contextmanager
def counted_request(address: str | None) -> Iterator[None]:
    """Count a request while it is answered.

    Args:
        address: The visitor's address; None if it is not known, for which there is no limit.

    Raises:
        Refused: If the address has too many already.
    """
    if address is None:
        yield
        return
    if _requests[address] >= max_connections_each():
        raise Refused(503, MANY_REQUESTS)
    _requests[address] += 1
    try:
        yield
    finally:
        _requests[address] -= 1
        if not _requests[address]:
            del _requests[address]


trusted_hosts = functools.lru_cache(_TrustedHosts)
"""The proxies that bring connections of many visitors, as uvicorn reads them from ``FORWARDED_ALLOW_IPS``."""


class OncePerSecond(logging.Filter):
    """A filter that passes the same message of a logger at most once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` is logged."""
        text, now = record.getMessage()[:200], time.monotonic()
        if now - self._last.get(text, -1.0) < 1.0:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[text] = now
        return True


def bound_the_log() -> None:
    """Limit ``LOGGERS`` to one line a second for the same message, and silence ``QUOTING_LOGGERS``."""
    for name in QUOTING_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, OncePerSecond) for known in logger.filters):
            logger.addFilter(OncePerSecond())


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol with limits on the number of connections and on waiting for a client.

    The limit on waiting holds for the head of a request, and for the part of a request that arrives after its answer
    was sent. ``app.serving.guard`` limits the time for the part before the answer.
    """

    _of_address: ClassVar[Counter[str | None]] = Counter()
    _address: str | None = None
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at once if there are too many; otherwise wait for a request."""
        super().connection_made(transport)
        if self.client is not None and self.client[0] not in trusted_hosts(trusted_proxies()):
            self._address = visitor({"client": self.client})
        self._of_address[self._address] += 1
        is_over_share = self._address is not None and self._of_address[self._address] > max_connections_each()
        if is_over_share or len(self.connections) > max_connections():
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Process the next bytes of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of the present request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        self._of_address[self._address] -= 1
        if not self._of_address[self._address]:
            del self._of_address[self._address]
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Close the connection after ``PIECE_SECONDS``, unless the awaited part of a request has arrived by then."""
        is_head = self.conn.their_state is h11.IDLE
        is_rest = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not (is_head or is_rest):
            self._stop()
        elif self._closing is None:
            self._closing = self.loop.call_later(PIECE_SECONDS, self._end, SEND_SECONDS - PIECE_SECONDS)

    def _end(self, left: float) -> None:
        """Close the connection, but give a slow visitor ``left`` seconds to receive the end of the last answer."""
        if left > 0 and self.transport.get_write_buffer_size():
            self._closing = self.loop.call_later(PIECE_SECONDS, self._end, left - PIECE_SECONDS)
        else:
            self.transport.abort()

    def _stop(self) -> None:
        """Cancel the time limit of the connection."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
