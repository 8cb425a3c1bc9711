"""Antialiased bicubic resizing as in MATLAB's ``imresize`` (a = -0.5, half-pixel centres).

The antialiased bicubic of torch has the same kernel, but at the image border torch renormalises the kernel, whereas
MATLAB mirrors the image. This module mirrors the image before the resize and crops it afterwards, which gives MATLAB's
values everywhere.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

REACH = 2
"""Radius of the bicubic kernel, in pixels of the smaller image."""

MARGIN = 2 * REACH
"""Width of the mirrored border, in pixels of the smaller image."""

STRIP = 256
"""Rows of the smaller image that are resized at a time; this limits the memory for floating-point copies."""


def resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize 8-bit levels by bicubic interpolation.

    Values near the border agree with MATLAB only if ``x`` has a mirrored border of ``REACH`` pixels or more.

    Args:
        x: Float, (B, C, H, W), in [0, 255].
        size: Height and width of the result.

    Returns:
        Float, (B, C, *size), whole numbers in [0, 255].
    """
    return F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 255).round_()


def _resize(image: NDArray[np.uint8], shrink: int, grow: int) -> NDArray[np.uint8]:
    """Resize by ``grow / shrink``, where one of the two is 1, in strips that overlap by ``MARGIN``."""
    planes = image if image.ndim == 3 else image[:, :, None]
    pad, crop = MARGIN * shrink, MARGIN * grow
    height, width = planes.shape[0] * grow // shrink, planes.shape[1] * grow // shrink
    padded = np.pad(planes, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    resized = np.empty((height, width, planes.shape[2]), np.uint8)
    for top in range(0, planes.shape[0], STRIP * shrink):
        rows = min(STRIP * shrink, planes.shape[0] - top) * grow // shrink
        x = torch.from_numpy(padded[top : top + STRIP * shrink + 2 * pad]).permute(2, 0, 1)[None].float()
        size = (rows + 2 * crop, width + 2 * crop)
        y = resample(x, size)[0, :, crop : crop + rows, crop : crop + width]
        start = top * grow // shrink
        resized[start : start + rows] = y.to(torch.uint8).permute(1, 2, 0).numpy()
    return resized if image.ndim == 3 else resized[:, :, 0]


def downscale(hr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Shrink an image by an integer factor, as in the published protocol.

    Args:
        hr: uint8, (H, W) or (H, W, C). H and W must be multiples of ``scale`` (see ``drn.image.mod_crop``).
        scale: Factor, at least 1.

    Returns:
        uint8, (H/scale, W/scale) or (H/scale, W/scale, C).

    Raises:
        ValueError: If a side is not a multiple of ``scale``.
    """
    height, width = hr.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"A {width}x{height} image does not divide by {scale}: crop it to a multiple first.")
    return _resize(hr, shrink=scale, grow=1)


def upscale(lr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Enlarge an image by an integer factor: the bicubic baseline.

    Args:
        lr: uint8, (H, W) or (H, W, C).
        scale: Factor, at least 1.

    Returns:
        uint8, (H*scale, W*scale) or (H*scale, W*scale, C).
    """
    return _resize(lr, shrink=1, grow=scale)
