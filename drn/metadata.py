"""Read the metadata of image files (EXIF, resolution, texts, XMP, JPEG quality), and change it for an enlarged image.

The data may be damaged or malicious. EXIF data is changed in place and never encoded again, so that a fault in one
entry affects neither the picture nor the other entries.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from drn.jpeg import jpeg_quality

IMAGE_WIDTH, IMAGE_HEIGHT, ORIENTATION, X_RESOLUTION, Y_RESOLUTION = 0x0100, 0x0101, 0x0112, 0x011A, 0x011B
EXIF_DIRECTORY, PIXEL_WIDTH, PIXEL_HEIGHT = 0x8769, 0xA002, 0xA003
"""Numbers of EXIF tags."""

TIFF_TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""The tags of a TIFF that are kept: description, make, model, software, date, artist and copyright."""

ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
"""Types of EXIF values."""

MAX_ENTRIES = 1000
"""Largest number of entries that are read from one EXIF directory."""

MAX_EXIF_BYTES = 65_000
"""Largest size of EXIF data that is kept, because a JPEG cannot hold more."""

MAX_TEXT = 10_000
"""Length in characters of the longest text that is kept."""

XMP_ORIENTATION = re.compile(rb'\s*tiff:Orientation="\d+"|<tiff:Orientation>\d+</tiff:Orientation>')
XMP_TOOL = re.compile(rb'<rdf:Description rdf:about="" xmlns:drn="urn:drn" drn:result="([^"]*)"/>')
XMP_FRAME = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b"</rdf:RDF></x:xmpmeta>"
)
XMP_END = b"</rdf:RDF>"


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image file.

    Attributes:
        exif: EXIF data from its byte order mark on, with orientation 1 and without a thumbnail; empty if there is none.
        dpi: Horizontal and vertical resolution in pixels per inch, or None.
        texts: Pairs of a keyword and a text, such as a comment or a copyright.
        xmp: The XMP packet without an orientation; empty if there is none.
        jpeg_quality: The estimated quality of a JPEG, 1 to 100 (see ``drn.jpeg``); None for other formats.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    xmp: bytes = b""
    jpeg_quality: int | None = None

    def enlarged(self, scale: int, width: int, height: int) -> Metadata:
        """Return the metadata of the enlarged image.

        The resolution grows with the scale, so that the image keeps its size in print.

        Args:
            scale: Upscaling factor.
            width: Width of the enlarged image in pixels.
            height: Height of the enlarged image in pixels.
        """
        dpi = None if self.dpi is None else (self.dpi[0] * scale, self.dpi[1] * scale)
        exif = _enlarged_exif(self.exif, scale, width, height)
        return replace(self, exif=exif, dpi=dpi, jpeg_quality=None)


NO_METADATA = Metadata()


def read_metadata(image: Image.Image) -> Metadata:
    """Collect the metadata of a decoded image, without the parts that cannot be read."""
    info = image.info
    exif = _tiff_texts(image) if image.format == "TIFF" else _clean_exif(raw_exif(info))
    texts = {str(key): str(value) for key, value in getattr(image, "text", {}).items() if isinstance(value, str)}
    comment = info.get("comment")
    if comment:
        texts["Comment"] = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
    kept = tuple(
        (key, text)
        for key, text in texts.items()
        if len(text) <= MAX_TEXT and not key.startswith(("Raw profile", "XML:")) and 0 < len(key) < 80
    )
    xmp = info.get("xmp", b"")
    xmp = xmp if isinstance(xmp, bytes) and XMP_END in xmp else b""
    xmp = XMP_ORIENTATION.sub(b"", XMP_TOOL.sub(b"", xmp))
    return Metadata(exif, _dpi(info), kept, xmp, read_jpeg_quality(image))


def read_jpeg_quality(image: Image.Image) -> int | None:
    """Return the estimated quality of an opened JPEG, 1 to 100; None for other formats."""
    tables = getattr(image, "quantization", None)
    return jpeg_quality(tables) if tables else None


def raw_exif(info: dict[Any, Any]) -> bytes:
    """Return the EXIF data in Pillow's ``info`` from its byte order mark on; empty if there is none."""
    exif = info.get("exif")
    if not isinstance(exif, bytes):
        profile = info.get("Raw profile type exif")  # ImageMagick stores EXIF data in a PNG under this key
        try:
            exif = bytes.fromhex("".join(str(profile).split("\n")[3:])) if profile else b""
        except ValueError:
            return b""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    return exif


