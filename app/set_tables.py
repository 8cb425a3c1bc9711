"""Measure whole test sets image by image; the results are kept while the server runs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.engines import UpscalerFor
from app.serving.jobs import Job, run_in_steps
from app.session import at_scale
from drn.errors import InputError
from drn.evaluation.benchmark import ImageRow, measure_image
from drn.evaluation.methods import Method, builtin_methods
from drn.evaluation.pairs import Pair, read_pair
from drn.evaluation.sets import find_originals, set_names
from drn.upscaler import OnTile, Upscaler

logger = logging.getLogger(__name__)

Key = tuple[str, Upscaler]
"""Name of the set, and the network with one scale and one set of weights."""


@dataclass
class SetTables:
    """Measurements of the methods on test sets; each is made once and kept.

    Attributes:
        sets: Name of a set -> its images.
        upscaler_for: Returns the upscaler for a scale.
        further: The methods that the command line added to the built-in ones.
    """

    sets: dict[str, list[Path]]
    upscaler_for: UpscalerFor
    further: tuple[Method, ...] = ()
    _known: dict[Key, dict[tuple[str, str], ImageRow | None]] = field(default_factory=dict)

    def key(self, name: str, scale: int) -> Key:
        """Return the key of a set's measurements by the network that serves ``scale`` at present."""
        return name, self.upscaler_for(scale)

    def methods(self, key: Key) -> list[Method]:
        """Return the methods that are measured."""
        _, upscaler = key
        return [*builtin_methods(upscaler, False), *at_scale(self.further, upscaler.scale)]

    def rows(self, key: Key) -> list[ImageRow]:
        """Return the finished measurements of a set, in the order of its images."""
        return [row for row in self._known.get(key, {}).values() if row is not None]

    def failures(self, key: Key) -> int:
        """Return the number of results of a set that could not be measured."""
        return sum(row is None for row in self._known.get(key, {}).values())

    def measure(self, key: Key, ends: float) -> Generator[tuple[int, int], None, None]:
        """Make the missing measurements of a set; closing the generator stops the work and keeps the finished ones.

        Args:
            key: The set and the network.
            ends: When to stop: the ``deadline()`` of the job.

        Yields:
            The number of finished measurements, and the number of all.

        Raises:
            InputError: If the time is over, or if the server is closing.
        """
        name, upscaler = key
        known, methods = self._known.setdefault(key, {}), self.methods(key)
        total = len(self.sets[name]) * len(methods)
        read = functools.lru_cache(maxsize=1)(read_pair)  # all methods of an image follow each other
        for path in self.sets[name]:
            for method in methods:
                if (path.stem, method.name) not in known:
                    work = functools.partial(_measure_file, name, read, path, upscaler.scale, method)
                    job = Job(run_in_steps(work, ends))
                    for _ in job:
                        yield len(known), total
                    known[path.stem, method.name] = job.result
        yield len(known), total


def named_sets(folders: Sequence[Path], photographs: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the images of each set by the set's name; without folders, ``photographs`` are one set.

    Raises:
        InputError: If a folder is missing or holds no images, or two folders have the same name.
    """
    if not folders:
        return {"examples": list(photographs)}
    return {name: find_originals(folder)[0] for name, folder in zip(set_names(folders), folders, strict=True)}


def _measure_file(
    data: str,
    read: Callable[[Path, int], Pair],
    path: Path,
    scale: int,
    method: Method,
    on_tile: OnTile,
    cancelled: Callable[[], bool],
) -> ImageRow | None:
    """Measure a method on one image of a set; None if the method fails or if the image cannot be measured."""
    try:
        return measure_image(data, read(path, scale), method, on_tile=on_tile, cancelled=cancelled)
    except InputError as error:
        logger.warning("%s has no score for %s of %s: %s", method.name, path.stem, data, error)
        return None
