"""A session as the viewer shows it: its images, its first viewpoint and its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from app.session import Session
from app.viewer.component import Layer, Line, Scene, first_view, numbers_for
from drn.evaluation.comparison import ADDED_GAIN, ERROR_RANGE, added_map, error_map, score
from drn.evaluation.methods import BICUBIC, DESCRIPTIONS, DRN
from drn.geometry import Rect

CENTRES = {"astronaut": (166.0, 380.0), "cat": (165.0, 115.0), "test-card": (120.0, 60.0)}
"""Where an example is looked at first, in HR pixels; the others in the middle."""


def scene_of(session: Session) -> Scene:
    """What the viewer shows of a session; methods not computed yet have no pixels.

    Several scales make a row of images each; one scale also has maps.
    """
    several = len(session.pairs) > 1
    layers: list[Layer] = []
    for pair in session.pairs:
        suffix = f" x{pair.scale}" if several else ""
        layers.append(Layer(session.key(pair, "lr"), f"LR{suffix}", "all that is given", pair.lr, factor=pair.scale))
        for method in session.shown:
            result = session.results.get((pair.scale, method))
            pixels = None if result is None else result.sr
            layers.append(Layer(session.key(pair, method), method + suffix, DESCRIPTIONS[method], pixels))
        layers.append(Layer(session.key(pair, "truth"), f"ground truth{suffix}", "the original", pair.hr))
    if not several:
        layers += _maps(session)
    height, width = session.pairs[0].hr.shape[:2]
    x, y = CENTRES.get(session.name, (width / 2, height / 2))
    link = {"image": session.name, "scale": session.pairs[0].scale} | ({"plus": 1} if session.self_ensemble else {})
    return Scene(
        session.token,
        session.picture_token,
        width,
        height,
        tuple(layers),
        session.view or first_view(x, y),
        columns=len(layers) // len(session.pairs) if several else 0,
        link="" if several or not session.name else urlencode(link),
        failed=session.failed,
    )


def _maps(session: Session) -> Iterator[Layer]:
    pair = session.pairs[0]
    known = {method: session.results.get((pair.scale, method)) for method in session.shown}
    for method, result in known.items():
        if result is not None:
            pixels, legend = error_map(pair, result.sr), ("error", "0", f"{ERROR_RANGE} levels")
            layer = Layer(f"error-{method.lower()}", f"{method} error", "off by, in luma", pixels, legend=legend)
            yield replace(layer, shown=False)
    base, drn = known[BICUBIC], known[DRN]
    if base is not None and drn is not None:
        reach = 128 // ADDED_GAIN
        legend = ("added", f"−{reach}", f"+{reach} levels")
        pixels = added_map(base.sr, drn.sr)
        yield Layer("added", "what DRN adds", "over bicubic", pixels, legend=legend, shown=False)


def numbers_of(session: Session, region: Rect) -> dict[str, Any]:
    """The viewer's numbers for a region, in HR pixels; the best that are shown of each scale are marked."""
    groups = []
    for pair in session.pairs:
        known = {method: session.results.get((pair.scale, method)) for method in session.shown}
        groups.append(
            {
                session.key(pair, method): Line(score(pair, result.sr, region), result.whole, result.seconds)
                for method, result in known.items()
                if result is not None
            }
        )
    return numbers_for(session.token, region, groups)
