"""The Scales tab: the photograph of the Compare tab at every scale, under one viewport."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from app.charts import chart
from app.engines import Engine
from app.jobs import told_to_visitor
from app.session import Session, compute, scene
from app.shelf import Shelf
from app.tabs.compare import HEAVY, PROTOCOL, QUIET, measure_view
from app.viewer.component import busy_js, scene_value, viewer
from drn.evaluation.methods import DESCRIPTIONS
from drn.evaluation.pairs import make_pair
from drn.image import mod_crop

COMPARED, SHOWN = (f"document.querySelector('#{elem_id} .viewer')" for elem_id in ("viewer", "scales-viewer"))
IS_OLD = f"{COMPARED}.ariaBusy === 'true' || {COMPARED}.dataset.picture !== {SHOWN}.dataset.picture"
"""JavaScript: whether the tab shows another photograph than the Compare tab does, or is about to."""

FOLLOW = f"""() => new MutationObserver(() => {{
  const isOpen = document.querySelector('#scales-tab-button')?.ariaSelected === 'true';
  if (isOpen && {COMPARED}.dataset.picture !== {SHOWN}.dataset.picture) document.querySelector('#scales-again').click();
}}).observe({COMPARED}, {{ attributeFilter: ["data-picture"] }})"""
"""JavaScript: open a photograph here too that arrives in the Compare tab while this one is open."""

WAITING = '<p class="note">Waiting for the server…</p>'


def scales_tab(
    page: gr.Blocks, engine: Engine, scales: list[int], shelf: Shelf, compared: gr.State, in_use: gr.State
) -> Any:
    """Lay out the tab.

    Args:
        shelf: Where sessions are kept.
        compared: The key of the Compare tab's session; its photograph is the one shown.
        in_use: Tells which weights are in use; when it changes the results here are out of date.

    Returns:
        The event that computes what the tab shows. It takes long, and goes on where it was when the tab comes back.
    """
    with gr.Tab("Scales", id="scales", elem_id="scales-tab") as tab:
        state = gr.State(None, delete_callback=shelf.drop)
        panels = viewer(None, "scales-viewer")
        plot = gr.HTML(WAITING, elem_id="scales-chart", apply_default_css=False)
        gr.Markdown(PROTOCOL, elem_classes="note")
        again = gr.Button(visible="hidden", elem_id="scales-again")

    def open_scales(compared: str | None, key: str | None) -> Iterator[tuple[Any, ...]]:
        with told_to_visitor():
            session, shown = shelf.get(compared), shelf.find(key)
        if shown and shown.picture_token == session.picture_token:
            opened = shown
        else:
            # One size for all scales, so that a region is the same region in every row.
            picture = replace(session.picture, rgb=mod_crop(session.picture.rgb, math.lcm(*scales)))
            opened = Session(picture, session.picture_token, tuple(make_pair(picture, scale) for scale in scales))
        if len(opened.results) == len(scales) * len(DESCRIPTIONS):
            with told_to_visitor():  # the last of them may not have arrived
                yield key, scene_value(scene(opened)), psnr_chart(opened)
            return
        with told_to_visitor():
            value = scene_value(scene(opened))
            key = shelf.put(opened, key)
            yield key, value, gr.skip() if opened is shown else WAITING
            try:
                for computed in compute(opened, engine, plus=True):
                    if computed is None:
                        yield (gr.skip(),) * 3
                    else:
                        value, opened = scene_value(scene(computed)), computed
                        shelf.put(opened, key)
                        yield gr.skip(), value, psnr_chart(opened)
            except Exception:
                yield gr.skip(), scene_value(scene(replace(opened, failed=True))), gr.skip()
                raise

    in_use.change(shelf.drop, state, state, **QUIET)
    measure_view(panels, shelf, state)
    opens = [tab.select, again.click]
    gr.on(opens, None, js=f"() => {{ if ({IS_OLD}) {busy_js('scales-viewer', True)} }}", api_visibility="private")
    event = gr.on(opens, open_scales, [compared, state], [state, panels, plot], **HEAVY)
    page.load(None, js=FOLLOW, api_visibility="private")
    event.then(None, js=f"() => {{ {busy_js('scales-viewer', False)} }}", api_visibility="private")
    stays = f"(told) => told === {json.dumps(WAITING)} ? '' : told"
    event.failure(None, plot, plot, js=stays, api_visibility="private")
    return event


def psnr_chart(session: Session) -> str:
    """PSNR over the whole image against scale, a line for each method."""
    series = {
        method: [
            (scale, result.whole.psnr)
            for (scale, name), result in sorted(session.results.items())
            if name == method and result.whole.psnr is not None and math.isfinite(result.whole.psnr)
        ]
        for method in DESCRIPTIONS
    }
    return chart("PSNR of the whole image against scale", "scale", "dB", series)
