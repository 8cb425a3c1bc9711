"""Make PNG files from chunks."""

from __future__ import annotations

import struct
import zlib


def png_chunk(kind: bytes, body: bytes, wrong: int = 0) -> bytes:
    """Make a chunk of a PNG; ``wrong`` changes the bits of its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def png_file(width: int, height: int, depth: int, colour_type: int, chunks: bytes) -> bytes:
    """Make a PNG with the given header values and ``chunks``."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + png_chunk(b"IEND", b"")
