"""Functions that make image files whose decoding takes much time or memory."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def jpeg_of_scans(scans: int) -> bytes:
    """Make a progressive JPEG of 2000x2000 pixels whose last scan of 14 bytes is repeated."""
    stored = io.BytesIO()
    Image.new("L", (2000, 2000), 90).save(stored, "JPEG", progressive=True)
    whole = stored.getvalue()
    start = whole.rindex(b"\xff\xda")
    header = whole[start : start + 2 + int.from_bytes(whole[start + 2 : start + 4], "big")]
    return whole[:start] + (header + b"\x00\x00\x00\x00") * scans + b"\xff\xd9"


def jpeg_of_segments(segments: int) -> bytes:
    """Make a JPEG with the given number of empty comments."""
    stored = io.BytesIO()
    Image.new("L", (64, 64)).save(stored, "JPEG")
    whole = stored.getvalue()
    return whole[:2] + b"\xff\xfe\0\2" * segments + whole[2:]


def ppm_of_comments(nbytes: int, magic: bytes = b"P3") -> bytes:
    """Make a plain PPM of 64x64 pixels that consists of lines with comments of 1 byte, up to ``nbytes``."""
    return magic + b"\n64 64\n255\n" + b"#\n" * (nbytes // 2) + b"9 " * (64 * 64 * 3)


def ppm_of_header(nbytes: int) -> bytes:
    """Make a binary PPM with a comment of ``nbytes`` in its header."""
    return b"P6\n#" + b"x" * nbytes + b"\n2 2\n255\n" + bytes(12)


def tiff_of_strips(strips: int) -> bytes:
    """Make a TIFF of 1 x ``strips`` pixels in strips of one pixel; all strips have the same position in the file."""
    offsets, sizes = struct.pack("<I", 8) * strips, struct.pack("<I", 1) * strips
    head = b"II*\0" + struct.pack("<I", 16 + len(offsets) + len(sizes)) + bytes(8)
    entries = [(256, 4, 1, 1), (257, 4, 1, strips), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, strips, 16), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, strips, 16 + len(offsets))]
    return head + offsets + sizes + _directory(entries)


def tiff_of_tags(tags: int, nbytes: int) -> bytes:
    """Make a TIFF of one pixel with the given number of tags; the same ``nbytes`` are the value of every tag."""
    head = b"II*\0" + struct.pack("<I", 8 + nbytes)
    entries = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 1)]
    entries += [(40_000 + index, 1, nbytes, 8) for index in range(tags)]
    return head + bytes(nbytes) + _directory(entries)


def _directory(entries: list[tuple[int, int, int, int]]) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + bytes(4)


def tiff_of_one_tile(side: int) -> bytes:
    """Make a TIFF of one pixel in a compressed tile of ``side`` x ``side`` pixels."""
    stored = zlib.compress(bytes(1000))
    entries = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    entries += [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(stored))]
    return b"II*\0" + struct.pack("<I", 8 + len(stored)) + stored + _directory(entries)


def png_of_chunks(chunks: int) -> bytes:
    """Make a PNG with the given number of empty chunks of a type that readers skip."""
    stored = io.BytesIO()
    Image.new("L", (64, 64)).save(stored, "PNG")
    whole = stored.getvalue()
    chunk = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return whole[:33] + chunk * chunks + whole[33:]


def gif_of_comments(nbytes: int) -> bytes:
    """Make a GIF with a comment of ``nbytes``."""
    stored = io.BytesIO()
    Image.new("P", (64, 64)).save(stored, "GIF")
    whole = stored.getvalue()
    comment = b"!\xfe" + (b"\xff" + bytes(255)) * (nbytes // 256) + b"\0"
    return whole[:-1] + comment + whole[-1:]


def gif_of_frames(frames: int) -> bytes:
    """Make a GIF with the given number of frames of one pixel."""
    stored = io.BytesIO()
    Image.new("P", (64, 64)).save(stored, "GIF")
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return stored.getvalue()[:-1] + frame * frames + b";"


def webp_of_size(width: int, height: int) -> bytes:
    """Make a WebP whose header states a canvas of ``width`` x ``height`` for an image of 2x2 pixels."""
    stored = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(stored, "WEBP", lossless=True, exact=True)
    image = stored.getvalue()[12:]
    canvas = b"\2\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + b"\1\0\0\1\0\0" + bytes(4) + image
    chunks = b"VP8X" + struct.pack("<I", 10) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    chunks += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
