"""Pairs of an original (HR) and the LR image made from it, and rectangles in pairs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drn.degrade import CLEAN, Degradation
from drn.errors import InputError
from drn.evaluation.sets import find_originals
from drn.geometry import Rect
from drn.image import Array, Picture, mod_crop
from drn.metrics import SSIM_WINDOW
from drn.reading import read_image
from drn.resize import downscale


@dataclass(frozen=True)
class Pair:
    """An original and the LR image made from it.

    Attributes:
        hr: uint8, (H, W, 3); H and W are multiples of ``scale``.
        lr: uint8, (H/scale, W/scale, 3).
        scale: Upscaling factor.
        is_grey: Whether the file was greyscale. The metrics then compare grey planes.
        name: Name of the original's file without its suffix; empty if unknown. It identifies finished results.
        notes: One sentence for each change that was made to the original (see ``notes_on``).
        degradation: Degradation of the LR image after the shrink. Any but ``CLEAN`` is outside the benchmark protocol.
    """

    hr: Array
    lr: Array
    scale: int
    is_grey: bool
    name: str = ""
    notes: tuple[str, ...] = ()
    degradation: Degradation = CLEAN


def make_pair(picture: Picture, scale: int, name: str = "", degradation: Degradation = CLEAN) -> Pair:
    """Crop an original to a multiple of ``scale``, shrink it, and degrade the result.

    Nothing else in the project makes the LR image of an evaluation.

    Args:
        picture: The original.
        scale: Upscaling factor.
        name: See ``Pair``.
        degradation: See ``Pair``.

    Raises:
        InputError: If the picture is smaller than ``scale`` on a side.
    """
    hr = mod_crop(picture.rgb, scale)
    if 0 in hr.shape:
        raise InputError(f"The image is too small for x{scale}: give one of at least {scale} pixels a side.")
    lr = degradation.apply(downscale(hr, scale))
    return Pair(hr, lr, scale, picture.is_grey, name, tuple(notes_on(picture)), degradation)


def notes_on(picture: Picture) -> list[str]:
    """Return one sentence for each change made while reading an original, to be shown to the user."""
    hidden = [] if picture.alpha is None else ["Its transparency is left out: all of its pixels are compared."]
    return [*picture.notes, *hidden]


def read_pair(path: Path, scale: int) -> Pair:
    """Read an original, check that it is large enough for PSNR and SSIM, and shrink it.

    Raises:
        InputError: If it cannot be read, or if the SSIM window does not fit inside the border of ``scale`` pixels.
    """
    picture = read_image(path, name=str(path))
    least = scale * math.ceil((2 * scale + SSIM_WINDOW) / scale)
    if min(picture.rgb.shape[:2]) < least:
        raise InputError(f"{path} is too small to measure at x{scale}: it needs {least} pixels a side.")
    return make_pair(picture, scale, path.stem)


def read_pairs(folder: Path, scale: int, on_note: Callable[[str], object] = lambda note: None) -> list[Pair]:
    """Read the originals of a test set with ``read_pair``.

    Args:
        folder: The folder of the set (see ``find_originals``).
        scale: Upscaling factor.
        on_note: Called with a sentence about the choice of the images, and with one for each kind of change to them.

    Raises:
        InputError: If the folder is missing or holds no images, or if ``read_pair`` refuses an image.
    """
    paths, choice = find_originals(folder)
    pairs = [read_pair(path, scale) for path in paths]
    changes = Counter(note for pair in pairs for note in pair.notes)
    if choice is not None:
        on_note(choice)
    for note, count in changes.items():
        on_note(f"{folder}, {count} of {len(pairs)} images: {note}")
    return pairs


def degrade_pairs(pairs: Sequence[Pair], degradations: Sequence[Degradation]) -> list[Pair]:
    """Degrade the LR images of pairs.

    Args:
        pairs: The pairs.
        degradations: At least one. They are assigned in this order, and repeat after the last one.
    """
    assigned = zip(pairs, itertools.cycle(degradations), strict=False)
    return [replace(pair, lr=degradation.apply(pair.lr), degradation=degradation) for pair, degradation in assigned]


def whole_rect(pair: Pair) -> Rect:
    """Return the rectangle of the whole image, in HR pixels."""
    return Rect(0, 0, pair.hr.shape[1], pair.hr.shape[0])


def clip_rect(hr_rect: Rect, pair: Pair) -> Rect:
    """Return the part of ``hr_rect`` that lies inside the image; it has at least one pixel."""
    height, width = pair.hr.shape[:2]
    left, top = min(max(hr_rect.x, 0), width - 1), min(max(hr_rect.y, 0), height - 1)
    right, bottom = min(hr_rect.x + hr_rect.width, width), min(hr_rect.y + hr_rect.height, height)
    return Rect(left, top, max(right - left, 1), max(bottom - top, 1))


def parse_rect(text: str, pair: Pair) -> Rect:
    """Read a rectangle in HR pixels, written ``X,Y,W,H``.

    Raises:
        InputError: If the text does not have this form, or the rectangle is empty or not inside the image.
    """
    try:
        x, y, width, height = map(int, text.split(","))
    except ValueError as error:
        raise InputError(f"The crop {text[:40]!r} is not X,Y,W,H: give four whole numbers.") from error
    whole = whole_rect(pair)
    if not (0 <= x < x + width <= whole.width and 0 <= y < y + height <= whole.height):
        raise InputError(
            f"The crop {text[:40]} does not lie inside the {whole.width}x{whole.height} image: give a smaller one."
        )
    return Rect(x, y, width, height)
