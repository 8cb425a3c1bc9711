"""All that bends gradio 6: its server, its log, its queue, and what it keeps for visitors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import gradio.http_server
import gradio.queueing
import gradio.routes
import uvicorn
from gradio.routes import file_upload_statuses
from gradio.state_holder import SessionState
from starlette.types import ASGIApp

from app.connections import PatientProtocol
from app.hosts import trusted_proxies, visitor

logger = logging.getLogger(__name__)

MAX_SHARE = 16
"""Requests of one visitor in the queue, waiting and running: half of the queue."""

MAX_STATES_EACH = 50
"""States (one a page load) of one address; an older one of the same address makes room."""

MAX_SESSIONS = 1900
"""Sessions with answers that wait to be fetched. At 2000 gradio would drop those of other visitors."""

MAX_UNREAD = 500
"""Messages that one session may leave unread."""

QUIET_JOBS, QUIET_ANSWERS = 10.0, 60.0
"""Seconds without a listener after which a session's jobs are stopped, and after which its answers are dropped."""

LOOK_SECONDS = 1.0

TOO_MANY = f"You have {MAX_SHARE} requests in the queue already: wait for one of them."
CROWDED = "The server has too many visitors just now: try again in a minute."


def keep_requests_out_of_the_log(log_kind: Callable[[], None]) -> None:
    """Let gradio log the kind of an error alone: it prints tracebacks of events that it refuses, which quote them."""
    for module in (gradio.queueing, gradio.routes):
        module.traceback = SimpleNamespace(print_exc=log_kind)  # type: ignore[attr-defined]


def store_no_inputs() -> None:
    """Keep no copy of a visitor's inputs: gradio stores them unchecked, for links that this page does not offer."""
    SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]


def serve_behind(wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    """Put ``wrap`` in front of the app of the next launch, and serve it by ``PatientProtocol``.

    gradio adds its own middleware outside of that in ``app_kwargs``; its server is the only place in front of both.
    """

    def config(app: ASGIApp, **options: Any) -> uvicorn.Config:
        return uvicorn.Config(
            wrap(app), http=PatientProtocol, ws="none", forwarded_allow_ips=trusted_proxies(), **options
        )

    gradio.http_server.uvicorn = SimpleNamespace(Config=config)  # type: ignore[assignment, attr-defined]


def note_progress(upload_id: str, name: str, data: bytes) -> None:
    """Note that ``data`` of an upload has arrived, for the page that sends it."""
    file_upload_statuses.append(upload_id, name, data)


def end_progress(upload_id: str) -> None:
    """Note that an upload has ended, and forget it in a while: the page may not have asked yet."""
    file_upload_statuses.set_done(upload_id)
    asyncio.get_running_loop().call_later(QUIET_ANSWERS, forget_progress, upload_id)


def forget_progress(upload_id: str) -> None:
    """Drop what gradio keeps for a page that asks for the progress of an upload."""
    file_upload_statuses.stop_tracking(upload_id)
    file_upload_statuses._signals.pop(upload_id, None)


class Listeners:
    """Knows which sessions somebody listens to, and bounds what is kept and computed for each visitor.

    Args:
        page: The page, with its queue.
    """

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._queue = page._queue
        self._queue.ANALYTICS_MAX_EVENTS = 1
        self._queue.compute_analytics_summary = lambda _: {}  # type: ignore[method-assign]  # a table for each event
        self._listening: Counter[str] = Counter()
        self._heard: dict[str, float] = {}
        self._states: dict[str, OrderedDict[str, float]] = {}  # sessions by address, with the moment of their last use
        self._push = self._queue.push
        self._queue.push = self._push_within_bounds  # type: ignore[method-assign]

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """Count a stream of answers for as long as it is open.

        Args:
            name: The session, or the event, whose answers are sent.
        """
        self._listening[name] += 1
        try:
            yield
        finally:
            self._listening[name] -= 1
            if not self._listening[name]:
                del self._listening[name]

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Drop what nobody listens to while the server runs."""
        task = asyncio.create_task(self._drop_for_ever())
        try:
            yield
        finally:
            task.cancel()

    def own(self, session: str | None, address: str | None) -> None:
        """Note that ``session`` is of ``address``; the oldest state of an address that has too many is dropped."""
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
        """gradio's ``Queue.push``, which answers (whether it was taken, the event or a sentence, the outcome)."""
        address, session = visitor(request.scope), body.session_hash
        share = sum(
            event.session_hash == session or (address is not None and visitor(event.request.scope) == address)
            for event in self._queue.event_ids_to_events.values()
        )
        if share >= MAX_SHARE:
            return False, TOO_MANY, "queue_full"
        kept = self._queue.pending_messages_per_session
        if session not in kept and len(kept) >= MAX_SESSIONS:
            return False, CROWDED, "queue_full"
        taken, told, outcome = await self._push(body, request, username)
        if taken:
            self._heard[body.session_hash] = time.monotonic()
        return taken, told, outcome

    async def _drop_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.drop_unheard()
            except Exception:
                logger.exception("What nobody listens to could not be dropped.")

    async def drop_unheard(self) -> None:
        """Stop the jobs and drop the answers of sessions that nobody listens to, or that leave too much unread."""
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
                if session not in states and now - used > QUIET_ANSWERS:  # a younger one may be about to get its state
                    del own[session]
            if not own:
                del self._states[address]
