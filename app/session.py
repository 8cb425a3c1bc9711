"""What one visitor is looking at: a photograph, its LR images, what each method made of them; and how it is shown."""

from __future__ import annotations

import functools
import math
import os
import re
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from app import decoding
from app.engines import Engine
from app.jobs import Job, deadline, in_steps
from app.uploads import NO_UPLOAD, find_upload
from app.viewer import LAYOUTS, Layer, Line, Scene, View, first_view, numbers_for
from drn.compare import ADDED_GAIN, ERROR_RANGE, Pair, Result, added_map, error_map, make_pair, run, score
from drn.errors import InputError
from drn.image import Array, Picture, check_bytes, find_images, read_image
from drn.inference import Progress, Region

EXAMPLES = Path(__file__).parent / "examples"
FIRST_EXAMPLE = "astronaut"
CENTRES = {"astronaut": (166.0, 380.0), "cat": (165.0, 115.0), "test-card": (120.0, 60.0)}
"""Where an example is looked at first, in HR pixels; the others in the middle."""
MAX_UPLOAD_BYTES = 20_000_000
MAX_PIXELS = 4_000_000
MIN_SIDE = 16
MAX_ZOOM = 16
THUMBNAIL = 320

METHODS = {"bicubic": "the baseline", "DRN": "one pass", "DRN+": "mean of 8 passes"}


TOKEN = re.compile(r"[0-9a-f]{16}")
"""The form of ``new_token``."""

MAX_KEY, MAX_SHOWN = 32, 16
"""Characters of a viewer's key in a link, and the number of such keys."""


def new_token() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True)
class Session:
    """One visitor's comparison.

    Attributes:
        picture: The ground truth as read.
        picture_token: Names this picture, so that the viewer keeps its place while it does not change.
        pairs: It and its LR image, for each scale looked at; all of one size.
        results: By scale and method, as far as they are known.
        name: Of the example, for links; empty for a visitor's own photograph.
        view: Where a link asks to look; None is the middle.
        plus: Whether DRN+ is among what is shown.
        failed: Whether what has no result will get none.
        token: Names this set of images, so that late questions about another one are not answered.
    """

    picture: Picture
    picture_token: str
    pairs: tuple[Pair, ...]
    results: dict[tuple[int, str], Result] = field(default_factory=dict)
    name: str = ""
    view: View | None = None
    plus: bool = False
    failed: bool = False
    token: str = field(default_factory=new_token)

    @property
    def nbytes(self) -> int:
        """Memory that its pixels take."""
        own = [self.picture.rgb] if self.picture.alpha is None else [self.picture.rgb, self.picture.alpha]
        arrays = [*own, *(pair.lr for pair in self.pairs), *(result.sr for result in self.results.values())]
        return sum(array.nbytes for array in arrays)

    @property
    def shown(self) -> list[str]:
        """The methods that the viewer shows."""
        return methods(self.plus)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to compute."""
        return self.failed or all((pair.scale, name) in self.results for pair in self.pairs for name in self.shown)

    def key(self, pair: Pair, name: str) -> str:
        """The viewer's key for an image; it names the scale where there are several."""
        return name.lower() if len(self.pairs) == 1 else f"{name.lower()}-x{pair.scale}"


def examples() -> list[Path]:
    """The bundled photographs, the first one first, then those of the folder ``DRN_EXAMPLES``, if it is set.

    Of several with one name, the first is taken.

    Raises:
        InputError: If that folder is missing or holds no images.
    """
    bundled = sorted(EXAMPLES.glob("*.png"), key=lambda path: (path.stem != FIRST_EXAMPLE, path.stem))
    folder = os.environ.get("DRN_EXAMPLES", "")
    by_name: dict[str, Path] = {}
    for path in [*bundled, *(find_images(Path(folder)) if folder else [])]:
        by_name.setdefault(path.stem, path)  # links and the page name them by it
    return list(by_name.values())


