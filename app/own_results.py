"""Results of other methods that visitors add to their comparison."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from app.photographs import read_upload
from app.scene import ORIGINAL, SMALL
from app.serving.jobs import run_in_steps
from app.serving.limits import MAX_OWN, MAX_OWN_NAME, MAX_PIXELS
from app.session import Session, new_token
from drn.errors import InputError
from drn.evaluation.comparison import Result, measure
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair
from drn.image import Array, mod_crop
from drn.upscaler import OnTile


def add_own(session: Session, path: str, ends: float) -> Generator[tuple[int, int], None, Session]:
    """Add an uploaded result to a session; closing the generator stops the work.

    Args:
        session: The session.
        path: The path that the visitor sent.
        ends: When to stop: the ``deadline()`` of the job.

    Returns:
        The session with the result, which is named after its file. It is the value of the generator.

    Raises:
        InputError: If the session already has ``MAX_OWN`` added results, or if the file is not an upload of this page,
            was removed, cannot be decoded within the limits, or has another size than the original.
    """
    if len(session.own) >= MAX_OWN:
        raise InputError(f"This comparison already has {MAX_OWN} results of yours: remove them first.")
    picture = yield from read_upload(path, MAX_PIXELS, ends)
    pair = session.pairs[0]
    sr = fit(picture.rgb, session.picture.rgb, pair, Path(path).name)

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        return sr

    def work(on_tile: OnTile, cancelled: Callable[[], bool]) -> Result:
        return measure(pair, Method("", "", enlarge))

    result = yield from run_in_steps(work, ends)
    key = f"own-{len(session.own) + 1}"
    named = replace(
        session,
        own={**session.own, key: ""},
        own_token=session.own_token or new_token(),
        results={**session.results, (pair.scale, key): result},
    )
    return rename_own(named, [*session.own.values(), _free_name(session, Path(path).stem)])


def fit(sr: Array, original: Array, pair: Pair, name: str) -> Array:
    """Return a result, cropped to the size of ``pair.hr`` if it has the size of the whole original.

    Args:
        sr: The result, uint8, (h, w, 3).
        original: The original before it was cropped, uint8, (h, w, 3).
        pair: The cropped original and its LR image.
        name: Name of the result's file.

    Raises:
        InputError: If the result has neither the size of the original nor that of the cropped original.
    """
    if sr.shape == original.shape:
        return mod_crop(sr, pair.scale)
    if sr.shape == pair.hr.shape:
        return sr
    (height, width), (own_height, own_width) = pair.hr.shape[:2], sr.shape[:2]
    raise InputError(
        f"{name} has {own_width}x{own_height} pixels, and the original at x{pair.scale} has {width}x{height}: "
        "choose a result of that size."
    )


def rename_own(session: Session, names: Sequence[str]) -> Session:
    """Change the names of the results that the visitor added, or remove these results.

    Args:
        session: The session.
        names: The new names, one for each result, in the order of the results. If all are empty, the
            results are removed.

    Raises:
        InputError: If the number of names is wrong, or if a name is empty, too long, or used by another method.
    """
    cleaned = [_clean(name) for name in names]
    if not any(cleaned):
        return without_own(session)
    if len(cleaned) != len(session.own):
        raise InputError(
            f"There are {len(session.own)} results of yours: write one name for each, each on its own line."
        )
    taken = _taken(session)
    for name in cleaned:
        if not 0 < len(name) <= MAX_OWN_NAME:
            raise InputError(f"The name of a result must have 1 to {MAX_OWN_NAME} characters: change it.")
        if name.lower() in taken:
            raise InputError(f"Two methods have the name {name}: give each its own.")
        taken.add(name.lower())
    return replace(session, own=dict(zip(session.own, cleaned, strict=True)), token=new_token())


def without_own(session: Session) -> Session:
    """Return the session without the visitor's results."""
    results = {key: result for key, result in session.results.items() if key[1] not in session.own}
    return replace(session, own={}, own_token="", results=results, token=new_token())


def _clean(name: str) -> str:
    """Return a name with single spaces and without invisible characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def _taken(session: Session) -> set[str]:
    """Return the names, in lower case, of the other images of the viewer and of a figure."""
    return {name.lower() for name in (*session.methods, SMALL, ORIGINAL, "LR", "ground truth")}


def _free_name(session: Session, wished: str) -> str:
    """Return a name made from ``wished`` that no method of the session has."""
    taken = _taken(session) | {name.lower() for name in session.own.values()}
    name = _clean(wished)[: MAX_OWN_NAME - 4].strip() or "result"
    candidates = [name, *(f"{name} ({number})" for number in range(2, MAX_OWN + 2))]
    return next(candidate for candidate in candidates if candidate.lower() not in taken)
