"""The comparison that a visitor looks at: a photograph, its LR images, and the results of the methods."""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.engines import UpscalerFor
from app.photographs import check_size, read_example, read_upload
from app.serving.jobs import Job, deadline, run_in_steps
from app.serving.limits import MAX_PIXELS
from app.viewer.contract import Viewpoint
from drn.evaluation.comparison import Result, measure
from drn.evaluation.methods import builtin_methods, builtin_names
from drn.evaluation.pairs import Pair, make_pair
from drn.image import Picture

TOKEN = re.compile(r"[0-9a-f]{16}")
"""The form of ``new_token``."""


def new_token() -> str:
    """Make a random name for a set of images."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class Session:
    """A visitor's comparison.

    Attributes:
        picture: The original, as it was read.
        picture_token: Identifies the picture; the viewer keeps its viewport while the token stays the same.
        pairs: The original and its LR image, for each scale; all originals have one size.
        results: The results that are already computed, by scale and name of the method.
        name: Stem of the example's name; empty for an uploaded photograph.
        view: The viewpoint of a shared link; None for the usual one.
        self_ensemble: Whether DRN+ is shown too.
        failed: Whether the missing results will not be computed.
        token: Identifies the set of images, so that a request about another set is not answered.
    """

    picture: Picture
    picture_token: str
    pairs: tuple[Pair, ...]
    results: dict[tuple[int, str], Result] = field(default_factory=dict)
    name: str = ""
    view: Viewpoint | None = None
    self_ensemble: bool = False
    failed: bool = False
    token: str = field(default_factory=new_token)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the pixels take."""
        own = [self.picture.rgb] if self.picture.alpha is None else [self.picture.rgb, self.picture.alpha]
        arrays = [*own, *(pair.lr for pair in self.pairs), *(result.sr for result in self.results.values())]
        return sum(array.nbytes for array in arrays)

    @property
    def shown(self) -> list[str]:
        """Names of the methods that the viewer shows."""
        return builtin_names(self.self_ensemble)

    @property
    def settled(self) -> bool:
        """Whether every result is computed or has failed."""
        return self.failed or all((pair.scale, name) in self.results for pair in self.pairs for name in self.shown)


def open_upload(path: str, scale: int, ends: float) -> Generator[tuple[int, int], None, Session]:
    """Open an uploaded photograph; closing the generator ends the decoding.

    Args:
        path: The path that the visitor sent.
        scale: The scale to compare at.
        ends: The time limit: the ``deadline()`` of the job.

    Returns:
        The session (the generator's value).

    Raises:
        InputError: If the file is not an upload of this page, was deleted, cannot be decoded within the limits, or is
            too large or too small.
    """
    picture = check_size((yield from read_upload(path, MAX_PIXELS, ends)))
    return Session(picture, new_token(), (make_pair(picture, scale),))


def open_example(path: Path, scale: int, view: Viewpoint | None = None) -> Session:
    """Open an example.

    Args:
        path: The example.
        scale: The scale to compare at.
        view: The first viewpoint; None for the usual one.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_example(path)
    return Session(picture, new_token(), (make_pair(picture, scale),), name=path.stem, view=view)


def compute(
    session: Session, upscaler_for: UpscalerFor, self_ensemble: bool, ends: float | None = None
) -> Iterator[Session | None]:
    """Compute the missing results; closing the iterator stops the work within a tile.

    Args:
        session: The session.
        upscaler_for: Returns the upscaler for a scale.
        self_ensemble: Whether to compute DRN+ too.
        ends: The time limit; None for the ``deadline()`` of a job that starts now.

    Yields:
        The session with the results of one more method at every scale, or None while the work continues.

    Raises:
        InputError: If the work takes too long, or a tile fails.
    """
    ends = deadline() if ends is None else ends
    # The methods keep their networks, even if other weights arrive in the meantime.
    methods = [(pair, builtin_methods(upscaler_for(pair.scale), self_ensemble)) for pair in session.pairs]
    for index, name in enumerate(builtin_names(self_ensemble)):
        found = {}
        for pair, of_scale in methods:
            if (pair.scale, name) not in session.results:
                job = Job(run_in_steps(functools.partial(measure, pair, of_scale[index]), ends))
                for _ in job:
                    yield None
                found[pair.scale, name] = job.result
        if found:
            session = replace(session, results=session.results | found, token=new_token())
            yield session
