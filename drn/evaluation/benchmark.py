"""Benchmark tables: bicubic, DRN and DRN+ on folders of HR images, by the published protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from drn.errors import InputError
from drn.image import Array, find_images, mod_crop, read_image, to_grey
from drn.metrics import SSIM_WINDOW, psnr, ssim
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler

Enlarge = Callable[[Array], Array]
"""lr, uint8 (H, W, 3) -> sr, uint8 (H*scale, W*scale, 3)."""


@dataclass(frozen=True)
class Row:
    """One line of a benchmark table.

    Attributes:
        data: Name of the test set.
        scale: Upscaling factor.
        method: bicubic, DRN or DRN+.
        images: How many images were averaged.
        psnr: Mean PSNR in dB (Y channel, crop_border = scale).
        ssim: Mean SSIM.
        seconds: Mean time for one image.
    """

    data: str
    scale: int
    method: str
    images: int
    psnr: float
    ssim: float
    seconds: float


def as_rgb(image: Array) -> Array:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def measure(data: str, method: str, images: Iterable[Array], scale: int, enlarge: Enlarge) -> Row:
    """Average one method over HR images.

    Args:
        images: uint8, (H, W, 3), or (H, W) for greyscale files, which are measured as they are.
        enlarge: The method.
    """
    results = []
    for image in images:
        hr = mod_crop(image, scale)
        lr = as_rgb(downscale(hr, scale))
        start = time.perf_counter()
        sr = enlarge(lr)
        seconds = time.perf_counter() - start
        sr = sr if hr.ndim == 3 else to_grey(sr)
        results.append((psnr(sr, hr, scale), ssim(sr, hr, scale), seconds))
    psnrs, ssims, times = zip(*results, strict=True)
    return Row(data, scale, method, len(results), mean(psnrs), mean(ssims), mean(times))


def evaluate(
    folder: Path, upscaler: Upscaler, self_ensemble: bool = True, on_row: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Measure bicubic, DRN and (with ``self_ensemble``) DRN+ on the images of ``folder``.

    Args:
        on_row: Called with each row as soon as it is known.

    Raises:
        InputError: If the folder is missing, holds no images, or one is damaged or too small.
    """
    scale = upscaler.scale
    methods: dict[str, Enlarge] = {
        "bicubic": lambda lr: upscale(lr, scale),
        "DRN": lambda lr: upscaler.upscale(lr),
    }
    if self_ensemble:
        methods["DRN+"] = lambda lr: upscaler.upscale(lr, self_ensemble=True)
    images = validation_set(folder, scale)
    first = as_rgb(downscale(mod_crop(images[0], scale), scale))
    rows = []
    for name, enlarge in methods.items():
        enlarge(first)  # a size that is new costs its first call time
        rows.append(measure(folder.resolve().name, name, images, scale, enlarge))
        on_row(rows[-1])
    return rows


def read_truth(path: Path, scale: int) -> Array:
    """An HR image to measure against: uint8, (H, W, 3), or (H, W) of a greyscale file.

    Raises:
        InputError: If it cannot be read, or is too small for SSIM inside the border of ``scale`` pixels.
    """
    image = read_image(path).measured
    least = scale * math.ceil((2 * scale + SSIM_WINDOW) / scale)
    if min(image.shape[:2]) < least:
        raise InputError(f"{path} is too small to measure at x{scale}: it needs {least} pixels a side.")
    return image


def validation_set(folder: Path, scale: int) -> list[Array]:
    """Every image of ``folder``, as ``read_truth`` gives them."""
    return [read_truth(path, scale) for path in find_images(folder)]
