"""The Compare tab: one photograph at one scale, every method beside the ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.session import Engine, Session, compute, examples, new_token, numbers, open_session, scene
from app.viewer import scene_value, viewer
from drn.compare import make_pair
from drn.errors import InputError
from drn.inference import Region

PROTOCOL = (
    "PSNR and SSIM on the Y channel of BT.601 YCbCr, 8-bit, `crop_border` = scale; LR by antialiased bicubic "
    "(MATLAB convention). In view: the region shown. Image: all of it. Time: this server, this request."
)

QUIET: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
"""Options of events that answer on the page alone."""

HEAVY: dict[str, Any] = {**QUIET, "concurrency_id": "heavy"}
"""Options of events that run the network: they share one queue."""

Shown = Iterator[tuple[Session, dict[str, Any]]]
"""Values for the session and the viewer, better ones replacing the first."""


def show(session: Session, engine: Engine, plus: bool) -> Shown:
    """The session as it is, then again as each result is known."""
    yield session, scene_value(scene(session, plus))
    for computed in compute(session, engine, plus):
        yield computed, scene_value(scene(computed, plus))


def measure(event: gr.EventData, session: Session | None) -> Any:
    """Answer a viewer's ``viewport`` event with the numbers of the region in view."""
    seen = event._data or {}
    if session is None or seen.get("token") != session.token:
        return gr.skip()
    region = Region(*(int(seen[name]) for name in ("x", "y", "width", "height")))
    return gr.HTML(numbers=numbers(session, region))


def compare_tab(engine: Engine, scales: list[int]) -> gr.State:
    """Lay out the tab; its first comparison is computed here, so that it is in the page as it loads.

    Returns:
        The session, for the tabs that look at the same photograph.
    """
    scale = max(scales)
    *_, session = compute(open_session(examples()[0], scale), engine, plus=False)

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

    def open_example(event: gr.SelectData, scale: str, plus: bool) -> Shown:
        yield from show(open_session(examples()[int(event.index)], int(scale)), engine, plus)

    def open_upload(path: str, scale: str, plus: bool) -> Shown:
        try:
            session = open_session(Path(path), int(scale))
        except InputError as error:
            raise gr.Error(escape(str(error))) from error
        for note in session.picture.notes:
            gr.Info(escape(note))
        yield from show(session, engine, plus)

    def change_scale(session: Session, scale: str, plus: bool) -> Shown:
        pair = make_pair(session.picture, int(scale))
        yield from show(Session(session.picture, session.picture_token, (pair,)), engine, plus)

    def change_plus(session: Session, scale: str, plus: bool) -> Shown:
        yield from show(replace(session, token=new_token()), engine, plus)

    gallery.select(open_example, controls, outputs, **HEAVY)
    upload.upload(open_upload, [upload, *controls], outputs, **HEAVY)
    scale_radio.input(change_scale, [state, *controls], outputs, **HEAVY)
    plus_box.input(change_plus, [state, *controls], outputs, **HEAVY)
    panels.viewport(measure, [state], [panels], concurrency_limit=2, **QUIET)
    return state
