"""The image formats that can be read, and functions on the bytes of image files.

Pillow's plugins for HEIC and JPEG XL are registered here. Some functions read facts that Pillow does not report. Others
remove faults for which Pillow refuses a file, although browsers show it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import pillow_heif
import pillow_jxl  # noqa: F401  # its import registers the format

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF", "JXL")
"""Pillow's names of the formats that are read."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".jxl"),
)
"""Suffixes of image files, in lower case."""

PNG_START = b"\x89PNG\r\n\x1a\n"
JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")

CHUNK_BYTES = {b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"sRGB": 1, b"tIME": 7, b"cICP": 4}
"""Kind of PNG chunk -> length of its content in bytes, for the kinds of a fixed length."""

TRANSPARENCY_BYTES = {0: 2, 2: 6}
"""Colour type of a PNG -> length of its transparent colour in bytes."""

ICC_START = re.compile(rb"[^\0]{1,79}\0\0")
"""The start of an iCCP chunk: the profile's name, and the number of the compression method."""

AVIF_EXIF = re.compile(rb"(infe[\x02\x03]\0\0.(?:..|....)\0\0)Exif", re.DOTALL)
"""The entry for the EXIF data in the item list of an AVIF file."""

NCLX = re.compile(rb"colrnclx\0(.)\0(.)", re.DOTALL)
"""The colour box of an AVIF or HEIC file, with the numbers of its primaries and its transfer function."""

SOF_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
START_OF_SCAN, START_OF_IMAGE, END_OF_IMAGE = 0xDA, 0xD8, 0xD9
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""The next marker after a segment. The markers that are excluded here have no length and occur inside coded pixels."""

_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """List kind, start and end of each complete chunk of a PNG; start and end are offsets in ``data``."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield data[at + 4 : at + 8], at, end
        at = end


def png_chunk(data: bytes, kind: bytes) -> bytes | None:
    """Return the content of the first chunk of a kind that precedes the pixels of a PNG, or None."""
    for found, start, end in png_chunks(data):
        if found == kind:
            return data[start + 8 : end - 4]
        if found == b"IDAT":
            return None
    return None


def without_bad_chunks(data: bytes) -> bytes:
    """Return a PNG without its damaged ancillary chunks; return other data unchanged.

    Browsers ignore damaged ancillary chunks, but Pillow refuses a file that has one.
    """
    if not data.startswith(PNG_START):
        return data
    bad = []
    for kind, start, end in png_chunks(data):
        if kind[:1].islower():
            checksum = zlib.crc32(memoryview(data)[start + 4 : end - 4])
            if checksum != int.from_bytes(data[end - 4 : end], "big") or _is_malformed(data, kind, start + 8, end - 4):
                bad.append((start, end))
    if not bad:
        return data
    kept, at = bytearray(), 0
    for start, end in bad:
        kept += data[at:start]
        at = end
    return bytes(kept + data[at:])


def _is_malformed(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Return whether the content of a chunk, from ``start`` to ``end``, is invalid for its kind."""
    if kind == b"iCCP":
        return not ICC_START.match(data, start, end)
    if kind == b"tRNS":
        return end - start != TRANSPARENCY_BYTES.get(data[25], end - start)
    return end - start != CHUNK_BYTES.get(kind, end - start)


def without_avif_exif(data: bytes) -> bytes:
    """Return an AVIF file without its EXIF data, because Pillow refuses the file if that data is damaged."""
    return AVIF_EXIF.sub(rb"\1none", data)


def is_avif(data: bytes) -> bool:
    """Return whether the header of a file is that of AVIF."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis")


def nclx_colours(data: bytes) -> tuple[int, int] | None:
    """Return the numbers of the primaries and of the transfer function (ITU-T H.273) in an AVIF or HEIC file."""
    found = NCLX.search(data, 0, 65_536)
    return (found[1][0], found[2][0]) if found else None


def avif_depth(data: bytes) -> int:
    """Return the bits of each channel in an AVIF file: 8, 10 or 12."""
    at = data.find(b"av1C", 0, 65_536)
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG XL file without decoding it; None if they are not found."""
    if data.startswith(JXL_STARTS[1]):
        at = data.find(b"jxlc", 0, 1_000_000)
        start = at + 4 if at >= 0 else (data.find(b"jxlp", 0, 1_000_000) + 8)
    else:
        start = 0
    if data[start : start + 2] != JXL_STARTS[0]:
        return None
    bits = int.from_bytes(data[start + 2 : start + 14].ljust(12, b"\0"), "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(is_small: int) -> int:
        return (take(5) + 1) * 8 if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    is_small = take(1)
    height = side(is_small)
    ratio = take(3)
    if ratio:
        over, under = _JXL_RATIOS[ratio - 1]
        return height * over // under, height
    return side(is_small), height


def jpeg_has_all_scans(data: bytes) -> bool:
    """Return whether a JPEG contains the start of every scan that its pixels need.

    A baseline JPEG needs one scan for each component. A progressive JPEG needs, for each component, scans with the last
    bit of all 64 coefficients.
    """
    missing: dict[int, set[int]] = {}
    at, is_progressive = 0, False
    while found := JPEG_MARKER.search(data, at):
        kind, at = data[found.end() - 1], found.end()
        if kind in (START_OF_IMAGE, END_OF_IMAGE):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC) and len(body) > 5:
            is_progressive = kind in SOF_PROGRESSIVE
            missing = {component: set(range(64)) for component in body[6 : 6 + 3 * body[5] : 3]}
        elif kind == START_OF_SCAN and body and len(body) >= 4 + 2 * body[0]:
            first, last, bit = body[-3], body[-2], body[-1] & 15
            sent = set(range(first, last + 1)) if is_progressive else set(range(64))
            for component in body[1 : 1 + 2 * body[0] : 2]:
                if bit == 0 and component in missing:
                    missing[component] -= sent
        at += length
    return bool(missing) and not any(missing.values())
