"""In front of gradio: the routes that the page and its clients use, with bounds on time and size, and headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import connections
from app.cache import is_stored
from app.checks import EVENT, MALFORMED, SESSION, checked_event
from app.gradio_patches import Listeners, forget_progress
from app.hosts import allowed_hosts, check_host, check_origin, visitor
from app.refused import Refused
from app.session import MAX_UPLOAD_BYTES
from app.uploads import store_upload

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64_000
"""Largest request that is no upload: events carry numbers, names and tokens."""

MULTIPART_BYTES = 10_000
"""What an upload's form adds to its file."""

NOTHING_HERE = "There is nothing at this address."

UPLOAD = "/gradio_api/upload"
CANCEL = "/gradio_api/cancel"
FILE = "/gradio_api/file="
PROGRESS = "/gradio_api/upload_progress"
PAGE = re.compile(r"/|/config")
ANSWERS = re.compile(rf"/gradio_api/call/(upscale|compare)/({EVENT.pattern})")
READ = re.compile(
    r"/|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json)|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|app_id|startup-events|queue/data|upload_progress|theme\.css|file=.*)"
    rf"|/gradio_api/heartbeat/{SESSION.pattern}|{ANSWERS.pattern}"
)
WRITE = re.compile(r"/gradio_api/(upload|cancel|reset|queue/join|run/predict|call/(upscale|compare))")
UPLOAD_ID = re.compile(r"[0-9a-z]{1,32}")

DROPPED = (b"origin", b"x-gradio-server", b"range")
"""Headers of a request that gradio does not see: it would send them back, as an origin that may read the answer, as an
address in the page, and with all the others as headers of a file."""

PRIVATE = {
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of visitors' files."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio runs its own inline scripts and our handlers
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self' https://huggingface.co",  # the Hub shows a Space in a frame
        ]
    ),
}


class Guard:
    """ASGI middleware in front of gradio and its own middleware.

    Args:
        app: gradio.
        listeners: Told who listens to which answers.
    """

    def __init__(self, app: ASGIApp, listeners: Listeners) -> None:
        self.app = app
        self._listeners = listeners
        self._hosts = allowed_hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send, PRIVATE if scope["path"].startswith(FILE) else {})
        try:
            check_host(scope, self._hosts)
            await Failures(self._serve)(scope, receive, send)
        except Refused as refused:
            headers = {"Connection": "close"} if refused.status == 408 else None
            await JSONResponse({"detail": refused.sentence}, refused.status, headers)(scope, receive, send)
        except ClientDisconnect:
            return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if not (WRITE if method == "POST" else READ).fullmatch(path) or method not in ("GET", "HEAD", "POST"):
            raise Refused(404, NOTHING_HERE)
        headers = Headers(scope=scope)
        scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in DROPPED]}
        if method != "POST":
            await self._read(scope, receive, send)
            return
        receive = _within_time(receive)
        check_origin({**scope, "headers": headers.raw}, self._hosts)
        length = _length(headers, MAX_UPLOAD_BYTES + MULTIPART_BYTES if path == UPLOAD else MAX_REQUEST_BYTES)
        if path == UPLOAD:
            upload_id = _query(scope, "upload_id", UPLOAD_ID)
            content_type = headers.get("content-type", "")
            stored = await store_upload(receive, content_type, length, visitor(scope), upload_id)
            await JSONResponse([stored])(scope, receive, send)
            return
        event = checked_event(await _body(receive))
        self._listeners.own(json.loads(event).get("session_hash"), visitor(scope))
        await self.app(scope, _replay(event, receive), send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        listening: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if path.startswith(FILE) and not is_stored(path.removeprefix(FILE)):
            raise Refused(404, NOTHING_HERE)
        if PAGE.fullmatch(path):
            scope["query_string"] = b""  # the page reads its links itself
        elif path == "/gradio_api/queue/data":
            session = _query(scope, "session_hash", SESSION)
            if session is None:
                raise Refused(404, NOTHING_HERE)
            listening = self._listeners.listening(session)
        elif answers := ANSWERS.fullmatch(path):
            listening = self._listeners.listening(answers[2])
        elif path == PROGRESS:
            upload_id = _query(scope, "upload_id", UPLOAD_ID)
            if upload_id is None:
                raise Refused(404, NOTHING_HERE)
            listening = contextlib.ExitStack()
            listening.callback(forget_progress, upload_id)
        with listening:
            await self.app(scope, receive, send)


class Failures:
    """ASGI middleware that answers by a sentence if ``app`` fails; it stands inside of gradio's own middleware too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and answer it if that fails."""
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, note_start)
        except (Refused, ClientDisconnect):
            raise
        except Exception as error:
            if scope["type"] != "http":
                raise
            if scope["path"] == CANCEL and isinstance(error, KeyError) and not started:
                # Asked for twice, or as the work ended by itself: gradio finds it gone, which is what was wanted.
                await JSONResponse({"success": True})(scope, receive, send)
                return
            log_kind(error)
            if not started:
                await JSONResponse({"detail": MALFORMED}, 500)(scope, receive, send)


def log_kind(error: BaseException | None = None) -> None:
    """Log the kind of an error (or of the one being handled), and nothing that the visitor sent."""
    logger.error("A request ended with %s.", type(error or sys.exception()).__name__)


def _with_headers(send: Send, further: dict[str, str]) -> Send:
    """``send``, with the headers of every answer and ``further`` ones; it gives up a visitor who takes nothing."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in (HEADERS | further).items():
                headers[name] = value
        try:
            async with asyncio.timeout(connections.SEND_SECONDS):
                await send(message)
        except TimeoutError as error:
            raise ClientDisconnect from error

    return send_with_headers


def _within_time(receive: Receive) -> Receive:
    """``receive`` with a bound on the time for each piece of a request, and for all of it."""
    ends: float | None = time.monotonic() + connections.REQUEST_SECONDS

    async def receive_within_time() -> Message:
        nonlocal ends
        if ends is None:  # all has arrived: what comes next is that the visitor goes
            return await receive()
        try:
            async with asyncio.timeout(min(connections.PIECE_SECONDS, ends - time.monotonic())):
                message = await receive()
        except TimeoutError as error:
            raise Refused(408, "The request took too long to arrive: send it again.") from error
        if not message.get("more_body"):
            ends = None
        return message

    return receive_within_time


def _length(headers: Headers, limit: int) -> int:
    """The length of a request's body.

    Raises:
        Refused: If the request does not say it, or it is over ``limit``.
    """
    length = "" if "transfer-encoding" in headers else headers.get("content-length", "")
    if not re.fullmatch(r"[0-9]{1,12}", length):
        raise Refused(411, "The request does not say how long it is: send a Content-Length.")
    if int(length) > limit:
        size = f"{limit / 1e6:.0f} MB" if limit >= 1e6 else f"{limit / 1e3:.0f} kB"
        raise Refused(413, f"The request is larger than the limit of {size}: send less.")
    return int(length)


def _query(scope: Scope, name: str, form: re.Pattern[str]) -> str | None:
    """A parameter of the request's query; None if it is absent.

    Raises:
        Refused: If it is there twice or not of the ``form`` that our pages and clients send.
    """
    given = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name, [])
    if len(given) > 1 or (given and not form.fullmatch(given[0])):
        raise Refused(400, MALFORMED)
    return given[0] if given else None


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
