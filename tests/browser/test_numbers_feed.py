"""The viewer's requests for numbers: when they are sent, and which answer is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.browsing import viewer_scripts

CLOCK = """() => {
    window.time = 1000;
    let last = 0;
    const timers = new Map();
    window.clock = {
        now: () => time,
        start: (action, delay) => { timers.set(++last, { action, at: time + delay }); return last; },
        stop: (timer) => timers.delete(timer),
    };
    window.wait = (ms) => {
        const end = time + ms;
        for (;;) {
            const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
            if (!due) break;
            timers.delete(due[0]);
            time = due[1].at;
            due[1].action();
        }
        time = end;
    };
    window.restart = () => {
        timers.clear();
        window.time = 1000;
        window.sent = [];
        window.feed = new NumbersFeed((event) => sent.push([time - 1000, event.token, event.region.x]), clock);
    };
    window.region = (x) => ({ x, y: 2, width: 30, height: 20 });
    window.ask = (x, token = "a") => feed.ask({ token, region: region(x) });
    window.answer = (x, token = "a") =>
        feed.receive({ region: region(x), token, scores: { drn: { seconds: x } } });
    window.shown = (token = "a") => feed.numbersOf(token)?.scores.drn?.seconds ?? null;
}"""
"""A clock that changes only in ``wait``. Regions differ in ``x``, and answers contain ``x`` as their seconds."""


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    with viewer_scripts(browser, "numbers") as page:
        page.evaluate(CLOCK)
        yield page


def run(page: Page, script: str) -> Any:
    """Run JavaScript with a new feed; ``sent`` lists [ms, token, x] of each request."""
    return page.evaluate(f"() => {{ restart(); {script} }}")


def test_one_question_is_open_at_a_time_and_the_next_is_about_the_newest_region(scripts: Page) -> None:
    sent, shown = run(
        scripts,
        """ask(1); wait(100); ask(2); wait(50); ask(3); wait(500);
        const before = [...sent];
        answer(1); wait(1);
        return [[before, sent], shown()]""",
    )
    assert sent == [[[30, "a", 1]], [[30, "a", 1], [650, "a", 3]]]
    assert shown == 1  # the numbers follow the view while it moves


def test_questions_keep_their_distance(scripts: Page) -> None:
    sent = run(
        scripts,
        """ask(1); wait(30); answer(1); ask(2); wait(20); ask(3); wait(99);
        const before = [...sent]; wait(1);
        return [before, sent]""",
    )
    assert sent == [[[30, "a", 1]], [[30, "a", 1], [150, "a", 3]]]


def test_numbers_are_fresh_when_they_are_those_of_the_region_in_view(scripts: Page) -> None:
    states = run(
        scripts,
        """const states = [feed.isFresh];
        ask(1); states.push(feed.isFresh); wait(30); answer(1); states.push(feed.isFresh);
        ask(2); states.push(feed.isFresh); wait(200); answer(2); states.push(feed.isFresh);
        return states""",
    )
    assert states == [False, False, True, False, True]


def test_a_region_that_comes_back_is_not_asked_again(scripts: Page) -> None:
    sent, fresh, wanted = run(
        scripts,
        "ask(1); wait(30); answer(1); ask(2); ask(1); wait(9000); return [sent, feed.isFresh, JSON.parse(feed.wanted)]",
    )
    assert sent == [[30, "a", 1]]
    assert fresh
    assert wanted == {"token": "a", "region": {"x": 1, "y": 2, "width": 30, "height": 20}}


def test_a_question_without_an_answer_is_asked_again(scripts: Page) -> None:
    sent = run(scripts, "ask(1); wait(30); wait(5000); ask(2); wait(5000); answer(2); wait(20000); return sent")
    assert sent == [[30, "a", 1], [5030, "a", 1], [10030, "a", 2]]


def test_new_images_are_asked_about_at_once(scripts: Page) -> None:
    sent, old, new = run(
        scripts, "ask(1); wait(30); ask(1, 'b'); wait(200); answer(1, 'b'); return [sent, shown(), shown('b')]"
    )
    assert sent == [[30, "a", 1], [150, "b", 1]]
    assert (old, new) == (None, 1)


def test_a_late_answer_does_not_replace_the_numbers_of_the_region_in_view(scripts: Page) -> None:
    fresh, shown = run(
        scripts,
        "ask(1); wait(30); ask(1, 'b'); wait(200); answer(1, 'b'); answer(1); return [feed.isFresh, shown('b')]",
    )
    assert fresh
    assert shown == 1


def test_an_answer_that_came_early_is_used_when_its_region_is_asked_for(scripts: Page) -> None:
    """Gradio does not report an answer that equals the previous answer, so it would never arrive."""
    sent, fresh, shown = run(
        scripts,
        """ask(1); wait(30); answer(1); ask(2); wait(200); ask(1); answer(2); wait(200);
        ask(2); wait(200);
        return [sent, feed.isFresh, shown()]""",
    )
    assert sent == [[30, "a", 1], [150, "a", 2]]
    assert fresh
    assert shown == 2


def test_no_numbers_are_an_answer_too(scripts: Page) -> None:
    fresh, scores = run(
        scripts,
        """ask(1); wait(30); feed.receive({ token: "a", region: region(1), scores: {} });
        return [feed.isFresh, feed.numbersOf("a").scores]""",
    )
    assert fresh
    assert scores == {}
    assert run(scripts, "feed.receive(null); return [feed.isFresh, feed.numbersOf('a')]") == [False, None]
