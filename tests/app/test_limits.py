"""Limits for one visitor, and the host names under which the page is served."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import gradio as gr
import httpx
import pytest
import uvicorn
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from uvicorn.server import ServerState

from app.page import build, launch
from app.serving import connections, listeners
from app.serving.checks import MAX_TEXT, MAX_VALUES, checked_event
from app.serving.connections import OncePerSecond
from app.serving.hosts import allowed_hosts, trusted_proxies, visitor
from app.serving.jobs import NO_MEMORY
from app.serving.listeners import MAX_SHARE, TOO_MANY
from app.serving.refused import Refused
from drn.errors import InputError
from drn.image import Array, Picture
from drn.upscaler import Upscaler
from drn.writing import write_image
from tests.helpers.hub_server import wait_until
from tools.asking import answers
from tools.load import ROOT

pytestmark = pytest.mark.slow

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def page() -> Iterator[gr.Blocks]:
    page = build()
    launch(page, block=False)
    yield page
    page.close()


@pytest.fixture(scope="module")
def web(page: gr.Blocks) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=str(page.local_url), timeout=20) as web:
        yield web


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make jobs run until this event is set."""
    release = threading.Event()

    def work(self: Upscaler, picture: Picture, **options: Any) -> Picture:
        while not options["cancelled"]() and not release.is_set():
            time.sleep(0.02)
        raise InputError("enough")

    monkeypatch.setattr(Upscaler, "upscale_picture", work)
    yield release
    release.set()


@pytest.fixture
def stored(web: httpx.Client, photo: Array, tmp_path: Path) -> dict[str, Any]:
    """An upload in the form that events use."""
    write_image(tmp_path / "small.png", Picture(photo))
    with (tmp_path / "small.png").open("rb") as file:
        (path,) = web.post("/gradio_api/upload", files={"files": file}).json()
    return {"path": path, "meta": META}


def index_of(web: httpx.Client, api_name: str) -> int:
    events = web.get("/config").json()["dependencies"]
    return next(int(event["id"]) for event in events if event["api_name"] == api_name)


def join(web: httpx.Client, session: str, event: str, data: list[Any], **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"fn_index": index_of(web, event), "session_hash": session, "data": data, **more}
    return web.post("/gradio_api/queue/join", json=body, headers=headers)


def event(**members: Any) -> bytes:
    return json.dumps({"data": [], **members}).encode()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"1", b"{", b"\xff", b"[" * 60_000, b'{"data": [' + b"9" * 5000 + b"]}"),
        *(event(session_hash=token) for token in ("x" * 37, "A", "../x", "a_b", "", 7, ["x"], {"x": 1})),
        *(event(event_id=token) for token in ("x" * 32, "0" * 31, "0" * 33, 1)),
        *(event(fn_index=number) for number in ("1", -1, 10**9, True, 1.5)),
        *(event(trigger_id=number) for number in ("1", -1, 10**9)),
        *(event(data=[value]) for value in ("x" * (MAX_TEXT + 1), {"x" * (MAX_TEXT + 1): 1}, 1e300, -(10**16))),
        *(
            event(data=[value])
            for value in (float("nan"), float("inf"), 10**400, [0] * MAX_VALUES, [[[[[[[[[[[[1]]]]]]]]]]]])
        ),
        event(event_data={str(index): index for index in range(MAX_VALUES)}),
    ],
)
def test_malformed_events_are_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        checked_event(body)
    assert refused.value.status in (400, 413)


def test_gradio_receives_only_the_checked_part_of_an_event() -> None:
    body = b'{"data": ["x"], "data": ["y"], "session_hash": "a-1", "batched": true, "oauth_token": "t", "fn_index": 3}'
    assert json.loads(checked_event(body)) == {"data": ["y"], "session_hash": "a-1", "fn_index": 3}


