"""A file like that of a phone: a large JPEG whose orientation is in its EXIF data."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from app.photographs import EXAMPLES
from drn.image import Array, mod_crop
from drn.reading import read_image

ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""

TURNED_RIGHT = 6
"""The orientation of a photograph whose stored pixels have to be turned by 90 degrees to the right."""


def phone_photo(width: int = 4000, height: int = 3000, seed: int = 0) -> bytes:
    """Make a JPEG of real photographs side by side, with a sensor's noise, whose pixels are stored lying on their side.

    Args:
        width: Width of the stored image, in pixels; the upright image has this height.
        height: Height of the stored image; the upright image has this width.
        seed: Seed of the noise.
    """
    parts = [mod_crop(read_image(path).rgb, 4) for path in sorted(EXAMPLES.glob("*.png"))]
    side = min(min(part.shape[:2]) for part in parts)
    rng = np.random.default_rng(seed)
    rows = [
        np.hstack([parts[(3 * row + column) % len(parts)][:side, :side] for column in range(-(-height // side))])
        for row in range(-(-width // side))
    ]
    clean = np.vstack(rows)[:width, :height].astype(np.float32)
    noisy = clean + rng.normal(0, 3, clean.shape).astype(np.float32)
    image = Image.fromarray(np.rot90(noisy.round().clip(0, 255).astype(np.uint8)))
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_RIGHT
    stored = io.BytesIO()
    image.save(stored, format="JPEG", quality=92, exif=exif)
    return stored.getvalue()


def upright(data: bytes) -> Array:
    """Decode an image with Pillow, upright: uint8 (h, w, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
