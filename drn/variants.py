"""The variants of the weights, and the choice between them for an image file."""

from __future__ import annotations

from typing import Literal, get_args

Variant = Literal["clean", "photo"]
"""``clean``: trained on LR images without degradation, as in the benchmark. ``photo``: tuned for JPEG files."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)

PHOTO_BELOW = 95
"""JPEG files of a lower quality than this are enlarged with the photo weights."""


def choose_variant(jpeg_quality: int | None) -> Variant:
    """Choose the variant for an image file.

    Args:
        jpeg_quality: ``Metadata.jpeg_quality`` of the file; None if it is not a JPEG.
    """
    return "photo" if jpeg_quality is not None and jpeg_quality < PHOTO_BELOW else "clean"
