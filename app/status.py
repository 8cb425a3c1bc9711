"""The status line of a tab, and JavaScript that changes components without a request to the server."""

from __future__ import annotations

from html import escape

UNKNOWN = -1.0
"""Value of ``progress`` for work without a known total."""


def status_html(text: str, progress: float | None = None) -> str:
    """Make a line of text and, unless ``progress`` is None, a progress bar.

    Args:
        text: The text; it is escaped.
        progress: The part that is done, 0 to 1, or ``UNKNOWN``.
    """
    value = "" if progress in (None, UNKNOWN) else f' value="{progress:.3f}"'
    bar = "" if progress is None else f'<progress aria-label="Progress" max="1"{value}></progress>'
    return f'<p class="note" role="status" data-testid="status">{escape(text)}</p>{bar}'


WAITING = status_html("Waiting for the server…", UNKNOWN)

HIDDEN_JS = "{__type__: 'update', visible: false}"
"""JavaScript value that hides a component."""

SAME_JS = "{__type__: 'update'}"
"""JavaScript value that leaves a component unchanged."""

ON_JS, OFF_JS = ("{__type__: 'update', interactive: true}", "{__type__: 'update', interactive: false}")
"""JavaScript values that enable and disable a button."""
