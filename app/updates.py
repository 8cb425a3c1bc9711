"""Updates of a viewer while the results of its session are computed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import gradio as gr

from app.engines import UpscalerFor
from app.scene import scene_of
from app.serving.jobs import errors_for_visitor
from app.session import Session, compute
from app.shelf import Shelf
from app.viewer.component import scene_value

Update = tuple[Any, Any]
"""New values for the key of a session and for its viewer; ``gr.skip()`` leaves a value unchanged."""

Updates = Generator[Update, None, None]


def compute_and_show(
    session: Session,
    shelf: Shelf,
    key: str | None,
    upscaler_for: UpscalerFor,
    self_ensemble: bool,
    ends: float | None = None,
) -> Updates:
    """Show a session at once, and again after each computed result.

    Args:
        session: The session to show; it replaces the session with this ``key``.
        shelf: Keeps the session and its results.
        key: Key of the visitor's present session, or None.
        upscaler_for: Returns the upscaler for a scale.
        self_ensemble: Whether to compute DRN+ too; the viewer shows it if ``session.self_ensemble`` is set.
        ends: The time limit; None for the ``deadline()`` of a job that starts now.

    Yields:
        The session's key and the viewer's value, or ``gr.skip()`` twice while nothing has changed.

    Raises:
        gr.Error: If a result cannot be computed or stored. The session is then shown as failed.
    """
    session = replace(session, failed=False)
    with errors_for_visitor():
        value = scene_value(scene_of(session))
        key = shelf.put(session, key)
        try:
            yield key, value
            for computed in compute(session, upscaler_for, self_ensemble, ends):
                if computed is None:
                    yield gr.skip(), gr.skip()
                else:
                    value, session = scene_value(scene_of(computed)), computed  # a result that cannot be stored is lost
                    yield shelf.put(session, key), value
        except Exception:
            session = replace(session, failed=True)
            yield shelf.put(session, key), scene_value(scene_of(session))
            raise


def until_newer(
    updates: Updates, controls_of: Callable[[str | None], tuple[Any, ...]], is_outdated: Callable[[bool], bool]
) -> Iterator[tuple[Any, ...]]:
    """Yield updates until the visitor makes a newer choice, together with matching values of the controls.

    Args:
        updates: The updates. They are closed at the end, which stops their work.
        controls_of: Returns the values of the controls for a session's key, and ``gr.skip()`` for None.
        is_outdated: Returns whether there is a newer choice. Its argument is whether a session is already shown.

    Yields:
        The session's key, the viewer's value and the values of the controls.
    """
    is_shown = False
    with closing(updates):
        for key, value in updates:
            opens = isinstance(key, str) and not is_shown
            is_shown = is_shown or opens
            yield key, value, *controls_of(key if opens and not is_outdated(is_shown) else None)
            if is_outdated(is_shown):
                return
