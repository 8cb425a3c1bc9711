"""Decoded images, and conversions between 8-bit arrays and float tensors.

No other module converts between arrays and tensors. Files are read by ``reading`` and written by ``writing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from drn.metadata import NO_METADATA, Metadata

if TYPE_CHECKING:
    import torch

Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        rgb: uint8, (H, W, 3), sRGB, upright. Grey images have three equal channels.
        alpha: uint8, (H, W), or None.
        is_grey: Whether the file was greyscale.
        notes: One sentence for each change made while reading the file.
        metadata: The file's metadata, which an enlarged file keeps.
    """

    rgb: Array
    alpha: Array | None = None
    is_grey: bool = False
    notes: tuple[str, ...] = ()
    metadata: Metadata = NO_METADATA

    @property
    def measured(self) -> Array:
        """The pixels that metrics compare: the grey plane (H, W) of a grey image, else ``rgb``."""
        return to_grey(self.rgb) if self.is_grey else self.rgb


def to_grey(rgb: Array) -> Array:
    """Return the full-range luma of BT.601, ``0.299 R + 0.587 G + 0.114 B``, rounded: (H, W, 3) -> (H, W)."""
    grey = np.empty(rgb.shape[:2], np.uint8)
    for row, colours in zip(grey, rgb, strict=True):  # by rows, because floats of a large image do not fit in memory
        row[:] = np.rint(colours @ np.array([0.299, 0.587, 0.114]))
    return grey


def fill_clear(picture: Picture) -> Array:
    """Return the colours (H, W, 3); each transparent pixel takes the colour of the nearest visible pixel.

    The colour that a file stores for a transparent pixel is arbitrary. If no pixel is visible, the colours stay
    unchanged.
    """
    if picture.alpha is None or not 0 < (visible := np.flatnonzero(picture.alpha)).size < picture.alpha.size:
        return picture.rgb
    clear = (picture.alpha == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(clear, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # The labels number the visible pixels; each visible pixel's own label identifies it.
    owner = np.zeros(visible.size + 1, np.intp)
    owner[nearest.ravel()[visible]] = visible
    return picture.rgb.reshape(-1, 3)[owner[nearest]]


def on_checkers(picture: Picture, cell: int) -> Array:
    """Draw a picture on the usual grey checkerboard for transparency.

    Args:
        picture: The picture. Without alpha, its colours are returned unchanged.
        cell: Side of a square of the checkerboard, in pixels.

    Returns:
        uint8, (H, W, 3).
    """
    if picture.alpha is None:
        return picture.rgb
    width = picture.alpha.shape[1]
    squares = np.where(np.arange(width + cell) // cell % 2, 230, 255)[:, None]
    drawn = np.empty_like(picture.rgb)
    for y, (rgb, alpha) in enumerate(zip(picture.rgb, picture.alpha, strict=True)):  # by rows, as in to_grey
        share, start = alpha[:, None] / 255, cell * (y // cell % 2)
        drawn[y] = np.rint(rgb * share + squares[start : start + width] * (1 - share))
    return drawn


def mod_crop(image: Array, scale: int) -> Array:
    """Crop (H, W) or (H, W, C) at the right and bottom so that both sides are multiples of ``scale``."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def to_tensor(rgb: Array, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 (H, W, 3) in [0, 255] -> float32 (1, 3, H, W) in [0, 1], on ``device``."""
    import torch  # imported here, so that a process that only decodes images does not load it

    return torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(2, 0, 1)[None].float().div_(255)


def quantize(x: torch.Tensor) -> Array:
    """Float (1, 3, H, W), clamped to [0, 1] and rounded -> uint8 (H, W, 3)."""
    import torch

    levels = x[0].float().mul(255).clamp_(0, 255).round_().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().contiguous().numpy()
