"""Embedded colour profiles, made by hand: conversions are compared with the formulas."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drn.reading import read_image
from tests.helpers.pngs import png_chunk, png_file


def fixed(*values: float) -> bytes:
    """Encode numbers as s15Fixed16 of ICC."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc_profile(name: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntrRGB XYZ ") -> bytes:
    """Make an ICC profile: header, tag table and tags."""
    tags = tags | {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249),
    }
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        table += key + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", offset + len(body), 0x02100000) + kind + bytes(12) + b"acsp" + bytes(28)
    header += fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + table + body


SRGB_TO_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
"""Linear sRGB to XYZ under D50 (IEC 61966-2-1 adapted by Bradford): the columns are the primaries."""

P3_TO_D50 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
"""Linear Display P3 to XYZ under D50 (SMPTE EG 432-1 primaries, D65 white)."""

SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
LINEAR_CURVE = b"curv" + bytes(8)


def rgb_profile(name: bytes, to_d50: NDArray[np.float64], curve: bytes) -> bytes:
    primaries = zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_d50.T, strict=True)
    tags = {key: b"XYZ \0\0\0\0" + fixed(*column) for key, column in primaries}
    return icc_profile(name, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def linear_profile() -> bytes:
    return rgb_profile(b"Linear test", SRGB_TO_D50, LINEAR_CURVE)


def to_srgb_levels(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert linear light in [0, 1] to sRGB levels in [0, 255] (IEC 61966-2-1)."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def d65_matrix(*xy: tuple[float, float]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, for the chromaticities of the primaries and a D65 white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in xy]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def test_display_p3_becomes_srgb(tmp_path: Path) -> None:
    levels = np.array([[[200, 100, 50], [120, 180, 90], [60, 80, 150], [128, 128, 128], [255, 0, 0]]], np.uint8)
    profile = rgb_profile(b"Display P3", P3_TO_D50, SRGB_CURVE)
    Image.fromarray(levels).save(tmp_path / "p3.png", icc_profile=profile)
    picture = read_image(tmp_path / "p3.png")
    p3 = d65_matrix((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
    srgb = d65_matrix((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
    encoded = levels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    expected = to_srgb_levels(linear @ (np.linalg.inv(srgb) @ p3).T)
    assert np.abs(picture.rgb - expected).max() <= 1
    assert np.abs(picture.rgb.astype(int) - levels).max() > 10
    assert picture.notes == ("Colours were converted from the embedded profile (Display P3) to sRGB.",)


def cmyk_profile() -> bytes:
    """Make a CMYK profile: paper is white, black ink black, cyan ink Lab (60, -30, -40), other inks are grey."""
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[..., 0, 0] = 40
    corners[0, 0, 0, 0] = (100, 0, 0)
    corners[1, 0, 0, 0] = (60, -30, -40)
    encoded = np.rint(corners * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += ramp * 4 + encoded.tobytes() + ramp * 3
    return icc_profile(b"Ink test", {b"A2B0": lut}, b"prtrCMYKLab ")


def test_cmyk_jpeg_with_a_profile_becomes_srgb(tmp_path: Path) -> None:
    inks = [(0, 0, 0, 0), (0, 0, 0, 128), (0, 0, 0, 255), (255, 0, 0, 0)]
    image = Image.new("CMYK", (64, 16))
    for index, ink in enumerate(inks):
        image.paste(ink, (16 * index, 0, 16 * index + 16, 16))
    image.save(tmp_path / "a.jpg", quality=100, icc_profile=cmyk_profile())
    picture = read_image(tmp_path / "a.jpg")
    for index, lab in enumerate([(100, 0, 0), (100 * (1 - 128 / 255), 0, 0), (0, 0, 0), (60, -30, -40)]):
        f = (lab[0] + 16) / 116 + np.array([lab[1] / 500, 0, -lab[2] / 200])
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
        expected = to_srgb_levels(np.linalg.solve(SRGB_TO_D50, xyz))
        assert np.abs(picture.rgb[8, 16 * index + 8] - expected).max() <= 2, inks[index]
    assert picture.notes == ("Colours were converted from the embedded profile (Ink test) to sRGB.",)


def test_a_grey_image_with_a_colour_profile_stays_grey(tmp_path: Path) -> None:
    levels = np.array([[0, 10, 55, 200, 255]], np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=linear_profile())
    picture = read_image(tmp_path / "a.png")
    assert np.abs(picture.measured - to_srgb_levels(levels / 255)).max() <= 1
    assert picture.is_grey


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    linear = np.array([[[55, 55, 55], [255, 255, 255], [10, 100, 200]]], np.uint8)
    image = Image.fromarray(linear)
    image.save(tmp_path / "linear.png", icc_profile=linear_profile())
    picture = read_image(tmp_path / "linear.png")
    assert np.abs(picture.rgb - to_srgb_levels(linear / 255)).max() <= 1
    assert picture.notes == ("Colours were converted from the embedded profile (Linear test) to sRGB.",)


def test_profiles_that_change_nothing(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (55, 155, 5))
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    picture = read_image(tmp_path / "broken.png")
    assert picture.rgb[0, 0].tolist() == [55, 155, 5]
    assert picture.notes == ("The embedded colour profile could not be used and was ignored.",)
    image.save(tmp_path / "srgb.png", icc_profile=rgb_profile(b"Whatever its name", SRGB_TO_D50, SRGB_CURVE))
    assert read_image(tmp_path / "srgb.png").notes == ()


COLOURS = np.array([[[5] * 3, [10] * 3, [40] * 3, [128] * 3, [200, 100, 50], [60, 80, 150]]], np.uint8)
"""The levels in the PNG files below. Beside each file are the levels that Chromium shows, read from a canvas."""

P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def gamma(value: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value))


def primaries(xy: tuple[int, ...]) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *xy))


def cicp(*numbers: int) -> bytes:
    return png_chunk(b"cICP", bytes(numbers))


UNCHANGED = COLOURS[0].tolist()


@pytest.mark.parametrize(
    ("chunks", "shown", "note"),
    [
        (gamma(100_000), [[38] * 3, [56] * 3, [110] * 3, [188] * 3, [229, 168, 122], [133, 152, 202]], "gamma 1.00"),
        (gamma(60_000), [[5] * 3, [14] * 3, [60] * 3, [153] * 3, [213, 126, 73], [84, 106, 172]], "gamma 0.60"),
        (gamma(50_000), [[1] * 3, [5] * 3, [43] * 3, [137] * 3, [206, 109, 55], [67, 88, 159]], "gamma 0.50"),
        (gamma(45_455), UNCHANGED, None),
        (gamma(47_000), UNCHANGED, None),
        (gamma(0), UNCHANGED, None),
        (primaries(P3), UNCHANGED, None),
        (primaries(SRGB) + gamma(45_455), UNCHANGED, None),
        (png_chunk(b"sRGB", b"\0") + gamma(100_000), UNCHANGED, None),
        (
            primaries(P3) + gamma(45_455),
            [[1] * 3, [3] * 3, [35] * 3, [129] * 3, [216, 93, 24], [51, 80, 157]],
            "the primaries and gamma 0.45 of the file",
        ),
        (
            primaries(P3) + gamma(100_000),
            [[38] * 3, [56] * 3, [110] * 3, [188] * 3, [240, 165, 114], [128, 153, 206]],
            "the primaries and gamma 1.00 of the file",
        ),
        (
            cicp(12, 13, 0, 1),
            [[5] * 3, [10] * 3, [40] * 3, [128] * 3, [215, 93, 31], [54, 81, 155]],
            "Display P3",
        ),
        (
            cicp(9, 8, 0, 1),
            [[38] * 3, [56] * 3, [110] * 3, [188] * 3, [255, 159, 113], [112, 154, 207]],
            "BT.2020 and linear light",
        ),
        (
            cicp(1, 1, 0, 1),
            [[0] * 3, [1] * 3, [28] * 3, [121] * 3, [197, 91, 39], [49, 70, 144]],
            "sRGB and gamma 0.42",
        ),
        (
            cicp(1, 5, 0, 1),
            [[0] * 3, [0] * 3, [17] * 3, [106] * 3, [189, 76, 26], [36, 56, 131]],
            "sRGB and gamma 0.36",
        ),
        (cicp(5, 6, 0, 1), [[0] * 3, [1] * 3, [28] * 3, [121] * 3, [200, 91, 40], [48, 70, 144]], "PAL and gamma 0.42"),
        (cicp(1, 13, 0, 1), UNCHANGED, None),
        (cicp(2, 2, 0, 1), UNCHANGED, None),
        (cicp(1, 13, 0, 1) + gamma(100_000), UNCHANGED, None),
    ],
)
def test_a_png_without_a_profile_has_the_colours_that_a_browser_shows(
    tmp_path: Path, chunks: bytes, shown: list[list[int]], note: str | None
) -> None:
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + COLOURS.tobytes()))
    (tmp_path / "a.png").write_bytes(png_file(COLOURS.shape[1], 1, 8, 2, chunks + pixels))
    picture = read_image(tmp_path / "a.png")
    assert np.abs(picture.rgb[0].astype(int) - shown).max() <= 1
    assert picture.notes == (() if note is None else (f"Colours were converted from {note} to sRGB.",))


def test_a_grey_png_with_a_gamma_stays_grey(tmp_path: Path) -> None:
    levels = np.array([[0, 10, 55, 200, 255]], np.uint8)
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + levels.tobytes()))
    (tmp_path / "a.png").write_bytes(png_file(5, 1, 8, 0, gamma(100_000) + primaries(P3) + pixels))
    picture = read_image(tmp_path / "a.png")
    assert picture.is_grey
    assert np.abs(picture.measured - to_srgb_levels(levels / 255)).max() <= 1


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_colours_are_left_as_they_are_and_the_note_says_so(tmp_path: Path, transfer: int, name: str) -> None:
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + COLOURS.tobytes()))
    (tmp_path / "a.png").write_bytes(png_file(6, 1, 8, 2, cicp(9, transfer, 0, 1) + pixels))
    picture = read_image(tmp_path / "a.png")
    assert picture.rgb[0].tolist() == UNCHANGED
    assert picture.notes == (f"Its HDR colours ({name}) are not supported and were left as they are.",)


