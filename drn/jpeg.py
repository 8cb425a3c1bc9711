"""Quantisation tables of JPEG: those of libjpeg for each quality, and the quality estimated from those of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

LUMA = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
"""The luma table of the JPEG standard (T.81, annex K), which libjpeg scales for each quality; row by row."""

CHROMA = np.array(
    [
        *(17, 18, 24, 47, 99, 99, 99, 99),
        *(18, 21, 26, 66, 99, 99, 99, 99),
        *(24, 26, 56, 99, 99, 99, 99, 99),
        *(47, 66, 99, 99, 99, 99, 99, 99),
        *[99] * 32,
    ]
)
"""The chroma table of the same annex."""

Tables = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def scaled_tables(table: Tables) -> Tables:
    """Return the quantisation tables that libjpeg uses for each quality.

    Args:
        table: The table of the standard, ``LUMA`` or ``CHROMA``: (64,).

    Returns:
        One row for each quality from 1 to 100: (100, 64).
    """
    quality = np.arange(1, 101)[:, None]
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((table * percent + 50) // 100).clip(1, 255)


_LOG_TABLES = np.log(scaled_tables(LUMA))


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """Estimate the quality of a JPEG file from its quantisation tables.

    The luma table of the file is compared with libjpeg's luma table for each quality. The quality of the most similar
    table is returned. The estimate is exact for files that libjpeg wrote, with any subsampling, progressive or not.
    Other encoders use other tables and other scales of quality. Low frequencies count more in the comparison, because
    they contain most of the image.

    Args:
        tables: The quantisation tables by number, each with 64 steps row by row: ``image.quantization`` of Pillow. The
            table with the lowest number is for luma.

    Returns:
        The quality, from 1 to 100.
    """
    steps = np.log(np.maximum(tables[min(tables)], 1))
    return int((np.abs(_LOG_TABLES - steps) / LUMA).sum(1).argmin()) + 1
