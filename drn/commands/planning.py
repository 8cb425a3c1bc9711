"""Choose which files are upscaled, and where their results are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from drn.errors import InputError
from drn.folders import search_folder
from drn.formats import SUFFIXES
from drn.writing import FORMAT_OF, SUFFIX_OF

STDIN = ("-", "/dev/stdin")
"""Names of the standard input."""

RESULT = re.compile(r".*_DRN_x[2-4]")
"""The stem of a result's name."""


@dataclass
class Plan:
    """The files of one run.

    Attributes:
        targets: Path of an image -> path of its result.
        left_out: One sentence for each kind of file that was found and will not be enlarged.
    """

    targets: dict[Path, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def choose_format(output: Path, asked: str | None) -> str:
    """Return the format of the results: ``asked``, or the format of the file name ``output``, or PNG.

    Raises:
        InputError: If ``asked`` is unknown or differs from the format of the file name.
    """
    named = None if output.is_dir() else FORMAT_OF.get(output.suffix.lower())
    if asked is not None and asked not in SUFFIX_OF:
        raise InputError(f"The format {asked[:20]} is unknown: choose one of {', '.join(SUFFIX_OF)}.")
    if asked is not None and named is not None and asked != named:
        raise InputError(f"The name {output.name} does not fit --format {asked}: change one of them.")
    return asked or named or "png"


def plan(inputs: list[Path], output: Path, scale: int, file_format: str = "png") -> Plan:
    """Choose the file for each result: ``OUTPUT/<stem>_DRN_x<scale>.png``, in the subfolders of the input.

    Args:
        inputs: Image files and folders, which are searched to any depth, and ``-`` for the standard input. In a folder,
            files below ``output`` and results of earlier runs are not inputs.
        output: Folder for the results, which does not have to exist; or, for a single image, the name of the result.
        scale: Upscaling factor.
        file_format: One of ``drn.writing.SUFFIX_OF``.

    Raises:
        InputError: If a folder has no images, two images would have the same result, or ``output`` is a file or one of
            the input folders.
    """
    is_name = output.suffix.lower() in FORMAT_OF and not output.is_dir()
    if is_name and len(inputs) == 1 and not inputs[0].is_dir():
        if output.resolve() == inputs[0].resolve():
            raise InputError(f"{output} is the image itself: give another name, or a folder for the results.")
        return Plan({inputs[0]: output})
    if is_name or (output.exists() and not output.is_dir()):
        raise InputError(f"{output} is the name of a file: give a folder for the results.")
    planned, sources = Plan(), dict[Path, Path]()
    for given in inputs:
        images = _images_in(given, output, planned.left_out) if given.is_dir() else [given]
        base = given if given.is_dir() else given.parent
        for image in images:
            name = f"{_stem(image)}_DRN_x{scale}{SUFFIX_OF[file_format]}"
            target = output / image.parent.relative_to(base) / name
            if sources.setdefault(target, image) != image:
                raise InputError(f"{sources[target]} and {image} would both become {target}: rename one of them.")
            planned.targets[image] = target
    return planned


def _stem(image: Path) -> str:
    """Return the first part of the result's name: ``stdin`` or ``pipe`` for an input without a file name."""
    if str(image) in STDIN:
        return "stdin"
    return "pipe" if image.parent.name == "fd" and image.name.isdigit() else image.stem


def _images_in(folder: Path, output: Path, left_out: list[str]) -> list[Path]:
    """List the images to enlarge below a folder, and add sentences about the other files to ``left_out``.

    Raises:
        InputError: If the folder has no images, or if it is the folder of the results.
    """
    if folder.resolve() == output.resolve():
        raise InputError(f"The results cannot be written into the folder of the images, {folder}: give another folder.")
    found = search_folder(folder)
    above = output.resolve().is_relative_to(folder.resolve())
    own = {path for path in found.images if above and path.resolve().is_relative_to(output.resolve())}
    earlier = {path for path in found.images if path not in own and RESULT.fullmatch(path.stem)}
    images = [path for path in found.images if path not in own and path not in earlier]
    left_out += [f"The folder {path} cannot be read and was left out." for path in found.unreadable]
    if earlier:
        left_out.append(
            f"{_files(len(earlier))} left out of {folder}, as results of earlier runs: "
            "give the path of a file to enlarge it."
        )
    if found.unknown:
        suffixes = sorted({path.suffix.lower() or "no suffix" for path in found.unknown})
        listed = ", ".join(suffixes[:6]) + (", ..." if len(suffixes) > 6 else "")
        left_out.append(f"{_files(len(found.unknown))} left out of {folder} because of unknown suffixes ({listed}).")
    if not images:
        reason = "except results of earlier runs" if own or earlier else f"({', '.join(SUFFIXES)})"
        raise InputError(f"The folder {folder} has no images {reason}: {' '.join(left_out) or 'give another folder.'}")
    return images


def _files(count: int) -> str:
    return "1 file was" if count == 1 else f"{count} files were"
