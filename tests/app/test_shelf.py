"""The sessions of all visitors."""

from __future__ import annotations

import numpy as np
import pytest

from app.session import Session
from app.shelf import Shelf
from drn.errors import InputError
from drn.evaluation.pairs import make_pair
from drn.image import Picture


def session(side: int) -> Session:
    picture = Picture(np.zeros((side, side, 3), np.uint8))
    return Session(picture, "p", (make_pair(picture, 2),))


def test_a_key_gives_the_latest_session_that_was_put_there() -> None:
    first, mine, later = session(16), session(16), session(32)
    shelf = Shelf(first)
    assert shelf.get(Shelf.FIRST) is first
    key = shelf.put(mine)
    assert (shelf.get(key), shelf.get(Shelf.FIRST)) == (mine, first)
    assert shelf.put(later, key) == key
    assert shelf.get(key) is later
    assert shelf.put(mine) != key
    shelf.drop(key)
    with pytest.raises(InputError, match="choose the photograph again"):
        shelf.get(key)


def test_sessions_that_were_unused_for_longest_are_dropped() -> None:
    # 40x40 pixels in three colours, and their LR image: 4800 + 1200 bytes
    assert session(40).nbytes == 6000
    shelf = Shelf(session(400), max_bytes=3 * 6000)
    keys = [shelf.put(session(40)) for _ in range(3)]
    shelf.get(keys[0])
    added = shelf.put(session(40))
    with pytest.raises(InputError, match="no longer on the server"):
        shelf.get(keys[1])
    for key in (keys[0], keys[2], added):
        shelf.get(key)
    # One that is larger than the bound is kept while it is the only one.
    large = shelf.put(session(100))
    assert shelf.get(large).nbytes > 3 * 6000
    with pytest.raises(InputError):
        shelf.get(added)


def test_sessions_that_were_unused_for_an_hour_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("app.shelf.time.monotonic", lambda: now)
    shelf = Shelf(session(16))
    left, used = shelf.put(session(16)), shelf.put(session(16))
    now = 2000.0
    shelf.get(used)
    now = 3700.0
    shelf.put(session(16))
    assert shelf.find(left) is None
    assert shelf.find(used) is not None


def test_the_first_comparison_of_an_older_page_is_still_found_after_it_was_renewed() -> None:
    first, renewed = session(100), session(100)
    shelf = Shelf(first, "old")
    shelf.renew(renewed, "new")
    assert (shelf.find(Shelf.FIRST), shelf.weights_key) == (renewed, "new")
    assert shelf.shown(Shelf.FIRST, renewed.token) is renewed
    assert shelf.shown(Shelf.FIRST, first.token) is first
    assert shelf.shown(shelf.put(session(100)), renewed.token) is None
    assert shelf.shown(None, "gone") is None
