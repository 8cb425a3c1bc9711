"""What one visitor is looking at: a photograph, its LR images, what each method made of them; and how it is shown."""

from __future__ import annotations

import functools
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from app.engines import UpscalerFor
from app.jobs import Job, deadline, in_steps
from app.viewer.component import FIRST_ZOOM
from app.viewer.contract import LAYOUTS, Viewpoint
from drn.errors import InputError
from drn.evaluation.comparison import Result, measure
from drn.evaluation.methods import builtin_methods, builtin_names
from drn.evaluation.pairs import Pair, make_pair
from drn.image import Array, Picture, find_images, read_image

EXAMPLES = Path(__file__).parent / "examples"
FIRST_EXAMPLE = "astronaut"
MAX_UPLOAD_BYTES = 20_000_000
MAX_PIXELS = 4_000_000
MIN_SIDE = 16
MAX_ZOOM = 16
THUMBNAIL = 320


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
        self_ensemble: Whether DRN+ is shown too.
        failed: Whether what has no result will get none.
        token: Names this set of images, so that late questions about another one are not answered.
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
        """Memory that its pixels take."""
        own = [self.picture.rgb] if self.picture.alpha is None else [self.picture.rgb, self.picture.alpha]
        arrays = [*own, *(pair.lr for pair in self.pairs), *(result.sr for result in self.results.values())]
        return sum(array.nbytes for array in arrays)

    @property
    def shown(self) -> list[str]:
        """The methods that the viewer shows."""
        return builtin_names(self.self_ensemble)

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
    """A photograph for the gallery, at most ``THUMBNAIL`` pixels a side.

    Raises:
        InputError: If it cannot be compared.
    """
    image = Image.fromarray(read_photograph(path).rgb)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def read_upload(path: Path, max_pixels: int) -> Picture:
    """Read an image file that a visitor may have sent.

    Raises:
        InputError: If it is gone (such files are swept), cannot be read, or is too large.
    """
    if not path.is_file():
        raise InputError("The image is no longer on the server: choose it again.")
    return read_image(path, MAX_UPLOAD_BYTES, max_pixels)


def read_photograph(path: Path) -> Picture:
    """Read a ground truth.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_upload(path, MAX_PIXELS)
    if min(picture.rgb.shape[:2]) < MIN_SIDE:
        raise InputError(f"The photograph is smaller than {MIN_SIDE} pixels: choose a larger one.")
    return picture


def open_session(path: Path, scale: int, name: str = "", view: Viewpoint | None = None) -> Session:
    """Read a photograph to compare at one scale.

    Args:
        name: Of the example that it is; empty for a visitor's own.
        view: Where to look first.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_photograph(path)
    return Session(picture, new_token(), (make_pair(picture, scale),), name=name, view=view)


def open_link(params: Mapping[str, str], photographs: Sequence[Path], scales: Sequence[int]) -> Session:
    """The session that a shared link describes.

    Args:
        params: The page's query: ``image`` (an example), ``scale``, ``plus``, and the members of ``LinkQuery``.
        photographs: The examples.

    Raises:
        InputError: If it names an image, a scale or a place that is not here.
    """
    lost = InputError("This link leads to nothing that is here: look at the first photograph instead.")
    named = {path.stem: path for path in photographs}
    try:
        path, scale = named[params["image"]], int(params["scale"])
        x, y = float(params["x"]), float(params["y"])
        fit = params.get("fit") == "1"
        zoom = FIRST_ZOOM if fit else float(params["zoom"])
        layout = next(layout for layout in LAYOUTS if layout == params["layout"])
    except (KeyError, ValueError, StopIteration) as error:
        raise lost from error
    if scale not in scales or not all(map(math.isfinite, (x, y))) or not 0 < zoom <= MAX_ZOOM:
        raise lost
    view = Viewpoint(
        x=x,
        y=y,
        fit=fit,
        zoom=zoom,
        min_width=0,
        layout=layout,
        front=params.get("front", ""),
        left=params.get("left", ""),
        shown=list(filter(None, params.get("shown", "").split(","))),
    )
    return replace(open_session(path, scale, path.stem, view), self_ensemble=params.get("plus") == "1")


def compute(session: Session, upscaler_for: UpscalerFor, self_ensemble: bool) -> Iterator[Session | None]:
    """The session with the results of one more method, at every scale, as they are known; None in between.

    Closing it stops the work within a tile.

    Raises:
        InputError: If it takes too long, or a tile fails.
    """
    ends = deadline()
    # The methods keep their networks, even if other weights arrive meanwhile.
    methods = [(pair, builtin_methods(upscaler_for(pair.scale), self_ensemble)) for pair in session.pairs]
    for index, name in enumerate(builtin_names(self_ensemble)):
        found = {}
        for pair, of_scale in methods:
            if (pair.scale, name) not in session.results:
                job = Job(in_steps(functools.partial(measure, pair, of_scale[index]), ends))
                for _ in job:
                    yield None
                found[pair.scale, name] = job.result
        if found:
            session = replace(session, results=session.results | found, token=new_token())
            yield session
