"""The streams that carry answers to pages, on a running server."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from app.serving import listeners
from app.serving.listeners import CLOSING_SECONDS

pytestmark = pytest.mark.slow


class Session:
    """A page that reads the answers to its events slowly."""

    def __init__(self, web: httpx.Client, name: str) -> None:
        self.web, self.name = web, name
        events = web.get("/config").json()["dependencies"]
        self.event = next(event["id"] for event in events if event["api_name"] == "when_settled")

    def join(self) -> None:
        """Send an event, and wait until it is accepted."""
        body = {"fn_index": self.event, "session_hash": self.name, "data": []}
        self.web.post("/gradio_api/queue/join", json=body).raise_for_status()

    def answers(self) -> Generator[str, None, None]:
        """Read the stream of answers; the end of the iteration ends the request."""
        with self.web.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.name}) as answer:
            yield from filter(None, answer.iter_lines())


@pytest.fixture
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as web:
        yield web


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def closing(session: Session, pool: ThreadPoolExecutor) -> tuple[Generator[str, None, None], Future[None]]:
    """Read a stream up to its last message, then send an event while the request is still open."""
    session.join()
    answers = session.answers()
    assert any("close_stream" in answer for answer in answers)
    return answers, pool.submit(session.join)


def test_an_event_is_accepted_when_the_page_has_closed_the_former_stream(
    web: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    session = Session(web, "closing")
    answers, joined = closing(session, pool)
    time.sleep(0.5)
    assert not joined.done()
    other = Session(web, "other")
    other.join()  # only events of the same session wait
    answers.close()
    joined.result(CLOSING_SECONDS / 2)
    assert any("process_completed" in answer for answer in session.answers())


def test_a_page_that_leaves_its_stream_open_waits_a_limited_time(
    web: httpx.Client, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CLOSING_SECONDS", 0.5)
    session = Session(web, "open")
    answers, joined = closing(session, pool)
    joined.result(5)
    assert next(answers, None) is None  # the server has ended the stream
    assert any("process_completed" in answer for answer in session.answers())
