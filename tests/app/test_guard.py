"""Requests that the server answers and requests that it refuses."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.serving.guard import MAX_REQUEST_BYTES
from app.serving.uploads import NO_UPLOAD


@pytest.fixture
def listener() -> Iterator[tuple[str, list[object]]]:
    """An address, and the list of the clients that connected to it."""
    connected: list[object] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                return
            connected.append(peer)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/x.png", connected
    server.close()


@pytest.fixture(scope="module")
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as web:
        yield web


def ask(web: httpx.Client, api_name: str, data: list[Any]) -> tuple[int, str]:
    """Call an endpoint with raw JSON, and return the status and the answer."""
    asked = web.post(f"/gradio_api/call/{api_name}", json={"data": data})
    if asked.status_code != 200:
        return asked.status_code, asked.text
    told = web.get(f"/gradio_api/call/{api_name}/{asked.json()['event_id']}")
    return told.status_code, told.text


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/proxy=http://localhost/",
        "/gradio_api/runs",
        "/gradio_api/run-history/records",
        "/gradio_api/deep_link",
        "/gradio_api/openapi.json",
        "/docs",
        "/login",
        "/nothing",
    ],
)
def test_routes_that_the_page_does_not_use_do_not_exist(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address."})
    assert web.delete(path).status_code == web.post(path, content=b"{}").status_code == 404


def test_no_address_is_fetched(web: httpx.Client, listener: tuple[str, list[object]]) -> None:
    address, connected = listener
    assert web.get(f"/gradio_api/file={address}").status_code == 404
    for path in (address, " " + address, "HTTP" + address[4:], "ftp" + address[4:], "file:///etc/passwd", "data:,x"):
        for data in ([{"path": path}, "2", False, "auto"], [[{"a": {"path": path}}], "2", False, "auto"]):
            status, told = ask(web, "upscale", data)
            assert (status, json.loads(told)) == (400, {"detail": NO_UPLOAD}), path
    # An address in another member than "path" is only text.
    for other in ({"path": None, "url": address}, {"path": "x.png", "url": address}, {"url": address}, address):
        status, told = ask(web, "upscale", [other, "2", False, "auto"])
        assert "complete" not in told, other
    assert connected == []


def test_requests_are_bounded(web: httpx.Client) -> None:
    large = json.dumps({"data": ["x" * MAX_REQUEST_BYTES]}).encode()
    answer = web.post("/gradio_api/queue/join", content=large)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "The request is larger than the limit of 64 kB: send less.",
    )
    file = {"files": ("large.png", bytes(20_020_000), "image/png")}
    answer = web.post("/gradio_api/upload", files=file)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "The request is larger than the limit of 20 MB: send less.",
    )
    with socket.create_connection((web.base_url.host, web.base_url.port or 80), timeout=10) as raw:
        raw.sendall(
            b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\n\r\n"
        )
        assert raw.recv(1000).startswith(b"HTTP/1.1 411")
    answer = web.post("/gradio_api/queue/join", content=iter([b"{}"]))
    assert (answer.status_code, answer.json()["detail"]) == (
        411,
        "The request does not state its length: send a Content-Length header.",
    )


def test_the_queue_cannot_be_bypassed(web: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    events = web.get("/config").json()["dependencies"]
    heavy = [event for event in events if event["backend_fn"] and event["queue"]]
    assert len(heavy) > 10
    for event in heavy:
        for name in (event["api_name"], "predict"):
            body = {"data": ["SECRET"] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "x"}
            answer = web.post(f"/gradio_api/run/{name}", json=body)
            assert answer.status_code >= 400, (event["api_name"], answer.text)
    assert "SECRET" not in "".join(capfd.readouterr())


def test_every_answer_has_the_headers(web: httpx.Client) -> None:
    for path in ("/", "/config", "/nothing", "/gradio_api/info"):
        headers = web.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "form-action 'self'" in headers["content-security-policy"]


def test_a_failure_of_the_guard_is_reported_in_one_sentence(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: bytes) -> bytes:
        raise ValueError("SECRET")

    monkeypatch.setattr("app.serving.guard.checked_event", fail)
    answer = web.post("/gradio_api/queue/join", json={"data": []})
    assert (answer.status_code, answer.json()) == (
        500,
        {"detail": "The server does not understand this request: reload the page and try again."},
    )
    assert "form-action" in answer.headers["content-security-policy"]
    assert "SECRET" not in "".join(capfd.readouterr())
