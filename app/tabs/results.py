"""The Results tab: measured results, the results of other networks, and the training curves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from app.charts import Points, chart
from app.events import EACH
from app.ranking import SETS, Ranked, ranked, standing_on
from drn.evaluation.methods import DRN, DRN_PLUS
from drn.evaluation.peers import peer_sources, published_peers, read_peers
from drn.model import SCALES
from drn.training.curve import read_curve
from drn.weights import BUNDLED

OWN_STYLE = "font-weight: 600; background: rgb(20 163 139 / 0.18);"
"""Style of the cells of our own methods."""

NO_RESULTS = "There is no `weights/results.json`. The output of `python -m drn evaluate --json` is its content."

ITERATIONS, PSNR = "thousand iterations", "validation PSNR (dB)"


def results_tab(set_table: Callable[[], None]) -> None:
    """Add the tab, with the results and training curves in ``weights/`` and the results of other networks.

    Args:
        set_table: Called to add the table of whole test sets.
    """
    peers = read_peers()
    results = read_results(BUNDLED / "results.json")
    with gr.Tab("Results", id="results", elem_id="results-tab"):
        if results is None:
            gr.Markdown(NO_RESULTS)
        else:
            _add_scales(peers, results)
        set_table()
        _add_ablation(BUNDLED / "ablation.csv")
        with gr.Accordion("The other networks: papers, code, weights and published values", open=False):
            gr.Markdown(peers["what"], elem_classes="note")
            data_table(*peer_sources(peers), elem_id="peer-sources")
            gr.Markdown(peers["published"]["what"], elem_classes="note")
            data_table(*published_peers(peers), elem_id="published-peers")


def _add_scales(peers: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Add the switch of the scale, and for each scale a column of which one is visible."""
    scales = [scale for scale in SCALES if f"x{scale}" in results["weights"]]
    choices = [(f"x{scale}", str(scale)) for scale in scales]
    switch = gr.Radio(choices, value=str(scales[-1]), label="Scale", elem_id="results-scale")
    columns = []
    for scale in scales:
        with gr.Column(visible=scale == scales[-1], elem_id=f"results-x{scale}") as column:
            _add_scale(peers, results, scale)
        columns.append(column)
    known = json.dumps([str(scale) for scale in scales])
    show = f"(chosen) => {known}.map((scale) => ({{ __type__: 'update', visible: scale === chosen }}))"
    switch.change(None, switch, columns, js=show, **EACH)


def _add_scale(peers: Mapping[str, Any], results: Mapping[str, Any], scale: int) -> None:
    rows = ranked(peers, results, scale)
    sentences = " ".join(filter(None, (standing_on(rows, data, scale) for data in SETS)))
    gr.Markdown(sentences, elem_classes="standing")
    gr.Markdown("## PSNR in dB, by the same protocol")
    data_table(["method", "parameters", *SETS], ranking_rows(rows))
    gr.HTML(charts_html(rows, results, peers["times"], scale), apply_default_css=False)
    gr.Markdown("## Measured here")
    data_table(["set, method", "PSNR", "SSIM", "s/image"], measured_rows(results, scale))
    origin = f"{results['command']} · {results['date']} · torch {results['torch']} · {results['device']}"
    gr.HTML(f'<p class="note"><code>{escape(origin)}</code></p>')
    curve = BUNDLED / f"curve_x{scale}.csv"
    if curve.is_file():
        gr.Markdown(f"## Training of x{scale}")
        line_plot(curve_frame(curve), ITERATIONS, None)


def read_results(path: Path) -> dict[str, Any] | None:
    """Read the output of ``evaluate --json``; return None if the file does not exist."""
    if not path.is_file():
        return None
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def data_table(head: Sequence[str], rows: Sequence[Sequence[str]], elem_id: str | None = None) -> gr.Dataframe:
    """Add a table whose first column stays in view; the rows of our own methods are marked."""
    marks = [[OWN_STYLE if row[0].split()[-1] in (DRN, DRN_PLUS) else ""] * len(row) for row in rows]
    return gr.Dataframe(
        {"headers": list(head), "data": [list(row) for row in rows], "metadata": {"styling": marks}},
        headers=list(head),
        datatype="str",
        interactive=False,
        pinned_columns=1,
        show_search="none",
        elem_id=elem_id,
        elem_classes="results-table",
    )


