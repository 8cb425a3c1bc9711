"""The Upscale tab: one's own small image, with no ground truth to compare with."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.engines import Engine
from app.jobs import Job, deadline, in_steps, store_result, told_to_visitor
from app.session import METHODS, new_token, read_upload
from app.tabs.compare import HEAVY, QUIET
from app.uploads import path_of
from app.viewer import Layer, Scene, first_view, scene_value, viewer
from drn.errors import InputError
from drn.image import Picture, fill_clear, on_checkers, write_png
from drn.inference import Progress, Upscaler
from drn.resize import upscale

MAX_OUTPUT_PIXELS = 16_000_000
CHECKER = 4
"""Side of the squares behind what is transparent, in LR pixels."""

NO_TRUTH = "There is no original to compare with, so there is no PSNR or SSIM: judge by eye."


@dataclass(frozen=True)
class Enlarged:
    """An upscaled file: what was read, what was made of it, and where that is stored."""

    lr: Picture
    sr: Picture
    file: Path

    @property
    def told(self) -> str:
        """What was done, in a line."""
        height, width = self.sr.rgb.shape[:2]
        kept = ["Transparency was kept."] if self.sr.alpha is not None else []
        return " ".join([f"{width}×{height} pixels.", *kept, *self.lr.notes])


WAITING = "Waiting for the server…"

UNKNOWN = -1.0
"""The share done of what cannot be told: the bar only says that something is going on."""


def upscale_tab(engine: Engine, scales: list[int]) -> gr.Tab:
    """Lay out the tab."""
    tab: gr.Tab
    with gr.Tab("Upscale", id="upscale", elem_id="upscale-tab") as tab:
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
            # Files go to our own reader as they are: gradio's would refuse a bad one without a word.
            image.preprocess = path_of  # type: ignore[method-assign]
            with gr.Column(min_width=260):
                scale_radio = gr.Radio(
                    [(f"x{s}", str(s)) for s in scales], value=str(max(scales)), label="Scale", elem_id="upscale-scale"
                )
                plus_box = gr.Checkbox(label="DRN+: 8 passes, averaged", elem_id="upscale-plus")
                with gr.Row():
                    start = gr.Button("Upscale", variant="primary", elem_id="upscale-start")
                    cancel = gr.Button("Cancel", elem_id="upscale-cancel")
                idle = status_html(f"The result may have up to {MAX_OUTPUT_PIXELS / 1e6:.0f} megapixels.")
                status = gr.HTML(idle, min_height=64)
                download = gr.DownloadButton("Download PNG", visible=False, elem_id="download")
        panels = viewer(None, "upscale-viewer")

    def run(path: str | None, scale: str, plus: bool) -> Iterator[tuple[Any, Any, Any]]:
        if path is None:
            yield idle, gr.skip(), gr.skip()
            raise gr.Error("Choose an image first.", print_exception=False)
        yield status_html("Upscaling…", UNKNOWN), gr.DownloadButton(visible=False), gr.skip()
        with told_to_visitor():
            job = Job(enlarge(path, engine(int(scale)), plus))
            try:
                for done, total in job:
                    told = f"Upscaling: {done} of {total} tiles done" if total > 1 else "Upscaling…"
                    yield status_html(told, done / total if total > 1 else UNKNOWN), gr.skip(), gr.skip()
            except InputError as error:
                yield status_html(str(error)), gr.skip(), gr.skip()
                raise
            result = job.result
            shown = scene_value(scene(result.lr, result.sr, int(scale), "DRN+" if plus else "DRN"))
        yield status_html(result.told), gr.DownloadButton(value=str(result.file), visible=True), shown

    waiting = json.dumps(status_html(WAITING, UNKNOWN))
    start.click(None, None, status, js=f"() => {waiting}", api_visibility="private")  # first: the page keeps the order
    asked = {**HEAVY, "trigger_mode": "once"}
    running = start.click(run, [image, scale_radio, plus_box], [status, download, panels], **asked)
    refused = f"(told) => told.includes('<progress') ? {json.dumps(idle)} : told"
    running.failure(None, status, status, js=refused, api_visibility="private")

    def say_cancelled(told: str) -> Any:
        return status_html("Cancelled.") if "<progress" in told else gr.skip()

    def forget() -> tuple[str, Any, None]:
        return idle, gr.DownloadButton(visible=False), None

    # What was made of another image does not stand beside this one.
    image.change(forget, None, [status, download, panels], cancels=[running], queue=False, **QUIET)
    cancel.click(say_cancelled, status, status, cancels=[running], queue=False, api_visibility="private")
    return tab


def enlarge(path: str, upscaler: Upscaler, plus: bool) -> Generator[tuple[int, int], None, Enlarged]:
    """Upscale an uploaded file and store the result, yielding (tiles done, tiles in all); closing it cancels.

    Raises:
        InputError: If the file cannot be read, the result would be too large, or it takes too long.
    """
    scale = upscaler.scale
    ends = deadline()
    lr = yield from read_upload(path, MAX_OUTPUT_PIXELS // scale**2, ends)
    sr = yield from in_steps(functools.partial(_upscale_picture, upscaler, lr, plus), ends)
    file = store_result(f"{Path(path).stem}_DRN_x{scale}.png", lambda target: write_png(target, sr))
    return Enlarged(lr, sr, file)


def _upscale_picture(
    upscaler: Upscaler, lr: Picture, plus: bool, progress: Progress, cancelled: Callable[[], bool]
) -> Picture:
    return upscaler.upscale_picture(lr, self_ensemble=plus, progress=progress, cancelled=cancelled)


def scene(lr: Picture, sr: Picture, scale: int, name: str) -> Scene:
    """LR, bicubic and the result, without a ground truth."""
    height, width = sr.rgb.shape[:2]
    bicubic = replace(sr, rgb=upscale(fill_clear(lr), scale))
    layers = (
        Layer("lr", "LR", "your image", on_checkers(lr, CHECKER), factor=scale),
        Layer("bicubic", "bicubic", METHODS["bicubic"], on_checkers(bicubic, CHECKER * scale)),
        Layer("sr", name, METHODS[name], on_checkers(sr, CHECKER * scale)),
    )
    token = new_token()
    return Scene(token, token, width, height, layers, first_view(width / 2, height / 2), hint=NO_TRUTH, owner=token)


def status_html(text: str, share: float | None = None) -> str:
    """A line of text, with a progress bar if ``share`` (0 to 1, or ``UNKNOWN``) is given."""
    value = "" if share in (None, UNKNOWN) else f' value="{share:.3f}"'
    bar = "" if share is None else f'<progress aria-label="Progress" max="1"{value}></progress>'
    return f'<p class="note" role="status" data-testid="status">{escape(text)}</p>{bar}'
