"""Read and write image files, and convert between files, 8-bit arrays and float tensors.

No other module converts between these.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from drn.errors import InputError
from drn.files import replace_file

if TYPE_CHECKING:
    import torch

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")

PHOTOMETRIC, SAMPLE_FORMAT = 262, 339
"""Numbers of TIFF tags."""

WHITE_IS_ZERO = 0
"""A value of ``PHOTOMETRIC`` that Pillow handles only in 8-bit images."""

GREY_STEPS = {"L;2": 85, "L;4": 17}
"""Pillow's raw mode of a grey PNG of 2 or 4 bits -> factor from a level in the file to an 8-bit level."""

Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        rgb: uint8, (H, W, 3), sRGB, upright. Grey images have three equal channels.
        alpha: uint8, (H, W), or None.
        is_grey: Whether the file was greyscale.
        notes: One sentence for each change made while reading the file.
    """

    rgb: Array
    alpha: Array | None = None
    is_grey: bool = False
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> Array:
        """The pixels that metrics compare: the grey plane (H, W) of a grey image, else ``rgb``."""
        return to_grey(self.rgb) if self.is_grey else self.rgb


def to_grey(rgb: Array) -> Array:
    """Return the full-range luma of BT.601, ``0.299 R + 0.587 G + 0.114 B``, rounded: (H, W, 3) -> (H, W)."""
    grey = np.empty(rgb.shape[:2], np.uint8)
    for row, colours in zip(grey, rgb, strict=True):  # by rows, because floats of a large image do not fit in memory
        row[:] = np.rint(colours @ np.array([0.299, 0.587, 0.114]))
    return grey


def fill_clear(picture: Picture) -> Array:
    """Return the colours (H, W, 3); each transparent pixel takes the colour of the nearest visible pixel.

    The colour that a file stores for a transparent pixel is arbitrary. If no pixel is visible, the colours stay
    unchanged.
    """
    if picture.alpha is None or not 0 < (visible := np.flatnonzero(picture.alpha)).size < picture.alpha.size:
        return picture.rgb
    clear = (picture.alpha == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(clear, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # The labels number the visible pixels; each visible pixel's own label identifies it.
    owner = np.zeros(visible.size + 1, np.intp)
    owner[nearest.ravel()[visible]] = visible
    return picture.rgb.reshape(-1, 3)[owner[nearest]]


def on_checkers(picture: Picture, cell: int) -> Array:
    """Draw a picture on the usual grey checkerboard for transparency.

    Args:
        picture: The picture. Without alpha, its colours are returned unchanged.
        cell: Side of a square of the checkerboard, in pixels.

    Returns:
        uint8, (H, W, 3).
    """
    if picture.alpha is None:
        return picture.rgb
    width = picture.alpha.shape[1]
    squares = np.where(np.arange(width + cell) // cell % 2, 230, 255)[:, None]
    drawn = np.empty_like(picture.rgb)
    for y, (rgb, alpha) in enumerate(zip(picture.rgb, picture.alpha, strict=True)):  # by rows, as in to_grey
        share, start = alpha[:, None] / 255, cell * (y // cell % 2)
        drawn[y] = np.rint(rgb * share + squares[start : start + width] * (1 - share))
    return drawn


def mod_crop(image: Array, scale: int) -> Array:
    """Crop (H, W) or (H, W, C) at the right and bottom so that both sides are multiples of ``scale``."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def to_tensor(rgb: Array, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 (H, W, 3) in [0, 255] -> float32 (1, 3, H, W) in [0, 1], on ``device``."""
    import torch  # imported here, so that a process that only decodes images does not load it

    return torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(2, 0, 1)[None].float().div_(255)


def quantize(x: torch.Tensor) -> Array:
    """Float (1, 3, H, W), clamped to [0, 1] and rounded -> uint8 (H, W, 3)."""
    import torch

    levels = x[0].float().mul(255).clamp_(0, 255).round_().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().contiguous().numpy()


def find_images(folder: Path) -> list[Path]:
    """Return every image file below ``folder``, at any depth, sorted by path.

    Raises:
        InputError: If the folder is missing or has no images.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give a folder of images.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise InputError(f"The folder {folder} holds no images ({', '.join(SUFFIXES)}).")
    return paths


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert an image from its embedded ICC profile to sRGB.

    A profile that cannot be used is ignored, and ``notes`` gets a sentence about it.
    """
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