def ranking_rows(rows: Sequence[Ranked]) -> list[list[str]]:
    """Format the rows of the ranking: name, number of parameters, and PSNR on each test set."""
    return [
        [
            row.name,
            "–" if row.parameters is None else f"{row.parameters / 1e6:.2f} M",
            *(f"{row.psnr[data]:.2f}" if data in row.psnr else "–" for data in SETS),
        ]
        for row in rows
    ]


def measured_rows(results: Mapping[str, Any], scale: int) -> list[list[str]]:
    """Format the measurements at a scale: set and method, PSNR, SSIM, and seconds for one image."""
    return [
        [
            f"{row['data']} {row['method']}",
            "∞" if row["psnr"] is None else f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            "–" if row["seconds"] is None else f"{row['seconds']:.3f}",
        ]
        for row in results["rows"]
        if row["scale"] == scale
    ]


def charts_html(rows: Sequence[Ranked], results: Mapping[str, Any], peer_times: Mapping[str, Any], scale: int) -> str:
    """Draw PSNR on Set5 against the number of parameters and against time.

    Args:
        rows: The output of ``ranked``.
        results: The output of ``drn evaluate --json``.
        peer_times: Times of DRN and other networks at one scale: ``times`` of ``drn.evaluation.peers.read_peers``.
        scale: The scale.
    """
    known = {row.name: row.psnr[SETS[0]] for row in rows if SETS[0] in row.psnr}
    sizes: dict[str, Points] = {
        row.name: [(row.parameters / 1e6, known[row.name])]
        for row in rows
        if row.parameters is not None and row.name in known
    }
    times: dict[str, Points] = {
        row["method"]: [(row["seconds"], row["psnr"])]
        for row in results["rows"]
        if (row["data"], row["scale"]) == (SETS[0], scale) and None not in (row["seconds"], row["psnr"])
    }
    charts = [
        chart(f"Set5 x{scale}: PSNR and size", "million parameters", "PSNR (dB)", sizes),
        chart(f"Set5 x{scale}: PSNR and time", "seconds per image", "PSNR (dB)", times),
    ]
    notes = [f"Seconds per image on {results['device']}."]
    if peer_times["scale"] == scale:
        charts += [
            chart(
                f"Set5 x{scale}: PSNR and time, {dtype}",
                "time relative to DRN",
                "PSNR (dB)",
                relative_times(known, taken),
            )
            for dtype, taken in peer_times["milliseconds"].items()
        ]
        notes.append(peer_times["what"])
    paragraphs = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return f'<div class="charts">{"".join(charts)}</div>{paragraphs}'


def relative_times(psnr: Mapping[str, float], milliseconds: Mapping[str, float]) -> dict[str, Points]:
    """Return the point of each network: its time divided by that of DRN, and its PSNR in dB.

    Args:
        psnr: PSNR in dB by name.
        milliseconds: Time by name.
    """
    return {name: [(time / milliseconds[DRN], psnr[name])] for name, time in milliseconds.items() if name in psnr}


def curve_frame(path: Path) -> pd.DataFrame:
    """Read the validation PSNR during a training run."""
    points = [(row["iteration"] / 1000, row["valid_psnr"]) for row in read_curve(path)]
    return pd.DataFrame(points, columns=[ITERATIONS, PSNR])


def line_plot(frame: pd.DataFrame, x: str, color: str | None) -> gr.LinePlot:
    """Add a plot of validation PSNR with tooltips; the limits of its axis follow the data."""
    low, high = frame[PSNR].min(), frame[PSNR].max()
    margin = (high - low) * 0.08 or 1.0
    return gr.LinePlot(
        frame,
        x=x,
        y=PSNR,
        color=color,
        y_lim=[round(low - margin, 2), round(high + margin, 2)],
        tooltip="all",
        height=280,
        buttons=[],
        elem_classes="results-plot",
    )


def _add_ablation(path: Path) -> None:
    """Add the curves of the ablation, if its file exists."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["variant"], float(row["epoch"]), float(row["valid_psnr"])) for row in csv.DictReader(file)]
    gr.Markdown("## Training with and without distilling blocks")
    line_plot(pd.DataFrame(rows, columns=["variant", "epoch", PSNR]), "epoch", "variant")
    gr.Markdown(
        '"plain" means residual blocks of the same size without a distilling branch. "+" means the mean of 8 passes.',
        elem_classes="note",
    )
