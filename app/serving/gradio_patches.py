"""All changes of gradio's own behaviour: its server, log, queue, components and the data it keeps for visitors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from html import escape
from types import SimpleNamespace
from typing import Any

import gradio as gr
import gradio.http_server
import gradio.queueing
import gradio.routes
import uvicorn
from gradio.routes import file_upload_statuses
from gradio.state_holder import SessionState
from jinja2 import FunctionLoader
from starlette.types import ASGIApp

from app.serving.connections import PatientProtocol
from app.serving.hosts import trusted_proxies, visitor

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

PREVIEW_TAGS = re.compile(r'<meta\s+(?:property="og:|name="twitter:|name="description")[^>]*/>')
"""The tags of the page's HTML that link previews use."""

TEMPLATES = gradio.routes.templates.env.loader
"""Reads gradio's own templates."""

TOO_MANY = f"You already have {MAX_SHARE} requests in the queue: wait until one of them ends."
NO_FILE = "The image must be sent as a file: save it, and give its path to handle_file of the client."
CROWDED = "The server has too many visitors just now: try again in a minute."


def keep_requests_out_of_the_log(log_kind: Callable[[], None]) -> None:
    """Make gradio log only the kind of an error, because the traceback quotes the visitor's event.

    Args:
        log_kind: Logs the kind of the error that is being handled.
    """
    for module in (gradio.queueing, gradio.routes):
        module.traceback = SimpleNamespace(print_exc=log_kind)  # type: ignore[attr-defined]


def take_path(component: gr.components.Component) -> None:
    """Make a component for files pass the path to its handler, which must open it by ``find_upload``.

    Otherwise gradio would decode the file in this process, and refuse a damaged file without a message.
    """
    component.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]


def take_file_or_refuse(component: gr.components.Component) -> None:
    """Let a component of an endpoint return the path of an upload; answer any other value with an error message.

    gradio has no message for a text, a number or a list. The description of the endpoint for clients stays the same.
    """
    described = component.api_info()
    component.api_info = lambda: described  # type: ignore[method-assign]
    component.data_model = None

    def preprocess(payload: Any) -> str | None:
        if payload is None:
            return None
        if isinstance(payload, dict) and isinstance(payload.get("path"), str):
            return str(payload["path"])
        raise gr.Error(NO_FILE, print_exception=False)

    component.preprocess = preprocess  # type: ignore[method-assign]


def take_any(component: gr.components.Component) -> None:
    """Let a component of an endpoint pass any value to its handler, which must check the value."""
    component.preprocess = lambda payload: payload  # type: ignore[method-assign]


def store_no_inputs() -> None:
    """Stop gradio from storing unchecked copies of visitors' inputs, which only serve links that are not used here."""
    SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]


def send_whole_values() -> None:
    """Make gradio send each changed output of a generator whole, and not as differences to the message before.

    The client applies the differences to that message itself. If the page has not read it yet, its value is lost. For
    example, a scene followed at once by an unchanged output never reached the viewer.
    """
    gradio.utils.diff = lambda before, now: [] if before == now else [["replace", [], now]]


def send_schemas_once(page: gr.Blocks) -> None:
    """Leave repeated descriptions of components out of the page's config, which every visitor receives.

    Where the descriptions of a component as input and as output are absent, gradio uses its general description.
    """
    whole_config = page.get_config_file

    def get_config_file() -> Any:
        config = whole_config()
        for component in config["components"]:
            for name in ("api_info_as_input", "api_info_as_output"):
                if name in component and component[name] == component["api_info"]:
                    del component[name]
        return config

    page.get_config_file = get_config_file  # type: ignore[method-assign]


def describe_page(title: str, description: str, picture: str, script: str, opening: str) -> None:
    """Replace gradio's own title, description and picture in the page's HTML, and add a script and a first picture.

    Link previews show the title, the description and the picture.

    Args:
        title: The title.
        description: One or two sentences.
        picture: The path of the picture on this server.
        script: The path of a script on this server, which the page loads before its components.
        opening: HTML for the start of the body, which is shown until the page is built.
    """
    environment = gradio.routes.templates.env
    tags = {
        "og:type": "website",
        "og:url": "{{ config['root'] }}/",
        "og:title": escape(title),
        "og:description": escape(description),
        "og:image": "{{ config['root'] }}" + picture,
    }
    head = f'<title>{escape(title)}</title><meta name="description" content="{escape(description)}" />' + "".join(
        f'<meta property="{name}" content="{content}" />' for name, content in tags.items()
    )
    head += '<meta name="twitter:card" content="summary_large_image" />'
    head += f"<script src=\"{{{{ config['root'] }}}}{script}\"></script>"

    first = f"{{% raw %}}{opening}{{% endraw %}}"

    def described(name: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        assert TEMPLATES is not None
        source, path, is_current = TEMPLATES.get_source(environment, name)
        whole = PREVIEW_TAGS.sub("", source).replace("</head>", f"{head}</head>", 1)
        return whole.replace("<gradio-app", f"{first}<gradio-app", 1), path, is_current

    environment.loader = FunctionLoader(described)
    if environment.cache is not None:
        environment.cache.clear()


def serve_behind(wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    """Make the next launch use ``PatientProtocol`` and further middleware.

    The middleware is added in the server, because that of ``app_kwargs`` would run after gradio's own middleware.

    Args:
        wrap: Puts middleware in front of the app.
    """

    def config(app: ASGIApp, **options: Any) -> uvicorn.Config:
        return uvicorn.Config(
            wrap(app), http=PatientProtocol, ws="none", forwarded_allow_ips=trusted_proxies(), **options
        )

    gradio.http_server.uvicorn = SimpleNamespace(Config=config)  # type: ignore[assignment, attr-defined]


def note_progress(upload_id: str, name: str, data: bytes) -> None:
    """Report to the page that sends an upload that ``data`` has arrived."""
    file_upload_statuses.append(upload_id, name, data)


def end_progress(upload_id: str) -> None:
    """Report to the page that an upload has ended, and drop its progress later, after the page has read it."""
    file_upload_statuses.set_done(upload_id)
    asyncio.get_running_loop().call_later(QUIET_ANSWERS, forget_progress, upload_id)


def forget_progress(upload_id: str) -> None:
    """Drop the progress of an upload."""
    file_upload_statuses.stop_tracking(upload_id)
    file_upload_statuses._signals.pop(upload_id, None)


class Listeners:
    """Records which clients listen for answers, and limits the jobs and data of each visitor.

    Args:
        page: The page.
    """

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._queue = page._queue
        self._queue.ANALYTICS_MAX_EVENTS = 1
        self._queue.compute_analytics_summary = lambda _: {}  # type: ignore[method-assign]  # it makes a table at each event
        self._listening: Counter[str] = Counter()
        self._heard: dict[str, float] = {}
        # address -> session -> time of the session's last use
        self._states: dict[str, OrderedDict[str, float]] = {}
        self._push = self._queue.push
        self._queue.push = self._push_within_bounds  # type: ignore[method-assign]

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """Count a stream of answers while it is open.

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
