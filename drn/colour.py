"""Conversion of decoded images to sRGB, from an ICC profile, or from the colour chunks or boxes of the file.

The conversions are those of browsers, so that a result has the same colours as the preview in a browser.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

from drn.formats import nclx_colours, png_chunk

PRIMARIES = {
    1: ("sRGB", (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)),
    5: ("PAL", (0.640, 0.330, 0.290, 0.600, 0.150, 0.060)),
    6: ("NTSC", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: ("NTSC", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    9: ("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
"""Number of the primaries in ITU-T H.273 -> name, and x and y of red, green and blue. White is D65."""

EXPONENTS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 14: 2.4, 15: 2.4}
"""Number of a transfer function in ITU-T H.273 -> exponent of the power function that browsers use for it."""

HDR = {16: "PQ", 18: "HLG"}
"""Number of a transfer function of high dynamic range -> name. Images with these are not converted."""

D65 = (0.3127, 0.3290)

SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.05
"""A gAMA near this value means sRGB, if the primaries are those of sRGB; the tolerance is relative."""

Floats = NDArray[np.float64]


def to_srgb(image: Image.Image, file_format: str | None, data: bytes, notes: list[str]) -> Image.Image:
    """Convert a decoded image to sRGB, from the profile or the colour numbers in its file.

    Args:
        image: The image, of mode L, RGB, CMYK or LAB.
        file_format: Pillow's name of the file's format.
        data: The file's content.
        notes: A sentence is added if the colours were changed or could not be converted.

    Returns:
        The image, converted or unchanged.
    """
    if file_format == "PNG":
        cicp = png_chunk(data, b"cICP")
        if cicp is not None and len(cicp) == 4:
            return _from_numbers(image, cicp[0], cicp[1], notes)
    profile = image.info.get("icc_profile")
    if profile:
        return _from_profile(image, profile, notes)
    if file_format == "PNG":
        return _from_gamma(image, data, notes)
    if file_format in ("AVIF", "HEIF") and (numbers := nclx_colours(data)):
        return _from_numbers(image, *numbers, notes)
    return image


def _from_profile(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert an image from its embedded ICC profile; a profile that cannot be used is ignored, with a note."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        is_rgb = source.profile.xcolor_space.strip() == "RGB"
        coloured = image.convert("RGB") if is_rgb and image.mode == "L" else image
        converted = ImageCms.profileToProfile(coloured, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("The embedded colour profile could not be used and was ignored.")
        return image
    if converted is None:
        return image
    if image.mode in ("L", "RGB"):
        # Most embedded profiles describe sRGB. Differences from rounding alone get no note.
        change = ImageChops.difference(converted, image.convert("RGB")).getextrema()
        if max(int(high) for _, high in change) <= 1:  # type: ignore[misc]
            return image
    notes.append(f"Colours were converted from the embedded profile ({name[:60]}) to sRGB.")
    return converted


def _from_gamma(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """Convert a PNG from its gAMA and cHRM chunks.

    As in browsers, a file with an sRGB chunk or without gAMA is not converted.
    """
    gamma = png_chunk(data, b"gAMA")
    if png_chunk(data, b"sRGB") is not None or gamma is None or len(gamma) != 4 or not any(gamma):
        return image
    value = int.from_bytes(gamma, "big") / 100_000
    primaries = PRIMARIES[1][1]
    chromaticities = png_chunk(data, b"cHRM")
    white = D65
    if chromaticities is not None and len(chromaticities) == 32:
        xy = [number / 100_000 for number in struct.unpack(">8I", chromaticities)]
        if _matrix(tuple(xy[2:]), (xy[0], xy[1])) is not None:
            white, primaries = (xy[0], xy[1]), tuple(xy[2:])
    is_srgb = np.allclose([*white, *primaries], [*D65, *PRIMARIES[1][1]], atol=0.002)
    if is_srgb and abs(value / SRGB_GAMMA - 1) < GAMMA_TOLERANCE:
        return image
    what = f"gamma {value:.2f}" if is_srgb else f"the primaries and gamma {value:.2f} of the file"
    return _converted(image, 1 / value, None if is_srgb else (primaries, white), what, notes)


def _from_numbers(image: Image.Image, primaries: int, transfer: int, notes: list[str]) -> Image.Image:
    """Convert an image from the ITU-T H.273 numbers of its primaries and transfer function."""
    if transfer in HDR:
        notes.append(f"Its HDR colours ({HDR[transfer]}) are not supported and were left as they are.")
        return image
    name, corners = PRIMARIES.get(primaries, PRIMARIES[1])
    exponent = EXPONENTS.get(transfer)
    if exponent is not None:
        name += " and linear light" if exponent == 1 else f" and gamma {1 / exponent:.2f}"
    return _converted(image, exponent, None if corners == PRIMARIES[1][1] else (corners, D65), name, notes)


def _converted(
    image: Image.Image,
    exponent: float | None,
    primaries: tuple[tuple[float, ...], tuple[float, float]] | None,
    what: str,
    notes: list[str],
) -> Image.Image:
    """Convert an image to sRGB.

    Args:
        image: The image, of mode L or RGB; another mode is returned unchanged.
        exponent: Linear light is ``level ** exponent``; None for the curve of sRGB.
        primaries: x and y of red, green and blue, and of white; None for those of sRGB.
        what: A description of the file's colours for the note.
        notes: A sentence is added if a level changed by more than 1.
    """
    if image.mode not in ("L", "RGB"):
        return image
    levels = np.arange(256) / 255
    if exponent is None:
        curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    else:
        curve = levels**exponent
    own = None if primaries is None else _matrix(*primaries)
    srgb = _matrix(PRIMARIES[1][1], D65)
    if image.mode == "L" or own is None or srgb is None:
        table = _encode(curve)
        converted = image.point(table.tolist() * len(image.getbands()))
    else:
        matrix = np.linalg.solve(srgb, own).T
        pixels = np.array(image)
        for row in pixels:  # by rows, because floats of a large image do not fit in memory
            row[:] = _encode(curve[row] @ matrix)
        converted = Image.fromarray(pixels)
    if np.asarray(ImageChops.difference(converted, image)).max() <= 1:
        return image
    notes.append(f"Colours were converted from {what} to sRGB.")
    return converted


def _encode(linear: Floats) -> NDArray[np.uint8]:
    """Convert linear light to sRGB levels (IEC 61966-2-1), clipped to [0, 255] and rounded."""
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(255 * encoded).astype(np.uint8)
    return levels


def _matrix(corners: tuple[float, ...], white: tuple[float, float]) -> Floats | None:
    """Return the (3, 3) matrix from linear RGB to XYZ under D65; None if the primaries have no valid matrix.

    Args:
        corners: x and y of red, green and blue.
        white: x and y of white. Bradford chromatic adaptation converts it to D65.
    """
    xs, ys = np.array(corners[::2]), np.array(corners[1::2])
    if min(ys) <= 0 or white[1] <= 0:
        return None
    columns = np.array([xs / ys, np.ones(3), (1 - xs - ys) / ys])
    if abs(np.linalg.det(columns)) < 1e-4:
        return None
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    given, wanted = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in (white, D65))
    adapted = np.linalg.solve(bradford, np.diag((bradford @ wanted) / (bradford @ given)) @ bradford)
    matrix: Floats = adapted @ (columns * np.linalg.solve(columns, given))
    return matrix if np.isfinite(matrix).all() else None
