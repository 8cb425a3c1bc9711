"""Streams that carry gradio's answers to the pages that listen, and the limits of what is kept for each visitor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.serving.hosts import visitor

logger = logging.getLogger(__name__)

MAX_SHARE = 16
"""Largest number of waiting and running requests of one visitor: half of the queue."""

MAX_STATES_EACH = 50
"""Largest number of states of one address; each page load makes a state, which replaces the oldest one."""

MAX_SESSIONS = 1900
"""Largest number of sessions with unread answers. From 2000 on, gradio would drop answers of other visitors."""

MAX_UNREAD = 500
"""Largest number of unread messages of one session."""

QUIET_JOBS, QUIET_ANSWERS = 10.0, 60.0
"""Seconds without a listener until a session's jobs are stopped, and until its answers are dropped."""

LOOK_SECONDS = 1.0
"""Seconds between two searches for sessions without a listener."""

CLOSE = b'data: {"msg":"close_stream"'
"""Start of the last message of a stream, after which the page ends the request."""

CLOSING_SECONDS = 4.0
"""Longest time to wait until a page has ended a request whose last message was sent. A page that needs longer to read
the message may still miss answers."""

MAX_UNENDED = 2
"""Number of requests that a page may leave open for that time; afterwards the server no longer waits for its session.
Some proxies do not report that a page has ended a request."""

TOO_MANY = f"You already have {MAX_SHARE} requests in the queue: wait until one of them ends."
CROWDED = "The server has too many visitors just now: try again in a minute."


class ClosingStreams:
    """Delays new events of a session while its page may not know yet that the stream of answers is closed.

    gradio closes the stream when no event of the session is left, and the page opens it again at its next event. The
    server may accept an event after it has closed the stream, but before the page has read the last message. The page
    would then open no new stream, and would never receive the answers.
    """

    def __init__(self) -> None:
        self._closing: dict[str, asyncio.Event] = {}
        self._unended: deque[str] = deque(maxlen=MAX_SESSIONS)  # sessions, once for each request that was left open

    async def serve(self, session: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answers to a session's events, and wait at the end until the page has ended the request.

        Args:
            session: The session.
            app: The app that answers the request.
            scope: The request.
            receive: Receives the request's messages.
            send: Sends the answer's messages.
        """
        closed: asyncio.Event | None = None

        async def send_all_but_the_end(message: Message) -> None:
            nonlocal closed
            # There must be no await between gradio's decision to close the stream and this line.
            if message.get("body", b"").startswith(CLOSE) and self._unended.count(session) < MAX_UNENDED:
                closed = self._closing[session] = asyncio.Event()
            if closed is None or message.get("more_body"):
                await send(message)

        try:
            await app(scope, receive, send_all_but_the_end)
            if closed is not None:
                await self._wait_for_the_page(session, receive)
        finally:
            if closed is not None:
                closed.set()
                if self._closing.get(session) is closed:
                    del self._closing[session]
        if closed is not None:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait_for_the_page(self, session: str, receive: Receive) -> None:
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            self._unended.append(session)

    async def wait_until_closed(self, session: str | None) -> None:
        """Wait until the stream of ``session`` is closed on both sides, if it is being closed."""
        while (closing := self._closing.get(session or "")) is not None:
            await closing.wait()


class Listeners:
    """Sends the streams of answers, records who listens, and limits the jobs and data of each visitor.

    Args:
        page: The page.
    """

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._queue = page._queue
        self._queue.ANALYTICS_MAX_EVENTS = 1
        self._queue.compute_analytics_summary = lambda _: {}  # type: ignore[method-assign]  # it makes a table at each event
        self._streams = ClosingStreams()
        self._listening: Counter[str] = Counter()
        self._heard: dict[str, float] = {}
        # address -> session -> time of the session's last use
        self._states: dict[str, OrderedDict[str, float]] = {}
        self._push = self._queue.push
        self._queue.push = self._push_within_bounds  # type: ignore[method-assign]

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """Count a stream of answers as a listener while it is open.

        Args:
            name: Name of the session or of the event whose answers are sent.
        """
        self._listening[name] += 1
        try:
            yield
        finally:
            self._listening[name] -= 1
            if not self._listening[name]:
                del self._listening[name]

    async def stream(self, session: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answers to all events of a session. The arguments are those of ``ClosingStreams.serve``."""
        with self.listening(session):
            await self._streams.serve(session, app, scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Drop jobs and answers without a listener while the server runs."""
        task = asyncio.create_task(self._drop_for_ever())
        try:
            yield
        finally:
            task.cancel()

    def own(self, session: str | None, address: str | None) -> None:
        """Record the address of a session, and drop the oldest states of an address that has too many."""
        if session is None or address is None:
            return
        own = self._states.setdefault(address, OrderedDict())
        own[session] = time.monotonic()
        own.move_to_end(session)
        while len(own) > MAX_STATES_EACH:
            oldest, _ = own.popitem(last=False)
            self._page.state_holder.session_data.pop(oldest, None)
            self._page.state_holder.time_last_used.pop(oldest, None)

    async def _push_within_bounds(self, body: Any, request: Any, username: str | None) -> Any:
        """Add an event to the queue, unless its visitor has too many events there.

        Returns:
            The same values as gradio's ``Queue.push``: whether the event was added, the event or a message, and the
            outcome.
        """
        address, session = visitor(request.scope), body.session_hash
        await self._streams.wait_until_closed(session)
        share = sum(
            event.session_hash == session or (address is not None and visitor(event.request.scope) == address)
            for event in self._queue.event_ids_to_events.values()
        )
        if share >= MAX_SHARE:
            return False, TOO_MANY, "queue_full"
        kept = self._queue.pending_messages_per_session
        if session not in kept and len(kept) >= MAX_SESSIONS:
            return False, CROWDED, "queue_full"
        added, answer, outcome = await self._push(body, request, username)
        if added:
            self._heard[body.session_hash] = time.monotonic()
        return added, answer, outcome

    async def _drop_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.drop_unheard()
            except Exception:
                logger.exception("Jobs and answers without a listener could not be dropped.")

    async def drop_unheard(self) -> None:
        """Stop the jobs and drop the answers of sessions without a listener or with too many unread messages."""
        queue, now = self._queue, time.monotonic()
        for session, messages in list(queue.pending_messages_per_session.items()):
            events = queue.pending_event_ids_session.get(session, set())
            if any(name in self._listening for name in (session, *events)):
                self._heard[session] = now
            quiet = now - self._heard.setdefault(session, now)
            unread = messages.qsize() > MAX_UNREAD
            if quiet > QUIET_JOBS or unread:
                await queue.clean_events(session_hash=session)
            if quiet > QUIET_ANSWERS or unread:
                queue.pending_messages_per_session.pop(session, None)
                queue.pending_event_ids_session.pop(session, None)
        for session in set(self._heard) - set(queue.pending_messages_per_session):
            del self._heard[session]
            queue.pending_event_ids_session.pop(session, None)
        app = queue.server_app
        if app is not None:
            app.iterators_to_reset &= set(queue.event_ids_to_events)
        states = self._page.state_holder.session_data
        for address, own in list(self._states.items()):
            for session, used in list(own.items()):
                if session not in states and now - used > QUIET_ANSWERS:  # a new session gets its state later
                    del own[session]
            if not own:
                del self._states[address]
