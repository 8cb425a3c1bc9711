"""The newest choice of a visitor, and the end of older work."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from app import choices
from app.choices import Choice, NewestChoices
from app.updates import until_newer


def test_older_work_learns_of_a_newer_choice() -> None:
    newest = NewestChoices()
    assert not newest.has_newer("me", 0.0)
    newest.note("me", Choice(None, 3, False, moment=5.0))
    assert newest.has_newer("me", 4.0)
    assert not newest.has_newer("me", 5.0)
    assert not newest.has_newer_image("me", 4.0)
    newest.note("me", Choice(Path("a.png"), 3, False, moment=7.0))
    newest.note("me", Choice(None, 2, False, moment=6.0))  # an older choice that arrives later
    assert newest.has_newer("me", 6.5)
    assert newest.has_newer_image("me", 6.5)
    assert not newest.has_newer("someone else", 0.0)


def test_choices_that_arrive_late_replace_no_newer_ones() -> None:
    newest = NewestChoices()
    assert newest.options_of("me") is None
    assert newest.image_of("me") is None
    scale, late = Choice(None, 2, False, moment=6.0), Choice(None, 4, True, moment=5.0)
    newest.note("me", scale)
    newest.note("me", late)
    assert newest.options_of("me") == scale
    newest.note("me", Choice(Path("a.png"), 4, True, moment=4.0))
    # The scale was chosen after the image, so it applies to this image.
    assert newest.image_of("me") == Choice(Path("a.png"), 2, False, moment=6.0)
    image = Choice(Path("b.png"), 3, True, moment=7.0)
    newest.note("me", image)
    assert newest.image_of("me") == image
    assert newest.options_of("me") == scale


def test_the_visitors_who_chose_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "MAX_VISITORS", 2)
    newest = NewestChoices()
    for visitor in ("a", "b", "a", "c"):
        newest.note(visitor, Choice(None, 3, False, moment=1.0))
    assert [newest.has_newer(visitor, 0.0) for visitor in "abc"] == [True, False, True]


class Work:
    """Updates that open a session after one step, and note that they were closed."""

    def __init__(self) -> None:
        self.closed = False

    def updates(self) -> Generator[tuple[Any, Any], None, None]:
        try:
            yield {}, "nothing new"
            yield "key", "without results"
            yield {}, "nothing new"
            yield "key", "with results"
        finally:
            self.closed = True


def test_the_controls_are_set_once_to_what_is_shown() -> None:
    shown = list(until_newer(Work().updates(), lambda key: (key,), lambda is_shown: False))
    assert [controls for _, _, controls in shown] == [None, "key", None, None]


def test_work_that_is_out_of_date_opens_its_image_leaves_the_controls_and_ends() -> None:
    work = Work()
    shown = list(until_newer(work.updates(), lambda key: (key,), lambda is_shown: is_shown))
    assert shown == [({}, "nothing new", None), ("key", "without results", None)]
    assert work.closed


def test_an_image_that_is_out_of_date_is_not_opened() -> None:
    work = Work()
    shown = list(until_newer(work.updates(), lambda key: (key,), lambda is_shown: True))
    assert shown == [({}, "nothing new", None)]
    assert work.closed
