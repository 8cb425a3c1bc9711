"""Write images as PNG, JPEG, WebP, AVIF or TIFF, with or without the metadata of their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from drn.errors import InputError
from drn.files import replace_file
from drn.image import Picture
from drn.metadata import NO_METADATA, Metadata, exif_texts, with_mark

SUFFIX_OF = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "tiff": ".tif"}
"""Format of a result -> suffix of its file name."""

FORMAT_OF = {suffix: name for name, suffix in SUFFIX_OF.items()} | {".jpeg": "jpeg", ".tiff": "tiff"}
"""Suffix of a result's file name -> format."""

QUALITY = 95
"""Default quality of JPEG, WebP and AVIF."""

LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536}
"""Longest side in pixels that a format can hold."""

EXIF_START = b"Exif\0\0"

XMP_TAG = 700
"""Number of the TIFF tag of the XMP packet."""


def write_image(
    path: Path,
    picture: Picture,
    file_format: str = "png",
    quality: int = QUALITY,
    metadata: Metadata = NO_METADATA,
    mark: str = "",
) -> None:
    """Write ``picture``, atomically.

    Args:
        path: The file to create or replace.
        picture: The picture. For JPEG, which has no transparency, it is drawn on a white background.
        file_format: One of ``SUFFIX_OF``.
        quality: Quality of a lossy format, 1 to 100.
        metadata: The metadata to write.
        mark: A text that ``drn.metadata.read_mark`` can read from the file; empty to write none.

    Raises:
        InputError: If the picture is too large for the format.
        OSError: If the folder does not exist or the disk is full.
    """
    height, width = picture.rgb.shape[:2]
    longest = LONGEST_SIDE.get(file_format)
    if longest is not None and max(height, width) > longest:
        raise InputError(f"{path.name} would be {width}x{height}, too large for {file_format}: use --format png.")
    image = Image.fromarray(picture.measured)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
        if file_format == "jpeg":
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA")).convert("L" if picture.is_grey else "RGB")
    options = _options(file_format, quality) | _metadata_options(file_format, metadata, mark)
    replace_file(path, lambda temporary: image.save(temporary, format=file_format.upper(), **options))


def _options(file_format: str, quality: int) -> dict[str, Any]:
    """Return Pillow's options for the pixels."""
    if file_format == "png":
        return {"compress_level": 4}
    if file_format == "tiff":
        return {"compression": "tiff_adobe_deflate"}
    return {"quality": quality} | ({"subsampling": "4:4:4"} if file_format != "webp" else {})


def _metadata_options(file_format: str, metadata: Metadata, mark: str) -> dict[str, Any]:
    """Return Pillow's options for the metadata."""
    options: dict[str, Any] = {}
    xmp = with_mark(metadata.xmp, mark) if mark else metadata.xmp
    if file_format == "tiff":
        return _tiff_options(metadata, xmp)
    if metadata.exif:
        options["exif"] = EXIF_START + metadata.exif
    if metadata.dpi and file_format in ("png", "jpeg"):
        options["dpi"] = tuple(np.rint(metadata.dpi).astype(int).tolist()) if file_format == "jpeg" else metadata.dpi
    if file_format == "png":
        texts = PngImagePlugin.PngInfo()
        for key, text in metadata.texts:
            texts.add_itxt(key, text)
        if xmp:
            texts.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = texts
        return options
    comment = dict(metadata.texts).get("Comment")
    if comment and file_format == "jpeg":
        options["comment"] = comment
    if xmp and len(xmp) < 65_000:
        options["xmp"] = xmp
    return options


def _tiff_options(metadata: Metadata, xmp: bytes) -> dict[str, Any]:
    """Return Pillow's options for the metadata of a TIFF: of the EXIF data, only the texts."""
    tags: dict[int, Any] = {XMP_TAG: xmp} if xmp else {}
    tags |= exif_texts(metadata.exif)
    return {"tiffinfo": tags} | ({"dpi": metadata.dpi} if metadata.dpi else {})
