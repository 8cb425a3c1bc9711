"""Figures of a compared region, stored as files that visitors can download."""

from __future__ import annotations

import importlib.util

from app.serving.jobs import store_result
from app.session import Session
from drn.degrade import CLEAN
from drn.evaluation.figure import lay_out
from drn.evaluation.figure_files import write_figure
from drn.evaluation.pairs import clip_rect
from drn.geometry import Rect

SUFFIXES = (".png", ".svg", *([".pdf"] if importlib.util.find_spec("fpdf") else []))
"""Suffixes of the figures that the page offers; PDF needs the extra ``pdf``."""


def store_figure(session: Session, hr_rect: Rect, suffix: str = ".png") -> str:
    """Draw a region with every method that is shown, and store the figure as a file.

    Args:
        session: The comparison to draw, at its first scale.
        hr_rect: The region in HR pixels; the part outside the image is left out.
        suffix: One of ``SUFFIXES``.

    Returns:
        The path of the file.
    """
    pair = session.pairs[0]
    results = {
        session.own.get(method, method): session.results[pair.scale, method]
        for method in session.shown
        if (pair.scale, method) in session.results
    }
    made = lay_out(pair, results, [clip_rect(hr_rect, pair)])
    degraded = "" if pair.degradation == CLEAN else f"_{pair.degradation}".replace(" ", "")
    name = f"{session.stem}_x{pair.scale}{degraded}_figure{suffix}"
    return str(store_result(name, lambda path: write_figure(path, made)))
