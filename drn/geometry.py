"""Rectangles, tiles, margins and the 8 orientations of an image.

An orientation is one of the 8 results of mirroring and turning an image by quarters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rect:
    """A rectangle of pixels: left, top, width, height.

    The name of an argument states the pixel grid: ``lr_rect`` or ``hr_rect``.
    """

    x: int
    y: int
    width: int
    height: int


def split(area: Rect, tile: int) -> list[Rect]:
    """Split ``area``, row by row, into rectangles of nearly equal size, whose sides are at most ``tile``."""

    def cuts(start: int, length: int) -> list[int]:
        count = math.ceil(length / tile)
        return [start + length * i // count for i in range(count + 1)]

    xs, ys = cuts(area.x, area.width), cuts(area.y, area.height)
    return [Rect(left, top, right - left, bottom - top) for top, bottom in pairwise(ys) for left, right in pairwise(xs)]


class Margins(NamedTuple):
    """Width of the context on each side of a crop, in LR pixels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def at_most(self, limit: int) -> Margins:
        """Return the margins, each reduced to ``limit`` if it is larger."""
        return Margins(*(min(margin, limit) for margin in self))

    def turned(self, turns: int, flip: bool) -> Margins:
        """Return the margins of the crop after mirroring and turning.

        Args:
            turns: Anticlockwise quarter turns, 0 to 3, made after the mirroring.
            flip: Whether the crop is first mirrored left to right.
        """
        left, top, right, bottom = self
        sides = [right, top, left, bottom] if flip else [left, top, right, bottom]
        return Margins(*sides[turns:], *sides[:turns])


NO_MARGINS = Margins()


class Orientation(NamedTuple):
    """A mirroring and a turn of an image.

    Attributes:
        turns: Anticlockwise quarter turns, 0 to 3, made after the mirroring.
        flip: Whether the image is first mirrored left to right.
    """

    turns: int
    flip: bool

    def of(self, x: Tensor) -> Tensor:
        """Mirror and turn ``x`` (B, C, H, W); the result is channels_last."""
        turned = torch.rot90(x.flip(3) if self.flip else x, self.turns, (2, 3))
        return turned.contiguous(memory_format=torch.channels_last)

    def undo(self, x: Tensor) -> Tensor:
        """Undo the mirroring and the turn of ``x`` (B, C, H, W)."""
        turned = torch.rot90(x, -self.turns, (2, 3))
        return turned.flip(3) if self.flip else turned


ORIENTATIONS = tuple(Orientation(turns, flip) for turns in range(4) for flip in (False, True))
"""All 8 orientations; the first one leaves the image unchanged."""
