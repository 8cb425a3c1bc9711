"""The comparison that a visitor looks at: a photograph, its LR images, and the results of the methods."""

from __future__ import annotations

import functools
import logging
import re
import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.engines import UpscalerFor
from app.photographs import check_size, read_example, read_upload
from app.serving.jobs import Job, deadline, run_in_steps
from app.serving.limits import MAX_PIXELS
from app.viewer.contract import Viewpoint
from drn.degrade import CLEAN, Degradation, only_jpeg
from drn.errors import InputError
from drn.evaluation.comparison import Result, measure
from drn.evaluation.methods import BICUBIC, Method, builtin_methods, builtin_names
from drn.evaluation.pairs import Pair, make_pair
from drn.image import Picture

logger = logging.getLogger(__name__)

TOKEN = re.compile(r"[0-9a-f]{16}")
"""The form of ``new_token``."""

DEGRADATIONS = {BICUBIC: CLEAN, **{str(quality): only_jpeg(quality) for quality in (90, 75, 50)}}
"""The ways to make the small picture that visitors can choose: name -> degradation after the bicubic shrink."""


def new_token() -> str:
    """Make a random name for a set of images."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class Session:
    """A visitor's comparison.

    Attributes:
        picture: The original, as it was read.
        picture_token: Identifies the picture; the viewer keeps its viewport while the token stays the same.
        pairs: The original and its LR image at the chosen scale, and then at those other scales that were compared.
        results: The results that are already computed, by scale and by the name of the method or the key of the
            visitor's result.
        name: Stem of the example's name; empty for an uploaded photograph.
        stem: Stem of the name of the photograph's file, for names of results.
        view: The viewpoint of a shared link; None for the usual one.
        self_ensemble: Whether DRN+ is shown too.
        further: The methods beside the built-in ones, at the chosen scale.
        lacking: Names of the further methods that have no result for this photograph.
        own: Key -> name of each result that the visitor added, at the chosen scale.
        own_token: Part of the names of files, so that sessions with such results do not share files; else empty.
        scales: The scales that the viewer can compare; empty for the chosen scale alone.
        every_scale: Whether the built-in methods are compared at every scale, and not only at the chosen one.
        failed: Whether the missing results will not be computed.
        token: Identifies the set of images, so that a request about another set is not answered.
    """

    picture: Picture
    picture_token: str
    pairs: tuple[Pair, ...]
    results: dict[tuple[int, str], Result] = field(default_factory=dict)
    name: str = ""
    stem: str = "image"
    view: Viewpoint | None = None
    self_ensemble: bool = False
    further: tuple[Method, ...] = ()
    lacking: frozenset[str] = frozenset()
    own: dict[str, str] = field(default_factory=dict)
    own_token: str = ""
    scales: tuple[int, ...] = ()
    every_scale: bool = False
    failed: bool = False
    token: str = field(default_factory=new_token)

    @property
    def degradation(self) -> Degradation:
        """The degradation of the LR images."""
        return self.pairs[0].degradation

    @property
    def made(self) -> str:
        """The name in ``DEGRADATIONS`` of the way in which the small picture was made."""
        return next(name for name, degradation in DEGRADATIONS.items() if degradation == self.degradation)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the pixels take."""
        own = [self.picture.rgb] if self.picture.alpha is None else [self.picture.rgb, self.picture.alpha]
        arrays = [*own, *(pair.lr for pair in self.pairs), *(result.sr for result in self.results.values())]
        return sum(array.nbytes for array in arrays)

    @property
    def methods(self) -> list[str]:
        """Names of the methods that are compared, without the visitor's own results."""
        further = [method.name for method in self.further if method.name not in self.lacking]
        return builtin_names(self.self_ensemble) + further

    @property
    def shown(self) -> list[str]:
        """Names of the methods, and keys of the visitor's own results, in the order in which the viewer shows them."""
        return [*self.methods, *self.own]

    @property
    def compared(self) -> tuple[Pair, ...]:
        """The pairs whose results are computed and measured."""
        return self.pairs if self.every_scale else self.pairs[:1]

    @property
    def settled(self) -> bool:
        """Whether every result is computed or has failed."""
        builtin = builtin_names(self.self_ensemble)
        needed = [(pair.scale, name) for pair in self.compared for name in builtin]
        needed += [(self.pairs[0].scale, name) for name in self.shown]
        return self.failed or all(result in self.results for result in needed)


def at_scale(methods: Sequence[Method], scale: int) -> tuple[Method, ...]:
    """Return the methods that can enlarge by ``scale``."""
    return tuple(method for method in methods if method.scale in (None, scale))


