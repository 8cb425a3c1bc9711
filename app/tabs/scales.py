"""The Scales tab: the photograph of the Compare tab at every scale, under one viewport."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from app.charts import chart
from app.engines import Engine
from app.jobs import told_to_visitor
from app.session import METHODS, Session, compute, scene
from app.tabs.compare import HEAVY, QUIET, measure
from app.viewer import scene_value, viewer
from drn.compare import make_pair
from drn.image import mod_crop


def scales_tab(engine: Engine, scales: list[int], compared: gr.State, in_use: gr.State) -> None:
    """Lay out the tab.

    Args:
        compared: The Compare tab's session; its photograph is the one shown.
        in_use: Tells which weights are in use; when it changes the results here are out of date.
    """
    with gr.Tab("Scales", id="scales", elem_id="scales-tab") as tab:
        state, in_view = gr.State(None), gr.State(None)
        panels = viewer(None, "scales-viewer")
        plot = gr.HTML("", elem_id="scales-chart", apply_default_css=False)

    def open_scales(session: Session, shown: Session | None) -> Iterator[tuple[Any, ...]]:
        everything = len(scales) * len(METHODS)
        if shown and shown.picture_token == session.picture_token and len(shown.results) == everything:
            yield (gr.skip(),) * 3
            return
        # One size for all scales, so that a region is the same region in every row.
        picture = replace(session.picture, rgb=mod_crop(session.picture.rgb, math.lcm(*scales)))
        pairs = tuple(make_pair(picture, scale) for scale in scales)
        opened = Session(picture, session.picture_token, pairs)
        yield opened, scene_value(scene(opened, plus=False)), gr.skip()
        with told_to_visitor():
            for computed in compute(opened, engine, plus=True):
                if computed is None:
                    yield (gr.skip(),) * 3
                else:
                    yield computed, scene_value(scene(computed, plus=False)), psnr_chart(computed)

    in_use.change(lambda: None, None, state, **QUIET)
    tab.select(open_scales, [compared, state], [state, panels, plot], **HEAVY)
    panels.viewport(measure, [state], [panels, in_view], concurrency_limit=2, **QUIET)


def psnr_chart(session: Session) -> str:
    """PSNR over the whole image against scale, a line for each method."""
    series = {
        method: [
            (scale, result.whole.psnr)
            for (scale, name), result in sorted(session.results.items())
            if name == method and result.whole.psnr is not None and math.isfinite(result.whole.psnr)
        ]
        for method in METHODS
    }
    return chart("PSNR of the whole image against scale", "scale", "dB", series)
