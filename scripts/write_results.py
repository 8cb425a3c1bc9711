"""Put weights/results.json into README.md and the model card weights/README.md: tables, and the card's front matter.

(cd weights && sha256sum drn_x*.safetensors > SHA256SUMS)
python -m drn evaluate --data .../Set5 .../Set14 --json > results.json && mv results.json weights/
python -m scripts.write_results
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from drn.evaluate import pivot
from drn.image import replace_file
from drn.publish import complete_card, read_rows

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results -->", "<!-- /results -->"


def table(results: dict[str, Any]) -> str:
    """PSNR / SSIM as Markdown: a row for each test set and scale, a column for each method."""
    methods, cells = pivot(results["rows"])
    lines = [f"| PSNR (dB) / SSIM | {' | '.join(methods)} |", "|---|" + "---|" * len(methods)]
    lines += [
        f"| {name} | {' | '.join(found.get(method, '–') for method in methods)} |" for name, found in cells.items()
    ]
    used = ", ".join(
        f"{scale} {entry['parameters']:,} parameters, sha256 {entry['sha256'][:12]}"
        for scale, entry in results["weights"].items()
    )
    made = f"Printed by `{results['command']}` on {results['date']}, torch {results['torch']}, {results['device']}."
    return "\n".join([*lines, "", made, f"Weights: {used}."])


def fill(page: Path, start: str, end: str, text: str) -> str:
    """The content of ``page`` with ``text`` between the markers ``start`` and ``end``."""
    before, rest = page.read_text(encoding="utf-8").split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"


def store(path: Path, content: str) -> None:
    replace_file(path, functools.partial(Path.write_text, data=content, encoding="utf-8"))


def main() -> None:
    source, card = ROOT / "weights" / "results.json", ROOT / "weights" / "README.md"
    text = table(json.loads(source.read_text(encoding="utf-8")))
    store(ROOT / "README.md", fill(ROOT / "README.md", START, END, text))
    store(card, complete_card(fill(card, START, END, text), read_rows(source)))


if __name__ == "__main__":
    main()
