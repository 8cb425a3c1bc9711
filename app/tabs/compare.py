"""The Compare tab: one photograph at one scale, with the result of every method beside the original."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr

from app.choices import NewestChoices
from app.engines import PhotoFor, UpscalerFor
from app.events import QUIET
from app.figures import SUFFIXES
from app.measurements import PROTOCOL
from app.options import PageOptions
from app.photographs import thumbnail
from app.scene import scene_of
from app.serving.gradio_patches import take_path
from app.serving.limits import MAX_OWN, MAX_OWN_NAME
from app.session import DEGRADATIONS, Session, at_scale, compute, open_example
from app.shelf import Shelf, key_state
from app.tabs.compare_events import CompareLayout, connect
from app.tabs.compare_handlers import CompareHandlers
from app.viewer.component import viewer
from drn.degrade import CLEAN
from drn.errors import InputError


def compare_tab(
    page: gr.Blocks,
    upscaler_for: UpscalerFor,
    scales: list[int],
    weights_key: gr.State,
    photographs: list[Path],
    options: PageOptions,
    photo_for: PhotoFor,
) -> None:
    """Add the tab's components and events, and compute the first comparison, which is part of the page.

    Args:
        page: The page that is built.
        upscaler_for: Returns the upscaler for a scale.
        scales: The scales to choose from.
        weights_key: Identifies the weights in use; when it changes, the comparison is computed again.
        photographs: The photographs of the gallery.
        options: The choices of the command line.
        photo_for: Returns the upscaler with the photo weights for a scale, if there are any.

    Raises:
        InputError: If there are no weights for the chosen scale, or a photograph cannot be used.
    """
    scale = options.scale or max(scales)
    if scale not in scales:
        raise InputError(f"There are no weights for x{scale}: choose another scale or other weights.")
    further = at_scale(options.further, scale)
    opened = replace(open_example(photographs[0], scale), further=further, scales=tuple(scales))
    *_, first = filter(None, compute(opened, upscaler_for, self_ensemble=False))
    shelf = Shelf(first, weights_key.value)
    # gradio resets a visitor's states after an hour without requests, or when there are too many states. The initial
    # value is None and not Shelf.FIRST, so that the visitor then gets an error instead of the first comparison.
    key = key_state(shelf)
    page.load(lambda: Shelf.FIRST, None, key, queue=False, **QUIET)
    layout = _lay_out(photographs, scales, first)
    handlers = CompareHandlers(
        tuple(photographs), tuple(scales), shelf, upscaler_for, NewestChoices(), photo_for, options.further
    )
    connect(page, layout, handlers, key, weights_key)


def _lay_out(photographs: list[Path], scales: list[int], first: Session) -> CompareLayout:
    """Create the components in the order in which the tab shows them."""
    choices = [(f"x{scale}", str(scale)) for scale in scales]
    scale = gr.Radio(choices, value=str(first.pairs[0].scale), label="Scale", elem_id="scale", elem_classes="segments")
    panels = viewer(scene_of(first), "viewer", has_address=True)
    own_names = gr.Textbox(
        visible=False,
        label="Names of your results",
        info="One in each line. Clear the text to remove your results.",
        elem_id="own-names",
        max_length=MAX_OWN * (MAX_OWN_NAME + 1),
        interactive=True,
    )
    with gr.Row(elem_id="options"):
        gallery = gr.Gallery(
            [(thumbnail(path), path.stem.replace("-", " ")) for path in photographs],
            label="Photographs",
            show_label=False,
            elem_id="examples",
            columns=len(photographs),
            height=84,
            object_fit="cover",
            allow_preview=False,
            selected_index=0,
            format="jpeg",
            buttons=[],
        )
        upload = gr.UploadButton("Upload or paste", file_types=["image"], size="sm", elem_id="upload", min_width=0)
        own = gr.UploadButton("+ your result", file_types=["image"], size="sm", elem_id="own", min_width=0)
        self_ensemble = gr.Checkbox(label="DRN+ too (8 passes)", elem_id="plus", min_width=0)
        made = gr.Radio(
            [("Bicubic" if made == CLEAN else f"+ {made}", name) for name, made in DEGRADATIONS.items()],
            value=first.made,
            label="Small picture made by",
            elem_id="made",
            elem_classes="segments",
            min_width=0,
        )
        draw = {
            suffix: gr.Button(
                f"Figure ({kind})" if suffix == ".png" else kind,
                size="sm",
                elem_id=f"figure-{kind.lower()}",
                min_width=0,
            )
            for suffix, kind in ((suffix, suffix[1:].upper()) for suffix in SUFFIXES)
        }
        figure = gr.DownloadButton("Download", visible="hidden", elem_id="figure-file")
    take_path(upload)
    take_path(own)
    restore = gr.Button(visible="hidden", elem_id="restore")
    rearranged = gr.Button(visible="hidden", elem_id="rearranged")
    gr.Markdown(PROTOCOL, elem_classes="note")
    return CompareLayout(
        gallery, scale, self_ensemble, made, upload, panels, draw, figure, restore, rearranged, own, own_names
    )
