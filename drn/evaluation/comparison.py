"""A ground truth beside what each method makes of its LR image, with scores and maps: for the page and for figures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from drn.errors import InputError
from drn.geometry import Rect
from drn.image import Array, Picture, mod_crop, to_grey
from drn.metrics import SSIM_WINDOW, psnr, rgb_to_y, ssim
from drn.resize import downscale, upscale
from drn.upscaler import OnTile, Upscaler

ERROR_RANGE = 32
"""Levels of 255 at the top of the error maps' colour scale."""

ADDED_GAIN = 4
"""How many times the map of added detail enlarges differences around mid-grey."""


@dataclass(frozen=True)
class Pair:
    """A ground truth and the LR image made from it by the published protocol.

    Attributes:
        hr: uint8, (H, W, 3); H and W are multiples of ``scale``.
        lr: uint8, (H/scale, W/scale, 3).
        scale: Upscaling factor.
        is_grey: Whether the file was greyscale: then the grey plane is what gets measured.
    """

    hr: Array
    lr: Array
    scale: int
    is_grey: bool


@dataclass(frozen=True)
class Score:
    """How near an image is to the ground truth; None where it cannot be measured."""

    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class Result:
    """What a method made of the LR image.

    Attributes:
        sr: uint8, (H, W, 3).
        whole: Score over the whole image.
        seconds: Time it took.
    """

    sr: Array
    whole: Score
    seconds: float


def make_pair(picture: Picture, scale: int) -> Pair:
    """Crop the ground truth to a multiple of ``scale`` and shrink it.

    Raises:
        InputError: If the picture is smaller than ``scale`` on a side.
    """
    hr = mod_crop(picture.rgb, scale)
    if 0 in hr.shape:
        raise InputError(f"The image is too small for x{scale}: give one of at least {scale} pixels a side.")
    return Pair(hr, downscale(hr, scale), scale, picture.is_grey)


def whole_of(pair: Pair) -> Rect:
    """The region that is the whole image, in HR pixels."""
    return Rect(0, 0, pair.hr.shape[1], pair.hr.shape[0])


def clip(region: Rect, pair: Pair) -> Rect:
    """The part of a region, in HR pixels, that lies inside the image; at least one pixel."""
    height, width = pair.hr.shape[:2]
    left, top = min(max(region.x, 0), width - 1), min(max(region.y, 0), height - 1)
    right, bottom = min(region.x + region.width, width), min(region.y + region.height, height)
    return Rect(left, top, max(right - left, 1), max(bottom - top, 1))


def parse_region(text: str, pair: Pair) -> Rect:
    """Read ``X,Y,W,H``, a region of the ground truth in pixels.

    Raises:
        InputError: If it is anything else, or does not lie inside the image.
    """
    try:
        x, y, width, height = map(int, text.split(","))
    except ValueError as error:
        raise InputError(f"The crop {text[:40]!r} is not X,Y,W,H: give four whole numbers.") from error
    whole = whole_of(pair)
    if not (0 <= x < x + width <= whole.width and 0 <= y < y + height <= whole.height):
        raise InputError(f"The crop {text[:40]} does not lie inside the {whole.width}x{whole.height} image.")
    return Rect(x, y, width, height)


def run(
    pair: Pair,
    upscaler: Upscaler,
    method: str,
    progress: OnTile | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Result:
    """Enlarge the LR image by ``bicubic``, ``DRN`` or ``DRN+`` and score the result.

    Args:
        progress: See ``Upscaler.upscale``.
        cancelled: See ``Upscaler.upscale``.
    """
    start = time.perf_counter()
    if method == "bicubic":
        sr = upscale(pair.lr, pair.scale)
    else:
        sr = upscaler.upscale(pair.lr, self_ensemble=method == "DRN+", progress=progress, cancelled=cancelled)
    seconds = time.perf_counter() - start
    return Result(sr, score(pair, sr, whole_of(pair)), seconds)


def score(pair: Pair, sr: Array, region: Rect) -> Score:
    """PSNR and SSIM in a region, in HR pixels, without the image's border of ``scale`` pixels (``crop_border``)."""
    height, width = pair.hr.shape[:2]
    border = pair.scale
    counted = np.s_[
        max(region.y, border) : max(0, min(region.y + region.height, height - border)),
        max(region.x, border) : max(0, min(region.x + region.width, width - border)),
    ]
    a, b = sr[counted], pair.hr[counted]
    if pair.is_grey:
        a, b = to_grey(a), to_grey(b)
    if 0 in a.shape:
        return Score(None, None)
    return Score(psnr(a, b, 0), ssim(a, b, 0) if min(a.shape[:2]) >= SSIM_WINDOW else None)


def error_map(pair: Pair, sr: Array) -> Array:
    """Absolute difference of luma from the ground truth, 0 to ``ERROR_RANGE`` levels, in inferno colours."""
    error = np.abs(rgb_to_y(sr) - rgb_to_y(pair.hr)) * (255 / ERROR_RANGE)
    coloured = cv2.applyColorMap(np.minimum(error, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def added_map(base: Array, sr: Array) -> Array:
    """Luma of ``sr`` minus that of ``base``, times ``ADDED_GAIN``, around mid-grey: (H, W, 3)."""
    added = 128 + ADDED_GAIN * (rgb_to_y(sr) - rgb_to_y(base))
    return np.repeat(np.clip(added, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def notes_on(picture: Picture) -> list[str]:
    """What was done to a ground truth that was read, one sentence each."""
    hidden = [] if picture.alpha is None else ["Its transparency is left out: all of its pixels are compared."]
    return [*picture.notes, *hidden]


def best(values: Mapping[str, float | None]) -> set[str]:
    """The keys of the highest value, several if they are equal; none where there is nothing to compare."""
    known = {key: value for key, value in values.items() if value is not None}
    return {key for key, value in known.items() if value == max(known.values())} if len(known) > 1 else set()


def format_psnr(score: Score) -> str:
    if score.psnr is None:
        return "–"
    return "∞ dB" if math.isinf(score.psnr) else f"{score.psnr:.2f} dB"


def format_ssim(score: Score) -> str:
    return "–" if score.ssim is None else f"{score.ssim:.4f}"
