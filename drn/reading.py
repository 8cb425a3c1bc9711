"""Read image files: every format, mode and colour space becomes 8-bit sRGB, with a note on each change.

Faults are handled as in browsers: faulty metadata is ignored, and a file with damaged pixels is refused. The
exception is a JPEG of which only a small part at the end is missing.
"""

from __future__ import annotations

import io
import os
import random
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from drn import formats
from drn.colour import to_srgb
from drn.errors import InputError
from drn.formats import FORMATS
from drn.image import Array, Picture
from drn.metadata import raw_exif, read_metadata, read_orientation

PHOTOMETRIC, SAMPLE_FORMAT = 262, 339
"""Numbers of TIFF tags."""

WHITE_IS_ZERO = 0
"""A value of ``PHOTOMETRIC`` that Pillow handles only in 8-bit images."""

GREY_STEPS = {"L;2": 85, "L;4": 17}
"""Pillow's raw mode of a grey PNG of 2 or 4 bits -> factor from a level in the file to an 8-bit level."""

LEAST_SHARE = 0.95
"""Least share of the pixels that an incomplete JPEG must contain."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the operation that turns the stored pixels upright."""


def check_bytes(name: str, nbytes: int, max_bytes: int) -> None:
    """Refuse a file that is larger than ``max_bytes``.

    Raises:
        InputError: If the file is larger.
    """
    if nbytes > max_bytes:
        raise InputError(f"{name} has {nbytes / 1e6:.1f} MB: the limit is {max_bytes / 1e6:.0f} MB.")


def check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    """Refuse an image of more than ``max_pixels``.

    Raises:
        InputError: If the image has more pixels.
    """
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:.2f} megapixels"
        raise InputError(f"{name} is {width}x{height}: the limit here is {limit}. Crop it, or make it smaller.")


def read_image(
    source: Path | IO[bytes], max_bytes: int | None = None, max_pixels: int | None = None, name: str = ""
) -> Picture:
    """Read an image file: EXIF orientation applied, colours converted to sRGB.

    Args:
        source: The path of a file or a pipe, or an open binary file.
        max_bytes: Largest file accepted.
        max_pixels: Largest width times height accepted; checked before anything is decoded.
        name: The file's name in error messages; by default the name of a ``Path``, and "The file" for an open file.

    Raises:
        InputError: If the file is missing, too large, damaged, or not an image.
    """
    name = name or (source.name if isinstance(source, Path) else "The file")
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                data = _read_all(file, name, max_bytes)
        else:
            data = _read_all(source, name, max_bytes)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.") from error
    try:
        with _open(data, name, max_pixels) as image:
            return _decode(image, data, name)
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not an image that can be read ({', '.join(FORMATS)}).") from error
    except Image.DecompressionBombError as error:
        limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(
            f"{name} has too many pixels: the limit here is {limit / 1e6:.2f} megapixels. Crop it, or make it smaller."
        ) from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit in the memory of this machine: reduce it first.") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of exceptions for damaged files
        raise InputError(f"{name} is damaged or incomplete and cannot be decoded.") from error


def _read_all(file: IO[bytes], name: str, max_bytes: int | None) -> bytes:
    """Read a file, unless it is larger than ``max_bytes``."""
    if max_bytes is None:
        if file.seekable():
            file.seek(0)
        return file.read()
    if file.seekable():
        check_bytes(name, file.seek(0, os.SEEK_END), max_bytes)
        file.seek(0)
    data = file.read(max_bytes + 1)
    check_bytes(name, len(data), max_bytes)
    return data


def _open(data: bytes, name: str, max_pixels: int | None) -> Image.Image:
    """Open a file and check its size before anything is decoded.

    Raises:
        InputError: If the image has too many pixels.
    """
    if (size := formats.jxl_size(data)) is not None:  # the JPEG XL plugin decodes the file when it is opened
        limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        check_pixels(name, *size, limit)
    image = _open_despite_metadata(formats.without_bad_chunks(data))
    if max_pixels is not None:
        check_pixels(name, *image.size, max_pixels)
    return image