def thumbnail(path: Path) -> Array:
    """An example for the gallery, at most ``THUMBNAIL`` pixels a side.

    Raises:
        InputError: If it cannot be compared.
    """
    image = Image.fromarray(read_example(path).rgb)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def read_upload(path: str, max_pixels: int, ends: float) -> Generator[tuple[int, int], None, Picture]:
    """Read an image that a visitor has uploaded, in a process of its own; closing the generator ends that.

    Args:
        path: As the visitor sent it.
        max_pixels: Largest width times height.
        ends: When to give up: the job's ``deadline()``.

    Raises:
        InputError: If it is no upload of this page (any more), cannot be decoded within the limits, or is too large.
    """

    def work(_: Progress, cancelled: Callable[[], bool]) -> Picture:
        found = find_upload(path)
        try:
            check_bytes(found.name, found.stat().st_size, MAX_UPLOAD_BYTES)
            data = found.read_bytes()
        except OSError as error:  # swept meanwhile
            raise InputError(NO_UPLOAD) from error
        return decoding.pool.decode(data, found.name, max_pixels, cancelled)

    return (yield from in_steps(work, ends))


def read_example(path: Path) -> Picture:
    """Read a photograph of the gallery, in this process; no visitor names its path.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    return _checked(read_image(path, MAX_UPLOAD_BYTES, MAX_PIXELS))


def _checked(picture: Picture) -> Picture:
    """``picture``, if it is large enough to be compared.

    Raises:
        InputError: If it is too small.
    """
    if min(picture.rgb.shape[:2]) < MIN_SIDE:
        raise InputError(f"The photograph is smaller than {MIN_SIDE} pixels: choose a larger one.")
    return picture


def open_upload(path: str, scale: int, ends: float) -> Generator[tuple[int, int], None, Session]:
    """The session of a photograph that a visitor has uploaded; closing the generator ends the decoding.

    Args:
        path: As the visitor sent it.
        scale: The scale to compare at.
        ends: When to give up: the job's ``deadline()``.

    Raises:
        InputError: If it is no upload of this page (any more), cannot be decoded within the limits, or is too large or
            too small.
    """
    picture = _checked((yield from read_upload(path, MAX_PIXELS, ends)))
    return Session(picture, new_token(), (make_pair(picture, scale),))


def open_example(path: Path, scale: int, view: View | None = None) -> Session:
    """The session of a photograph of the gallery.

    Args:
        path: Of the photograph; links name it by its stem.
        scale: The scale to compare at.
        view: Where to look first.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_example(path)
    return Session(picture, new_token(), (make_pair(picture, scale),), name=path.stem, view=view)


def open_link(params: Mapping[str, str], photographs: Sequence[Path], scales: Sequence[int]) -> Session:
    """The session that a shared link describes.

    Args:
        params: The page's query: ``image`` (an example), ``scale``, ``x``, ``y``, ``zoom``, ``layout``, and, if
            wanted, ``plus``, ``front``, ``left`` and ``shown``.
        photographs: The examples.

    Raises:
        InputError: If it names an image, a scale or a place that is not here.
    """
    lost = InputError("This link leads to nothing that is here: look at the first photograph instead.")
    named = {path.stem: path for path in photographs}
    try:
        path, scale = named[params["image"]], int(params["scale"])
        x, y, zoom = (float(params[name]) for name in ("x", "y", "zoom"))
    except (KeyError, ValueError) as error:
        raise lost from error
    layout = params.get("layout", "")
    if scale not in scales or layout not in LAYOUTS or not all(map(math.isfinite, (x, y))) or not 0 <= zoom <= MAX_ZOOM:
        raise lost
    shown = tuple(filter(None, params.get("shown", "").split(",")))
    front, left = params.get("front", ""), params.get("left", "")
    if len(shown) > MAX_SHOWN or max(map(len, (front, left, *shown))) > MAX_KEY:
        raise lost
    view = View(x, y, zoom, layout, front=front, left=left, shown=shown)
    return replace(open_example(path, scale, view), plus=params.get("plus") == "1")


