"""Run a method on a pair, score the result, and draw maps of its error. All comparisons use this module."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair, whole_rect
from drn.geometry import Rect
from drn.image import Array, to_grey
from drn.metrics import SSIM_WINDOW, Luma, psnr, rgb_to_y, ssim
from drn.upscaler import OnTile

ERROR_RANGE = 32
"""Error in 8-bit levels at the upper end of the colour scale of ``error_map``."""

ADDED_GAIN = 4
"""Factor by which ``added_map`` amplifies differences."""


@dataclass(frozen=True)
class Score:
    """Similarity of an image to its original.

    Attributes:
        psnr: In dB; None if the measured area is empty.
        ssim: At most 1; None if the measured area is smaller than the window of SSIM.
    """

    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class Result:
    """The result of a method on one pair.

    Attributes:
        sr: uint8, (H, W, 3), the enlarged LR image.
        whole: Score of the whole image.
        seconds: Time for the enlargement.
    """

    sr: Array
    whole: Score
    seconds: float


def measure(
    pair: Pair,
    method: Method,
    on_tile: OnTile | None = None,
    cancelled: Callable[[], bool] | None = None,
    luma: Luma = "rounded",
) -> Result:
    """Enlarge the LR image by ``method``, time it, and score the result.

    Nothing else in the project times or scores a method on a whole image.

    Args:
        pair: The original and its LR image.
        method: The method.
        on_tile: See ``Enlarge``.
        cancelled: See ``Enlarge``.
        luma: See ``score``.

    Raises:
        InputError: If the method fails on this image.
        Cancelled: If ``cancelled`` returned True.
    """
    start = time.perf_counter()
    sr = method.enlarge(pair, on_tile, cancelled)
    seconds = time.perf_counter() - start
    return Result(sr, score(pair, sr, whole_rect(pair), luma), seconds)


def score(pair: Pair, sr: Array, hr_rect: Rect, luma: Luma = "rounded") -> Score:
    """Return PSNR and SSIM inside ``hr_rect``, without the ``crop_border`` of ``scale`` pixels around the image.

    Args:
        pair: The original.
        sr: uint8, (H, W, 3), a result for it.
        hr_rect: The region. It may reach beyond the image.
        luma: ``rounded`` rounds Y and measures a greyscale file on its own levels; ``float`` does not round, and
            measures a greyscale file as RGB.

    Returns:
        The scores. A score is None if too few pixels remain to measure it.
    """
    height, width = pair.hr.shape[:2]
    border = pair.scale
    counted = np.s_[
        max(hr_rect.y, border) : max(0, min(hr_rect.y + hr_rect.height, height - border)),
        max(hr_rect.x, border) : max(0, min(hr_rect.x + hr_rect.width, width - border)),
    ]
    a, b = sr[counted], pair.hr[counted]
    if pair.is_grey and luma == "rounded":
        a, b = to_grey(a), to_grey(b)
    if 0 in a.shape:
        return Score(None, None)
    similarity = ssim(a, b, 0, luma=luma) if min(a.shape[:2]) >= SSIM_WINDOW else None
    return Score(psnr(a, b, 0, luma=luma), similarity)


def error_map(pair: Pair, sr: Array) -> Array:
    """Draw the absolute error of the Y channel with the colour map "inferno".

    Returns:
        uint8, (H, W, 3). The colour scale ends at ``ERROR_RANGE`` levels.
    """
    error = np.abs(rgb_to_y(sr) - rgb_to_y(pair.hr)) * (255 / ERROR_RANGE)
    coloured = cv2.applyColorMap(np.minimum(error, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def added_map(base: Array, sr: Array) -> Array:
    """Draw the detail that ``sr`` has and ``base`` lacks: the difference of their Y channels, times ``ADDED_GAIN``.

    Returns:
        uint8, (H, W, 3), mid-grey where both images are equal.
    """
    added = 128 + ADDED_GAIN * (rgb_to_y(sr) - rgb_to_y(base))
    return np.repeat(np.clip(added, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def best(values: Mapping[str, float | None]) -> set[str]:
    """Return the keys that have the highest value.

    Several keys may have it. The set is empty if fewer than two values are known.
    """
    known = {key: value for key, value in values.items() if value is not None}
    return {key for key, value in known.items() if value == max(known.values())} if len(known) > 1 else set()


def format_psnr(score: Score) -> str:
    """Return the PSNR as text to display, such as ``31.42 dB``."""
    if score.psnr is None:
        return "–"
    return "∞ dB" if math.isinf(score.psnr) else f"{score.psnr:.2f} dB"


def format_ssim(score: Score) -> str:
    """Return the SSIM as text to display, such as ``0.8921``."""
    return "–" if score.ssim is None else f"{score.ssim:.4f}"
