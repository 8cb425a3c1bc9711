"""Test sets on disk: which images of a folder are the originals, and the name of the set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from drn.errors import InputError
from drn.folders import find_images

ORIGINALS = ("hr", "gt", "gtmod12", "original", "originals")
"""Names, in lower case, of the folder with the originals in the layouts of common test sets."""


def find_originals(folder: Path) -> tuple[list[Path], str | None]:
    """Find the originals of a test set.

    Sets are often stored as ``Set5/HR`` with the LR images beside it, in ``Set5/LR_bicubic/X2``. Of such a folder only
    the originals are taken, because an LR image measured as an original gives a wrong mean.

    Args:
        folder: The folder of the set.

    Returns:
        The images, and a sentence about them if they are not simply those in ``folder``, else None.

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
    """Name test sets after their folders, as they were given: ``Set5/HR`` is Set5, and a link has its own name.

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
    given = Path(os.path.abspath(folder))  # noqa: PTH100  # unlike resolve(), it keeps the name of a link
    return given.parent.name if given.name.lower() in ORIGINALS and given.parent.name else given.name
