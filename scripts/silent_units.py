"""Count the silent hidden units in each block of the released networks or of other weights.

A unit is silent if the output of its ReLU is above 0 at hardly any pixel (see drn/training/revive.py).

python -m scripts.silent_units --data photos --weights weights
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.errors import InputError
from drn.training.patches import PatchSampler
from drn.training.revive import hidden_units
from drn.training.run import PROBE_PATCHES, PROBE_SIZE
from scripts._markdown import table


def main(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images.")],
    folder: Annotated[Path, typer.Option("--weights", help="Folder of weights files.")] = weights.BUNDLED,
) -> None:
    """Print a table of silent units: one row for each scale, one column for each block, in the order of the network."""
    try:
        rows = [count_row(data, folder, scale) for scale in weights.available_scales(folder)]
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    if not rows:
        sys.exit(f"error: {folder} has no weights: give a folder with {weights.filename(2)}.")
    width = max(len(cells) for cells in rows)
    typer.echo(table(["silent units of block", *(str(block) for block in range(1, width))], rows))


def count_row(data: list[Path], folder: Path, scale: int) -> list[str]:
    """Return a row of the table: a label, then the number of silent units in each block.

    The label gives the scale and the number of units in a block. A network without ReLU has no counts.
    """
    model = weights.load(weights.find(scale, folder)).model
    lr, _ = PatchSampler(data, scale, seed=0).batch(0, PROBE_PATCHES, PROBE_SIZE)
    blocks = [units.silent for units in hidden_units(model, lr)]
    size = f", of {len(blocks[0])}" if blocks else ", no ReLU"
    return [f"x{scale}{size}", *(str(int(silent.sum())) for silent in blocks)]


if __name__ == "__main__":
    typer.run(main)