def _decode(image: Image.Image, name: str) -> Picture:
    """Convert an opened file of any mode to 8-bit RGB and alpha, with notes on the changes."""
    notes: list[str] = []
    if getattr(image, "is_animated", False):  # unlike n_frames, this does not read the whole file
        notes.append("The file has several frames: the first one is used.")
        image.seek(0)
    coding = tile[0][3] if (tile := getattr(image, "tile", None)) else ""
    rawmode = str(coding)
    is_16_bit = (";16" in rawmode and "BGR;16" not in rawmode) or image.mode.startswith("I")
    if image.format == "PPM" and isinstance(coding, tuple):  # (mode, highest value)
        is_16_bit = coding[1] > 255
    tags = getattr(image, "tag_v2", {})  # of a TIFF file
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)

    if image.mode == "F":
        raise InputError(f"{name} holds floating-point numbers: save it as PNG or JPEG first.")
    if is_16_bit:
        notes.append(f"The {12 if ';12' in rawmode else 16}-bit image was processed as 8-bit.")
        if image.info.pop("transparency", None) is not None:
            notes.append("Its transparent colour was ignored.")
    if image.mode.startswith("I"):
        if ";32" in rawmode:
            raise InputError(f"{name} holds 32-bit numbers: save it as PNG or JPEG first.")
        if tags.get(SAMPLE_FORMAT, (1,)) != (1,):
            raise InputError(f"{name} holds signed numbers: save it as PNG or JPEG first.")
        shift = 4 if ";12" in rawmode else 8
        levels = (np.asarray(image).clip(0) >> shift).astype(np.uint8)
        image = Image.fromarray(255 - levels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else levels)
    if image.mode == "1":
        image = image.convert("L")
    if rawmode in GREY_STEPS and "transparency" in image.info:  # Pillow keeps this colour in the levels of the file
        image.info["transparency"] *= GREY_STEPS[rawmode]
    if image.mode in ("P", "PA") or "transparency" in image.info:
        has_alpha = image.mode == "PA" or "transparency" in image.info
        image = image.convert("LA" if has_alpha and image.mode == "L" else "RGBA" if has_alpha else "RGB")
    alpha = None
    if image.mode in ("LA", "RGBA", "La", "RGBa"):
        image = image.convert("LA" if image.mode.startswith("L") else "RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    is_grey = image.mode == "L" or rawmode.startswith("LA;")  # Pillow reads 16-bit grey with alpha as RGBA
    if profile:
        image = _to_srgb(image, profile, notes)
    return Picture(np.array(image.convert("RGB")), alpha, is_grey, tuple(notes))


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
        raise InputError(f"{name} is {width}x{height}: the limit here is {max_pixels / 1e6:.2f} megapixels.")


def read_image(
    source: Path | IO[bytes], max_bytes: int | None = None, max_pixels: int | None = None, name: str = ""
) -> Picture:
    """Read an image file: EXIF orientation applied, embedded profiles converted to sRGB.

    Args:
        source: A file name or an open binary file.
        max_bytes: Largest file accepted.
        max_pixels: Largest width times height accepted; checked before anything is decoded.
        name: The file's name in error messages; by default the name of a ``Path``, and "The file" for an open file.

    Raises:
        InputError: If the file is missing, too large, damaged, or not an image.
    """
    name = name or (source.name if isinstance(source, Path) else "The file")
    try:
        file: IO[bytes] = source.open("rb") if isinstance(source, Path) else source
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.") from error
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if max_bytes is not None:
            check_bytes(name, size, max_bytes)
        with Image.open(file, formats=FORMATS) as image:
            if max_pixels is not None:
                check_pixels(name, *image.size, max_pixels)
            return _decode(image, name)
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not an image that can be read ({', '.join(FORMATS)}).") from error
    except Image.DecompressionBombError as error:
        limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(f"{name} has too many pixels: the limit here is {limit / 1e6:.2f} megapixels.") from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit in the memory of this machine: reduce it first.") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of exceptions for damaged files
        raise InputError(f"{name} is damaged or incomplete and cannot be decoded.") from error
    finally:
        if isinstance(source, Path):
            file.close()


def write_png(path: Path, picture: Picture) -> None:
    """Write ``picture`` as PNG (L, LA, RGB or RGBA), atomically.

    Raises:
        OSError: If the folder does not exist or the disk is full.
    """
    image = Image.fromarray(picture.measured)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    replace_file(path, lambda temporary: image.save(temporary, format="PNG", compress_level=4))
