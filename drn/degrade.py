"""Degradation of LR images: the blur, noise and JPEG artefacts that photographs have.

A degradation is applied after the antialiased shrink of the benchmark protocol. Training draws a new one for each
patch, validation cycles through a fixed list, and evaluation and the app apply a single one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drn.errors import InputError
from drn.image import Array

SUBSAMPLINGS = ("4:4:4", "4:2:0")
JPEG_GRID = 16
"""Side in pixels of the blocks that a 4:2:0 JPEG is coded in: 8 for luma, 16 for the halved chroma."""

CLEAN_SHARE = 0.5
"""Share of the training patches that stay unchanged. The shares below refer to the remaining patches."""
BLUR_SHARE, BLUR_SIGMA = 0.1, (0.3, 0.8)
NOISE_SHARE, NOISE_SIGMA = 0.2, (0.5, 5.0)
JPEG_SHARE, JPEG_QUALITY = 0.95, (30, 95)
SUBSAMPLED_SHARE = 0.75
"""Share of the JPEGs with 4:2:0 chroma; the others have 4:4:4."""
TWICE_SHARE = 0.15
"""Share of the JPEGs that are coded a second time, on another grid."""


@dataclass(frozen=True)
class Jpeg:
    """JPEG compression by Pillow's encoder.

    Attributes:
        quality: libjpeg's quality, 1 to 100.
        subsampling: Chroma subsampling, one of ``SUBSAMPLINGS``.
        shift: Offset (rows, columns) of the image inside the JPEG's first block, each at least 0. A crop of a JPEG has
            such an offset; a whole file has (0, 0).
    """

    quality: int
    subsampling: str = "4:2:0"
    shift: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"The JPEG quality must be 1 to 100, not {self.quality}.")
        if self.subsampling not in SUBSAMPLINGS:
            raise InputError(f"The chroma subsampling must be {' or '.join(SUBSAMPLINGS)}, not {self.subsampling}.")
        if min(self.shift) < 0:
            raise InputError("The shift of the JPEG grid must be 0 or more.")

    def apply(self, rgb: Array) -> Array:
        """Store an image as JPEG and read it again.

        Args:
            rgb: uint8, (H, W, 3).

        Returns:
            The decoded image, of the same shape and type.
        """
        down, right = self.shift
        shifted = np.pad(rgb, ((down, 0), (right, 0), (0, 0)), mode="symmetric") if down or right else rgb
        file = io.BytesIO()
        Image.fromarray(shifted).save(file, "JPEG", quality=self.quality, subsampling=self.subsampling)
        with Image.open(file, formats=("JPEG",)) as image:
            return np.array(image)[down:, right:]


@dataclass(frozen=True)
class Degradation:
    """A degradation of an LR image: blur, then noise, then JPEG compression. By default the image stays unchanged.

    Attributes:
        blur: Sigma of the Gaussian blur in pixels; 0 for none.
        noise: Sigma of the Gaussian noise in 8-bit levels, independent for each pixel and channel; 0 for none.
        noise_seed: Random seed of the noise.
        jpegs: JPEG compressions, applied one after the other.
    """

    blur: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    jpegs: tuple[Jpeg, ...] = ()

    def __post_init__(self) -> None:
        if not (0 <= self.blur <= 10 and 0 <= self.noise <= 100):
            raise InputError("The blur must have a sigma of 0 to 10 pixels, the noise one of 0 to 100 levels.")

    def __str__(self) -> str:
        """Describe the degradation in a few words, such as ``blur 0.5, JPEG 75``; ``clean`` if there is none."""
        parts = [f"blur {self.blur:g}"] if self.blur else []
        parts += [f"noise {self.noise:g}"] if self.noise else []
        return ", ".join(parts + [f"JPEG {jpeg.quality}" for jpeg in self.jpegs]) or "clean"

    def apply(self, lr: Array) -> Array:
        """Degrade ``lr``: uint8, (H, W, 3) -> uint8, (H, W, 3). The same degradation gives the same result."""
        if self.blur or self.noise:
            levels: NDArray[np.float32] = lr.astype(np.float32)
            if self.blur:
                cv2.GaussianBlur(levels, (0, 0), self.blur, dst=levels, borderType=cv2.BORDER_REFLECT)
            if self.noise:
                rng = np.random.default_rng(self.noise_seed)
                levels = levels + self.noise * rng.standard_normal(levels.shape, np.float32)
            lr = np.rint(levels).clip(0, 255).astype(np.uint8)
        for jpeg in self.jpegs:
            lr = jpeg.apply(lr)
        return lr


CLEAN = Degradation()
"""No degradation, as in the benchmark protocol."""


def only_jpeg(quality: int | None) -> Degradation:
    """Return the degradation that stores images as 4:2:0 JPEG of a quality, or ``CLEAN`` for None."""
    return CLEAN if quality is None else Degradation(jpegs=(Jpeg(quality),))


VALIDATION = tuple(map(only_jpeg, (50, 75, 90, None)))
"""The degradations of validation images, used to select weights for photographs. They are assigned in this order, and
repeat after the last one."""


def draw_degradation(rng: np.random.Generator) -> Degradation:
    """Draw the degradation of a training patch, with the shares and ranges at the top of this module."""
    if rng.random() < CLEAN_SHARE:
        return CLEAN
    return Degradation(
        blur=rng.uniform(*BLUR_SIGMA) if rng.random() < BLUR_SHARE else 0.0,
        noise=rng.uniform(*NOISE_SIGMA) if rng.random() < NOISE_SHARE else 0.0,
        noise_seed=int(rng.integers(2**32)),
        jpegs=tuple(_draw_jpeg(rng) for _ in range(1 + (rng.random() < TWICE_SHARE)))
        if rng.random() < JPEG_SHARE
        else (),
    )


def _draw_jpeg(rng: np.random.Generator) -> Jpeg:
    low, high = JPEG_QUALITY
    down, right = rng.integers(JPEG_GRID, size=2).tolist()
    subsampling = "4:2:0" if rng.random() < SUBSAMPLED_SHARE else "4:4:4"
    return Jpeg(int(rng.integers(low, high + 1)), subsampling, (down, right))
