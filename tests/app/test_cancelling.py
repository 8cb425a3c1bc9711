"""Jobs that are cancelled by their token."""

from __future__ import annotations

from collections.abc import Generator

import gradio as gr
import pytest

from app.cancelling import MAX_CANCELLED, CancelledTokens, Step, steps_until_cancelled

TOKEN = "0123456789abcdef" * 2


def token_number(number: int) -> str:
    return f"{number:032x}"


def test_a_job_stops_when_its_token_is_cancelled_and_no_other() -> None:
    closed = []

    def job(name: str) -> Generator[Step, None, None]:
        try:
            for number in range(3):
                yield Step(f"{name} {number}")
        finally:
            closed.append(name)

    cancelled = CancelledTokens()
    steps = steps_until_cancelled(job, cancelled, TOKEN, ["a"])
    assert next(steps) == {"token": TOKEN, "status": "a 0", "values": None, "isLast": False}
    cancelled.add(token_number(1))
    assert next(steps)["status"] == "a 1"
    cancelled.add(TOKEN)
    assert (list(steps), closed) == ([], ["a"])
    assert TOKEN not in cancelled, "the token of a job that ended is kept"
    assert [step["status"] for step in steps_until_cancelled(job, cancelled, TOKEN, ["b"])] == ["b 0", "b 1", "b 2"]


def test_a_job_that_was_cancelled_before_it_arrived_does_not_start() -> None:
    started = []

    def job() -> Generator[Step, None, None]:
        started.append(True)
        yield Step("")

    cancelled = CancelledTokens()
    cancelled.add(TOKEN)
    assert not list(steps_until_cancelled(job, cancelled, TOKEN, []))
    assert not started


def test_the_error_of_a_cancelled_job_is_not_shown() -> None:
    def job() -> Generator[Step, None, None]:
        yield Step("")
        raise gr.Error("late")

    cancelled = CancelledTokens()
    steps = steps_until_cancelled(job, cancelled, TOKEN, [])
    next(steps)
    with pytest.raises(gr.Error, match="late"):
        next(steps)
    steps = steps_until_cancelled(lambda: late_error(cancelled), cancelled, TOKEN, [])
    assert [step["status"] for step in steps] == ["before"]


def late_error(cancelled: CancelledTokens) -> Generator[Step, None, None]:
    """Fail at a moment after the cancellation, which the job notices only afterwards."""
    yield Step("before")
    cancelled.add(TOKEN)
    raise gr.Error("late")


@pytest.mark.parametrize("token", ["", "a", "0" * 33, "0" * 31 + "g", "../" + "0" * 29, "0" * 32 + "\n"])
def test_other_texts_are_not_tokens(token: str) -> None:
    cancelled = CancelledTokens()
    cancelled.add(token)
    assert token not in cancelled
    with pytest.raises(gr.Error, match="does not understand"):
        list(steps_until_cancelled(lambda: iter(()), cancelled, token, []))  # type: ignore[arg-type, return-value]


def test_the_number_of_cancelled_tokens_is_limited() -> None:
    cancelled = CancelledTokens()
    for number in range(MAX_CANCELLED + 2):
        cancelled.add(token_number(number))
    kept = [token_number(number) in cancelled for number in (0, 1, 2, MAX_CANCELLED + 1)]
    assert kept == [False, False, True, True]
