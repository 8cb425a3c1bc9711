"""Layout and wiring of the tabs; no image arithmetic here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.compare import METHODS, Pair, Whole, compare_region, make_pair, measure_whole, region_around
from app.engines import Engine
from app.viewer import overview, panels_html
from drn.errors import InputError
from drn.image import Picture, read_image
from drn.inference import Region, Upscaler

EXAMPLES = Path(__file__).parent / "examples"
FIRST_EXAMPLE = "palace"
MAX_UPLOAD_BYTES = 20_000_000
MAX_PIXELS = 4_000_000
HEAVY = "heavy"
"""Shared concurrency group of every event that runs the network."""

PROTOCOL = (
    "PSNR and SSIM on the Y channel of BT.601 YCbCr, 8-bit, `crop_border` = scale; LR by antialiased bicubic "
    "(MATLAB convention). Region: the pixels shown. Image: all of it. Time: this server, this request."
)


@dataclass(frozen=True)
class Session:
    """What one visitor is looking at.

    Attributes:
        picture: The ground truth as read.
        pair: It and its LR image, at the chosen scale.
        centre: Centre of the region, in HR pixels.
        whole: Scores over the whole image known so far, by method.
        share: Size of the overview as a share of the ground truth's.
        region: The region shown, in LR pixels.
    """

    picture: Picture
    pair: Pair
    centre: tuple[float, float]
    whole: dict[str, Whole]
    region: Region
    share: float = 1.0


def examples() -> list[Path]:
    """The bundled photographs, the first one first."""
    return sorted(EXAMPLES.glob("*.png"), key=lambda path: (path.stem != FIRST_EXAMPLE, path.stem))


def open_session(path: Path, scale: int, size: int) -> Session:
    """Read a photograph and look at its middle.

    Raises:
        InputError: If it cannot be read, or is too large or too small.
    """
    picture = read_image(path, MAX_UPLOAD_BYTES, MAX_PIXELS)
    if min(picture.rgb.shape[:2]) < 16:
        raise InputError("The photograph is smaller than 16 pixels: choose a larger one.")
    height, width = picture.rgb.shape[:2]
    return at_scale(picture, scale, (width / 2, height / 2), size)


def at_scale(picture: Picture, scale: int, centre: tuple[float, float], size: int) -> Session:
    pair = make_pair(picture, scale)
    return Session(picture, pair, centre, {}, region_around(pair, *centre, size))


def render(session: Session, upscaler: Upscaler, plus: bool) -> tuple[Session, Any, str]:
    """Values of (session, overview, panels) for the region, computed on its own."""
    panels = compare_region(session.pair, upscaler, session.region, methods(plus))
    picture, share = overview(session.pair, session.region)
    whole = {method: session.whole.get(method) for method in methods(plus)}
    return replace(session, share=share), picture, panels_html(panels, whole)


def methods(plus: bool) -> tuple[str, ...]:
    return METHODS if plus else METHODS[:2]


def render_whole(session: Session, upscaler: Upscaler, plus: bool) -> Iterator[tuple[Session, Any, str]]:
    """Like ``render``: at once for the region, then again as each whole image is measured."""
    session, picture, html = render(session, upscaler, plus)
    yield session, picture, html
    missing = [method for method in methods(plus) if method not in session.whole]
    if not missing:
        return
    panels = compare_region(session.pair, upscaler, session.region, methods(plus))
    for method in missing:
        session = replace(session, whole=session.whole | {method: measure_whole(session.pair, upscaler, method)})
        whole = {method: session.whole.get(method) for method in methods(plus)}
        yield session, gr.skip(), panels_html(panels, whole)


def compare_tab(engine: Engine, scales: list[int], in_use: gr.State) -> None:
    """The Compare tab; its first result is computed here, so that it is in the page as it loads.

    Args:
        in_use: Tells which weights are in use; when it changes the comparison is computed anew.
    """
    scale, size = max(scales), 72
    *_, (session, _, _) = render_whole(open_session(examples()[0], scale, size), engine(scale), False)
    session, picture, html = render(session, engine(scale), False)
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
        with gr.Column(scale=1, min_width=300):
            upload = gr.UploadButton("Upload your own", file_types=["image"], size="sm", elem_id="upload")
            scale_radio = gr.Radio(
                [(f"x{s}", str(s)) for s in scales], value=str(scale), label="Scale", elem_id="scale"
            )
            plus_box = gr.Checkbox(label="DRN+ too: 8 passes, averaged", elem_id="plus")
            size_slider = gr.Slider(24, 240, value=size, step=12, label="Region size (pixels)", elem_id="size")
            overview_image = gr.Image(
                picture,
                label="Click to choose the region",
                elem_id="overview",
                format="png",
                interactive=False,
                buttons=[],
                alt_text="The whole photograph with the compared region outlined",
            )
        with gr.Column(scale=3, min_width=340):
            panels = gr.HTML(html, elem_id="panels")
            gr.Markdown(PROTOCOL, elem_classes="note")

    controls = [scale_radio, plus_box, size_slider]
    outputs = [state, overview_image, panels]
    heavy: dict[str, Any] = {
        "concurrency_id": HEAVY,
        "show_progress": "hidden",
        "trigger_mode": "always_last",
        "api_visibility": "private",
    }

    def open_example(event: gr.SelectData, scale: str, plus: bool, size: int) -> Iterator[tuple[Session, Any, str]]:
        path = examples()[int(event.index)]
        yield from render_whole(open_session(path, int(scale), int(size)), engine(int(scale)), plus)

    def open_upload(path: str, scale: str, plus: bool, size: int) -> Iterator[tuple[Session, Any, str]]:
        try:
            session = open_session(Path(path), int(scale), int(size))
        except InputError as error:
            raise gr.Error(escape(str(error))) from error
        for note in session.picture.notes:
            gr.Info(escape(note))
        yield from render_whole(session, engine(int(scale)), plus)

    def change_scale(session: Session, scale: str, plus: bool, size: int) -> Iterator[tuple[Session, Any, str]]:
        changed = at_scale(session.picture, int(scale), session.centre, int(size))
        yield from render_whole(changed, engine(int(scale)), plus)

    def change_plus(session: Session, scale: str, plus: bool, size: int) -> Iterator[tuple[Session, Any, str]]:
        yield from render_whole(session, engine(session.pair.scale), plus)

    def change_size(session: Session, scale: str, plus: bool, size: int) -> tuple[Session, Any, str]:
        region = region_around(session.pair, *session.centre, int(size))
        return render(replace(session, region=region), engine(session.pair.scale), plus)

    def move(event: gr.SelectData, session: Session, scale: str, plus: bool, size: int) -> tuple[Session, Any, str]:
        centre = (event.index[0] / session.share, event.index[1] / session.share)
        moved = replace(session, centre=centre, region=region_around(session.pair, *centre, int(size)))
        return render(moved, engine(session.pair.scale), plus)

    gallery.select(open_example, controls, outputs, **heavy)
    upload.upload(open_upload, [upload, *controls], outputs, **heavy)
    scale_radio.input(change_scale, [state, *controls], outputs, **heavy)
    plus_box.input(change_plus, [state, *controls], outputs, **heavy)
    size_slider.change(change_size, [state, *controls], outputs, **heavy)
    overview_image.select(move, [state, *controls], outputs, **heavy)
    in_use.change(change_scale, [state, *controls], outputs, **heavy)
