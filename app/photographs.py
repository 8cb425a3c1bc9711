"""Photographs to compare: the examples of the gallery, their thumbnails, and the images that visitors upload."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from app.first_views import chosen_views
from app.serving import decoding
from app.serving.jobs import run_in_steps
from app.serving.limits import MAX_PIXELS, MAX_UPLOAD_BYTES, MIN_SIDE
from app.serving.uploads import NO_UPLOAD, find_upload
from drn.errors import InputError
from drn.evaluation.sets import find_originals
from drn.folders import find_images
from drn.image import Array, Picture
from drn.reading import check_bytes, read_image
from drn.upscaler import OnTile

logger = logging.getLogger(__name__)

EXAMPLES = Path(__file__).parent / "examples"
SAMPLES = Path(__file__).parent / "samples"
THUMBNAIL = 320
"""Longest side of a thumbnail, in pixels."""


def examples(folders: Sequence[Path] = ()) -> list[Path]:
    """List the examples: the bundled ones, then the images in the folder that ``DRN_EXAMPLES`` names, if it is set.

    An example is identified by the stem of its file name. Of several examples with the same stem, the first is listed.
    An image of ``DRN_EXAMPLES`` that cannot be shown is left out, with a warning in the log.

    Args:
        folders: Folders whose originals are listed instead of the examples.

    Raises:
        InputError: If a folder is missing or holds no images, or if two originals have the same stem.
    """
    first = chosen_views()["first"]
    bundled = sorted(EXAMPLES.glob("*.png"), key=lambda path: (path.stem != first, path.stem))
    folder = os.environ.get("DRN_EXAMPLES", "")
    listed = [*bundled, *(_usable(find_images(Path(folder))) if folder else [])]
    by_name: dict[str, Path] = {}
    if folders:
        for path in (path for given in folders for path in find_originals(given)[0]):
            if (other := by_name.setdefault(path.stem, path)) != path:
                raise InputError(
                    f"{other} and {path} have the same name, by which links and tables identify them: rename one."
                )
    else:
        for path in listed:
            by_name.setdefault(path.stem, path)
    return list(by_name.values())


def sample_images() -> list[Path]:
    """List the small images that the Upscale tab offers."""
    return sorted(SAMPLES.glob("*.png"))


def _usable(paths: list[Path]) -> Iterator[Path]:
    """Yield the images that can be shown; log a warning for each of the others."""
    for path in paths:
        try:
            read_example(path)
        except InputError as error:
            logger.warning("An image of DRN_EXAMPLES is left out: %s", error)
        else:
            yield path


def thumbnail(path: Path) -> Array:
    """Read an example and shrink it to at most ``THUMBNAIL`` pixels a side.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    image = Image.fromarray(read_example(path).rgb)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def read_example(path: Path) -> Picture:
    """Read an example. It is decoded in this process, because its path does not come from a visitor.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    return check_size(read_image(path, MAX_UPLOAD_BYTES, MAX_PIXELS))


def read_upload(path: str, max_pixels: int, ends: float) -> Generator[tuple[int, int], None, Picture]:
    """Decode an uploaded image in a separate process, which ends when the generator is closed.

    Args:
        path: The path that the visitor sent.
        max_pixels: Largest width times height accepted.
        ends: The time limit: the ``deadline()`` of the job.

    Returns:
        The picture (the generator's value).

    Raises:
        InputError: If the file is not an upload of this page, was deleted, cannot be decoded within the limits, or is
            too large.
    """

    def work(_: OnTile, cancelled: Callable[[], bool]) -> Picture:
        found = find_upload(path)
        try:
            check_bytes(found.name, found.stat().st_size, MAX_UPLOAD_BYTES)
            data = found.read_bytes()
        except OSError as error:  # the file was removed in the meantime
            raise InputError(NO_UPLOAD) from error
        return decoding.pool.decode(data, found.name, max_pixels, cancelled)

    return (yield from run_in_steps(work, ends))


def check_size(picture: Picture) -> Picture:
    """Return ``picture`` if it is large enough to be compared.

    Raises:
        InputError: If a side is shorter than ``MIN_SIDE``.
    """
    if min(picture.rgb.shape[:2]) < MIN_SIDE:
        raise InputError(f"The photograph is smaller than {MIN_SIDE} pixels: choose a larger one.")
    return picture
