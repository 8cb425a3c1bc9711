"""The first views of the bundled examples, which ``scripts/choose_views.py`` chooses."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TypedDict

from drn.geometry import Rect

VIEWS = Path(__file__).parent / "examples" / "views.json"


class View(TypedDict):
    """The first view of an example.

    Attributes:
        size: Width and height of the example, in pixels.
        region: x, y, width and height of the region to show, in pixels of the example.
        gain: Scale -> PSNR of DRN minus PSNR of bicubic in the region, in dB.
    """

    size: list[int]
    region: list[int]
    gain: dict[str, float]


class Views(TypedDict):
    """The content of ``VIEWS``.

    Attributes:
        first: Name of the example that the page opens with.
        weights: Scale -> sha256 of the weights that made the choice.
        views: The first views by the name of the example.
    """

    first: str
    weights: dict[str, str]
    views: dict[str, View]


@functools.cache
def chosen_views() -> Views:
    """Read ``VIEWS``."""
    views: Views = json.loads(VIEWS.read_text(encoding="utf-8"))
    return views


def first_region(name: str, width: int, height: int) -> Rect | None:
    """Return the region that is shown first of an example.

    Args:
        name: Stem of the example's name; empty for an uploaded photograph.
        width: Width of the photograph, in pixels.
        height: Height of the photograph, in pixels.

    Returns:
        The region, or None for a photograph without one: an upload, or one that only has the name of an example.
    """
    view = chosen_views()["views"].get(name)
    return Rect(*view["region"]) if view and view["size"] == [width, height] else None
