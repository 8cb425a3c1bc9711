"""Components and events of the Compare tab, and the connection of each event to its handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from app.events import EACH, HEAVY, QUIET, moment_js, shown_js
from app.measurements import answer_viewport
from app.tabs.compare_handlers import CompareHandlers
from app.viewer.component import busy_js

BUSY, NOT_BUSY = busy_js("viewer", True), busy_js("viewer", False)

SEEN_JS = "(key) => [key, document.querySelector('#viewer .viewer').dataset.seen]"
"""JavaScript that adds the rectangle in view, as JSON of a ``ViewportEvent``."""

LINK_JS = "() => { if (new URLSearchParams(location.search).has('image')) document.querySelector('#restore').click(); }"
"""JavaScript that opens a shared link. Other visits send no event, because an event takes a place in the queue."""

SHOWN_JS = shown_js("compare", "{ id: value?.picture, width: value?.width, height: value?.height }")
EVERY_SCALE_JS = "document.querySelector('#viewer .viewer').dataset.scales === 'true'"
"""JavaScript: whether the viewer needs the results of every scale."""

DOWNLOAD_JS = "() => document.querySelector('#figure-file')?.click()"


@dataclass(frozen=True)
class CompareLayout:
    """The components of the tab.

    Attributes:
        gallery: The example photographs.
        scale: Chooses the scale.
        self_ensemble: Adds DRN+.
        made: Chooses how the small picture is made: a name in ``DEGRADATIONS``.
        upload: Receives a visitor's photograph.
        panels: The viewer.
        draw: Suffix -> button that requests a figure of the region in view.
        figure: Downloads that figure; not visible.
        restore: Opens a shared link; not visible.
        rearranged: The viewer presses it when it needs, or no longer needs, the results of every scale; not visible.
        own: Takes a visitor's result of another method.
        own_names: The names of the visitor's results; not visible if there are none.
    """

    gallery: gr.Gallery
    scale: gr.Radio
    self_ensemble: gr.Checkbox
    made: gr.Radio
    upload: gr.UploadButton
    panels: gr.HTML
    draw: dict[str, gr.Button]
    figure: gr.DownloadButton
    restore: gr.Button
    rearranged: gr.Button
    own: gr.UploadButton
    own_names: gr.Textbox


def connect(
    page: gr.Blocks, layout: CompareLayout, handlers: CompareHandlers, key: gr.State, weights_key: gr.State
) -> None:
    """Connect the tab's components to the handlers.

    Args:
        page: The page, whose load opens a shared link.
        layout: The components.
        handlers: The handlers.
        key: Holds the key of the visitor's session.
        weights_key: Identifies the weights in use; when it changes, the comparison is computed again.
    """
    moment, seen, every_scale = gr.Number(visible=False), gr.Textbox(visible=False), gr.Checkbox(visible=False)
    outputs, controls = (
        [key, layout.panels],
        [layout.scale, layout.self_ensemble, layout.gallery, layout.own_names, layout.made],
    )
    # "multiple" lets the page send each event at once. Otherwise it would wait until the previous event has ended, and
    # send that later time as the time of the choice.
    computing: dict[str, Any] = {**HEAVY, "trigger_mode": "multiple", "outputs": [*outputs, *controls]}

    for noted, show in _connect_choices(layout, handlers, [moment, every_scale]):
        chosen = noted.success(show, key, **computing)
        refused: dict[str, Any] = {"js": f"(key) => {{ {NOT_BUSY} return [key]; }}", "queue": False, **EACH}
        for failed in (noted, chosen):
            failed.failure(handlers.controls_of, key, controls, **refused)
        # If the choice fails, the work that it stopped continues, unless the queue is full.
        resumed = chosen.failure(handlers.resume, [moment, every_scale, key], js=choice_js(), **computing)
        given_up: dict[str, Any] = {"js": f"(_, key) => [{EVERY_SCALE_JS}, key]", "queue": False, **EACH}
        resumed.failure(handlers.give_up, [every_scale, key], outputs, **given_up)
    weights_key.change(handlers.compute_anew, [moment, key, weights_key], js=moment_js(), **computing)
    own: dict[str, Any] = {**computing, "outputs": [*outputs, layout.own_names]}
    wait = f"(...values) => {{ {BUSY} return values; }}"
    added = layout.own.upload(handlers.add_own, [key, layout.own], js=wait, **own)
    added.failure(None, js=f"() => {{ {NOT_BUSY} }}", api_visibility="private")
    layout.own_names.blur(handlers.rename_own, [key, layout.own_names], **own)
    layout.panels.change(None, layout.panels, None, js=SHOWN_JS, **EACH)
    answer_viewport(layout.panels, handlers.shelf, key)
    for suffix, button in layout.draw.items():
        drawn = button.click(handlers.figure_drawer(suffix), [key, seen], layout.figure, js=SEEN_JS, **QUIET)
        drawn.success(None, js=DOWNLOAD_JS, api_visibility="private")
    restored = layout.restore.click(handlers.show_link, [moment], [*outputs, *controls], js=moment_js(BUSY), **HEAVY)
    restored.failure(None, js=f"() => {{ {NOT_BUSY} }}", api_visibility="private")
    page.load(None, js=LINK_JS)


def choice_js(before: str = "") -> str:
    """Make JavaScript that sets the first inputs of an event: the time, and whether every scale is needed.

    Args:
        before: Statements to run first.
    """
    return f"(_, __, ...rest) => {{ {before} return [performance.now(), {EVERY_SCALE_JS}, ...rest]; }}"


def _connect_choices(
    layout: CompareLayout, handlers: CompareHandlers, moment: Sequence[Component]
) -> list[tuple[Any, Callable[..., object]]]:
    """Connect the events that record a choice as soon as it is made.

    The choice of an image and the choice of options are recorded apart, so that a change of the scale does not replace
    an image that waits in the queue.

    Args:
        layout: The components of the tab.
        handlers: The handlers.
        moment: The inputs that ``choice_js`` sets.

    Returns:
        The events, each with the handler that then shows what was chosen.
    """
    inputs = [*moment, layout.scale, layout.self_ensemble, layout.made]
    noting: dict[str, Any] = {"js": choice_js(BUSY), "queue": False, **EACH}
    # The viewer shows at once which results it waits for, and needs nothing from the server to leave the layout.
    rearranging = {**noting, "js": choice_js()}
    changes = [layout.scale.input, layout.self_ensemble.input, layout.made.input]
    return [
        (layout.gallery.select(handlers.note_example, inputs, **noting), handlers.show_image),
        (layout.upload.upload(handlers.note_upload, [*inputs, layout.upload], **noting), handlers.show_image),
        (gr.on(changes, handlers.note_options, inputs, **noting), handlers.show_options),
        (layout.rearranged.click(handlers.note_options, inputs, **rearranging), handlers.show_options),
    ]