def _open_despite_metadata(data: bytes) -> Image.Image:
    """Open a file; if Pillow refuses an AVIF file, open it again without its EXIF data."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        if not formats.is_avif(data) or isinstance(error, (MemoryError, Image.DecompressionBombError)):
            raise
        return Image.open(io.BytesIO(formats.without_avif_exif(data)), formats=FORMATS)


def _decode(image: Image.Image, data: bytes, name: str) -> Picture:
    """Convert an opened file of any mode to 8-bit RGB and alpha, with notes on the changes."""
    notes: list[str] = []
    if getattr(image, "is_animated", False):  # unlike n_frames, this does not read the whole file
        notes.append("The file has several frames: the first one is used.")
        image.seek(0)
    file_format = image.format
    coding = tile[0][3] if (tile := getattr(image, "tile", None)) else ""
    rawmode = str(coding)
    depth = _depth(image, coding, data)
    tags = getattr(image, "tag_v2", {})  # of a TIFF file
    try:
        image.load()
    except OSError:
        if file_format not in ("JPEG", "MPO"):
            raise
        image = _load_incomplete_jpeg(data, notes)
    metadata = read_metadata(image)
    image = _upright(image)
    if image.mode == "F":
        raise InputError(f"{name} holds floating-point numbers: save it as PNG or JPEG first.")
    if depth > 8:
        notes.append(f"The {depth}-bit image was processed as 8-bit.")
        if image.info.pop("transparency", None) is not None:
            notes.append("Its transparent colour was ignored.")
    if image.mode.startswith("I"):
        image = _to_8_bits(image, rawmode, tags, name)
    if image.mode == "1":
        image = image.convert("L")
    if rawmode in GREY_STEPS and "transparency" in image.info:  # Pillow keeps this colour in the levels of the file
        image.info["transparency"] *= GREY_STEPS[rawmode]
    image, alpha = _split_alpha(image, notes)
    is_grey = image.mode == "L" or rawmode.startswith("LA;")  # Pillow reads 16-bit grey with alpha as RGBA
    image = to_srgb(image, file_format, data, notes)
    return Picture(np.array(image.convert("RGB")), alpha, is_grey, tuple(notes), metadata)


def _depth(image: Image.Image, coding: object, data: bytes) -> int:
    """Return the bits of each channel in the file; 8 also stands for fewer."""
    rawmode = str(coding)
    is_16_bit = (";16" in rawmode and "BGR;16" not in rawmode) or image.mode.startswith("I")
    if image.format == "PPM" and isinstance(coding, tuple):  # (mode, highest value)
        is_16_bit = coding[1] > 255
    if image.format == "AVIF":
        return formats.avif_depth(data)
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    return 8 if not is_16_bit else 12 if ";12" in rawmode else 16


def _to_8_bits(image: Image.Image, rawmode: str, tags: dict[int, object], name: str) -> Image.Image:
    """Reduce grey levels of 12 or 16 bits to their upper 8 bits.

    Raises:
        InputError: If the levels have 32 bits or are signed.
    """
    if ";32" in rawmode:
        raise InputError(f"{name} holds 32-bit numbers: save it as PNG or JPEG first.")
    if tags.get(SAMPLE_FORMAT, (1,)) != (1,):
        raise InputError(f"{name} holds signed numbers: save it as PNG or JPEG first.")
    levels = (np.asarray(image).clip(0) >> (4 if ";12" in rawmode else 8)).astype(np.uint8)
    reduced = Image.fromarray(255 - levels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else levels)
    reduced.info = image.info
    return reduced


def _split_alpha(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Array | None]:
    """Separate the colours and the alpha channel (H, W) of an image; alpha is None without transparency."""
    has_channel = image.mode in ("RGBA", "RGBa")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        has_alpha = image.mode == "PA" or "transparency" in image.info
        image = image.convert("LA" if has_alpha and image.mode == "L" else "RGBA" if has_alpha else "RGB")
    if image.mode not in ("LA", "RGBA", "La", "RGBa"):
        return image, None
    image = image.convert("LA" if image.mode.startswith("L") else "RGBA")
    alpha = np.array(image.getchannel("A"))
    colours = image.convert(image.mode[:-1])
    if has_channel and not alpha.any():  # some programs leave the alpha channel unused
        notes.append("Every pixel is marked as transparent: the image was taken as opaque.")
        return colours, None
    return colours, alpha


def _upright(image: Image.Image) -> Image.Image:
    """Turn the pixels by the orientation in the EXIF data.

    The decoders of TIFF, HEIC and JPEG XL turn the pixels themselves, except for a JPEG XL file made from a JPEG.
    """
    if image.format in ("TIFF", "HEIF") or (image.format == "JXL" and not getattr(image, "jpeg", False)):
        return image
    turn = TURNS.get(read_orientation(raw_exif(image.info)))
    return image if turn is None else image.transpose(turn)


def _load_incomplete_jpeg(data: bytes, notes: list[str]) -> Image.Image:
    """Decode a JPEG whose end is missing, if the file contains nearly all pixels.

    The decoder does not report where the data ended. It therefore runs twice, with different data in place of the
    missing part: the pixels that are equal in both results came from the file.

    Raises:
        OSError: If too many pixels are missing.
    """
    if not formats.jpeg_has_all_scans(data):
        raise OSError("A scan is missing.")
    noise = bytes(random.Random(0).choices(range(255), k=65_536))  # noqa: S311
    end = bytes([0xFF, formats.END_OF_IMAGE])
    ending = data[:-1] if data.endswith(b"\xff") else data
    image, other = (Image.open(io.BytesIO(ending + tail), formats=("JPEG",)) for tail in (end, noise + end))
    image.load()
    differs = (np.asarray(image) != np.asarray(other)).reshape(image.height, image.width, -1).any(2)
    if differs.mean() > 1 - LEAST_SHARE:
        raise OSError("Too many pixels are missing.")
    if differs.any():
        missing = image.height - int(differs.any(1).argmax())
        notes.append(f"The file is incomplete: the last {missing} of {image.height} rows are damaged.")
    else:
        notes.append("The file is incomplete, but all of its pixels are there.")
    return image
