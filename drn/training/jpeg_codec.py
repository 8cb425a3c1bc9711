"""JPEG compression of a batch of patches in PyTorch, for training on a GPU.

It follows libjpeg: the same tables, the same rounding between the steps, 4:4:4 or 4:2:0 chroma, and chroma enlarged by
a triangle filter. Entropy coding is left out, because it loses nothing. The results differ from those of Pillow by less
than a level (RMS). kornia's JPEG codec has no 4:4:4 and no triangle filter; it differs by 1.2 to 2 levels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drn.degrade import JPEG_GRID, Jpeg
from drn.jpeg import CHROMA, LUMA, scaled_tables

BLOCK = 8

HALF = 0.5 + 1e-4
"""Added before rounding down: libjpeg rounds halves up, and in float32 a half may be a little smaller."""

TO_YCBCR = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=torch.float64
)
"""RGB to Y, Cb and Cr of full range, without the offset of 128 of Cb and Cr (JFIF)."""


def recode(levels: Tensor, jpegs: Sequence[Jpeg]) -> Tensor:
    """Compress and decompress each patch of a batch.

    Args:
        levels: float32, (B, 3, H, W), whole levels from 0 to 255.
        jpegs: Quality, subsampling and grid of each patch.

    Returns:
        float32, (B, 3, H, W), whole levels from 0 to 255.
    """
    device, (height, width) = levels.device, levels.shape[2:]
    rows = _padded([jpeg.shift[0] for jpeg in jpegs], height).to(device)
    columns = _padded([jpeg.shift[1] for jpeg in jpegs], width).to(device)
    each = torch.arange(len(jpegs), device=device)
    padded = levels.permute(0, 2, 3, 1)[each[:, None, None], rows[:, :, None], columns[:, None, :]]
    ycbcr = (padded @ TO_YCBCR.to(padded).T).permute(0, 3, 1, 2).round()
    luma_tables, chroma_tables = _tables(device)
    qualities = torch.tensor([jpeg.quality - 1 for jpeg in jpegs], device=device)
    luma = _quantised(ycbcr[:, :1] - 128, luma_tables[qualities])
    halved = torch.tensor([jpeg.subsampling == "4:2:0" for jpeg in jpegs], device=device).view(-1, 1, 1, 1)
    whole = _quantised(ycbcr[:, 1:], chroma_tables[qualities])
    half = _quantised(_halved(ycbcr[:, 1:]), chroma_tables[qualities])
    doubled = F.interpolate(half, scale_factor=2.0, mode="bilinear", align_corners=False).round()
    decoded = torch.cat([luma + 128, torch.where(halved, doubled, whole)], 1).permute(0, 2, 3, 1)
    rgb = (decoded @ TO_YCBCR.inverse().to(decoded).T).round().clamp(0, 255)
    down, right = (torch.tensor([jpeg.shift[axis] for jpeg in jpegs], device=device) for axis in (0, 1))
    inner_rows = down[:, None] + torch.arange(height, device=device)
    inner_columns = right[:, None] + torch.arange(width, device=device)
    return rgb[each[:, None, None], inner_rows[:, :, None], inner_columns[:, None, :]].permute(0, 3, 1, 2)


def _halved(chroma: Tensor) -> Tensor:
    """Return the means of 2x2 pixels, rounded like in libjpeg: in every other column, a half is rounded down."""
    means = F.avg_pool2d(chroma, 2)
    offsets = torch.tensor([0.25, 0.5], device=chroma.device).repeat(means.shape[3] // 2)
    return (means + offsets).floor()


def _padded(shifts: Sequence[int], length: int) -> Tensor:
    """Return, for each patch, the indices of its pixels with padding before and after: (B, whole blocks).

    Before the patch, ``shift`` pixels are mirrored. After the patch, the last pixel is repeated.
    """
    whole = -(-(length + JPEG_GRID - 1) // JPEG_GRID) * JPEG_GRID
    places = torch.arange(whole) - torch.tensor(shifts)[:, None]
    return torch.where(places < 0, -1 - places, places).clamp(max=length - 1)


@functools.cache
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the luma and chroma tables of the qualities 1 to 100: each (100, 1, 1, 1, 8, 8)."""
    luma, chroma = (
        torch.from_numpy(scaled_tables(table)).float().view(100, 1, 1, 1, BLOCK, BLOCK).to(device)
        for table in (LUMA, CHROMA)
    )
    return luma, chroma


@functools.cache
def _cosines(device: torch.device) -> Tensor:
    """Return the matrix (8, 8) of the orthonormal DCT-II, one row for each frequency."""
    frequency, place = np.arange(BLOCK)[:, None], np.arange(BLOCK)
    matrix = np.cos((2 * place + 1) * frequency * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    matrix[0] /= np.sqrt(2)
    return torch.from_numpy(matrix).float().to(device)


def _quantised(planes: Tensor, tables: Tensor) -> Tensor:
    """Transform the blocks of planes, round the coefficients to multiples of the tables, and transform them back.

    Args:
        planes: (B, C, H, W) with whole levels from -128 to 127; H and W are multiples of 8.
        tables: (B, 1, 1, 1, 8, 8).

    Returns:
        (B, C, H, W) with whole levels from -128 to 127.
    """
    cosines = _cosines(planes.device)
    count, channels, height, width = planes.shape
    blocks = planes.view(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    steps = (cosines @ blocks @ cosines.T) / tables
    coefficients = (steps.abs() + HALF).floor().copysign(steps) * tables
    back: Tensor = (cosines.T @ coefficients @ cosines + HALF).floor().clamp(-128, 127)
    return back.transpose(3, 4).reshape(planes.shape)
