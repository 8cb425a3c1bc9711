"""The upload route: it stores one file, reserves room for it, and leaves no parts of failed uploads."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.routes import file_upload_statuses
from gradio_client import Client, handle_file

from app.serving import cache, uploads
from app.serving.guard import MULTIPART_BYTES, UPLOAD_SLOW
from app.serving.limits import MAX_UPLOAD_BYTES
from app.serving.uploads import NO_ROOM, safe_name
from drn.image import Array, Picture
from drn.writing import write_image
from tests.helpers.hub_server import wait_until
from tests.helpers.storage import stored_files
from tools.load import served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as web:
        yield web


def begin(web: httpx.Client, length: int = 100_000, headers: str = "") -> socket.socket:
    """Begin an upload: send the head of its form only."""
    connection = socket.create_connection((web.base_url.host, web.base_url.port or 80), timeout=20)
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    form = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    connection.sendall(f"{head}Content-Length: {length}\r\n{headers}\r\n{form}".encode())
    return connection


def test_an_upload_is_stored_unchanged_at_a_path_that_cannot_be_guessed(web: httpx.Client) -> None:
    paths = [
        Path(*web.post("/gradio_api/upload", files={"files": ("ä <b>.png", b"\0\r\n--b--\xff" * 9000)}).json())
        for _ in range(2)
    ]
    assert {path.read_bytes() for path in paths} == {b"\0\r\n--b--\xff" * 9000}
    assert paths[0].parent != paths[1].parent, "the path of the same file could be guessed"
    assert {len(path.parent.name) for path in paths} == {32}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("../../x.png", "x.png"),
        ("C:\\a\\x.png", "x.png"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        (".partial", "partial"),
        ("a\0b\n.png", "ab.png"),
        ("small one.png", "small one.png"),
    ],
)
def test_file_names_are_made_safe(given: str, stored: str) -> None:
    assert safe_name(given) == stored


def test_long_names_are_cut() -> None:
    assert len(safe_name("ä" * 3000 + ".png").encode()) <= 200


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"files": [("files", ("a.png", b"x")), ("files", ("b.png", b"x"))]}, "The form holds several files"),
        ({"files": {"files": ("a.png", b"x")}, "data": {"more": "text"}}, "The form holds "),
        ({"files": {"files": (None, b"text")}}, "The form holds no file"),
        ({"content": b"{}"}, "The request is not a form with a file"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "The request is not a form"),
        ({"content": b"x" * 99, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "The form is damaged"),
        (
            {"content": b"x", "headers": {"Content-Type": f"multipart/form-data; boundary={'b' * 999}"}},
            "The form is da",
        ),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "The form is not complete"),
    ],
)
def test_other_forms_are_refused_and_leave_no_files(web: httpx.Client, form: dict[str, Any], sentence: str) -> None:
    before = stored_files()
    answer = web.post("/gradio_api/upload", **form)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(sentence)
    assert stored_files() == before


def test_uploads_that_are_broken_off_leave_no_files(web: httpx.Client) -> None:
    before = stored_files()
    for _ in range(5):
        with begin(web) as connection:
            connection.sendall(bytes(50_000))
    wait_until(lambda: stored_files() == before and cache._reserved == 0 and not uploads._under_way)


def test_uploads_that_stall_are_ended_and_leave_no_files(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored_files()
    monkeypatch.setattr("app.serving.connections.PIECE_SECONDS", 0.5)
    with begin(web) as connection:
        connection.sendall(bytes(5000))
        assert b"408" in connection.recv(1000)
    monkeypatch.setattr("app.serving.connections.PIECE_SECONDS", 15.0)
    monkeypatch.setattr("app.serving.connections.REQUEST_SECONDS", 1.0)
    with begin(web) as connection:
        started = time.monotonic()
        told = b""
        connection.settimeout(0.2)
        while not told and time.monotonic() < started + 5:  # sending a piece from time to time does not prolong it
            connection.sendall(b"x")
            try:
                told = connection.recv(1000)
            except TimeoutError:
                continue
        assert b"408" in told
    wait_until(lambda: stored_files() == before)


@pytest.mark.parametrize(("piece", "status", "told"), [(320, 200, "a.png"), (32, 408, UPLOAD_SLOW)])
def test_a_steady_upload_may_take_longer(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch, piece: int, status: int, told: str
) -> None:
    monkeypatch.setattr("app.serving.connections.REQUEST_SECONDS", 0.5)
    monkeypatch.setattr("app.serving.connections.UPLOAD_RATE", 1000)
    form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    end = b"\r\n--b--\r\n"

    def pieces() -> Iterator[bytes]:
        yield form
        for _ in range(10):  # 2 s in all, at 1.6 or 0.16 times the rate
            yield bytes(piece)
            time.sleep(0.2)
        yield end

    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(form) + 10 * piece + len(end)),
    }
    answer = web.post("/gradio_api/upload", content=pieces(), headers=headers)
    assert answer.status_code == status
    assert told in answer.text


def test_a_full_disk_leaves_no_part_of_an_upload(tmp_path: Path, photo: Array) -> None:
    write_image(tmp_path / "small.png", Picture(photo[:20, :20]))
    with served(GRADIO_TEMP_DIR=str(tmp_path / "cache")) as (server, url), httpx.Client(base_url=url) as web:
        before = set((tmp_path / "cache").rglob("*"))
        # The operating system limits the server to files of this size.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
        for size in (50_000, 400_000, 10_000_000):
            answer = web.post("/gradio_api/upload", files={"files": ("large.png", bytes(size))}, timeout=20)
            assert (answer.status_code, answer.json()) == (503, {"detail": NO_ROOM})
        assert set((tmp_path / "cache").rglob("*")) == before
        client = Client(url, verbose=False, analytics_enabled=False)
        assert client.predict(handle_file(str(tmp_path / "small.png")), "2", api_name="/upscale")


def test_uploads_in_flight_count_before_they_are_written(web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in stored_files():
        if path.is_file() and not cache.is_own_file(str(path)):
            path.unlink()
    held = sum(max(path.stat().st_size, cache.LEAST_BYTES) for path in stored_files() if path.is_file())
    monkeypatch.setattr(cache, "MAX_STORED_BYTES", held + 250_000)
    with ExitStack() as opened:
        for number in range(2):
            opened.enter_context(begin(web))
            wait_until(lambda: cache._reserved == (number + 1) * 100_000)  # noqa: B023
        answer = web.post("/gradio_api/upload", files={"files": ("a.png", bytes(60_000))})
        assert (answer.status_code, answer.json()) == (503, {"detail": NO_ROOM})
    wait_until(lambda: cache._reserved == 0)
    assert web.post("/gradio_api/upload", files={"files": ("a.png", bytes(60_000))}).status_code == 200


def test_the_number_of_uploads_at_the_same_time_is_limited_in_all_and_for_each_address(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_AT_ONCE", 5)
    monkeypatch.setattr(uploads, "MAX_AT_ONCE_EACH", 2)
    file = {"files": ("a.png", b"x")}
    one, other = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}
    with ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(begin(web, headers="X-Forwarded-For: 203.0.113.1\r\n"))
        wait_until(lambda: uploads._under_way.total() == 2)
        refused = web.post("/gradio_api/upload", files=file, headers=one)
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith("The server already receives as many files as it can")
        assert web.post("/gradio_api/upload", files=file, headers=other).status_code == 200
        for _ in range(3):
            opened.enter_context(begin(web))
        wait_until(lambda: uploads._under_way.total() == 5)
        assert web.post("/gradio_api/upload", files=file, headers=other).status_code == 503
    wait_until(lambda: not uploads._under_way)


def test_an_address_with_many_uploads_loses_its_own_oldest_ones(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_STORED_EACH", 250_000)

    def send(address: str) -> Path:
        form = {"files": ("a.png", bytes(100_000))}
        return Path(*web.post("/gradio_api/upload", files=form, headers={"X-Forwarded-For": address}).json())

    other = send("203.0.113.50")
    own = [send("203.0.113.51") for _ in range(4)]
    assert [path.exists() for path in own] == [False, False, True, True]
    assert other.exists()


def test_the_folder_has_room_for_all_uploads_at_the_same_time() -> None:
    assert uploads.MAX_AT_ONCE * (MAX_UPLOAD_BYTES + MULTIPART_BYTES) < cache.MAX_STORED_BYTES


def test_the_progress_of_an_upload_is_sent_and_then_dropped(web: httpx.Client) -> None:
    told: list[str] = []

    def listen() -> None:
        told.append(web.get("/gradio_api/upload_progress", params={"upload_id": "abc1"}).text)

    listener = threading.Thread(target=listen)
    listener.start()
    time.sleep(0.3)
    assert web.post("/gradio_api/upload?upload_id=abc1", files={"files": ("a.png", bytes(9000))}).status_code == 200
    listener.join(10)
    assert '"msg": "done"' in told[0]
    assert web.get("/gradio_api/upload_progress", params={"upload_id": "never"}).status_code == 404
    wait_until(lambda: not {"abc1", "never"} & set(file_upload_statuses._signals))
    assert "abc1" not in file_upload_statuses._statuses
    for malformed in ("x" * 33, "A", "../a", ""):
        assert web.get("/gradio_api/upload_progress", params={"upload_id": malformed}).status_code == 400
        assert web.post("/gradio_api/upload", params={"upload_id": malformed}).status_code == 400
