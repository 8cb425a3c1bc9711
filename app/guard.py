"""What reaches gradio: the routes that the page and its clients use, and bounded requests that name no address."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from types import SimpleNamespace
from typing import Any

import gradio.queueing
import gradio.routes
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.cache import make_room
from app.session import MAX_UPLOAD_BYTES

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 1_000_000
"""Largest request that is no upload: events carry numbers, names and tokens."""

MULTIPART_BYTES = 10_000
"""What an upload's form adds to its file."""

UPLOAD = "/gradio_api/upload"
CANCEL = "/gradio_api/cancel"
READ = re.compile(
    r"/|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon)|/(assets|static|svelte|pwa_icon)/.*"
    r"|/gradio_api/(info|app_id|startup-events|queue/data|upload_progress|theme\.css|(heartbeat|call)/.*|file=(?!\w+:).*)"
)
WRITE = re.compile(r"/gradio_api/(upload|cancel|reset|queue/join|(call|run)/.*)")

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
            "frame-ancestors 'self' https://huggingface.co",  # the Hub shows a Space in a frame
        ]
    ),
}


class Guard:
    """ASGI middleware in front of the page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        path, method = scope["path"], scope["method"]
        if not (WRITE if method == "POST" else READ).fullmatch(path) or method not in ("GET", "HEAD", "POST"):
            await _refuse(404, "There is nothing at this address.")(scope, receive, send_with_headers)
            return
        if method == "POST":
            headers = Headers(scope=scope)
            length = "" if "transfer-encoding" in headers else headers.get("content-length", "")
            limit = MAX_UPLOAD_BYTES + MULTIPART_BYTES if path == UPLOAD else MAX_REQUEST_BYTES
            refusal = None
            if not length.isdecimal():
                refusal = _refuse(411, "The request does not say how long it is: send a Content-Length.")
            elif int(length) > limit:
                refusal = _refuse(413, f"The request is larger than the limit of {limit / 1e6:.0f} MB: send less.")
            elif path != UPLOAD:
                body = await _read(receive)
                receive = _replay(body, receive)
                if _names_an_address(body):
                    refusal = _refuse(400, "Nothing is fetched from an address: upload the file instead.")
            else:
                await asyncio.to_thread(make_room, int(length))
            if refusal is not None:
                await refusal(scope, receive, send_with_headers)
                return
        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if path == CANCEL and isinstance(error, KeyError) and not started:
                # Asked for twice, or as the work ended by itself: gradio finds it gone, which is what was wanted.
                await JSONResponse({"success": True})(scope, receive, send_with_headers)
                return
            log_kind(error)
            if not started:
                await _refuse(500, "The server could not make sense of this request.")(
                    scope, receive, send_with_headers
                )


def log_kind(error: BaseException | None = None) -> None:
    """Log what kind of error this is (or the one being handled), and nothing that the visitor sent."""
    logger.error("A request ended with %s.", type(error or sys.exception()).__name__)


def keep_requests_out_of_the_log() -> None:
    """gradio prints the traceback of each event that it refuses, which quotes the request: log its kind alone."""
    for module in (gradio.queueing, gradio.routes):
        module.traceback = SimpleNamespace(print_exc=log_kind)  # type: ignore[attr-defined]


def _refuse(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _names_an_address(body: bytes) -> bool:
    """Whether a file in an event's data is an address; gradio would download it."""
    try:
        stack: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # gradio refuses what is no JSON
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and re.match(r"\s*\w+:", path) and not re.match(r"[A-Za-z]:[\\/]", path):
                return True
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return False
