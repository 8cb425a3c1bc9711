"""Figures of a compared region, stored as files that visitors can download."""

from __future__ import annotations

import functools

from app.serving.jobs import store_result
from app.session import Session
from drn.degrade import CLEAN
from drn.evaluation.figure import figure
from drn.evaluation.pairs import clip_rect
from drn.files import replace_file
from drn.geometry import Rect


def store_figure(session: Session, hr_rect: Rect) -> str:
    """Draw a region with every method that is shown, and store the figure as a PNG file.

    Args:
        session: The comparison to draw, at its first scale.
        hr_rect: The region in HR pixels; the part outside the image is left out.

    Returns:
        The path of the file.
    """
    pair = session.pairs[0]
    results = {
        session.own.get(method, method): session.results[pair.scale, method]
        for method in session.shown
        if (pair.scale, method) in session.results
    }
    drawn = figure(pair, results, clip_rect(hr_rect, pair))
    save = functools.partial(drawn.save, format="PNG")
    degraded = "" if pair.degradation == CLEAN else f"_{pair.degradation}".replace(" ", "")
    name = f"{session.stem}_x{pair.scale}{degraded}_figure.png"
    return str(store_result(name, lambda path: replace_file(path, save)))