def at_every_scale(session: Session) -> Session:
    """Return the session with the pairs of all of its scales.

    The pair of a scale is the one of a comparison at that scale alone, so that the scores of the whole image are equal.
    """
    known = [pair.scale for pair in session.pairs]
    new = [
        make_pair(session.picture, scale, session.name, session.degradation)
        for scale in session.scales
        if scale not in known
    ]
    return replace(session, pairs=(*session.pairs, *new), every_scale=True)


def with_another_pair(session: Session, scale: int, degradation: Degradation) -> Session:
    """Return a new session of the same photograph; results of several scales that were compared are kept.

    Args:
        session: The present session.
        scale: The chosen scale.
        degradation: Degradation of the LR images; results of another degradation are not kept.
    """
    is_kept = len(session.pairs) > 1 and session.degradation == degradation
    known = {pair.scale: pair for pair in session.pairs} if is_kept else {}
    first = known.pop(scale, None) or make_pair(session.picture, scale, session.name, degradation)
    pairs = (first, *known.values())
    builtin = builtin_names(self_ensemble=True)
    results = {(of, name): result for (of, name), result in session.results.items() if is_kept and name in builtin}
    return Session(session.picture, session.picture_token, pairs, results=results, name=session.name, stem=session.stem)


def open_upload(
    path: str, scale: int, ends: float, degradation: Degradation = CLEAN
) -> Generator[tuple[int, int], None, Session]:
    """Open an uploaded photograph; closing the generator ends the decoding.

    Args:
        path: The path that the visitor sent.
        scale: The scale to compare at.
        ends: The time limit: the ``deadline()`` of the job.
        degradation: Degradation of the LR image.

    Returns:
        The session (the generator's value).

    Raises:
        InputError: If the file is not an upload of this page, was deleted, cannot be decoded within the limits, or is
            too large or too small.
    """
    picture = check_size((yield from read_upload(path, MAX_PIXELS, ends)))
    pair = make_pair(picture, scale, degradation=degradation)
    return Session(picture, new_token(), (pair,), stem=Path(path).stem)


def open_example(path: Path, scale: int, degradation: Degradation = CLEAN) -> Session:
    """Open an example.

    Args:
        path: The example.
        scale: The scale to compare at.
        degradation: Degradation of the LR image.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_example(path)
    pair = make_pair(picture, scale, path.stem, degradation)
    return Session(picture, new_token(), (pair,), name=path.stem, stem=path.stem)


def compute(
    session: Session, upscaler_for: UpscalerFor, self_ensemble: bool, ends: float | None = None
) -> Generator[Session | None, None, None]:
    """Compute the missing results; closing the iterator stops the work within a tile.

    Args:
        session: The session.
        upscaler_for: Returns the upscaler for a scale.
        self_ensemble: Whether to compute DRN+ too.
        ends: The time limit; None for the ``deadline()`` of a job that starts now.

    Yields:
        The session with one more result, or None while the work continues. A further method that fails on this
        photograph is added to ``lacking``, and the work continues.

    Raises:
        InputError: If the work takes too long, or a tile fails.
    """
    ends = deadline() if ends is None else ends
    # The methods keep their networks, even if other weights arrive in the meantime.
    methods = [(pair, builtin_methods(upscaler_for(pair.scale), self_ensemble)) for pair in session.compared]
    for pair, method in [(pair, of_scale[index]) for index in range(len(methods[0][1])) for pair, of_scale in methods]:
        if (pair.scale, method.name) not in session.results:
            result = yield from _measure(pair, method, ends)
            results = {**session.results, (pair.scale, method.name): result}
            session = replace(session, results=results, token=new_token())
            yield session
    for method in session.further:
        pair = session.pairs[0]
        if (pair.scale, method.name) in session.results or method.name in session.lacking:
            continue
        try:
            result = yield from _measure(pair, method, ends)
            session = replace(session, results={**session.results, (pair.scale, method.name): result})
        except InputError as error:  # do not show the message, because it may contain paths of this machine
            logger.warning("%s has no result for %s: %s", method.name, session.name or "an upload", error)
            session = replace(session, lacking=session.lacking | {method.name})
        session = replace(session, token=new_token())
        yield session


def _measure(pair: Pair, method: Method, ends: float) -> Generator[None, None, Result]:
    """Measure a method in a thread, and yield None until it is done."""
    job = Job(run_in_steps(functools.partial(measure, pair, method), ends))
    for _ in job:
        yield None
    return job.result
