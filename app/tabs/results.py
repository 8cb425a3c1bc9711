"""The Benchmarks tab: measured results, the results of other networks, and the training curves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.charts import Points, chart
from drn.evaluation.methods import BICUBIC
from drn.evaluation.tables import beside_peers, peer_sources, pivot, published_peers, standing
from drn.training.curve import read_curve
from drn.weights import BUNDLED

PEERS = Path(__file__).parent.parent / "peers.json"


def results_tab(set_table: Callable[[], None]) -> gr.Tab:
    """Add the tab, with ``weights/results.json``, ``peers.json`` and the training curves in ``weights/``.

    Args:
        set_table: Called to add the table of whole test sets.
    """
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    results = read_results(BUNDLED / "results.json")
    tab: gr.Tab
    with gr.Tab("Benchmarks", id="benchmarks", elem_id="benchmarks-tab") as tab:
        if results is None:
            gr.Markdown(
                "There is no `weights/results.json`. The output of `python -m drn evaluate --json` is its content."
            )
        else:
            gr.HTML(results_html(results), apply_default_css=False, elem_id="results")
        set_table()
        gr.HTML(peers_html(peers, results), apply_default_css=False, elem_id="peers")
        if results is not None:
            gr.HTML(times_html(results), apply_default_css=False, elem_id="times")
        gr.HTML(curves_html(BUNDLED), apply_default_css=False, elem_id="curves")
    return tab


def read_results(path: Path) -> dict[str, Any] | None:
    """Read the output of ``evaluate --json``; return None if the file does not exist."""
    if not path.is_file():
        return None
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make an HTML table that scrolls horizontally; the texts are escaped."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="plain"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def results_html(results: dict[str, Any]) -> str:
    """Make the table of measured PSNR and SSIM, with the command that printed it."""
    methods, rows = pivot(results["rows"])
    origin = f"{results['command']} · {results['date']} · torch {results['torch']} · {results['device']}"
    return (
        f"<h3>Measured: PSNR in dB / SSIM</h3>{table(['test set', *methods], rows)}"
        f'<p class="note"><code>{escape(origin)}</code></p>'
    )


def peers_html(peers: dict[str, Any], results: dict[str, Any] | None) -> str:
    """Make a chart of PSNR on Set5 against parameters for each scale, and the tables of other networks."""
    charts = []
    for scale in ("x2", "x3", "x4"):
        measured = {entry["name"]: entry[scale] for entry in peers["networks"] if scale in entry}
        series: dict[str, Points] = {
            name: [(entry["parameters"] / 1e6, entry["Set5"]["rounded"][0])] for name, entry in measured.items()
        }
        if results is not None and scale in results["weights"]:
            size = results["weights"][scale]["parameters"] / 1e6
            for row in results["rows"]:
                if (row["data"], f"x{row['scale']}") == ("Set5", scale) and row["method"] != BICUBIC:
                    series[row["method"]] = [(size, row["psnr"])]
        charts.append(chart(f"Set5 {scale}", "million parameters", "PSNR (dB)", series, lines=False))
    ours = results or {"weights": {}, "rows": []}
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in standing(peers, ours))
    return (
        f'<h3>Comparison with other networks: PSNR in dB</h3><div class="charts">{"".join(charts)}</div>'
        f'{table(*beside_peers(peers, ours))}<ul class="note">{sentences}</ul>'
        f'<p class="note">{escape(peers["what"])}</p>{table(*peer_sources(peers))}'
        f'<p class="note">{escape(peers["published"]["what"])}</p>{table(*published_peers(peers))}'
    )


def times_html(results: dict[str, Any]) -> str:
    """Make a chart of PSNR on Set5 against seconds per image, for each scale."""
    charts = []
    for scale in (2, 3, 4):
        rows = [row for row in results["rows"] if (row["data"], row["scale"]) == ("Set5", scale)]
        series: dict[str, Points] = {row["method"]: [(row["seconds"], row["psnr"])] for row in rows}
        charts.append(chart(f"Set5 x{scale}", "seconds per image", "PSNR (dB)", series, lines=False))
    return (
        f'<h3>PSNR against time</h3><div class="charts">{"".join(charts)}</div>'
        f'<p class="note">Measured by the same command on {escape(results["device"])}.</p>'
    )


def curves_html(folder: Path) -> str:
    """Make the charts of validation PSNR during training.

    Args:
        folder: Contains ``curve_x*.csv`` and optionally ``ablation.csv``.
    """
    charts, note = [], ""
    for path in sorted(folder.glob("curve_x*.csv")):
        points = [(row["iteration"] / 1000, row["valid_psnr"]) for row in read_curve(path)]
        name = path.stem.removeprefix("curve_")
        charts.append(chart(f"Training of {name}", "thousand iterations", "validation PSNR (dB)", {name: points}))
    ablation = folder / "ablation.csv"
    if ablation.is_file():
        series: dict[str, list[tuple[float, float]]] = {}
        with ablation.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                series.setdefault(row["variant"], []).append((float(row["epoch"]), float(row["valid_psnr"])))
        charts.append(chart("With and without distilling blocks", "epoch", "validation PSNR (dB)", series))
        note = (
            '<p class="note">"plain" means residual blocks of the same size without a distilling branch. '
            '"+" means the mean of 8 passes.</p>'
        )
    return f'<h3>Training</h3><div class="charts">{"".join(charts)}</div>{note}' if charts else ""
