"""Files with faults that browsers ignore, and the formats AVIF, HEIC and JPEG XL."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from drn.errors import InputError
from drn.formats import jxl_size
from drn.image import Array
from drn.metadata import read_orientation
from drn.reading import read_image
from tests.helpers.pngs import png_chunk

TIFF_HEAD = b"II*\0\x08\0\0\0"


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def exif_of(*entries: bytes, data: bytes = b"") -> bytes:
    """Make EXIF data of one directory; ``data`` follows the directory."""
    return TIFF_HEAD + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4) + data


TURNED = entry(0x0112, 3, 1, 6)
RATIO = exif_of(TURNED, entry(0x011A, 10, 1, 38), data=struct.pack("<ii", -1, 0))
"""Orientation 6, and a resolution of -1/0."""

FAULTY = {
    "ratio": (RATIO, 6),
    "offset beyond the end": (exif_of(TURNED, entry(0x010F, 2, 50, 60_000)), 6),
    "unknown type": (exif_of(TURNED, entry(0x8769, 99, 0xFFFFFFFF, 12)), 6),
    "a directory of itself": (exif_of(TURNED, entry(0x8769, 4, 1, 8)), 6),
    "cut": (exif_of(TURNED)[:22], 6),
    "more entries than there are": (TIFF_HEAD + struct.pack("<H", 900) + TURNED, 6),
    "orientation 77": (exif_of(entry(0x0112, 3, 1, 77)), 1),
    "garbage": (b"garbage" * 9, 1),
    "mark only": (b"II", 1),
    "directory beyond the end": (b"II*\0\xff\xff\xff\xff", 1),
    "other byte order": (b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 6),
}


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stored = io.BytesIO()
    image.save(stored, file_format, **options)
    return stored.getvalue()


def with_exif(image: Image.Image, file_format: str, exif: bytes) -> bytes:
    if file_format == "PNG":
        data = saved(image, "PNG")
        return data[:33] + png_chunk(b"eXIf", exif) + data[33:]
    options = {"lossless": True} if file_format == "WEBP" else {"quality": 95}
    return saved(image, file_format, exif=b"Exif\0\0" + exif, **options)


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_fault_in_the_exif_data_does_not_cost_the_picture(photo: Array, file_format: str, fault: str) -> None:
    exif, orientation = FAULTY[fault]
    assert read_orientation(exif) == orientation
    image = Image.fromarray(photo)
    stored = np.asarray(Image.open(io.BytesIO(with_exif(image, file_format, b""))).convert("RGB"))
    picture = read_image(io.BytesIO(with_exif(image, file_format, exif)))
    assert np.array_equal(picture.rgb, np.rot90(stored, -1) if orientation == 6 else stored)
    assert picture.notes == ()


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_in_the_exif_data_of_avif_and_heic(photo: Array, fault: str) -> None:
    """In both formats, boxes and not EXIF data determine the orientation."""
    exif, _ = FAULTY[fault]
    image = Image.fromarray(photo)
    for file_format in ("AVIF", "HEIF"):
        data = saved(image, file_format, exif=b"Exif\0\0" + exif_of(entry(0x010F, 2, 4, 0)) + bytes(200))
        at = data.index(TIFF_HEAD)
        damaged = data[:at] + exif[:200].ljust(200, b"\0") + data[at + 200 :]
        assert np.array_equal(read_image(io.BytesIO(damaged)).rgb, read_image(io.BytesIO(data)).rgb), file_format


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"pHYs", b"iCCP", b"eXIf", b"zTXt", b"tIME"])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_chunk_with_a_wrong_checksum_is_ignored(photo: Array, kind: bytes, is_late: bool) -> None:
    data = saved(Image.fromarray(photo), "PNG")
    at = len(data) - 12 if is_late else 33
    damaged = data[:at] + png_chunk(kind, b"\0\0\0\1abcde", wrong=1) + data[at:]
    picture = read_image(io.BytesIO(damaged))
    assert np.array_equal(picture.rgb, photo)
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"gAMA", b"\0"),
        (b"cHRM", bytes(5)),
        (b"pHYs", bytes(5)),
        (b"sRGB", b""),
        (b"tRNS", b"\0"),
        (b"iCCP", b"garbage"),
        (b"iCCP", b"name\0\0no zlib"),
        (b"cICP", b"\1"),
        (b"zTXt", b"key\0\0no zlib"),
        (b"iTXt", b"xx"),
        (b"tEXt", b""),
    ],
)
def test_a_malformed_chunk_with_a_right_checksum_is_ignored(photo: Array, kind: bytes, body: bytes) -> None:
    data = saved(Image.fromarray(photo), "PNG")
    picture = read_image(io.BytesIO(data[:33] + png_chunk(kind, body) + data[33:]))
    assert np.array_equal(picture.rgb, photo)
    assert picture.alpha is None


def test_damaged_pixels_are_refused(photo: Array) -> None:
    data = bytearray(saved(Image.fromarray(photo), "PNG"))
    at = data.index(b"IDAT") + 400
    data[at] ^= 255
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_image(io.BytesIO(data))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:2:0"}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_jpeg_without_its_last_bytes_is_read(photo: Array, options: dict[str, Any], mode: str, missing: int) -> None:
    data = saved(Image.fromarray(photo).convert(mode), "JPEG", quality=90, **options)
    whole, picture = read_image(io.BytesIO(data)), read_image(io.BytesIO(data[:-missing]))
    rows = picture.rgb.shape[0] - 16
    assert np.array_equal(picture.rgb[:rows], whole.rgb[:rows])
    assert picture.notes[0].startswith("The file is incomplete")
    if missing < 3:
        assert np.array_equal(picture.rgb, whole.rgb)
        assert picture.notes == ("The file is incomplete, but all of its pixels are there.",)


def test_the_missing_rows_of_a_jpeg_are_counted(photo: Array) -> None:
    tall = np.tile(photo, (10, 1, 1))  # 600 rows in 75 rows of blocks
    data = saved(Image.fromarray(tall), "JPEG", quality=90, subsampling="4:4:4")
    whole = read_image(io.BytesIO(data)).rgb
    share = 0.97
    picture = read_image(io.BytesIO(data[: int(share * len(data))]))
    wrong = (picture.rgb != whole).reshape(600, -1).any(1)
    first = int(wrong.argmax())
    (note,) = picture.notes
    assert 0.95 * 600 <= first < 600
    assert note == f"The file is incomplete: the last {600 - first} of 600 rows are damaged."
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_image(io.BytesIO(data[: int(0.9 * len(data))]))


def test_a_progressive_jpeg_without_a_scan_is_refused(photo: Array) -> None:
    data = saved(Image.fromarray(photo), "JPEG", quality=90, progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_image(io.BytesIO(data[:last_scan]))


@pytest.mark.parametrize(
    ("file_format", "options", "limit"),
    [
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 3),
        ("HEIF", {"quality": 100, "chroma": 444}, 6),
        ("JXL", {"lossless": True}, 0),
        ("JXL", {"lossless": True, "use_container": True}, 0),
    ],
)
def test_new_formats_are_read(photo: Array, file_format: str, options: dict[str, Any], limit: int) -> None:
    picture = read_image(io.BytesIO(saved(Image.fromarray(photo), file_format, **options)))
    assert np.abs(picture.rgb.astype(int) - photo).max() <= limit
    assert (picture.alpha, picture.notes) == (None, ())
    rgba = Image.fromarray(photo)
    rgba.putalpha(Image.fromarray(photo[..., 1]))
    alpha = read_image(io.BytesIO(saved(rgba, file_format, **options))).alpha
    assert alpha is not None
    assert np.abs(alpha.astype(int) - photo[..., 1]).max() <= limit


def test_a_jpeg_inside_a_jpeg_xl_file_is_turned_upright(photo: Array, tmp_path: Path) -> None:
    exif = b"Exif\0\0" + exif_of(TURNED)
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95, exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.jxl", lossless_jpeg=True)
    expected = read_image(tmp_path / "a.jpg").rgb
    assert expected.shape == (84, 60, 3)
    assert np.array_equal(read_image(tmp_path / "a.jxl").rgb, expected)


def test_a_turned_heic_is_upright(photo: Array) -> None:
    """The encoder stores orientation 6 as a box of the format and as EXIF data; it must be applied once."""
    image = Image.fromarray(photo)
    upright = read_image(io.BytesIO(saved(image, "HEIF", quality=100, chroma=444))).rgb
    turned = read_image(io.BytesIO(saved(image, "HEIF", quality=100, chroma=444, exif=exif_of(TURNED)))).rgb
    assert np.abs(turned.astype(int) - np.rot90(upright, -1)).max() <= 3


def test_10_bits_become_8_bits_and_the_note_says_so(photo: Array) -> None:
    levels = photo.astype(np.uint16) << 8
    file = pillow_heif.from_bytes("RGB;16", (photo.shape[1], photo.shape[0]), levels.tobytes())
    stored = io.BytesIO()
    file.save(stored, quality=-1, chroma=444, matrix_coefficients=0)
    picture = read_image(stored)
    assert picture.notes == ("The 10-bit image was processed as 8-bit.",)
    assert np.abs(picture.rgb.astype(int) - photo).max() <= 6


@pytest.mark.parametrize(
    "size", [(8, 8), (40, 40), (64, 48), (99, 101), (256, 256), (1, 300), (2000, 1500), (400, 200)]
)
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_file_is_known_before_it_is_decoded(size: tuple[int, int], container: bool) -> None:
    data = saved(Image.new("L", size), "JXL", effort=1, use_container=container)
    assert jxl_size(data) == size
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]}: the limit here is"):
        read_image(io.BytesIO(data), max_pixels=size[0] * size[1] - 1)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = len(data) * 2 // 3
    return data[:at] + bytes(value ^ 255 for value in data[at : at + 30]) + data[at + 30 :]


@pytest.mark.parametrize("damage", [cut, flipped])
@pytest.mark.parametrize("file_format", ["AVIF", "HEIF", "JXL"])
def test_damaged_files_of_the_new_formats_end_in_one_sentence(
    photo: Array, file_format: str, damage: Callable[[bytes], bytes]
) -> None:
    data = damage(saved(Image.fromarray(photo), file_format, quality=60))
    try:
        assert read_image(io.BytesIO(data), name="a").rgb.shape == photo.shape
    except InputError as error:
        assert str(error).startswith("a is ")


def bmp_with_alpha(rgba: Array) -> bytes:
    """Make a BMP of version 5 with 32 bits for each pixel."""
    height, width = rgba.shape[:2]
    header = struct.pack("<IiiHHIIiiII", 124, width, -height, 1, 32, 3, rgba.nbytes, 2835, 2835, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(64)
    pixels = rgba[..., [2, 1, 0, 3]].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


@pytest.mark.parametrize("file_format", ["BMP", "PNG", "TIFF"])
def test_an_image_that_is_transparent_everywhere_counts_as_opaque(photo: Array, file_format: str) -> None:
    rgba = np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)])
    data = bmp_with_alpha(rgba) if file_format == "BMP" else saved(Image.fromarray(rgba), file_format)
    picture = read_image(io.BytesIO(data))
    assert picture.alpha is None
    assert np.array_equal(picture.rgb, photo)
    assert picture.notes == ("Every pixel is marked as transparent: the image was taken as opaque.",)


def test_one_visible_pixel_makes_the_transparency_count(photo: Array, tmp_path: Path) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[3, 4] = 1
    Image.fromarray(np.dstack([photo, alpha])).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)


def test_a_pipe_is_read(photo: Array) -> None:
    data = saved(Image.fromarray(photo), "PNG")
    ends = os.pipe()

    def feed() -> None:
        with os.fdopen(ends[1], "wb") as file:
            file.write(data)

    threading.Thread(target=feed).start()
    assert np.array_equal(read_image(Path(f"/dev/fd/{ends[0]}")).rgb, photo)
    os.close(ends[0])
