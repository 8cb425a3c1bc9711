"""The streams that carry answers to pages, on a running server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.serving import listeners
from app.serving.listeners import CLOSE, ClosingStreams

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
    web: httpx.Client, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CLOSING_SECONDS", 60)
    session = Session(web, "closing")
    answers, joined = closing(session, pool)
    Session(web, "other").join()  # only events of the same session wait
    time.sleep(0.5)
    assert not joined.done()
    answers.close()
    joined.result(20)
    assert any("process_completed" in answer for answer in session.answers())


def test_a_page_that_leaves_its_stream_open_waits_a_limited_time_and_at_most_twice(
    web: httpx.Client, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CLOSING_SECONDS", 2)
    session = Session(web, "open")
    for _ in range(2):
        answers, joined = closing(session, pool)
        time.sleep(0.5)
        assert not joined.done()
        assert next(answers, None) is None  # the server has ended the stream
        joined.result(20)
    monkeypatch.setattr(listeners, "CLOSING_SECONDS", 60)
    _, joined = closing(session, pool)
    joined.result(20)


def test_an_event_waits_for_every_closing_stream_of_its_session() -> None:
    asyncio.run(_close_two_streams())


async def _close_two_streams() -> None:
    streams, ends = ClosingStreams(), [asyncio.Event(), asyncio.Event()]
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": CLOSE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        sent.append(message)

    def stream(end: asyncio.Event) -> asyncio.Task[None]:
        async def receive() -> Message:
            await end.wait()
            return {"type": "http.disconnect"}

        return asyncio.create_task(streams.serve("twice", app, {}, receive, send))

    served = [stream(end) for end in ends]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(streams.wait_until_closed("twice"))
    await asyncio.wait_for(streams.wait_until_closed("another"), 5)
    ends[0].set()
    await asyncio.wait_for(served[0], 5)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    ends[1].set()
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(served[1], 5)
    assert [message["more_body"] for message in sent] == [True, True, False, False]