def methods(plus: bool) -> list[str]:
    return [method for method in METHODS if plus or method != "DRN+"]


def compute(session: Session, engine: Engine, plus: bool, ends: float | None = None) -> Iterator[Session | None]:
    """The session with the results of one more method, at every scale, as they are known; None in between.

    Closing it stops the work within a tile.

    Args:
        ends: When to give up; the ``deadline()`` of this moment if None.

    Raises:
        InputError: If it takes too long, or a tile fails.
    """
    ends = deadline() if ends is None else ends
    upscalers = {pair.scale: engine(pair.scale) for pair in session.pairs}  # one set, whatever arrives meanwhile
    for method in methods(plus):
        found = {}
        for pair in session.pairs:
            if (pair.scale, method) not in session.results:
                job = Job(in_steps(functools.partial(run, pair, upscalers[pair.scale], method), ends))
                for _ in job:
                    yield None
                found[pair.scale, method] = job.result
        if found:
            session = replace(session, results=session.results | found, token=new_token())
            yield session


def scene(session: Session) -> Scene:
    """What the viewer shows of a session; methods not computed yet have no pixels.

    Several scales make a row of images each; one scale also has maps.
    """
    several = len(session.pairs) > 1
    layers: list[Layer] = []
    for pair in session.pairs:
        suffix = f" x{pair.scale}" if several else ""
        layers.append(Layer(session.key(pair, "lr"), f"LR{suffix}", "all that is given", pair.lr, factor=pair.scale))
        for method in session.shown:
            result = session.results.get((pair.scale, method))
            pixels = None if result is None else result.sr
            layers.append(Layer(session.key(pair, method), method + suffix, METHODS[method], pixels))
        layers.append(Layer(session.key(pair, "truth"), f"ground truth{suffix}", "the original", pair.hr))
    if not several:
        layers += _maps(session)
    height, width = session.pairs[0].hr.shape[:2]
    x, y = CENTRES.get(session.name, (width / 2, height / 2))
    link = {"image": session.name, "scale": session.pairs[0].scale} | ({"plus": 1} if session.plus else {})
    return Scene(
        session.token,
        session.picture_token,
        width,
        height,
        tuple(layers),
        session.view or first_view(x, y),
        columns=len(layers) // len(session.pairs) if several else 0,
        link="" if several or not session.name else urlencode(link),
        failed=session.failed,
        owner="" if session.name else session.picture_token,
    )


def _maps(session: Session) -> Iterator[Layer]:
    pair = session.pairs[0]
    known = {method: session.results.get((pair.scale, method)) for method in session.shown}
    for method, result in known.items():
        if result is not None:
            pixels, legend = error_map(pair, result.sr), ("error", "0", f"{ERROR_RANGE} levels")
            layer = Layer(f"error-{method.lower()}", f"{method} error", "off by, in luma", pixels, legend=legend)
            yield replace(layer, shown=False)
    base, drn = known["bicubic"], known["DRN"]
    if base is not None and drn is not None:
        reach = 128 // ADDED_GAIN
        legend = ("added", f"−{reach}", f"+{reach} levels")
        pixels = added_map(base.sr, drn.sr)
        yield Layer("added", "what DRN adds", "over bicubic", pixels, legend=legend, shown=False)


def numbers(session: Session, region: Region) -> dict[str, Any]:
    """The viewer's numbers for a region, in HR pixels; the best that are shown of each scale are marked."""
    groups = []
    for pair in session.pairs:
        known = {method: session.results.get((pair.scale, method)) for method in session.shown}
        groups.append(
            {
                session.key(pair, method): Line(score(pair, result.sr, region), result.whole, result.seconds)
                for method, result in known.items()
                if result is not None
            }
        )
    return numbers_for(session.token, region, groups)
