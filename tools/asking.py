"""Requests to a page: those of its own clients, and those of an attacker."""

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
TOKEN = "0" * 32
"""Token of a job of the Upscale tab."""

ADDRESS = {"X-Forwarded-For": "203.0.113.7"}
"""Header with a visitor's address, as a proxy on this machine would add it."""


def png(width: int, height: int) -> bytes:
    """Return a noisy image as a PNG file."""
    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def upload(web: httpx.Client, data: bytes, name: str = "own.png") -> str:
    """Upload a file like the page, and return its path on the server."""
    (stored,) = web.post("/gradio_api/upload", files={"files": (name, data, "image/png")}).json()
    return str(stored)


def events(web: httpx.Client) -> list[dict[str, Any]]:
    """Return the functions of the page that run on the server, including private ones."""
    return [event for event in web.get("/config").json()["dependencies"] if event["backend_fn"]]


def with_file(web: httpx.Client, event: dict[str, Any], file: object) -> list[Any]:
    """Return valid values for the inputs of a function, with ``file`` where an image belongs, or else as the first."""
    kinds = {component["id"]: component["type"] for component in web.get("/config").json()["components"]}
    radios = iter(("2", "auto"))
    plain: dict[str, Any] = {"checkbox": False, "number": 1.0, "textbox": TOKEN}
    data = []
    for kind in (kinds[number] for number in event["inputs"]):
        value = next(radios, "") if kind == "radio" else plain.get(kind)
        data.append(file if kind in ("image", "file", "uploadbutton") else value)
    return data if file in data else [file, *data[1:]]


def join(
    web: httpx.Client, event: dict[str, Any], data: list[Any], event_data: Any = None, session: str = ""
) -> tuple[int, str]:
    """Put a call of a function into the queue, for a new session if none is given.

    Returns:
        The status, and the session or, if the function was refused, the answer.
    """
    session = session or uuid.uuid4().hex
    count = len(event["inputs"])
    body = {"fn_index": event["id"], "session_hash": session, "event_data": event_data}
    asked = web.post("/gradio_api/queue/join", json={**body, "data": (data + [None] * count)[:count]})
    return asked.status_code, session if asked.status_code == 200 else asked.text


def answers(web: httpx.Client, session: str, seconds: float = 30.0) -> str:
    """Return all messages to a session until its last function ends."""
    told, ends = [], time.monotonic() + seconds
    with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            told.append(line)
            if "process_completed" in line or "unexpected_error" in line or time.monotonic() > ends:
                break
    return "\n".join(told)


def call(web: httpx.Client, name: str, data: list[Any]) -> str:
    """Call an endpoint by its name and return all messages; for a refused call, return the status first."""
    asked = web.post(f"/gradio_api/call/{name}", json={"data": data})
    if asked.status_code != 200:
        return f"{asked.status_code} {asked.text}"
    return web.get(f"/gradio_api/call/{name}/{asked.json()['event_id']}").text


def connect(target: Target) -> socket.socket:
    """Open a connection to the page."""
    return socket.create_connection(("127.0.0.1", target.port), timeout=20)


def head(target: Target, length: int, path: str = "/gradio_api/upload", more: str = "") -> bytes:
    """Return the head of a POST request whose body has ``length`` bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "Content-Type: multipart/form-data; boundary=b", more]).encode() + b"\r\n"


def part(name: str) -> bytes:
    """Return the head of a form's part that holds a file."""
    return f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
