"""What the page shows, without the page: a ground truth, its LR, and crops with their numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drn.image import Array, Picture, mod_crop, to_grey
from drn.inference import Region, Upscaler
from drn.metrics import SSIM_WINDOW, psnr, ssim
from drn.resize import MARGIN, downscale, upscale

METHODS = ("bicubic", "DRN", "DRN+")


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
class Panel:
    """One image of the comparison.

    Attributes:
        name: LR, bicubic, DRN, DRN+ or ground truth.
        pixels: uint8, (h, w, 3): the region; the LR one is ``scale`` times smaller.
        score: PSNR and SSIM of the region; None for LR and the ground truth itself.
        seconds: Time taken to compute the region.
    """

    name: str
    pixels: Array
    score: Score | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Whole:
    """Score of a method over the whole image, and the time it took."""

    score: Score
    seconds: float


def make_pair(picture: Picture, scale: int) -> Pair:
    """Crop the ground truth to a multiple of ``scale`` and shrink it.

    Raises:
        ValueError: If the picture is smaller than ``scale`` on a side.
    """
    hr = mod_crop(picture.rgb, scale)
    if 0 in hr.shape:
        raise ValueError(f"The image is too small for x{scale}.")
    return Pair(hr, downscale(hr, scale), scale, picture.is_grey)


def region_around(pair: Pair, x: float, y: float, size: int) -> Region:
    """The square region, in LR pixels, of about ``size`` HR pixels a side, centred near HR (x, y).

    It is moved, and made smaller if it must be, to lie inside the image.
    """
    rows, columns = pair.lr.shape[:2]
    height, width = (min(max(1, size // pair.scale), side) for side in (rows, columns))
    left = round(x / pair.scale - width / 2)
    top = round(y / pair.scale - height / 2)
    return Region(min(max(left, 0), columns - width), min(max(top, 0), rows - height), width, height)


def compare_region(pair: Pair, upscaler: Upscaler, region: Region, methods: tuple[str, ...]) -> list[Panel]:
    """The panels of a region: LR, each of ``methods``, ground truth. Only the region is computed."""
    scale = pair.scale
    rows = slice(region.y * scale, (region.y + region.height) * scale)
    columns = slice(region.x * scale, (region.x + region.width) * scale)
    lr = pair.lr[region.y : region.y + region.height, region.x : region.x + region.width]
    hr = pair.hr[rows, columns]
    panels = [Panel("LR", lr)]
    for method in methods:
        pixels, seconds = _timed(lambda method=method: _run(pair, upscaler, method, region))  # type: ignore[misc]
        panels.append(Panel(method, pixels, _score(pair, pixels, region), seconds))
    return [*panels, Panel("ground truth", hr)]


def measure_whole(pair: Pair, upscaler: Upscaler, method: str) -> Whole:
    """Score one method over the whole image."""
    everything = Region(0, 0, pair.lr.shape[1], pair.lr.shape[0])
    pixels, seconds = _timed(lambda: _run(pair, upscaler, method, everything))
    return Whole(_score(pair, pixels, everything), seconds)


def _timed(work: Callable[[], Array]) -> tuple[Array, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _run(pair: Pair, upscaler: Upscaler, method: str, region: Region) -> Array:
    if method != "bicubic":
        return upscaler.upscale(pair.lr, region=region, self_ensemble=method == "DRN+")
    left, top = max(region.x - MARGIN, 0), max(region.y - MARGIN, 0)
    source = pair.lr[top : region.y + region.height + MARGIN, left : region.x + region.width + MARGIN]
    enlarged = upscale(source, pair.scale)
    y, x = (region.y - top) * pair.scale, (region.x - left) * pair.scale
    return enlarged[y : y + region.height * pair.scale, x : x + region.width * pair.scale]


def _score(pair: Pair, sr: Array, region: Region) -> Score:
    """PSNR and SSIM of the part of the region that the protocol counts: ``crop_border`` = scale."""
    height, width = pair.hr.shape[:2]
    border = pair.scale
    left, top = region.x * pair.scale, region.y * pair.scale
    right, bottom = left + sr.shape[1], top + sr.shape[0]
    counted = np.s_[
        max(top, border) - top : min(bottom, height - border) - top,
        max(left, border) - left : min(right, width - border) - left,
    ]
    a, b = sr[counted], pair.hr[top:bottom, left:right][counted]
    if pair.is_grey:
        a, b = to_grey(a), to_grey(b)
    if 0 in a.shape:
        return Score(None, None)
    return Score(psnr(a, b, 0), ssim(a, b, 0) if min(a.shape[:2]) >= SSIM_WINDOW else None)


def format_psnr(score: Score) -> str:
    if score.psnr is None:
        return "–"
    return "∞ dB" if math.isinf(score.psnr) else f"{score.psnr:.2f} dB"


def format_ssim(score: Score) -> str:
    return "–" if score.ssim is None else f"{score.ssim:.4f}"