@pytest.mark.parametrize("xy", [(0,) * 8, (31270, 32900, *(30000, 30000) * 3), (1, 0, *P3[2:]), (2**32 - 1,) * 8])
def test_primaries_that_are_no_colours_are_ignored(tmp_path: Path, xy: tuple[int, ...]) -> None:
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + COLOURS.tobytes()))
    (tmp_path / "a.png").write_bytes(png_file(6, 1, 8, 2, gamma(100_000) + primaries(xy) + pixels))
    assert read_image(tmp_path / "a.png").notes == ("Colours were converted from gamma 1.00 to sRGB.",)


@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_an_avif_or_heic_file_without_a_profile_is_converted_by_its_numbers(tmp_path: Path, file_format: str) -> None:
    flat = Image.new("RGB", (32, 32), (200, 100, 50))
    stored = io.BytesIO()
    flat.save(stored, file_format, quality=100)
    data = stored.getvalue()
    found = re.search(rb"colrnclx....", data, re.DOTALL)
    assert found
    plain = read_image(io.BytesIO(data)).rgb[9, 9]
    p3 = data[: found.start()] + b"colrnclx\0\x0c\0\x0d" + data[found.end() :]
    picture = read_image(io.BytesIO(p3))
    assert np.abs(plain.astype(int) - (200, 100, 50)).max() <= 2
    assert np.abs(picture.rgb[9, 9].astype(int) - (215, 93, 31)).max() <= 3
    assert picture.notes == ("Colours were converted from Display P3 to sRGB.",)
