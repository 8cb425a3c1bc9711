"""Test sets on disk: find the originals in a folder, and name the set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from drn.errors import InputError
from drn.folders import find_images

ORIGINALS = ("hr", "gt", "gtmod12", "original", "originals")
"""Names, in lower case, that common test sets use for the folder with the originals."""


def find_originals(folder: Path) -> tuple[list[Path], str | None]:
    """Find the originals of a test set.

    Sets are often stored as ``Set5/HR`` with the LR images beside it, in ``Set5/LR_bicubic/X2``. From such a folder
    only the originals are used, because an LR image measured as an original would make the mean wrong.

    Args:
        folder: The folder of the set.

    Returns:
        The images; and a sentence if the choice needs an explanation, else None.

    Raises:
        InputError: If the folder is missing or has no images.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give a folder of images.")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in ORIGINALS)
    if inside:
        return find_images(inside[0]), f"Of {folder} only the images in {inside[0].name} are used."
    images = find_images(folder)
    nested = sorted({str(path.parent.relative_to(folder)) for path in images if path.parent != folder})
    if not nested:
        return images, None
    listed = ", ".join(nested[:4]) + (", ..." if len(nested) > 4 else "")
    return images, f"The images in folders inside {folder} are used as originals too: {listed}."


def set_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of test sets: the names of their folders. ``Set5/HR`` is Set5; a link has the name of the link.

    Raises:
        InputError: If two sets would have the same name.
    """
    names = [set_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(
            "Two test sets have the same name, so their rows could not be distinguished: rename one of the folders."
        )
    return names


def set_name(folder: Path) -> str:
    """Return the name of the test set in ``folder`` (see ``set_names``)."""
    given = Path(os.path.abspath(folder))  # noqa: PTH100  # unlike resolve(), abspath keeps the name of a link
    return given.parent.name if given.name.lower() in ORIGINALS and given.parent.name else given.name
