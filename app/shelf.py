"""The sessions of all visitors, kept on the server between requests, with a limit on memory."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict

import gradio as gr

from app.session import Session
from drn.errors import InputError

MAX_BYTES = 1_000_000_000
"""Largest size of the pixels of all sessions together, in bytes."""

MAX_AGE = 3600.0
"""Seconds after which an unused session is dropped, because gradio does not report every visitor who leaves."""


class Shelf:
    """Keeps sessions by key, and drops the sessions that were unused for the longest time to free memory.

    A session's key is stored only in the state of its visitor's page.

    Args:
        first: The session that a new visitor sees. Its key is ``FIRST``, and it is never dropped.
        weights_key: Identifies the weights that computed ``first``.
        max_bytes: Largest size of the pixels of all other sessions, in bytes.
    """

    FIRST = "first"

    def __init__(self, first: Session, weights_key: str = "", max_bytes: int = MAX_BYTES) -> None:
        self._first = self._in_page = first
        self.weights_key = weights_key
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Session, float]] = OrderedDict()  # each with the time of its last use
        self._lock = threading.Lock()

    def renew(self, first: Session, weights_key: str) -> None:
        """Show ``first`` to new visitors from now on.

        Args:
            first: The first session, computed with other weights.
            weights_key: Identifies these weights.
        """
        with self._lock:
            self._first, self.weights_key = first, weights_key

    def put(self, session: Session, key: str | None = None) -> str:
        """Keep a session.

        Args:
            session: The session.
            key: Key of the session to replace; None or ``FIRST`` makes a new key.

        Returns:
            The key.
        """
        with self._lock:
            if key is None or key == self.FIRST:
                key = secrets.token_hex(16)
            now = self._use(key, session)
            for oldest, (_, used) in list(self._kept.items())[:-1]:
                if not self._is_full() and used + MAX_AGE > now:
                    break
                del self._kept[oldest]
        return key

    def find(self, key: str | None) -> Session | None:
        """Return the session with this key, or None if there is none."""
        with self._lock:
            if key == self.FIRST:
                return self._first
            if key is None or key not in self._kept:
                return None
            session, _ = self._kept[key]
            self._use(key, session)
            return session

    def get(self, key: str | None) -> Session:
        """Return the session with this key.

        Raises:
            InputError: If the session was dropped.
        """
        session = self.find(key)
        if session is None:
            raise InputError("This comparison is no longer on the server: choose the photograph again.")
        return session

    def shown(self, key: str | None, token: str) -> Session | None:
        """Return the session whose images a page shows.

        Args:
            key: Key of the page's session.
            token: Token of the images that the page shows.

        Returns:
            The page's session, or the session that was built into the page, if it has this token; otherwise None.
        """
        candidates = (self.find(key), self._in_page)
        return next((session for session in candidates if session and session.token == token), None)

    def drop(self, key: str | None) -> None:
        """Delete a session; None and unknown keys are ignored."""
        with self._lock:
            if key is not None:
                self._kept.pop(key, None)

    def _use(self, key: str, session: Session) -> float:
        """Mark a session as most recently used, and return the time."""
        now = time.monotonic()
        self._kept[key] = session, now
        self._kept.move_to_end(key)
        return now

    def _is_full(self) -> bool:
        return sum(session.nbytes for session, _ in self._kept.values()) > self._max_bytes


def key_state(shelf: Shelf) -> gr.State:
    """Make the state that holds the key of a visitor's session; the session is dropped when the visitor has left."""

    def drop(key: str | None) -> None:  # gradio copies it for each visitor, and with a bound method all sessions too
        shelf.drop(key)

    return gr.State(None, delete_callback=drop)
