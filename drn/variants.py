"""The variants of the weights, and the choice between them for an image file."""

from __future__ import annotations

from typing import Literal, get_args

Variant = Literal["clean", "photo"]
"""``clean``: trained on LR images without degradation, as in the benchmark. ``photo``: tuned for JPEG files."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)

VariantChoice = Literal["auto", "clean", "photo"]
"""A variant for all images, or ``auto`` to choose for each image."""

VARIANT_CHOICES: tuple[VariantChoice, ...] = get_args(VariantChoice)

PHOTO_BELOW = 98
"""JPEG files of a lower quality than this are enlarged with the photo weights."""


def choose_variant(jpeg_quality: int | None) -> Variant:
    """Choose the variant for an image file.

    Args:
        jpeg_quality: ``Metadata.jpeg_quality`` of the file; None if it is not a JPEG.
    """
    return "photo" if jpeg_quality is not None and jpeg_quality < PHOTO_BELOW else "clean"


def explain_choice(jpeg_quality: int | None, used: Variant) -> str:
    """Return a sentence about the automatic choice.

    An example is "JPEG, quality about 80: photo weights."

    Args:
        jpeg_quality: The argument of ``choose_variant``.
        used: The variant that is used. It differs from the chosen one if there are no weights of the chosen one.
    """
    wanted = choose_variant(jpeg_quality)
    source = "Not a JPEG" if jpeg_quality is None else f"JPEG, quality about {jpeg_quality}"
    lacking = "" if used == wanted else f", because there are no {wanted} weights"
    return f"{source}: {used} weights{lacking}."
