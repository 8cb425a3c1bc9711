"""Find image files that would take long to decode, without decoding them.

These checks are cheap and refuse files that no camera or editor writes. They do not have to find every such file,
because ``decoding`` limits the time and the memory for all other files. Frames after the first are not counted, because
they are not read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from drn.errors import InputError
from drn.formats import END_OF_IMAGE, JPEG_MARKER, START_OF_IMAGE, START_OF_SCAN, jxl_size
from drn.reading import check_pixels

MAX_SCANS = 200
"""Largest number of scans of a progressive JPEG; common encoders write about 10."""

MAX_SEGMENTS = 10_000
"""Largest number of marker segments of a JPEG."""

MAX_CHUNKS = 50_000
"""Largest number of chunks of a PNG; encoders write at least 8 kB into each."""

MAX_COMMENT_BLOCKS = 4_000
"""Largest number of comment blocks of a GIF, 255 bytes each. Pillow's time grows with the square of their number."""

MAX_BLOCKS = 200_000
"""Largest number of data blocks of a GIF before its second frame, 255 bytes each."""

MAX_TAGS = 1_000
"""Largest number of tags of a TIFF."""

MAX_STRIPS = 100_000
"""Largest number of strips or tiles of a TIFF; a strip has at least one row of pixels."""

MAX_COMMENT_BYTES = 65_536
"""Largest size of all comments of a PPM, and of its header, in bytes."""

MAX_ITEMS = 1_000
"""Largest number of items of an AVIF or HEIC file; a phone's photograph of 12 megapixels has about 60."""

GIF_FRAME, GIF_EXTENSION, GIF_END = 0x2C, 0x21, 0x3B

TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Type of a TIFF value -> its size in bytes."""

STRIP_TAGS = (273, 279, 324, 325)
"""TIFF tags with the offsets and sizes of strips and tiles."""

PPM_COMMENT = re.compile(rb"#[^\r\n]*")
PPM_HEADER = re.compile(rb"P[1-6](?:(?:\s|#[^\r\n]*[\r\n])+\d+){2}")


def check_effort(data: bytes, name: str, max_pixels: int) -> None:
    """Refuse a file that would take very long or very much memory to decode.

    Args:
        data: The file's content; the decoder refuses data that is not an image.
        name: The file's name in error messages.
        max_pixels: Largest width times height accepted.

    Raises:
        InputError: If the file has too many scans, segments, chunks, blocks, tags, strips, items or comments.
    """
    too_many = None
    if data.startswith(b"\xff\xd8"):
        too_many = _excess_of_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        too_many = _excess_of_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        too_many = _excess_of_gif(data)
    elif data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        too_many = _excess_of_tiff(data)
    elif size := _webp_size(data) or jxl_size(data):  # Pillow allocates the pixels before the size can be read
        check_pixels(name, *size, max_pixels)
    elif data[4:8] == b"ftyp":
        too_many = _excess_of_boxes(data)
    elif re.match(rb"P[1-6]", data):
        too_many = _excess_of_ppm(data)
    if too_many:
        raise InputError(f"{name} has more than {too_many}: save it again as PNG.")


def _excess_of_jpeg(data: bytes) -> str | None:
    """Return a description of the limit that a JPEG exceeds, or None.

    The functions for the other formats return the same.
    """
    at = scans = 0
    for _ in range(MAX_SEGMENTS):
        found = JPEG_MARKER.search(data, at)
        if found is None:
            return None
        kind, at = data[found.end() - 1], found.end()
        if kind == END_OF_IMAGE:
            return None
        if kind == START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                return f"{MAX_SCANS} scans"
        if kind != START_OF_IMAGE:
            at += int.from_bytes(data[at : at + 2], "big")
    return f"{MAX_SEGMENTS} segments"


def _excess_of_png(data: bytes) -> str | None:
    at = 8
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return f"{MAX_CHUNKS} chunks"


def _excess_of_gif(data: bytes) -> str | None:
    """Count the blocks before the second frame. Pillow reads them to detect an animation."""

    def palette_bytes(flags: int) -> int:
        return 3 << (flags % 8 + 1) if flags & 0x80 else 0

    at = 13 + palette_bytes(data[10]) if len(data) > 13 else len(data)
    frames = comments = blocks = 0
    while at < len(data) and data[at] != GIF_END:
        kind = data[at]
        if kind == GIF_FRAME:
            frames += 1
            at += 11 + palette_bytes(data[at + 9] if at + 9 < len(data) else 0)
        else:
            at += 2 if kind == GIF_EXTENSION else 1
        blocks += 1
        while kind in (GIF_FRAME, GIF_EXTENSION) and at < len(data) and blocks <= MAX_BLOCKS:
            size = data[at]
            at += 1 + size
            blocks += 1
            comments += kind == GIF_EXTENSION
            if comments > MAX_COMMENT_BLOCKS:
                return f"{MAX_COMMENT_BLOCKS} blocks of comments"
            if size == 0:
                break
        if frames == 2 and blocks <= MAX_BLOCKS:
            return None
        if blocks > MAX_BLOCKS:
            return f"{MAX_BLOCKS} blocks"
    return None


def _tiff_entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    """List tag, type and count of each entry in the first directory of a classic TIFF or a BigTIFF."""
    order = "<" if data[:1] == b"I" else ">"
    is_big = b"+" in data[:4]
    start, number, entry = (8, "Q", "HHQQ") if is_big else (4, "H", "HHII")
    offset = struct.Struct(order + ("Q" if is_big else "I"))
    if len(data) < start + offset.size:
        return
    (at,) = offset.unpack_from(data, start)
    count, layout = struct.Struct(order + number), struct.Struct(order + entry)
    if at + count.size > len(data):
        return
    (entries,) = count.unpack_from(data, at)
    for index in range(entries):
        place = at + count.size + index * layout.size
        if place + layout.size > len(data):
            return
        tag, kind, values, _ = layout.unpack_from(data, place)
        yield tag, kind, values


def _excess_of_tiff(data: bytes) -> str | None:
    nbytes = 0
    for index, (tag, kind, count) in enumerate(_tiff_entries(data)):
        if index >= MAX_TAGS:
            return f"{MAX_TAGS} tags"
        if tag in STRIP_TAGS and count > MAX_STRIPS:
            return f"{MAX_STRIPS} strips or tiles"
        nbytes += TIFF_SIZES.get(kind, 0) * count
    # Several tags can point to the same bytes of the file. A decoder copies these bytes once for each tag, so a small
    # file can need much memory.
    return f"{len(data) / 1e6:.1f} MB of tags" if nbytes > len(data) else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height of a WebP's canvas or only frame; return None if they are not in their usual place."""
    kind = data[12:16]
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _excess_of_boxes(data: bytes) -> str | None:
    """Count the items of an AVIF or HEIC file, whose image can be a grid of many small images with headers."""
    return f"{MAX_ITEMS} items" if data.count(b"infe") > MAX_ITEMS else None


def _excess_of_ppm(data: bytes) -> str | None:
    limit = f"{MAX_COMMENT_BYTES} bytes of comments"
    if PPM_HEADER.match(data[:MAX_COMMENT_BYTES]) is None:
        return limit if len(data) > MAX_COMMENT_BYTES else None
    if data[1] in b"123":  # the pixels of the other formats are binary data, which may look like a comment
        total = 0
        for found in PPM_COMMENT.finditer(data):
            total += found.end() - found.start()
            if total > MAX_COMMENT_BYTES:
                return limit
    return None
