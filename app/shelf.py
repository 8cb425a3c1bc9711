"""What the visitors look at, kept on the server between their requests, within a bound on memory."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict

from app.session import Session
from drn.errors import InputError

MAX_BYTES = 1_000_000_000

MAX_AGE = 3600.0
"""Seconds after which a session that nobody used may go: gradio tells of visitors who leave, but not of all of them."""


class Shelf:
    """Sessions by a key that only their visitor's page state holds; those not used for longest make room.

    Args:
        first: What a new visitor sees; its key is ``FIRST``, and it is never put away.
        made_with: Tells the weights that made ``first`` from others.
        max_bytes: How much pixel data to keep beside it.
    """

    FIRST = "first"

    def __init__(self, first: Session, made_with: str = "", max_bytes: int = MAX_BYTES) -> None:
        self._first = self._of_the_page = first
        self.made_with = made_with
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Session, float]] = OrderedDict()  # with the moment of its last use
        self._lock = threading.Lock()

    def renew(self, first: Session, made_with: str) -> None:
        """Let new visitors see ``first``, made with other weights than what they saw until now."""
        with self._lock:
            self._first, self.made_with = first, made_with

    def put(self, session: Session, key: str | None = None) -> str:
        """Keep ``session`` in the place of what ``key`` names; returns its key."""
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
        """The session kept as ``key``, or None."""
        with self._lock:
            if key == self.FIRST:
                return self._first
            if key is None or key not in self._kept:
                return None
            session, _ = self._kept[key]
            self._use(key, session)
            return session

    def get(self, key: str | None) -> Session:
        """The session kept as ``key``.

        Raises:
            InputError: If there is none: it had to make room, or its visitor was away for long.
        """
        session = self.find(key)
        if session is None:
            raise InputError("This comparison was put away to make room for others: choose the photograph again.")
        return session

    def shown(self, key: str | None, token: str) -> Session | None:
        """The session of a page that shows ``token``'s images: what ``key`` names, or what the page began with."""
        candidates = (self.find(key), self._of_the_page)
        return next((session for session in candidates if session and session.token == token), None)

    def drop(self, key: str | None) -> None:
        """Forget what ``key`` names: its visitor has gone."""
        with self._lock:
            if key is not None:
                self._kept.pop(key, None)

    def _use(self, key: str, session: Session) -> float:
        """Put ``session`` at the end of those kept; returns the moment."""
        now = time.monotonic()
        self._kept[key] = session, now
        self._kept.move_to_end(key)
        return now

    def _is_full(self) -> bool:
        return sum(session.nbytes for session, _ in self._kept.values()) > self._max_bytes
