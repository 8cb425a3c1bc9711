"""Put weights/results.json into README.md and the model card weights/README.md: tables, and the card's front matter.

The card also gets what other networks published (app/published.json) and the hours of weights/curve_x*.csv.

python -m scripts.export_run runs/x2
python -m drn evaluate --data .../Set5 .../Set14 --json > results.json && mv results.json weights/
python -m scripts.write_results
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.tabs.results import PUBLISHED
from drn.card import complete_card, read_rows
from drn.evaluation.tables import beside_published, pivot
from drn.files import replace_file
from drn.training.curve import read_curve
from drn.weights import BUNDLED

ROOT = Path(__file__).resolve().parent.parent


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---" for _ in head], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured(results: dict[str, Any]) -> str:
    """PSNR / SSIM as Markdown: a row for each test set and scale, a column for each method."""
    methods, rows = pivot(results["rows"])
    used = ", ".join(
        f"{scale} {entry['parameters']:,} parameters, sha256 {entry['sha256'][:12]}"
        for scale, entry in results["weights"].items()
    )
    made = f"Printed by `{results['command']}` on {results['date']}, torch {results['torch']}, {results['device']}."
    return f"{markdown(['PSNR (dB) / SSIM', *methods], rows)}\n\n{made}\nWeights: {used}."


def peers(results: dict[str, Any]) -> str:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return f"{markdown(*beside_published(published, results))}\n\n{published['note']}"


def hours() -> str:
    """What each network's training took, as its curve has it."""
    last = {path.stem.removeprefix("curve_"): read_curve(path)[-1] for path in sorted(BUNDLED.glob("curve_x*.csv"))}
    rows = [[scale, f"{row['hours']:.2f}", f"{row['iteration']:,.0f}"] for scale, row in last.items()]
    return markdown(["network", "hours", "iterations"], rows)


def fill(text: str, name: str, content: str) -> str:
    """``text`` with ``content`` between its markers for ``name``."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def store(path: Path, content: str) -> None:
    replace_file(path, functools.partial(Path.write_text, data=content, encoding="utf-8"))


def main() -> None:
    source = BUNDLED / "results.json"
    results = json.loads(source.read_text(encoding="utf-8"))
    page, card = ROOT / "README.md", BUNDLED / "README.md"
    text = card.read_text(encoding="utf-8")
    for name, content in (("results", measured(results)), ("peers", peers(results)), ("hours", hours())):
        text = fill(text, name, content)
    text = complete_card(text, read_rows(source))
    store(page, fill(page.read_text(encoding="utf-8"), "results", measured(results)))
    store(card, text)


if __name__ == "__main__":
    main()