def test_malformed_viewport_events_are_refused(web: httpx.Client) -> None:
    events = web.get("/config").json()["dependencies"]
    viewports = [event for event in events if any(kind == "viewport" for _, kind in event["targets"])]
    assert len(viewports) == 1  # the Upscale tab has no numbers
    region = {"x": 0, "y": 0, "width": 9, "height": 9}
    for index, seen in enumerate(
        [
            *({"token": token, "region": region} for token in ("x" * 16, "0" * 17, "<b>", 7, None, ["0" * 16])),
            *({"token": "0" * 16, "region": {**region, "width": width}} for width in (10**7, "9" * 1000, None)),
            *({}, None, {"token": "0" * 16}),
        ]
    ):
        for viewport in viewports:
            session = f"seen-{viewport['id']}-{index}"
            body = {"fn_index": viewport["id"], "session_hash": session, "data": [None], "event_data": seen}
            assert web.post("/gradio_api/queue/join", json=body).status_code == 200
            told = answers(web, session)
            assert '"success":false' in told
            assert "xxxx" not in told and "9" * 40 not in told and "<b>" not in told


@pytest.mark.parametrize("session", ["", "A", "x" * 37, "a/b", "a%00", "../../x"])
def test_streams_accept_only_well_formed_names(web: httpx.Client, session: str) -> None:
    for path in (f"/gradio_api/queue/data?session_hash={session}", f"/gradio_api/heartbeat/{session}"):
        assert web.get(path).status_code in (400, 404)
    assert web.get(f"/gradio_api/call/upscale/{session}").status_code == 404


def test_no_inputs_are_kept_in_the_state_of_a_visitor(page: gr.Blocks, web: httpx.Client) -> None:
    marker = "marker-of-the-visitor"
    assert join(web, "kept", "compare", [None, "2", False, marker]).status_code == 200
    assert "error" in answers(web, "kept")
    assert "kept" in page.state_holder.session_data
    assert marker not in str(page.state_holder.session_data["kept"].config_values)


def test_answers_that_are_not_fetched_are_dropped(
    page: gr.Blocks, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "QUIET_ANSWERS", 2.0)
    kept, ids = page._queue.pending_messages_per_session, page._queue.pending_event_ids_session
    assert join(web, "quiet-1", "when_settled", []).status_code == 200
    assert "quiet-1" in kept
    wait_until(lambda: "quiet-1" not in kept and "quiet-1" not in ids)
    # A visitor who returns in time receives them.
    assert join(web, "quiet-2", "when_settled", []).status_code == 200
    assert "process_completed" in answers(web, "quiet-2")


