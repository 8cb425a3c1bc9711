"""Rectangles, tiles, margins and the 8 orientations of an image."""

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

    The name of an argument tells the pixel grid: ``lr_rect`` or ``hr_rect``.
    """

    x: int
    y: int
    width: int
    height: int


def split(area: Rect, tile: int) -> list[Rect]:
    """Cover ``area``, row by row, with near-equal rectangles no wider or higher than ``tile``."""

    def cuts(start: int, length: int) -> list[int]:
        count = math.ceil(length / tile)
        return [start + length * i // count for i in range(count + 1)]

    xs, ys = cuts(area.x, area.width), cuts(area.y, area.height)
    return [Rect(left, top, right - left, bottom - top) for top, bottom in pairwise(ys) for left, right in pairwise(xs)]


class Margins(NamedTuple):
    """Pixels of context around the wanted part of a crop, in LR pixels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def at_most(self, limit: int) -> Margins:
        return Margins(*(min(margin, limit) for margin in self))

    def turned(self, turns: int, flip: bool) -> Margins:
        """The margins of the crop mirrored left to right (``flip``), then turned anticlockwise by quarters."""
        left, top, right, bottom = self
        sides = [right, top, left, bottom] if flip else [left, top, right, bottom]
        return Margins(*sides[turns:], *sides[:turns])


NO_MARGINS = Margins()


class Orientation(NamedTuple):
    """Mirrored left to right (``flip``), then turned anticlockwise by so many quarters (``turns``)."""

    turns: int
    flip: bool

    def of(self, x: Tensor) -> Tensor:
        """(B, C, H, W) as it looks in this view, in channels_last."""
        turned = torch.rot90(x.flip(3) if self.flip else x, self.turns, (2, 3))
        return turned.contiguous(memory_format=torch.channels_last)

    def undo(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of this view, turned and mirrored back."""
        turned = torch.rot90(x, -self.turns, (2, 3))
        return turned.flip(3) if self.flip else turned


ORIENTATIONS = tuple(Orientation(turns, flip) for turns in range(4) for flip in (False, True))
"""The first is the image itself."""
