"""The Upscale tab: a visitor's own small image, enlarged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.engines import UpscalerFor
from app.events import HEAVY, QUIET
from app.serving.gradio_patches import take_path
from app.serving.jobs import Job, errors_for_visitor
from app.serving.limits import MAX_OUTPUT_PIXELS
from app.status import HIDDEN_JS, UNKNOWN, WAITING, status_html
from app.upscaling import enlarge
from app.viewer.component import scene_value, viewer
from drn.errors import InputError

IDLE = status_html(f"The result may have up to {MAX_OUTPUT_PIXELS / 1e6:.0f} megapixels.")


@dataclass(frozen=True)
class _Layout:
    """The components of the tab.

    Attributes:
        image: Receives the image.
        scale: Chooses the scale.
        self_ensemble: Chooses DRN+.
        start: Starts the work.
        cancel: Cancels the work.
        status: Shows progress, result or error.
        is_busy: Whether the status shows progress; not visible.
        download: Downloads the result.
        panels: The viewer.
    """

    image: gr.Image
    scale: gr.Radio
    self_ensemble: gr.Checkbox
    start: gr.Button
    cancel: gr.Button
    status: gr.HTML
    is_busy: gr.Checkbox
    download: gr.DownloadButton
    panels: gr.HTML


def upscale_tab(upscaler_for: UpscalerFor, scales: list[int]) -> gr.Tab:
    """Add the tab's components and events.

    Args:
        upscaler_for: Returns the upscaler for a scale.
        scales: The scales to choose from.
    """
    tab: gr.Tab
    with gr.Tab("Upscale", id="upscale", elem_id="upscale-tab") as tab:
        layout = _lay_out(scales)
    _connect(layout, upscaler_for)
    return tab


def _lay_out(scales: list[int]) -> _Layout:
    """Create the components in the order in which the tab shows them."""
    with gr.Row(equal_height=False):
        image = gr.Image(
            label="A small image",
            sources=["upload", "clipboard"],
            type="filepath",
            image_mode=None,
            format="png",
            height=230,
            elem_id="small-image",
            buttons=[],
        )
        take_path(image)
        with gr.Column(min_width=260):
            choices = [(f"x{scale}", str(scale)) for scale in scales]
            scale = gr.Radio(choices, value=str(max(scales)), label="Scale", elem_id="upscale-scale")
            self_ensemble = gr.Checkbox(label="DRN+: 8 passes, averaged", elem_id="upscale-plus")
            with gr.Row():
                start = gr.Button("Upscale", variant="primary", elem_id="upscale-start")
                cancel = gr.Button("Cancel", elem_id="upscale-cancel")
            status = gr.HTML(IDLE, min_height=64)
            is_busy = gr.Checkbox(visible="hidden")
            download = gr.DownloadButton("Download PNG", visible=False, elem_id="download")
    panels = viewer(None, "upscale-viewer")
    return _Layout(image, scale, self_ensemble, start, cancel, status, is_busy, download, panels)


def _connect(layout: _Layout, upscaler_for: UpscalerFor) -> None:
    """Connect the components to their handlers.

    Args:
        layout: The components.
        upscaler_for: Returns the upscaler for a scale.
    """

    def run(path: str | None, scale: str, self_ensemble: bool) -> Iterator[tuple[Any, ...]]:
        """Yield the status, whether it shows progress, the download and the viewer's value."""
        if path is None:
            yield IDLE, False, gr.skip(), gr.skip()
            raise gr.Error("Choose an image first.", print_exception=False)
        yield status_html("Upscaling…", UNKNOWN), True, gr.DownloadButton(visible=False), gr.skip()
        with errors_for_visitor():
            job = Job(enlarge(path, upscaler_for(int(scale)), self_ensemble))
            try:
                for done, total in job:
                    yield _progress_html(done, total), True, gr.skip(), gr.skip()
            except InputError as error:
                yield status_html(str(error)), False, gr.skip(), gr.skip()
                raise
            result = job.result
            shown = scene_value(result.scene)
        download = gr.DownloadButton(value=str(result.file), visible=True)
        yield status_html(result.description), False, download, shown

    def say_cancelled(is_busy: bool) -> tuple[Any, bool]:
        return status_html("Cancelled.") if is_busy else gr.skip(), False

    status = [layout.status, layout.is_busy]
    outputs = [*status, layout.download, layout.panels]
    inputs = [layout.image, layout.scale, layout.self_ensemble]
    # The page runs the events of a click in this order.
    layout.start.click(None, None, status, js=f"() => [{json.dumps(WAITING)}, true]", api_visibility="private")
    running = layout.start.click(run, inputs, outputs, **{**HEAVY, "trigger_mode": "once"})
    # After a failure, keep a message from the handler, but remove progress (for example, if the queue is full).
    settle = f"(status, isBusy) => [isBusy ? {json.dumps(IDLE)} : status, false]"
    running.failure(None, status, status, js=settle, api_visibility="private")
    # A change of the image removes the result of the previous image. The browser does this without the server,
    # because a late answer of the server could remove the result of the new image.
    clear = f"() => [{json.dumps(IDLE)}, false, {HIDDEN_JS}, null]"
    layout.image.change(None, None, outputs, cancels=[running], js=clear, **QUIET)
    layout.cancel.click(say_cancelled, layout.is_busy, status, cancels=[running], queue=False, api_visibility="private")


def _progress_html(done: int, total: int) -> str:
    """Make the status for a number of tiles."""
    if total == 1:
        return status_html("Upscaling…", UNKNOWN)
    return status_html(f"Upscaling: {done} of {total} tiles done", done / total)
