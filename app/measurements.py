"""Scores of the region that a viewer shows, and the note on how they are measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.events import EACH
from app.scene import numbers_of
from app.serving.jobs import errors_for_visitor
from app.serving.limits import MAX_COORDINATE
from app.session import TOKEN
from app.shelf import Shelf
from app.viewer.component import numbers_for
from drn.errors import InputError
from drn.geometry import Rect

PROTOCOL = (
    "PSNR and SSIM as [in the literature](https://arxiv.org/abs/1907.02843): Y channel of BT.601 YCbCr, `crop_border` "
    "= scale, LR by MATLAB's antialiased bicubic."
)


def parse_viewport(event: Mapping[str, Any]) -> tuple[str, Rect]:
    """Read a ``ViewportEvent`` that a viewer has sent.

    Returns:
        The token of the images that the viewer shows, and the region in view in HR pixels.

    Raises:
        InputError: If the token or the region is missing, or a number of the region is larger than
            ``MAX_COORDINATE``.
    """
    token, region = event.get("token"), event.get("region")
    if not isinstance(token, str) or not TOKEN.fullmatch(token) or not isinstance(region, Mapping):
        raise InputError("The images have just changed: request the scores again.")
    values = [region.get(name) for name in ("x", "y", "width", "height")]
    numbers = [value for value in values if isinstance(value, (int, float)) and abs(value) <= MAX_COORDINATE]
    if len(numbers) < len(values):
        raise InputError("The region lies far outside the images: move the view and try again.")
    return token, Rect(*map(int, numbers))


def answer_viewport(panels: gr.HTML, shelf: Shelf, key: gr.State) -> None:
    """Answer the ``viewport`` events of a viewer with the scores of the region in view.

    Args:
        panels: The viewer.
        shelf: Keeps the session that the viewer shows.
        key: Holds the key of that session.
    """

    def measure(event: gr.EventData, key: str | None) -> Any:
        with errors_for_visitor():
            token, hr_rect = parse_viewport(event._data or {})
        if session := shelf.shown(key, token):
            return gr.HTML(numbers=numbers_of(session, hr_rect))
        if shelf.find(key) is None:  # the session was dropped: an empty answer stops the viewer's requests
            return gr.HTML(numbers=numbers_for(token, hr_rect, []))
        return gr.skip()  # the viewer will receive newer images and request their scores

    panels.viewport(measure, [key], [panels], concurrency_limit=2, **EACH)
