"""Requests to a page, as its own clients send them and as an attacker does."""

from __future__ import annotations

import io
import socket
import time
import uuid
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tools.attack import Target

META = {"_type": "gradio.FileData"}
ADDRESS = {"X-Forwarded-For": "203.0.113.7"}
"""A visitor's address, as a proxy on this machine passes it on."""


def png(width: int, height: int) -> bytes:
    """A noisy image as a PNG file."""
    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def upload(web: httpx.Client, data: bytes, name: str = "own.png") -> str:
    """Upload a file as the page does; returns its path on the server."""
    (stored,) = web.post("/gradio_api/upload", files={"files": (name, data, "image/png")}).json()
    return str(stored)


def events(web: httpx.Client) -> list[dict[str, Any]]:
    """The functions of the page that run on the server, private ones included."""
    return [event for event in web.get("/config").json()["dependencies"] if event["backend_fn"]]


def join(web: httpx.Client, event: dict[str, Any], data: list[Any], event_data: Any = None) -> tuple[int, str]:
    """Put a function into the queue; returns the status, and the session or what was told instead."""
    session = uuid.uuid4().hex
    count = len(event["inputs"])
    body = {"fn_index": event["id"], "session_hash": session, "event_data": event_data}
    asked = web.post("/gradio_api/queue/join", json={**body, "data": (data + [None] * count)[:count]})
    return asked.status_code, session if asked.status_code == 200 else asked.text


def answers(web: httpx.Client, session: str, seconds: float = 30.0) -> str:
    """All that a session is told until its last function ends."""
    told, ends = [], time.monotonic() + seconds
    with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            told.append(line)
            if "process_completed" in line or "unexpected_error" in line or time.monotonic() > ends:
                break
    return "\n".join(told)


def call(web: httpx.Client, name: str, data: list[Any]) -> str:
    """Call an endpoint by its name; returns all that is told, the status first if it is refused."""
    asked = web.post(f"/gradio_api/call/{name}", json={"data": data})
    if asked.status_code != 200:
        return f"{asked.status_code} {asked.text}"
    return web.get(f"/gradio_api/call/{name}/{asked.json()['event_id']}").text


def connect(target: Target) -> socket.socket:
    """A connection to the page."""
    return socket.create_connection(("127.0.0.1", target.port), timeout=20)


def head(target: Target, length: int, path: str = "/gradio_api/upload", more: str = "") -> bytes:
    """The head of a POST request whose body has ``length`` bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "Content-Type: multipart/form-data; boundary=b", more]).encode() + b"\r\n"


def part(name: str) -> bytes:
    """The head of a part of a form that holds a file."""
    return f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
