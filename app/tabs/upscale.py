"""The Upscale tab: a visitor's own small image, enlarged."""

from __future__ import annotations

import functools
from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from app.cancelling import JobControls, Step, new_value
from app.engines import ServedWeights
from app.events import EACH, shown_js
from app.photographs import sample_images
from app.serving.gradio_patches import take_path
from app.serving.jobs import Job, errors_for_visitor
from app.serving.limits import MAX_OUTPUT_PIXELS
from app.status import HIDDEN_JS, UNKNOWN, status_html
from app.upscaling import enlarge
from app.viewer.component import scene_value, viewer
from drn.errors import InputError
from drn.variants import PHOTO_BELOW, VariantChoice

SUITED = "DRN suits small, clean photographs. Aliased graphics and strongly compressed JPEG files keep their faults."
"""The inputs for which the clean weights were trained."""

SUITED_WITH_PHOTO = "DRN suits small photographs. Aliased graphics keep their faults."
"""The inputs for which the clean and the photo weights were trained."""

SHOW_RESULT_JS = """(scene) => {
  if (!scene) return;
  const viewer = document.querySelector("#upscale-viewer");
  const ends = performance.now() + 3000;
  const show = () => {
    const { bottom, height } = viewer.getBoundingClientRect();
    if (height < 200 && performance.now() < ends) requestAnimationFrame(show);
    else if (bottom > innerHeight) viewer.scrollIntoView({ block: "start" });
  };
  requestAnimationFrame(show);
}"""
"""JavaScript that scrolls to a new result. It waits until the viewer has drawn its panels."""

START_SAMPLE_JS = """(image) => {
  const samples = document.querySelector("#upscale-samples");
  if (!image || image.orig_name !== samples?.dataset.started) return;
  delete samples.dataset.started;
  document.querySelector("#upscale-start").click();
}"""
"""JavaScript that starts the work when a sample has arrived in place of an upload."""

WEIGHTS = [("Auto", "auto"), ("Clean", "clean"), ("Photo", "photo")]
"""Labels and values of the choice of the weights."""

IDLE = f"The result may have up to {MAX_OUTPUT_PIXELS / 1e6:.0f} megapixels."


@dataclass(frozen=True)
class _Layout:
    """The components of the tab.

    Attributes:
        image: Receives the image.
        scale: Chooses the scale.
        self_ensemble: Chooses DRN+.
        weights: Chooses the variant of the weights; hidden if there are no photo weights.
        job: The buttons and the status.
        download: Downloads the result.
        panels: The viewer.
    """

    image: gr.Image
    scale: gr.Radio
    self_ensemble: gr.Checkbox
    weights: gr.Radio
    job: JobControls
    download: gr.DownloadButton
    panels: gr.HTML


def upscale_tab(served: ServedWeights) -> None:
    """Add the tab's components and events.

    Args:
        served: The weights.
    """
    with gr.Tab("Upscale", id="upscale", elem_id="upscale-tab"):
        layout = _lay_out(served)
    _connect(layout, served)


def _lay_out(served: ServedWeights) -> _Layout:
    """Create the components in the order in which the tab shows them."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            image = gr.Image(
                label="A small image",
                sources=["upload", "clipboard"],
                type="filepath",
                image_mode=None,
                format="png",
                height=200,
                elem_id="small-image",
                buttons=[],
            )
            take_path(image)
            gr.Markdown("Or click one of these samples to upscale it:", elem_classes="note")
            gr.Gallery(
                [(str(path), path.stem) for path in sample_images()],
                label="Samples",
                show_label=False,
                height=92,
                elem_id="upscale-samples",
                columns=3,
                allow_preview=False,
                object_fit="cover",
                buttons=[],
            )
        with gr.Column(min_width=260):
            choices = [(f"x{scale}", str(scale)) for scale in served.scales]
            scale = gr.Radio(choices, value=str(max(served.scales)), label="Scale", elem_id="upscale-scale")
            self_ensemble = gr.Checkbox(label="DRN+: 8 passes, averaged", elem_id="upscale-plus")
            weights = gr.Radio(
                WEIGHTS,
                value="auto",
                label="Weights",
                info=f"Auto uses Photo for JPEG files of a quality below {PHOTO_BELOW}, and Clean for other images.",
                visible=served.may_have_photo,
                elem_id="upscale-weights",
            )
            with gr.Row():
                job = JobControls("upscale", "Upscale", IDLE)
            job.add_status(min_height=64)
            gr.Markdown(SUITED_WITH_PHOTO if served.may_have_photo else SUITED, elem_classes="note")
            download = gr.DownloadButton("Download PNG", visible=False, elem_id="download")
    panels = viewer(None, "upscale-viewer")
    return _Layout(image, scale, self_ensemble, weights, job, download, panels)


def _connect(layout: _Layout, served: ServedWeights) -> None:
    """Connect the components to their handlers.

    Args:
        layout: The components.
        served: The weights.
    """

    def run(path: str | None, scale: str, self_ensemble: bool, choice: VariantChoice) -> Generator[Step, None, None]:
        if path is None:
            raise gr.Error("Choose an image first.", print_exception=False)
        yield Step(status_html("Upscaling…", UNKNOWN))
        with errors_for_visitor():
            job = Job(enlarge(path, int(scale), self_ensemble, functools.partial(served.choose, int(scale), choice)))
            try:
                for done, total in job:
                    yield Step(_progress_html(done, total))
            except InputError as error:
                yield Step(status_html(str(error)), is_last=True)
                raise
            result = job.result
            shown = scene_value(result.scene)
        values = [new_value(layout.download, result.file), new_value(layout.panels, shown)]
        yield Step(status_html(result.description), values, is_last=True)

    inputs = [layout.image, layout.scale, layout.self_ensemble, layout.weights]
    layout.job.run(run, inputs, [layout.download, layout.panels])
    layout.job.cancel_on([layout.job.cancel.click], "Cancelled.")
    # A change of the image or of a choice removes the previous result. The browser does this without the server,
    # because a late answer of the server could remove the new result.
    changes = [layout.image.change, layout.scale.change, layout.self_ensemble.change, layout.weights.change]
    layout.job.cancel_on(changes, None, [HIDDEN_JS, "null"])
    layout.image.change(None, layout.image, None, js=START_SAMPLE_JS, **EACH)
    layout.image.change(None, layout.image, None, js=shown_js("upscale", "{ id: value?.path }"), **EACH)
    layout.panels.change(None, layout.panels, None, js=SHOW_RESULT_JS, **EACH)


def _progress_html(done: int, total: int) -> str:
    """Make the status for a number of tiles."""
    if total == 1:
        return status_html("Upscaling…", UNKNOWN)
    return status_html(f"Upscaling: {done} of {total} tiles done", done / total)
