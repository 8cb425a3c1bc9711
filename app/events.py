"""Options and JavaScript that the events of several tabs share."""

from __future__ import annotations

from typing import Any

QUIET: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
"""Options of quick events. Events that arrive while one runs are merged into a single event with the newest inputs."""

EACH: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
"""Options of quick events with event data, such as a selected index; merged events would get outdated data."""

HEAVY: dict[str, Any] = {**QUIET, "concurrency_id": "heavy"}
"""Options of events that run the network: they share one queue."""


def moment_js(before: str = "") -> str:
    """Make JavaScript that sets an event's first input to the time at which it is sent, in ms.

    Args:
        before: Statements to run first.
    """
    return f"(_, ...rest) => {{ {before} return [performance.now(), ...rest]; }}"


def shown_js(name: str, detail: str) -> str:
    """Make JavaScript that reports the photograph of a component to the note about crops (``crop_uploads.js``).

    Args:
        name: The tab: "compare" or "upscale".
        detail: JavaScript for an object with ``id``, and maybe with ``width`` and ``height``, made from ``value``.
    """
    return (
        "(value) => { document.dispatchEvent(new CustomEvent('photo-shown', "
        f"{{ detail: {{ name: '{name}', ...{detail} }} }})); }}"
    )