def read_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8; 1 if it cannot be found."""
    for tag, kind, _, offset, order in _entries(exif):
        if tag == ORIENTATION and kind == SHORT:
            (value,) = struct.unpack_from(order + "H", exif, offset)
            return int(value) if 1 <= value <= 8 else 1
    return 1


def exif_texts(exif: bytes) -> dict[int, str]:
    """Return the texts in EXIF data that a TIFF stores as tags: number of the tag -> text."""
    texts = {}
    for tag, kind, count, offset, order in _entries(exif):
        if tag in TIFF_TEXTS and kind == ASCII and count <= MAX_TEXT:
            place = offset if count <= 4 else struct.unpack_from(order + "I", exif, offset)[0]
            if place + count <= len(exif):
                texts[tag] = exif[place : place + count].rstrip(b"\0").decode("utf-8", "replace")
    return texts


def with_mark(xmp: bytes, mark: str) -> bytes:
    """Return an XMP packet with a mark that ``read_mark`` finds.

    Args:
        xmp: The packet of the source, or empty.
        mark: Text without quotes and angle brackets.
    """
    element = f'<rdf:Description rdf:about="" xmlns:drn="urn:drn" drn:result="{mark}"/>'.encode()
    before, end, after = (xmp or XMP_FRAME).rpartition(XMP_END)
    return before + element + end + after


def read_mark(info: dict[Any, Any]) -> str | None:
    """Return the mark in Pillow's ``info`` of a file that this program wrote, or None."""
    xmp = info.get("xmp", b"")
    found = XMP_TOOL.search(xmp) if isinstance(xmp, bytes) else None
    return found[1].decode("ascii", "replace") if found else None


def _entries(exif: bytes, directory: int | None = None) -> Iterator[tuple[int, int, int, int, str]]:
    """List the entries of a directory of EXIF data, as far as it can be read.

    Args:
        exif: The data, from the byte order mark on.
        directory: Offset of the directory; by default the first one.

    Yields:
        Tag, type, number of values, offset of the four bytes that hold the value or its offset, and the byte order.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return
    at = directory if directory is not None else struct.unpack_from(order + "I", exif, 4)[0]
    if at + 2 > len(exif):
        return
    (count,) = struct.unpack_from(order + "H", exif, at)
    for place in range(at + 2, at + 2 + 12 * min(count, MAX_ENTRIES), 12):
        if place + 12 > len(exif):
            return
        yield *struct.unpack_from(order + "HHI", exif, place), place + 8, order


def _clean_exif(exif: bytes) -> bytes:
    """Return EXIF data with orientation 1 and without the second directory, which holds the thumbnail."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or not 8 < len(exif) <= MAX_EXIF_BYTES or not list(_entries(exif)):
        return b""
    data = bytearray(exif)
    for tag, kind, _, offset, _ in _entries(exif):
        if tag == ORIENTATION and kind == SHORT:
            struct.pack_into(order + "H", data, offset, 1)
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    link = first + 2 + 12 * count
    if link + 4 > len(data):
        return bytes(data)
    (second,) = struct.unpack_from(order + "I", data, link)
    struct.pack_into(order + "I", data, link, 0)
    if 0 < second < len(data):
        places = {
            tag: struct.unpack_from(order + "I", data, offset)[0] for tag, *_, offset, _ in _entries(exif, second)
        }
        start, size = places.get(0x0201, 0), places.get(0x0202, 0)
        if 8 < start < start + size <= len(data):
            data[start : start + size] = bytes(size)
            if start + size == len(data):
                del data[start:]
    return bytes(data)


def _enlarged_exif(exif: bytes, scale: int, width: int, height: int) -> bytes:
    """Return EXIF data whose sizes and resolutions are those of the enlarged image."""
    data = bytearray(exif)
    sizes = {IMAGE_WIDTH: width, IMAGE_HEIGHT: height, PIXEL_WIDTH: width, PIXEL_HEIGHT: height}
    entries = list(_entries(exif))
    for tag, _, _, offset, order in entries:
        if tag == EXIF_DIRECTORY:
            entries = [*entries, *_entries(exif, struct.unpack_from(order + "I", exif, offset)[0])]
    for tag, kind, _, offset, order in entries:
        if tag in sizes and kind in (SHORT, LONG):
            letter, most = ("H", 0xFFFF) if kind == SHORT else ("I", 0xFFFFFFFF)
            struct.pack_into(order + letter, data, offset, min(sizes[tag], most))
        elif tag in (X_RESOLUTION, Y_RESOLUTION) and kind == RATIONAL:
            (place,) = struct.unpack_from(order + "I", data, offset)
            if 8 <= place <= len(data) - 8:
                (numerator,) = struct.unpack_from(order + "I", data, place)
                if numerator * scale <= 0xFFFFFFFF:
                    struct.pack_into(order + "I", data, place, numerator * scale)
    return bytes(data)


def _tiff_texts(image: Image.Image) -> bytes:
    """Return EXIF data with the texts of a TIFF, or nothing if there are none."""
    exif = Image.Exif()
    tags = getattr(image, "tag_v2", {})
    for tag in TIFF_TEXTS:
        value = tags.get(tag)
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
            exif[tag] = value
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def _dpi(info: dict[Any, Any]) -> tuple[float, float] | None:
    """Return the resolution in Pillow's ``info``; None if it is missing or not a plausible number."""
    try:
        x, y = (float(value) for value in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(value) and 1 <= value <= 100_000 for value in (x, y)) else None
