"""Search folders for image files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from drn.errors import InputError
from drn.formats import SUFFIXES

SYSTEM_NAMES = ("thumbs.db", "desktop.ini", "__macosx")
"""Files and folders that operating systems create, in lower case. They are ignored, like names with a leading dot."""


@dataclass
class Found:
    """The files below a folder.

    Attributes:
        images: Every image file, sorted by path.
        unknown: All other files and broken links, except files of the operating system.
        unreadable: The folders that could not be read.
    """

    images: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def search_folder(folder: Path) -> Found:
    """List the files below ``folder``, at any depth.

    Links to folders are followed. A folder that is reached several times, for example through a link, is searched once.
    If it is itself below ``folder``, its own path is used and not that of the link.

    Raises:
        InputError: If the folder is missing.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give a folder of images.")
    found, searched, links = Found(), set[tuple[int, int]](), [folder]
    while links:
        _search(links.pop(0), found, searched, links)
    found.images.sort()
    return found


def find_images(folder: Path) -> list[Path]:
    """Return every image file below ``folder``, at any depth, sorted by path (see ``search_folder``).

    Raises:
        InputError: If the folder is missing or has no images.
    """
    found = search_folder(folder)
    if not found.images:
        raise InputError(f"The folder {folder} holds no images ({', '.join(SUFFIXES)}).")
    return found.images


def _search(folder: Path, found: Found, searched: set[tuple[int, int]], links: list[Path]) -> None:
    """Add the files below ``folder`` to ``found``, and the links to folders to ``links``."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            about = here.stat()
            if (about.st_dev, about.st_ino) in searched:
                continue
            searched.add((about.st_dev, about.st_ino))
            with os.scandir(here) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            found.unreadable.append(here)
            continue
        for entry in listed:
            path = here / entry.name
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM_NAMES:
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else waiting).append(path)
            else:
                is_image = path.suffix.lower() in SUFFIXES and entry.is_file()
                (found.images if is_image else found.unknown).append(path)