def test_a_session_with_too_many_unread_messages_is_dropped(
    page: gr.Blocks, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MAX_UNREAD", 5)
    for _ in range(5):
        join(web, "unread", "when_settled", [])
    wait_until(lambda: "unread" not in page._queue.pending_messages_per_session)


def test_jobs_without_a_listener_are_stopped(
    page: gr.Blocks,
    web: httpx.Client,
    stored: dict[str, Any],
    slow: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "QUIET_JOBS", 1.0)
    for session in ("left-1", "left-2"):
        assert join(web, session, "upscale", [stored, "2", False, "auto"]).status_code == 200
    call = web.post("/gradio_api/call/upscale", json={"data": [stored, "2", False, "auto"]}).json()["event_id"]
    slow_seen = threading.Event()
    told: list[str] = []

    def listen() -> None:
        with web.stream("GET", f"/gradio_api/call/upscale/{call}") as stream:
            for line in stream.iter_lines():
                told.append(line)
                if "generating" in line:
                    slow_seen.set()

    listener = threading.Thread(target=listen)
    listener.start()
    # The job starts, although the two earlier jobs never end by themselves. It continues, because it has a listener.
    assert slow_seen.wait(15)
    time.sleep(2.5)
    assert len(page._queue.event_ids_to_events) == 1
    slow.set()
    listener.join(10)
    assert any("enough" in line for line in told)


def test_one_visitor_can_use_half_of_the_queue(
    page: gr.Blocks, web: httpx.Client, stored: dict[str, Any], slow: threading.Event
) -> None:
    one, other = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}

    def ask(session: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return join(web, session, "upscale", [stored, "2", False, "auto"], headers=headers or {})

    statuses = [ask(f"s-{number}", one).status_code for number in range(MAX_SHARE + 2)]
    assert statuses == [200] * MAX_SHARE + [503] * 2
    assert ask("other", other).status_code == 200
    statuses = [ask("same").status_code for number in range(14)]
    assert statuses == [200] * 14
    slow.set()
    wait_until(lambda: not page._queue.event_ids_to_events)
    slow.clear()
    refused = [ask("same") for number in range(MAX_SHARE + 1)][-1]
    assert (refused.status_code, refused.json()["detail"]) == (503, TOO_MANY)


def test_one_address_cannot_displace_the_states_of_others(page: gr.Blocks, web: httpx.Client) -> None:
    mine = {"X-Forwarded-For": "203.0.113.9"}
    join(web, "mine", "when_settled", [], headers=mine)
    wait_until(lambda: "mine" in page.state_holder.session_data)
    index = next(
        event["id"]
        for event in web.get("/config").json()["dependencies"]
        if event["backend_fn"] and not event["queue"] and len(event["inputs"]) == 1
    )
    for number in range(listeners.MAX_STATES_EACH + 20):
        body = {"fn_index": index, "session_hash": f"flood-{number}", "data": [None]}
        web.post("/gradio_api/run/predict", json=body, headers={"X-Forwarded-For": "203.0.113.10"})
    kept = [session for session in page.state_holder.session_data if session.startswith("flood-")]
    assert len(kept) <= listeners.MAX_STATES_EACH
    assert "mine" in page.state_holder.session_data


def answer_within(connection: socket.socket, seconds: float) -> bytes | None:
    """Return the answer of the server; empty if it closes the connection without one, None if it keeps it open."""
    connection.settimeout(seconds)
    try:
        return connection.recv(100_000)
    except TimeoutError:
        return None
    except OSError:
        return b""


@pytest.mark.parametrize(
    "piece",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
        b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_incomplete_requests_are_ended(web: httpx.Client, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PIECE_SECONDS", 0.5)
    with socket.create_connection((web.base_url.host, web.base_url.port or 80)) as connection:
        connection.sendall(piece)
        told = b""
        while piece_told := answer_within(connection, 3):
            told += piece_told
        assert piece_told == b"", "the connection stays open"
    expected = 408 if b"queue/join" in piece else 404 if b"nothing" in piece else 200 if b"robots" in piece else None
    assert expected is None or f"HTTP/1.1 {expected}".encode() in told


def test_a_kept_connection_serves_several_requests(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PIECE_SECONDS", 0.5)
    for _ in range(3):
        assert web.get("/robots.txt").status_code == 200
        time.sleep(0.3)


def test_the_number_of_connections_is_limited(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "max_connections", lambda: 8)
    address = (web.base_url.host, web.base_url.port or 80)
    opened = [socket.create_connection(address) for _ in range(12)]
    try:
        closed = [connection for connection in opened if answer_within(connection, 0.5) == b""]
        assert 4 <= len(closed) < 12
    finally:
        for connection in opened:
            connection.close()


def test_one_address_has_a_share_of_the_connections(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "max_connections_each", lambda: 8)
    monkeypatch.setattr(connections, "visitor", lambda _: "203.0.113.1")
    monkeypatch.setattr(connections, "trusted_hosts", lambda _: {"203.0.113.9"})
    address = (web.base_url.host, web.base_url.port or 80)
    for _ in range(2):
        opened = [socket.create_connection(address) for _ in range(12)]
        try:
            assert 4 <= sum(answer_within(connection, 0.5) == b"" for connection in opened) < 12
        finally:
            for connection in opened:
                connection.close()
        wait_until(lambda: "203.0.113.1" not in connections.PatientProtocol._of_address)
    monkeypatch.setattr(connections, "trusted_hosts", lambda _: {"127.0.0.1"})  # a proxy has no limit
    with ExitStack() as proxied:
        opened = [proxied.enter_context(socket.create_connection(address)) for _ in range(12)]
        assert not any(answer_within(connection, 0.1) == b"" for connection in opened)


def test_one_address_has_a_share_of_the_requests(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "max_connections_each", lambda: 3)
    one, other = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}
    with ExitStack() as opened:
        held = [
            opened.enter_context(web.stream("GET", f"/gradio_api/heartbeat/held-{number}", headers=one))
            for number in range(5)
        ]
        assert [stream.status_code for stream in held] == [200] * 3 + [503] * 2
        assert json.loads(held[-1].read()) == {"detail": connections.MANY_REQUESTS}
        assert web.get("/", headers=one).status_code == 503
        assert web.get("/", headers=other).status_code == 200
    wait_until(lambda: not connections._requests)
    assert web.get("/", headers=one).status_code == 200


def test_the_soft_limit_on_open_files_is_raised() -> None:
    code = "from app.serving.connections import raise_file_limit; raise_file_limit(); import resource as r; "
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = subprocess.run(
        [sys.executable, "-c", code + "print(r.getrlimit(r.RLIMIT_NOFILE)[0])"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(hard)
    assert "raise_file_limit()" in (ROOT / "app" / "main.py").read_text(encoding="utf-8")


def test_the_same_message_is_logged_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("app.serving.connections.time.monotonic", lambda: now)
    once = OncePerSecond()

    def passes(text: str) -> bool:
        return once.filter(logging.LogRecord("x", logging.ERROR, "", 0, "%s", (text,), None))

    assert [passes("a"), passes("a"), passes("b"), passes("b")] == [True, False, True, False]
    now = 1.5
    assert [passes("a"), passes("a")] == [True, False]


def test_many_failing_requests_write_few_lines_to_the_log(web: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    for _ in range(60):
        web.post("/gradio_api/queue/join", json={"data": [], "fn_index": 99_999, "session_hash": "lines"})
        with socket.create_connection((web.base_url.host, web.base_url.port or 80)) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
    lines = "".join(capfd.readouterr()).count("\n")
    assert lines <= 2 * (time.monotonic() - start + 1) + 2


def test_the_log_does_not_quote_damaged_forms(web: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    damaged = (b"--b\r\nX-\xff: a\r\n\r\n", b"--bx" * 9, b"--b\r\nA: b\rc", b"--b\r\n" + b"A: b\r\n" * 99)
    for content in damaged:
        answer = web.post(
            "/gradio_api/upload", content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert (answer.status_code, answer.json()["detail"]) == (400, "The form is damaged: send the file again.")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host"])
@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST:1")),
        *((host, False) for host in ("evil.example", "localhost.evil.example", "localhost@evil.example")),
        *(
            (host, False)
            for host in ("evil.example, localhost", "a b", "localhost:x", "2130706433", "127.1", "10.0.0.1")
        ),
    ],
)
def test_only_allowed_host_names_are_answered(web: httpx.Client, name: str, host: str, allowed: bool) -> None:
    answer = web.get("/config", headers={name: host})
    assert answer.status_code == (200 if allowed else 421)
    assert "evil.example" not in answer.text
    if not allowed:
        assert answer.json()["detail"].startswith("This server does not accept this host name")


def test_no_other_header_becomes_an_address(web: httpx.Client) -> None:
    for name in ("X-Gradio-Server", "X-Original-Host", "Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Server"):
        assert "evil.example" not in web.get("/config", headers={name: "http://evil.example"}).text
    for query in ("deep_link=evil.example", "page=evil.example", "__theme=evil.example"):
        assert "evil.example" not in web.get(f"/?{query}").text


def test_hosts_come_from_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRN_HOSTS", "drn.example.org, Other.Example.org")
    monkeypatch.setenv("SPACE_HOST", "user-drn.hf.space")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "192.0.2.7")
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://proxy.example.org/drn")
    names = {"drn.example.org", "other.example.org", "user-drn.hf.space", "192.0.2.7", "localhost", "::1"}
    names.add("proxy.example.org")
    assert names <= allowed_hosts()
    monkeypatch.setenv("DRN_HOSTS", "")
    assert "drn.example.org" not in allowed_hosts()
    assert "" not in allowed_hosts()


@pytest.mark.parametrize(("unsent", "closed_after"), [(0, 0.05), (64_000, 0.2)])
def test_an_idle_connection_ends_after_the_visitor_received_the_answer(
    monkeypatch: pytest.MonkeyPatch, unsent: int, closed_after: float
) -> None:
    monkeypatch.setattr(connections, "PIECE_SECONDS", 0.05)
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.2)
    transport = Mock(spec=asyncio.Transport)
    transport.get_write_buffer_size.return_value = unsent
    transport.get_extra_info.return_value = None

    async def wait_for_the_end() -> float:
        start, ended = time.monotonic(), asyncio.Event()
        transport.abort.side_effect = ended.set
        config = uvicorn.Config(Mock(), log_config=None)
        config.load()
        protocol = connections.PatientProtocol(config, ServerState(), {})
        protocol.connection_made(transport)
        await asyncio.wait_for(ended.wait(), 5)
        return time.monotonic() - start

    assert closed_after <= asyncio.run(wait_for_the_end()) < closed_after + 0.1


def test_the_proxy_of_a_space_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACE_HOST", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    assert trusted_proxies() == "127.0.0.1,::1"
    monkeypatch.setenv("SPACE_HOST", "user-drn.hf.space")
    assert "10.0.0.0/8" in trusted_proxies()
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")
    assert trusted_proxies() == "192.0.2.1"


def test_a_visitor_who_does_not_receive_the_answer_is_disconnected(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = web.post("/gradio_api/upload", files={"files": ("a.png", bytes(19_000_000))}).json()
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.5)
    with socket.create_connection((web.base_url.host, web.base_url.port or 80), timeout=10) as connection:
        connection.sendall(f"GET /gradio_api/file={path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(2.5)
        taken = 0
        while piece := answer_within(connection, 5):
            taken += len(piece)
        assert piece == b"", "the connection stays open"
        assert taken < 19_000_000


def test_other_sites_can_neither_read_answers_nor_send_requests(web: httpx.Client) -> None:
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "file://"):
        answer = web.get("/config", headers={"Origin": origin})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        asked = web.options("/gradio_api/upload", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert asked.status_code == 404
        assert not [name for name in asked.headers if name.startswith("access-control")]
        file = {"files": ("a.png", b"x")}
        assert web.post("/gradio_api/upload", files=file, headers={"Origin": origin}).status_code == 403
    own = {"Origin": str(web.base_url).rstrip("/")}
    assert web.post("/gradio_api/upload", files={"files": ("a.png", b"x")}, headers=own).status_code == 200


@pytest.mark.parametrize(
    ("client", "address"),
    [
        *((("203.0.113.1", 1), "203.0.113.1"), (("172.32.0.1", 1), "172.32.0.1")),
        *((("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"), (("2001:db8:1:2::1%eth0", 1), "2001:db8:1:2::/64")),
        *((("::ffff:203.0.113.1", 1), "203.0.113.1"), (("::ffff:10.0.0.1", 1), None), (("fe80::1%eth0", 1), None)),
        *((("100.64.0.1", 1), None), (("169.254.1.1", 1), None)),
        *((("127.0.0.1", 1), None), (("::1", 1), None), (("172.17.0.1", 1), None), (None, None), (("x", 1), None)),
    ],
)
def test_visitors_are_told_apart_by_address(client: tuple[str, int] | None, address: str | None) -> None:
    assert visitor({"type": "http", "client": client}) == address


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 bytes")])
@pytest.mark.parametrize("api_name", ["/upscale", "/compare"])
def test_a_lack_of_memory_is_reported(
    web: httpx.Client,
    photo: Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    api_name: str,
) -> None:
    def fail(*_: object, **__: object) -> Array:
        raise error

    write_image(tmp_path / "small.png", Picture(photo))
    client = Client(str(web.base_url), verbose=False, analytics_enabled=False)
    monkeypatch.setattr(Upscaler, "upscale", fail)
    with pytest.raises(AppError) as told:
        client.predict(handle_file(str(tmp_path / "small.png")), "2", api_name=api_name)
    assert str(told.value) == NO_MEMORY
