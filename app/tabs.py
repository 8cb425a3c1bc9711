"""Layout and wiring of the tabs; no image arithmetic here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.compare import ADDED_GAIN, ERROR_RANGE, Pair, Result, added_map, error_map, make_pair, run, score
from app.viewer import Layer, Line, Scene, numbers_for, scene_value, viewer
from drn.errors import InputError
from drn.image import Picture, read_image
from drn.inference import Region, Upscaler

EXAMPLES = Path(__file__).parent / "examples"
FIRST_EXAMPLE = "palace"
START_ZOOM = 4
MAX_UPLOAD_BYTES = 20_000_000
MAX_PIXELS = 4_000_000
HEAVY = "heavy"
"""Shared concurrency group of every event that runs the network."""

METHODS = {"bicubic": "the baseline", "DRN": "one pass", "DRN+": "mean of 8 passes"}

PROTOCOL = (
    "PSNR and SSIM on the Y channel of BT.601 YCbCr, 8-bit, `crop_border` = scale; LR by antialiased bicubic "
    "(MATLAB convention). In view: the region shown. Image: all of it. Time: this server, this request."
)

Engine = Callable[[int], Upscaler]
"""The network for a scale."""


@dataclass(frozen=True)
class Session:
    """What one visitor is looking at.

    Attributes:
        picture: The ground truth as read.
        picture_token: Names this picture, so that the viewer keeps its place while it does not change.
        pair: It and its LR image, at the chosen scale.
        results: By method, as far as they are known.
        token: Names this set of images, so that late questions about another one are not answered.
    """

    picture: Picture
    picture_token: str
    pair: Pair
    results: dict[str, Result] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(8))


Shown = Iterator[tuple[Session, dict[str, Any]]]
"""Values for the session and the viewer, better ones replacing the first."""


def examples() -> list[Path]:
    """The bundled photographs, the first one first."""
    return sorted(EXAMPLES.glob("*.png"), key=lambda path: (path.stem != FIRST_EXAMPLE, path.stem))


def open_session(path: Path, scale: int) -> Session:
    """Read a photograph.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_image(path, MAX_UPLOAD_BYTES, MAX_PIXELS)
    if min(picture.rgb.shape[:2]) < 16:
        raise InputError("The photograph is smaller than 16 pixels: choose a larger one.")
    return Session(picture, secrets.token_hex(8), make_pair(picture, scale))


def methods(plus: bool) -> list[str]:
    return [method for method in METHODS if plus or method != "DRN+"]


def compute(session: Session, upscaler: Upscaler, plus: bool) -> Iterator[Session]:
    """The session with every method's result, one more at each step."""
    for method in methods(plus):
        if method not in session.results:
            result = run(session.pair, upscaler, method)
            session = replace(session, results=session.results | {method: result}, token=secrets.token_hex(8))
            yield session


def scene(session: Session, plus: bool) -> Scene:
    """What the viewer shows of a session; methods not computed yet have no pixels."""
    pair, results = session.pair, session.results
    height, width = pair.hr.shape[:2]
    layers = [Layer("lr", "LR", "all that is given", pair.lr, factor=pair.scale)]
    for method in methods(plus):
        pixels = results[method].sr if method in results else None
        layers.append(Layer(method.lower(), method, METHODS[method], pixels))
    layers.append(Layer("truth", "ground truth", "the original", pair.hr))
    for method in methods(plus):
        if method in results:
            pixels, legend = error_map(pair, results[method].sr), ("error", "0", f"{ERROR_RANGE} levels")
            layers.append(Layer(f"error-{method.lower()}", f"{method} error", "off by, in luma", pixels, 1, legend))
    if "DRN" in results:
        pixels, reach = added_map(results["bicubic"].sr, results["DRN"].sr), 128 // ADDED_GAIN
        legend = ("added", f"−{reach}", f"+{reach} levels")
        layers.append(Layer("added", "what DRN adds", "over bicubic", pixels, 1, legend))
    start = (width / 2, height / 2, START_ZOOM)
    return Scene(session.token, session.picture_token, width, height, tuple(layers), start)


def numbers(session: Session, region: Region) -> dict[str, Any]:
    """The viewer's numbers for a region, in HR pixels."""
    lines = {
        method.lower(): Line(score(session.pair, result.sr, region), result.whole, result.seconds)
        for method, result in session.results.items()
    }
    return numbers_for(session.token, region, lines)


def compare_tab(engine: Engine, scales: list[int]) -> None:
    """The Compare tab; its first comparison is computed here, so that it is in the page as it loads."""
    scale = max(scales)
    *_, session = compute(open_session(examples()[0], scale), engine(scale), plus=False)

    state = gr.State(session, time_to_live=3600)
    gallery = gr.Gallery(
        [(str(path), path.stem.replace("-", " ")) for path in examples()],
        label="Photographs",
        elem_id="examples",
        columns=len(examples()),
        height=116,
        object_fit="cover",
        allow_preview=False,
        selected_index=0,
        format="png",
        buttons=[],
    )
    with gr.Row(equal_height=False):
        scale_radio = gr.Radio(
            [(f"x{s}", str(s)) for s in scales], value=str(scale), label="Scale", elem_id="scale", min_width=200
        )
        plus_box = gr.Checkbox(label="DRN+ too: 8 passes, averaged", elem_id="plus", min_width=200)
        upload = gr.UploadButton("Upload your own", file_types=["image"], size="sm", elem_id="upload", min_width=200)
    panels = viewer(scene(session, plus=False), "viewer")
    gr.Markdown(PROTOCOL, elem_classes="note")

    controls, outputs = [scale_radio, plus_box], [state, panels]
    options: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    heavy = {**options, "concurrency_id": HEAVY}

    def show(session: Session, plus: bool) -> Shown:
        yield session, scene_value(scene(session, plus))
        for computed in compute(session, engine(session.pair.scale), plus):
            yield computed, scene_value(scene(computed, plus))

    def open_example(event: gr.SelectData, scale: str, plus: bool) -> Shown:
        yield from show(open_session(examples()[int(event.index)], int(scale)), plus)

    def open_upload(path: str, scale: str, plus: bool) -> Shown:
        try:
            session = open_session(Path(path), int(scale))
        except InputError as error:
            raise gr.Error(escape(str(error))) from error
        for note in session.picture.notes:
            gr.Info(escape(note))
        yield from show(session, plus)

    def change_scale(session: Session, scale: str, plus: bool) -> Shown:
        pair = make_pair(session.picture, int(scale))
        yield from show(Session(session.picture, session.picture_token, pair), plus)

    def change_plus(session: Session, scale: str, plus: bool) -> Shown:
        yield from show(replace(session, token=secrets.token_hex(8)), plus)

    def measure(event: gr.EventData, session: Session) -> Any:
        seen = event._data or {}
        if seen.get("token") != session.token:
            return gr.skip()
        region = Region(*(int(seen[name]) for name in ("x", "y", "width", "height")))
        return gr.HTML(numbers=numbers(session, region))

    gallery.select(open_example, controls, outputs, **heavy)
    upload.upload(open_upload, [upload, *controls], outputs, **heavy)
    scale_radio.input(change_scale, [state, *controls], outputs, **heavy)
    plus_box.input(change_plus, [state, *controls], outputs, **heavy)
    panels.viewport(measure, [state], [panels], concurrency_limit=2, **options)
