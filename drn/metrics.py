"""PSNR and SSIM as the super-resolution literature reports them.

Both are measured on 8-bit images, on the luma (Y) of BT.601 limited-range YCbCr, without a border of ``crop_border``
pixels on each side. The usual border is the scale. A greyscale image is measured on its own levels.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

SSIM_WINDOW = 11
"""Side of the window of ``ssim``, in pixels."""

Luma = Literal["rounded", "float"]
"""How papers measure luma: rounded to 8 bits, as by MATLAB's ``rgb2ycbcr``, or not rounded, as by BasicSR."""

LUMA = (65.481, 128.553, 24.966)
"""Weights of R, G and B in Y (BT.601 limited range), for R, G and B in [0, 1]."""


def rgb_to_y(rgb: NDArray[np.uint8], luma: Luma = "rounded") -> NDArray[np.float64]:
    """Return the luma of BT.601 limited range, by default rounded to whole levels as by MATLAB's ``rgb2ycbcr``.

    ``Y = round(16 + (65.481 R + 128.553 G + 24.966 B) / 255)`` for R, G, B in [0, 255]. The rounding is part of the
    protocol: without it PSNR is 0.03 dB higher at 34 dB and 0.07 dB higher at 38 dB.

    Args:
        rgb: uint8, (H, W, 3).
        luma: ``float`` leaves out the rounding.

    Returns:
        float64, (H, W), in [16, 235]; whole numbers if rounded.
    """
    y: NDArray[np.float64] = 16.0 + rgb.astype(np.float64) @ np.array(LUMA) / 255.0
    return np.rint(y) if luma == "rounded" else y


def _prepare(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], crop_border: int, y_channel: bool, luma: Luma
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if sr.shape != hr.shape:
        raise ValueError(f"The images differ in size: {sr.shape} and {hr.shape}.")
    if sr.dtype != np.uint8 or hr.dtype != np.uint8:
        raise ValueError(f"Metrics take 8-bit images, not {sr.dtype} and {hr.dtype}.")
    height, width = sr.shape[:2]
    if min(height, width) <= 2 * crop_border:
        raise ValueError(f"A {width}x{height} image has nothing left inside a border of {crop_border} pixels.")
    inner = np.s_[crop_border : height - crop_border, crop_border : width - crop_border]
    if y_channel and sr.ndim == 3:
        return rgb_to_y(sr[inner], luma), rgb_to_y(hr[inner], luma)
    return sr[inner].astype(np.float64), hr[inner].astype(np.float64)


def psnr(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], crop_border: int, y_channel: bool = True, luma: Luma = "rounded"
) -> float:
    """Return the peak signal-to-noise ratio, for a peak of 255.

    Args:
        sr: uint8, (H, W) or (H, W, 3) RGB.
        hr: The original, of the same shape.
        crop_border: Number of pixels to leave out on each side.
        y_channel: Whether RGB images are measured on Y; False measures all three channels together.
        luma: See ``rgb_to_y``.

    Returns:
        PSNR in dB; infinite for equal images.

    Raises:
        ValueError: If the images differ in shape or are not uint8, or if nothing is left inside the border.
    """
    a, b = _prepare(sr, hr, crop_border, y_channel, luma)
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], crop_border: int, y_channel: bool = True, luma: Luma = "rounded"
) -> float:
    """Return the structural similarity (Wang et al., IEEE TIP 2004).

    The window is an 11x11 Gaussian with sigma 1.5, and only windows wholly inside the image are used. K1 = 0.01,
    K2 = 0.03, and the data range is 255. Variances are population variances.

    Args:
        sr: uint8, (H, W) or (H, W, 3) RGB.
        hr: The original, of the same shape.
        crop_border: Number of pixels to leave out on each side.
        y_channel: Whether RGB images are measured on Y; False averages over R, G and B.
        luma: See ``rgb_to_y``.

    Returns:
        SSIM, at most 1; equal images have the value 1.

    Raises:
        ValueError: If the images differ in shape or are not uint8, or if less than 11x11 pixels are left inside the
            border.
    """
    a, b = _prepare(sr, hr, crop_border, y_channel, luma)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels inside the border.")
    kernel = cv2.getGaussianKernel(SSIM_WINDOW, 1.5)
    radius = SSIM_WINDOW // 2

    def blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel)
        return np.asarray(blurred[radius:-radius, radius:-radius], dtype=np.float64)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return float(np.mean(luminance * structure))
