"""Convert a session into what the viewer shows: images, a first viewpoint, and scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.first_views import first_region
from app.links import link_query
from app.session import Session
from app.viewer.component import Layer, Measured, Scene, first_view, numbers_for
from app.viewer.contract import Numbers
from drn.degrade import CLEAN
from drn.evaluation.comparison import ADDED_GAIN, ERROR_RANGE, added_map, error_map, score
from drn.evaluation.methods import BICUBIC, DESCRIPTIONS, DRN, DRN_PHOTO, builtin_names
from drn.geometry import Rect

SMALL, ORIGINAL = "Small (LR)", "Original"
"""Displayed names of the LR image and of the original."""


def scene_of(session: Session) -> Scene:
    """Return the scene of a session. A result that is not computed yet has no pixels.

    The images of the chosen scale come first. Only this scale has an original and maps.
    """
    chosen = session.pairs[0]
    scales = [scale for scale in session.scales if scale != chosen.scale]
    layers = [*_images(session, chosen.scale, session.shown)]
    layers.append(Layer("truth", "original", chosen.scale, ORIGINAL, "the original", chosen.hr))
    layers += _maps(session)
    layers += [layer for scale in scales for layer in _images(session, scale, builtin_names(session.self_ensemble))]
    height, width = chosen.hr.shape[:2]
    all_height, all_width = session.picture.rgb.shape[:2]
    shown = first_region(session.name, all_width, all_height) or Rect(0, 0, width, height)
    return Scene(
        session.token,
        session.picture_token,
        width,
        height,
        tuple(layers),
        session.view or first_view(shown.x + shown.width / 2, shown.y + shown.height / 2),
        shared_width=min(all_width // scale * scale for scale in (chosen.scale, *scales)),
        shared_height=min(all_height // scale * scale for scale in (chosen.scale, *scales)),
        hint=" ".join(_hints(session)),
        link=link_query(session),
        failed=session.failed,
        owner=session.own_token or ("" if session.name else session.picture_token),
        name=session.stem,
        degradation="" if session.degradation == CLEAN else str(session.degradation),
    )


def _hints(session: Session) -> Iterator[str]:
    """The sentences below the panels: about the LR image if it is degraded, and about methods without a result."""
    if session.degradation != CLEAN:
        yield (
            f"The small picture was made by bicubic, then {session.degradation}: "
            "the numbers are outside the benchmark protocol."
        )
    for name in sorted(session.lacking):
        yield f"{name} has no result for this photograph."


def _key(session: Session, scale: int, name: str) -> str:
    """Make the viewer's key of an image; it contains the scale if this is not the chosen one.

    Methods of the command line get numbered keys, because a name may be long, or equal to the key of another image.
    """
    if name == DRN_PHOTO:
        return "drn-photo"
    further = [method.name for method in session.further if method.name != DRN_PHOTO]
    if name in further:
        return f"further-{further.index(name) + 1}"
    return name.lower() if scale == session.pairs[0].scale else f"{name.lower()}-x{scale}"


def display_name(method: str) -> str:
    """Return the name that the page shows for a method."""
    return "Bicubic" if method == BICUBIC else method


def _label(session: Session, method: str) -> tuple[str, str]:
    """Return the displayed name and a short description of a method, or of a visitor's result if given its key."""
    if method in session.own:
        return session.own[method], "your result"
    notes = DESCRIPTIONS | {further.name: further.description for further in session.further}
    return display_name(method), notes[method]


def _images(session: Session, scale: int, methods: Sequence[str]) -> Iterator[Layer]:
    """Yield the layers of one scale: the small image, then the result of each method."""
    is_chosen = scale == session.pairs[0].scale
    small = next((pair.lr for pair in session.pairs if pair.scale == scale), None)
    yield Layer(_key(session, scale, "lr"), "small", scale, SMALL, "the input", small, shown=is_chosen)
    for method in methods:
        result = session.results.get((scale, method))
        pixels = None if result is None else result.sr
        name, note = _label(session, method)
        key = _key(session, scale, method)
        yield Layer(key, "method", scale, name, note, pixels, method=method, shown=is_chosen)


def _maps(session: Session) -> Iterator[Layer]:
    """The error map of each method, and the map of the detail that DRN adds to bicubic, for all known results."""
    pair = session.pairs[0]
    known = {method: session.results.get((pair.scale, method)) for method in session.shown}
    for method, result in known.items():
        if result is not None:
            yield Layer(
                f"error-{_key(session, pair.scale, method)}",
                "error_map",
                pair.scale,
                f"{_label(session, method)[0]} error",
                "in luma levels",
                error_map(pair, result.sr),
                method=method,
                legend={"low": "0", "high": f"{ERROR_RANGE} levels"},
                shown=False,
            )
    base, drn = known[BICUBIC], known[DRN]
    if base is not None and drn is not None:
        reach = 128 // ADDED_GAIN
        yield Layer(
            "added",
            "added_map",
            pair.scale,
            "What DRN adds",
            "over bicubic",
            added_map(base.sr, drn.sr),
            method=DRN,
            legend={"low": f"−{reach}", "high": f"+{reach} levels"},
            shown=False,
        )


def numbers_of(session: Session, hr_rect: Rect) -> Numbers:
    """Measure a region of every displayed result, and mark the best scores of each scale."""
    finished = {*session.own, *(method.name for method in session.further if method.is_finished)}
    groups = []
    for pair in session.compared:
        known = {method: session.results.get((pair.scale, method)) for method in session.shown}
        groups.append(
            {
                _key(session, pair.scale, method): Measured(
                    score(pair, result.sr, hr_rect), result.whole, None if method in finished else result.seconds
                )
                for method, result in known.items()
                if result is not None
            }
        )
    return numbers_for(session.token, hr_rect, groups)
