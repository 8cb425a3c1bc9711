"""A method made of finished results: a folder of SR images, matched to the originals by their file names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from drn.errors import InputError
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair
from drn.folders import find_images
from drn.image import Array, mod_crop
from drn.reading import read_image
from drn.upscaler import OnTile

SCALE_WORD = re.compile(r"x(\d)|(\d)x")
"""A word of a file name that states the scale: ``x4`` or ``4x``."""


def results_folder(name: str, folder: Path, scale: int) -> Method:
    """Return a method that looks up finished SR images.

    A result is matched to an original by its file name, without suffix and regardless of case: ``baby.png`` belongs to
    ``baby.bmp``. The scale and labels may follow the name: ``babyx4.png``, ``baby_x4_IMDN.png``. A file is not used if
    its name, or that of its folder, states another scale.

    Args:
        name: Name of the method.
        folder: The folder that contains the results, at any depth.
        scale: Scale of the results.

    Returns:
        A method that raises ``InputError`` for a pair without a result, with several results, or with a result of
        another size than the original.

    Raises:
        InputError: If the folder is missing or holds no images.
    """
    files = find_images(folder)

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        if pair.scale != scale:
            raise InputError(f"The results in {folder} are for x{scale}: choose that scale.")
        path = find_result(files, folder, pair.name, scale)
        sr = read_image(path).rgb
        expected = pair.hr.shape
        # The result may have the size of the whole original, or of its part whose sides are multiples of the scale.
        if sr.shape != expected and mod_crop(sr, scale).shape == expected:
            sr = mod_crop(sr, scale)
        if sr.shape != expected:
            raise InputError(
                f"{path} is {sr.shape[1]}x{sr.shape[0]}, and its original at x{scale} is {expected[1]}x{expected[0]}: "
                "give results of that size."
            )
        return sr

    return Method(name, f"results in {folder.name}", enlarge, scale, is_finished=True)


def find_result(files: Sequence[Path], folder: Path, original: str, scale: int) -> Path:
    """Find the result that belongs to an original.

    Args:
        files: The results.
        folder: The folder that holds them.
        original: Name of the original's file without its suffix.
        scale: Scale of the results.

    Raises:
        InputError: If no file or several files belong to the original.
    """
    fits: dict[bool, list[Path]] = {True: [], False: []}
    for path in files:
        labels = _labels(path, original)
        if labels is None or _stated_scale(path.relative_to(folder), labels) not in (None, scale):
            continue
        fits[not _without_scale(labels)].append(path)
    found = fits[True] or fits[False]  # a name without labels is preferred
    if not found:
        raise InputError(f"The folder {folder} holds no result for {original or 'an image without a name'}.")
    if len(found) > 1:
        names = " and ".join(str(path.relative_to(folder)) for path in found[:2])
        raise InputError(f"The folder {folder} holds several results for {original}, such as {names}: keep one.")
    return found[0]


def _labels(path: Path, original: str) -> list[str] | None:
    """Return the words after the original's name in a file name; None if the file does not belong to the original.

    A word of digits only is part of a name and not a label: ``img_10`` does not belong to ``img``.
    """
    stem, prefix = path.stem.lower(), original.lower()
    if not prefix or not stem.startswith(prefix):
        return None
    rest = stem[len(prefix) :]
    if rest and not re.match(r"[^a-z0-9]|x\d(?![a-z0-9])", rest):
        return None
    words = re.findall(r"[a-z0-9+]+", rest)
    return None if any(word.isdigit() for word in words) else words


def _without_scale(labels: list[str]) -> list[str]:
    return [word for word in labels if not SCALE_WORD.fullmatch(word)]


def _stated_scale(path: Path, labels: list[str]) -> int | None:
    """Return the scale stated in the labels, or else in the names of the folders; None if no scale is stated.

    If several are stated, the last label counts, or the nearest folder.
    """
    folders = [part.lower() for part in reversed(path.parts[:-1])]
    for word in [*reversed(labels), *folders]:
        if found := SCALE_WORD.fullmatch(word):
            return int(found[1] or found[2])
    return None
