"""Checks of events before gradio handles them: session names, files, and the amount of data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from app.serving.cache import is_own_file
from app.serving.refused import Refused
from app.serving.uploads import NO_UPLOAD, is_upload

SESSION = re.compile(r"[0-9a-z-]{1,36}")
"""The form of a session's name: gradio's clients use a UUID or a random number in base 36."""

EVENT = re.compile(r"[0-9a-f]{32}")
"""The form of an event's name."""

MAX_TEXT = 2000
"""Largest number of characters of one text in an event."""

MAX_VALUES, MAX_DEPTH = 400, 10
"""Largest number of values in an event, and largest depth of nesting."""

MAX_NUMBER = 1e15
"""Largest value of a number in an event. The largest number that the page sends is a time in milliseconds."""

FILE_META = {"_type": "gradio.FileData"}

MALFORMED = "The server does not understand this request: reload the page and try again."


def checked_event(body: bytes) -> bytes:
    """Check the JSON of an event, and return it without the members that gradio does not need from a visitor.

    Raises:
        Refused: If the JSON is not an event, names a file that was not uploaded here, or holds too much data.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, MALFORMED) from error
    if not isinstance(event, dict):
        raise Refused(400, MALFORMED)
    known = {name: event[name] for name in ("data", "event_data", *_MEMBERS) if name in event}
    for name, allows in _MEMBERS.items():
        if known.get(name) is not None and not allows(known[name]):
            raise Refused(400, MALFORMED)
    if isinstance(known.get("data"), list):
        known["data"] = [_without_address(value) for value in known["data"]]
    for count, (value, depth) in enumerate(_values([known.get("data"), known.get("event_data")])):
        if count > MAX_VALUES or depth > MAX_DEPTH or not _is_bounded(value):
            raise Refused(413, "The request holds more data than an event of this page: send less.")
    for member, is_known in (("data", is_upload), ("event_data", lambda path: is_upload(path) or is_own_file(path))):
        for value, _ in _values(known.get(member)):
            is_file = isinstance(value, dict) and "path" in value
            if is_file and (value.get("meta") != FILE_META or not is_known(value["path"])):
                raise Refused(400, NO_UPLOAD)
    return json.dumps(known).encode()


def _without_address(value: Any) -> Any:
    """Return a value of an event; replace a file that is only a URL by a text, so that it is never opened.

    The endpoint then answers with an error message. Clients show this message, but not that of a refused request.
    """
    is_address = isinstance(value, dict) and value.get("meta") == FILE_META and isinstance(value.get("path"), str)
    if is_address and value["path"].startswith(("http://", "https://")):
        return "an address"
    return value


def _is_index(value: Any) -> bool:
    """Return whether ``value`` can be the index of a component or an event."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100_000


_MEMBERS = {
    "session_hash": lambda value: isinstance(value, str) and SESSION.fullmatch(value) is not None,
    "event_id": lambda value: isinstance(value, str) and EVENT.fullmatch(value) is not None,
    "fn_index": _is_index,
    "trigger_id": _is_index,
}
"""Name of each member of an event other than its data -> the check of its value."""


def _values(root: Any) -> Iterator[tuple[Any, int]]:
    """List ``root`` and every value in it, each with its depth; keys of dictionaries count as values."""
    stack = [(root, 0)]
    while stack:
        value, depth = stack.pop()
        yield value, depth
        if isinstance(value, dict):
            stack.extend((key, depth + 1) for key in value)
            stack.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            stack.extend((inner, depth + 1) for inner in value)


def _is_bounded(value: Any) -> bool:
    """Return whether a text is short enough, or a number is finite and small enough."""
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, (int, float)):
        return abs(value) <= MAX_NUMBER  # False for NaN
    return True
