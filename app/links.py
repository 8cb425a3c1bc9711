"""Shared links: the query of an address that opens an example again, at a scale and a viewpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from app.serving.limits import MAX_KEY, MAX_SHOWN, MAX_ZOOM
from app.session import DEGRADATIONS, Session, open_example
from app.viewer.component import first_view, region_of
from app.viewer.contract import LAYOUTS, Region, Viewpoint
from drn.errors import InputError
from drn.evaluation.methods import BICUBIC
from drn.evaluation.pairs import Pair, parse_rect


def link_query(session: Session) -> str | None:
    """Make the part of a link's query that names the images; the viewer adds the viewpoint.

    Returns:
        The query, or None for a session that a link cannot open: an uploaded photograph. ``own`` says that the visitor
        added results, which a link does not contain.
    """
    if not session.name:
        return None
    query = {"image": session.name, "scale": session.pairs[0].scale}
    jpeg = {} if session.made == BICUBIC else {"jpeg": session.made}
    return urlencode(
        query | jpeg | ({"plus": 1} if session.self_ensemble else {}) | ({"own": 1} if session.own else {})
    )


def open_link(params: Mapping[str, str], photographs: Sequence[Path], scales: Sequence[int]) -> Session:
    """Open the comparison that a link describes.

    Args:
        params: The query of the address: ``image``, ``scale``, ``jpeg``, ``plus``, and the members of ``LinkQuery``.
        photographs: The examples.
        scales: The scales that can be served.

    Raises:
        InputError: If there is no such image, scale, JPEG quality or viewpoint.
    """
    named = {path.stem: path for path in photographs}
    try:
        path, scale = named[params["image"]], int(params["scale"])
        if scale not in scales:
            raise ValueError
        session = open_example(path, scale, DEGRADATIONS[params.get("jpeg", BICUBIC)])
        view = _viewpoint(params, session.pairs[0])
    except (KeyError, ValueError) as error:
        raise InputError(
            "This link names an image, a scale, a JPEG quality or a view that does not exist here: "
            "choose a photograph instead."
        ) from error
    every_scale = view["layout"] == "scales"
    return replace(session, view=view, self_ensemble=params.get("plus") == "1", every_scale=every_scale)


def _viewpoint(params: Mapping[str, str], pair: Pair) -> Viewpoint:
    """Read the viewpoint of a link to ``pair``.

    Raises:
        KeyError: If a parameter is missing.
        ValueError: If a parameter is out of bounds.
    """
    view = first_view(pair.hr.shape[1] / 2, pair.hr.shape[0] / 2)
    view["region"], view["seen"] = _region(params.get("region"), pair), _region(params.get("seen"), pair)
    if view["region"] is None:
        view["x"], view["y"], view["min_width"] = float(params["x"]), float(params["y"]), 0
        view["fit"] = params.get("fit") == "1" or params.get("zoom") == "0"  # links of the first version have zoom=0
        view["zoom"] = view["zoom"] if view["fit"] else float(params["zoom"])
    if not (math.isfinite(view["x"]) and math.isfinite(view["y"]) and 0 < view["zoom"] <= MAX_ZOOM):
        raise ValueError
    view["divider"] = float(params.get("divider", view["divider"]))
    if params["layout"] not in LAYOUTS or not 0 <= view["divider"] <= 1:
        raise ValueError
    (view["layout"],) = (layout for layout in LAYOUTS if layout == params["layout"])
    view["front"], view["left"] = params.get("front", ""), params.get("left", "")
    view["shown"] = list(filter(None, params.get("shown", "").split(",")))
    keys = view["front"], view["left"], *view["shown"]
    if len(view["shown"]) > MAX_SHOWN or any(len(key) > MAX_KEY for key in keys):
        raise ValueError
    return view


def _region(text: str | None, pair: Pair) -> Region | None:
    """Read a region of a link; None if there is none.

    Raises:
        InputError: If it is malformed, or is not inside the image.
    """
    return None if text is None else region_of(parse_rect(text, pair))
