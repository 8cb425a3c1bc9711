"""The Scales tab: the photograph of the Compare tab at every scale, all under one viewport."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from app.charts import chart
from app.engines import UpscalerFor
from app.events import HEAVY, QUIET
from app.measurements import PROTOCOL, answer_viewport
from app.scene import scene_of
from app.serving.jobs import errors_for_visitor
from app.session import Session
from app.shelf import Shelf, key_state
from app.updates import compute_and_show
from app.viewer.component import busy_js, scene_value, viewer
from drn.evaluation.methods import DESCRIPTIONS
from drn.evaluation.pairs import make_pair
from drn.image import mod_crop

COMPARED, SHOWN = (f"document.querySelector('#{elem_id} .viewer')" for elem_id in ("viewer", "scales-viewer"))
IS_OLD = f"{COMPARED}.ariaBusy === 'true' || {COMPARED}.dataset.picture !== {SHOWN}.dataset.picture"
"""JavaScript: whether the Compare tab shows or awaits another photograph than this tab."""

FOLLOW = f"""() => new MutationObserver(() => {{
  const isOpen = document.querySelector('#scales-tab-button')?.ariaSelected === 'true';
  if (isOpen && {COMPARED}.dataset.picture !== {SHOWN}.dataset.picture) document.querySelector('#scales-again').click();
}}).observe({COMPARED}, {{ attributeFilter: ["data-picture"] }})"""
"""JavaScript: when the Compare tab shows a new photograph and this tab is open, show it in this tab too."""

WAITING = '<p class="note">Waiting for the server…</p>'


def scales_tab(
    page: gr.Blocks,
    upscaler_for: UpscalerFor,
    scales: list[int],
    shelf: Shelf,
    compared_key: gr.State,
    weights_key: gr.State,
) -> Any:
    """Add the tab's components and events.

    Args:
        page: The page that is built.
        upscaler_for: Returns the upscaler for a scale.
        scales: The scales to show.
        shelf: Keeps the sessions.
        compared_key: Holds the key of the Compare tab's session, whose photograph this tab shows.
        weights_key: Identifies the weights in use; when it changes, the results are out of date.

    Returns:
        The event that computes the results. It may be cancelled; it continues when the tab is opened again.
    """
    with gr.Tab("Scales", id="scales", elem_id="scales-tab") as tab:
        key = key_state(shelf)
        panels = viewer(None, "scales-viewer")
        plot = gr.HTML(WAITING, elem_id="scales-chart", apply_default_css=False)
        gr.Markdown(PROTOCOL, elem_classes="note")
        again = gr.Button(visible="hidden", elem_id="scales-again")

    def show_scales(compared_key: str | None, key: str | None) -> Iterator[tuple[Any, ...]]:
        with errors_for_visitor():
            compared, shown = shelf.get(compared_key), shelf.find(key)
        is_shown = shown is not None and shown.picture_token == compared.picture_token
        session = shown if shown and is_shown else at_scales(compared, scales)
        if len(session.results) == len(scales) * len(DESCRIPTIONS):
            with errors_for_visitor():  # send the results again, because the page may have missed the last one
                yield key, scene_value(scene_of(session)), psnr_chart(session)
            return
        updates = compute_and_show(session, shelf, key, upscaler_for, self_ensemble=True)
        key, value = next(updates)
        yield key, value, gr.skip() if is_shown else WAITING
        for updated, value in updates:
            known = shelf.find(key) if isinstance(updated, str) else None
            # Do not set the key again: a change of the weights may have dropped it in the meantime.
            yield gr.skip(), value, psnr_chart(known) if known else gr.skip()

    weights_key.change(shelf.drop, key, key, **QUIET)
    answer_viewport(panels, shelf, key)
    opens = [tab.select, again.click]
    gr.on(opens, None, js=f"() => {{ if ({IS_OLD}) {busy_js('scales-viewer', True)} }}", api_visibility="private")
    event = gr.on(opens, show_scales, [compared_key, key], [key, panels, plot], **HEAVY)
    page.load(None, js=FOLLOW, api_visibility="private")
    event.then(None, js=f"() => {{ {busy_js('scales-viewer', False)} }}", api_visibility="private")
    clear_waiting = f"(html) => html === {json.dumps(WAITING)} ? '' : html"
    event.failure(None, plot, plot, js=clear_waiting, api_visibility="private")
    return event


def at_scales(compared: Session, scales: list[int]) -> Session:
    """Make a session of the same photograph at several scales.

    The photograph is cropped to a size that every scale divides, so that a region is the same in every row.
    """
    picture = replace(compared.picture, rgb=mod_crop(compared.picture.rgb, math.lcm(*scales)))
    pairs = tuple(make_pair(picture, scale) for scale in scales)
    return Session(picture, compared.picture_token, pairs, stem=compared.stem)


def psnr_chart(session: Session) -> str:
    """Draw the PSNR of the whole image against the scale, with a line for each method."""
    series = {
        method: [
            (scale, result.whole.psnr)
            for (scale, name), result in sorted(session.results.items())
            if name == method and result.whole.psnr is not None and math.isfinite(result.whole.psnr)
        ]
        for method in DESCRIPTIONS
    }
    return chart("PSNR of the whole image against scale", "scale", "dB", series)
