"""Shared links: the query of an address that opens an example again, at a scale and a viewpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from app.serving.limits import MAX_KEY, MAX_SHOWN, MAX_ZOOM
from app.session import Session, open_example
from app.viewer.component import FIRST_ZOOM
from app.viewer.contract import LAYOUTS, Viewpoint
from drn.errors import InputError


def link_query(session: Session) -> str | None:
    """Make the part of a link's query that names the images; the viewer adds the viewpoint.

    Returns:
        The query, or None for a session that a link cannot open: an uploaded photograph, or several scales.
    """
    if len(session.pairs) > 1 or not session.name:
        return None
    query = {"image": session.name, "scale": session.pairs[0].scale}
    return urlencode(query | ({"plus": 1} if session.self_ensemble else {}))


def open_link(params: Mapping[str, str], photographs: Sequence[Path], scales: Sequence[int]) -> Session:
    """Open the comparison that a link describes.

    Args:
        params: The query of the address: ``image``, ``scale``, ``plus``, and the members of ``LinkQuery``.
        photographs: The examples.
        scales: The scales that can be served.

    Raises:
        InputError: If there is no such image, scale or viewpoint.
    """
    named = {path.stem: path for path in photographs}
    try:
        path, scale = named[params["image"]], int(params["scale"])
        view = _viewpoint(params)
        if scale not in scales:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise InputError(
            "This link names an image, a scale or a view that does not exist here: choose a photograph instead."
        ) from error
    return replace(open_example(path, scale, view), self_ensemble=params.get("plus") == "1")


def _viewpoint(params: Mapping[str, str]) -> Viewpoint:
    """Read the viewpoint of a link.

    Raises:
        KeyError: If a parameter is missing.
        ValueError: If a parameter is out of bounds.
    """
    x, y = float(params["x"]), float(params["y"])
    fit = params.get("fit") == "1" or params.get("zoom") == "0"  # links of the first version contain zoom=0
    zoom = FIRST_ZOOM if fit else float(params["zoom"])
    if not (math.isfinite(x) and math.isfinite(y) and 0 < zoom <= MAX_ZOOM) or params["layout"] not in LAYOUTS:
        raise ValueError
    front, left = params.get("front", ""), params.get("left", "")
    shown = list(filter(None, params.get("shown", "").split(",")))
    if len(shown) > MAX_SHOWN or any(len(key) > MAX_KEY for key in (front, left, *shown)):
        raise ValueError
    (layout,) = (layout for layout in LAYOUTS if layout == params["layout"])
    return Viewpoint(x=x, y=y, fit=fit, zoom=zoom, min_width=0, layout=layout, front=front, left=left, shown=shown)
