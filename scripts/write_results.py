"""Write the measured results into README.md and into the model card weights/README.md.

The results are those of weights/results.json, beside those of other networks (drn/evaluation/peers.json). The card also
gets its front matter, the origin of the other networks, and the training hours of weights/curve_x*.csv.

python -m scripts.export_run runs/x2
python -m drn evaluate --data .../Set5 .../Set14 --json > results.json && mv results.json weights/
python -m scripts.write_jpeg_curve --data .../Set5 .../Set14    # also runs this script
python -m scripts.write_results
"""

from __future__ import annotations

import json
from typing import Any

import typer

from drn.card import complete_card, read_rows
from drn.evaluation.jpeg_curve import gains_table, short_table, summary
from drn.evaluation.peers import full_table, peer_sources, published_peers, read_peers, standing
from drn.evaluation.tables import pivot
from drn.training.curve import read_curve
from drn.weights import BUNDLED
from scripts._markdown import ROOT, fill, store, table

CURVE_KEY = "jpeg"
"""The part of weights/results.json that scripts.write_jpeg_curve writes."""

NOT_MEASURED = "The photo weights have not been measured yet."


def measured(results: dict[str, Any]) -> str:
    """Return PSNR and SSIM as Markdown: a row for each test set and scale, a column for each method.

    Args:
        results: The JSON that ``drn evaluate --json`` prints.
    """
    methods, rows = pivot(results["rows"])
    used = ", ".join(
        f"{scale} {entry['parameters']:,} parameters, sha256 {entry['sha256'][:12]}"
        for scale, entry in results["weights"].items()
    )
    made = f"Printed by `{results['command']}` on {results['date']}, torch {results['torch']}, {results['device']}."
    return f"{table(['PSNR (dB) / SSIM', *methods], rows)}\n\n{made}\nWeights: {used}."


def jpeg(results: dict[str, Any]) -> str:
    """Return the gains for LR images stored as JPEG as Markdown, or a sentence if they are not measured."""
    curve = results.get(CURVE_KEY)
    if curve is None:
        return NOT_MEASURED
    sentences = "\n".join(f"- {sentence}" for sentence in summary(curve))
    made = f"Measured by `{curve['command']}` on {curve['date']}, torch {curve['torch']}, {curve['device']}."
    return f"{sentences}\n\n{table(*gains_table(curve))}\n\n{made}"


def short_jpeg(results: dict[str, Any]) -> str:
    """Return the mean gains for LR images stored as JPEG as Markdown, or a sentence if they are not measured."""
    curve = results.get(CURVE_KEY)
    return table(*short_table(curve)) if curve is not None else NOT_MEASURED


def peers(found: dict[str, Any], results: dict[str, Any]) -> str:
    """Return the results of other networks beside ours, with their origin, as Markdown.

    Args:
        found: The output of ``read_peers``.
        results: The JSON that ``drn evaluate --json`` prints.
    """
    sentences = "\n".join(f"- {sentence}" for sentence in standing(found, results))
    parts = [
        table(*full_table(found, results)),
        sentences,
        found["what"],
        table(*peer_sources(found)),
        found["published"]["what"],
        table(*published_peers(found)),
    ]
    return "\n\n".join(parts)


def hours() -> str:
    """Return the training hours and iterations of each network, as Markdown."""
    last = {path.stem.removeprefix("curve_"): read_curve(path)[-1] for path in sorted(BUNDLED.glob("curve_x*.csv"))}
    rows = [[name.replace("_", " "), f"{row['hours']:.2f}", f"{row['iteration']:,.0f}"] for name, row in last.items()]
    return table(["network", "hours", "iterations"], rows)


def main() -> None:
    """Write the measured results into README.md and into the model card weights/README.md."""
    source = BUNDLED / "results.json"
    results = json.loads(source.read_text(encoding="utf-8"))
    others = read_peers()
    page, card = ROOT / "README.md", BUNDLED / "README.md"
    parts = {"results": measured(results), "jpeg": jpeg(results), "peers": peers(others, results), "hours": hours()}
    beside = table(*full_table(others, results))
    text, readme = card.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = fill(text, name, content)
    for name, content in (("results", parts["results"]), ("jpeg", short_jpeg(results)), ("peers", beside)):
        readme = fill(readme, name, content)
    text = complete_card(text, read_rows(source))
    store(page, readme)
    store(card, text)


if __name__ == "__main__":
    typer.run(main)
