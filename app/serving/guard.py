"""Middleware before gradio: it allows only the routes in use, limits time and size, and sets headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.serving import connections
from app.serving.cache import is_stored
from app.serving.checks import EVENT, MALFORMED, SESSION, checked_event
from app.serving.gradio_patches import forget_progress
from app.serving.hosts import allowed_hosts, check_host, check_origin, visitor
from app.serving.limits import MAX_UPLOAD_BYTES
from app.serving.listeners import Listeners
from app.serving.refused import Refused
from app.serving.uploads import store_upload

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64_000
"""Largest request that is not an upload, in bytes. Events contain only numbers, names and tokens."""

MULTIPART_BYTES = 10_000
"""Largest difference between the form of an upload and its file, in bytes."""

NOTHING_HERE = "There is nothing at this address."

SLOW = "The request took too long to arrive: send it again."
UPLOAD_SLOW = "The file took too long to arrive: send a smaller file, or send it again over a faster connection."

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
"""Headers that are removed from a request. Otherwise gradio would allow the origin to read the answer, use
``x-gradio-server`` as an address in the page, and repeat the headers of a range request in the answer."""

PRIVATE = {
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Additional headers of answers with visitors' files."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio's scripts, our handlers
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self' https://huggingface.co",  # the Hub displays a Space in a frame
        ]
    ),
}


class Guard:
    """ASGI middleware in front of gradio and its own middleware.

    Args:
        app: The app of gradio.
        listeners: Sends the streams of answers, and records who listens.
        own: The answers to requests for the page's own files, by path.
    """

    def __init__(self, app: ASGIApp, listeners: Listeners, own: Mapping[str, ASGIApp]) -> None:
        self.app = GZipMiddleware(app, compresslevel=4)  # gradio compresses its scripts and styles only
        self._own = own
        self._listeners = listeners
        self._hosts = allowed_hosts()
        self._prefix = urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self._without_prefix(scope)
        send = _with_headers(send, PRIVATE if scope["path"].startswith(FILE) else {})
        try:
            check_host(scope, self._hosts)
            with connections.counted_request(visitor(scope)):
                await Failures(self._serve)(scope, receive, send)
        except Refused as refused:
            headers = {"Connection": "close"} if refused.status == 408 else None
            await JSONResponse({"detail": refused.sentence}, refused.status, headers)(scope, receive, send)
        except ClientDisconnect:
            return

    def _without_prefix(self, scope: Scope) -> Scope:
        """Return a request without the prefix of ``GRADIO_ROOT_PATH``, which some proxies remove and others keep."""
        prefix, path = self._prefix, scope["path"]
        if not prefix or not (path == prefix or path.startswith(f"{prefix}/")):
            return scope
        raw = scope.get("raw_path") or b""
        kept = raw.removeprefix(quote(prefix).encode()) or b"/"
        return {**scope, "path": path.removeprefix(prefix) or "/", "raw_path": kept}

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD") and path in self._own:
            await self._own[path](scope, receive, send)
            return
        if not (WRITE if method == "POST" else READ).fullmatch(path) or method not in ("GET", "HEAD", "POST"):
            raise Refused(404, NOTHING_HERE)
        headers = Headers(scope=scope)
        scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in DROPPED]}
        if method != "POST":
            await self._read(scope, receive, send)
            return
        receive = _within_time(receive, is_upload=path == UPLOAD)
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
            scope["query_string"] = b""  # the page sends the query of a shared link with its events
        elif path == "/gradio_api/queue/data":
            session = _query(scope, "session_hash", SESSION)
            if session is None:
                raise Refused(404, NOTHING_HERE)
            await self._listeners.stream(session, self.app, scope, receive, send)
            return
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
    """ASGI middleware that answers with a sentence if ``app`` raises an exception."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to ``app``; if ``app`` fails, send an answer with a sentence."""
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
                # The client wants the work to end, and it has already ended.
                await JSONResponse({"success": True})(scope, receive, send)
                return
            log_kind(error)
            if not started:
                await JSONResponse({"detail": MALFORMED}, 500)(scope, receive, send)


def log_kind(error: BaseException | None = None) -> None:
    """Log the kind of ``error``, or of the exception being handled, without data of the visitor."""
    logger.error("A request ended with %s.", type(error or sys.exception()).__name__)


def _with_headers(send: Send, further: dict[str, str]) -> Send:
    """Make a ``send`` that adds headers, and disconnects a visitor who does not receive the answer in time."""

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


def _within_time(receive: Receive, *, is_upload: bool) -> Receive:
    """Make a ``receive`` that limits the time for each piece of a request and for the whole request.

    Each byte of an upload extends the time for the whole request, so the limit is a least mean speed.
    """
    ends = time.monotonic() + connections.REQUEST_SECONDS
    is_complete = False

    async def receive_within_time() -> Message:
        nonlocal ends, is_complete
        if is_complete:  # the request is complete; the next message is the disconnection
            return await receive()
        try:
            async with asyncio.timeout(min(connections.PIECE_SECONDS, ends - time.monotonic())):
                message = await receive()
        except TimeoutError as error:
            raise Refused(408, UPLOAD_SLOW if is_upload else SLOW) from error
        if is_upload:
            ends += len(message.get("body", b"")) / connections.UPLOAD_RATE
        is_complete = not message.get("more_body")
        return message

    return receive_within_time


def _length(headers: Headers, limit: int) -> int:
    """Return the length of a request's body.

    Raises:
        Refused: If the request does not state the length, or the length exceeds ``limit``.
    """
    length = "" if "transfer-encoding" in headers else headers.get("content-length", "")
    if not re.fullmatch(r"[0-9]{1,12}", length):
        raise Refused(411, "The request does not state its length: send a Content-Length header.")
    if int(length) > limit:
        size = f"{limit / 1e6:.0f} MB" if limit >= 1e6 else f"{limit / 1e3:.0f} kB"
        raise Refused(413, f"The request is larger than the limit of {size}: send less.")
    return int(length)


def _query(scope: Scope, name: str, form: re.Pattern[str]) -> str | None:
    """Return a parameter of the request's query, or None if it is absent.

    Raises:
        Refused: If the parameter is given twice, or does not match ``form``.
    """
    given = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name, [])
    if len(given) > 1 or (given and not form.fullmatch(given[0])):
        raise Refused(400, MALFORMED)
    return given[0] if given else None


async def _body(receive: Receive) -> bytes:
    """Receive the whole body of a request."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Make a ``receive`` that returns ``body`` first."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
