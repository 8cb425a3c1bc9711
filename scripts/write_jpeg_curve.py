"""Measure DRN and DRN photo on JPEG files of several qualities, and write the table into README.md and the model card.

The results become the part "jpeg" of weights/results.json. `drn evaluate --json` writes this file without the part, so
run this script after it.

python -m scripts.write_jpeg_curve --data .../Set5 .../Set14
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from drn import weights
from drn.commands.options import ListOptions
from drn.errors import InputError
from drn.evaluation.jpeg_curve import QUALITIES, gains_table, measure_curve, summary
from drn.evaluation.sets import set_names
from drn.model import SCALES
from drn.variants import VARIANTS
from scripts import write_results
from scripts._markdown import store, table


def write_curve(folders: list[Path], scales: list[int], qualities: list[int], place: Path) -> str:
    """Measure the curve and store it in ``results.json``.

    Args:
        folders: The folders of the test sets.
        scales: The scales.
        qualities: The JPEG qualities, besides clean images.
        place: The folder with the weights and ``results.json``.

    Returns:
        The table and a sentence for each scale.

    Raises:
        InputError: If weights, images or settings cannot be used, or there is no ``results.json``.
    """
    source = place / "results.json"
    if not source.is_file():
        raise InputError(f"There is no {source}: write the output of `drn evaluate --json` there first.")
    clean, photo = ([weights.load(weights.find(scale, place, variant)) for scale in scales] for variant in VARIANTS)
    with tqdm(total=len(scales) * len(folders) * (len(qualities) + 1), leave=False, disable=None) as bar:
        curve = measure_curve(folders, clean, photo, qualities, bar.update)
    words = ["--data", *set_names(folders), "--scale", *map(str, scales)]
    words += ["--quality", *map(str, qualities)] if tuple(qualities) != QUALITIES else []
    curve = {"command": shlex.join(["python", "-m", "scripts.write_jpeg_curve", *words]), **curve}
    results = json.loads(source.read_text(encoding="utf-8")) | {write_results.CURVE_KEY: curve}
    store(source, json.dumps(results, indent=2, allow_nan=False) + "\n")
    return "\n".join([table(*gains_table(curve)), "", *summary(curve)])


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(cls=ListOptions)
def main(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images; each is a test set.")],
    scale: Annotated[list[int] | None, typer.Option(help="Upscaling factors. [default: 2 3 4]")] = None,
    quality: Annotated[
        list[int] | None, typer.Option(help="JPEG qualities, besides clean images. [default: 30 to 100]")
    ] = None,
) -> None:
    """Measure DRN and DRN photo on JPEG files, and write the table into README.md and the model card."""
    try:
        typer.echo(write_curve(data, scale or list(SCALES), quality or list(QUALITIES), weights.BUNDLED))
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    write_results.main()


if __name__ == "__main__":
    app()
