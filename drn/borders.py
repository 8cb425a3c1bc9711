"""Correct the network's output where a flat area touches the border of the image.

The convolutions pad their input with mid-grey. Beside a saturated flat area, this padding changes the outermost pixels
by up to 27 levels. There the correct result is known: it is the colour of the area. These pixels therefore take the
bicubic enlargement, which mirrors the image at its border. All other pixels keep the output of the network.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from drn.geometry import Margins, Rect
from drn.image import Array
from drn.resize import upscale as bicubic

DEPTH = 5
"""Width of the corrected strip along the border, in LR pixels."""

FADE = 3
"""Width of the inner part of the strip, in which the correction fades out. The error is small there."""

RADIUS = 2
"""Distance in LR pixels within which the levels must be equal; also the reach of bicubic interpolation."""

FLAT = 3
"""Difference of levels up to which an area counts as flat. At twice this difference, nothing is corrected."""


def correct_flat_borders(sr: Array, lr: Array, lr_rect: Rect) -> None:
    """Replace the network's output in flat areas along the border of the image, in place.

    Args:
        sr: uint8, (h*scale, w*scale, 3), the enlargement of ``lr_rect``.
        lr: uint8, (H, W, 3), the whole image.
        lr_rect: The part of ``lr`` that ``sr`` shows.
    """
    height, width = lr.shape[:2]
    scale = sr.shape[0] // lr_rect.height
    for part in _border(width, height, lr_rect):
        right, bottom = part.x + part.width, part.y + part.height
        margins = Margins(part.x, part.y, width - right, height - bottom).at_most(RADIUS)
        crop = lr[part.y - margins.top : bottom + margins.bottom, part.x - margins.left : right + margins.right]
        inner = slice(margins.top, margins.top + part.height), slice(margins.left, margins.left + part.width)
        share = _flatness(crop)[inner] * _nearness(part, width, height)
        if not share.any():
            continue
        rows, columns = (slice(side.start * scale, side.stop * scale) for side in inner)
        flat = bicubic(crop, scale)[rows, columns].astype(np.float32)
        top, left = (part.y - lr_rect.y) * scale, (part.x - lr_rect.x) * scale
        pixels = sr[top : top + part.height * scale, left : left + part.width * scale]
        pixels[:] = np.rint(pixels + (flat - pixels) * share.repeat(scale, 0).repeat(scale, 1)[..., None])


def _border(width: int, height: int, inside: Rect) -> Iterator[Rect]:
    """List the parts of the strip along the border of an image that lie in ``inside``; they do not overlap."""
    top, left = min(DEPTH, height), min(DEPTH, width)
    bottom, right = max(top, height - DEPTH), max(left, width - DEPTH)
    for x1, y1, x2, y2 in (
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    ):
        x, y = max(x1, inside.x), max(y1, inside.y)
        part = Rect(x, y, min(x2, inside.x + inside.width) - x, min(y2, inside.y + inside.height) - y)
        if part.width > 0 and part.height > 0:
            yield part


def _flatness(lr: Array) -> NDArray[np.float32]:
    """Return for each pixel (H, W) how flat its surroundings are: 1 for flat, 0 for not flat."""
    square = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    differences = cv2.subtract(cv2.dilate(lr, square), cv2.erode(lr, square)).max(2)
    flatness: NDArray[np.float32] = np.clip(2 - differences / np.float32(FLAT), 0, 1)
    return flatness


def _nearness(part: Rect, width: int, height: int) -> NDArray[np.float32]:
    """Return for each pixel (h, w) of ``part`` how near it is to the border: 1 at the border, 0 from ``DEPTH``."""
    x, y = np.arange(part.x, part.x + part.width), np.arange(part.y, part.y + part.height)
    depth = np.minimum(np.minimum(x, width - 1 - x)[None], np.minimum(y, height - 1 - y)[:, None])
    return np.clip((DEPTH - depth) / np.float32(FADE), 0, 1)
