"""How many hidden units of each block never fire, for the released networks or other weights.

python -m scripts.silent_units --data photos --weights weights
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.errors import InputError
from drn.training.loop import PROBE_PATCHES, PROBE_SIZE
from drn.training.patches import PatchSampler
from drn.training.revive import hidden_units
from scripts.write_results import markdown


def main(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images.")],
    folder: Annotated[Path, typer.Option("--weights", help="Folder of weights files.")] = weights.BUNDLED,
) -> None:
    """Print a row for each scale, a column for each block, first group first."""
    try:
        rows = [row(data, folder, scale) for scale in weights.available_scales(folder)]
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    if not rows:
        sys.exit(f"error: {folder} has no weights: give a folder with {weights.filename(2)}.")
    width = max(len(cells) for cells in rows)
    head = ["silent units of block", *(str(block) for block in range(1, width))]
    typer.echo(markdown(head, rows))


def row(data: list[Path], folder: Path, scale: int) -> list[str]:
    """The scale, with the units of a block, and how many of each block are silent; none of a network without ReLU."""
    model = weights.load(weights.find(scale, folder)).model
    lr, _ = PatchSampler(data, scale, seed=0).batch(0, PROBE_PATCHES, PROBE_SIZE)
    silent = [hidden.silent for hidden in hidden_units(model, lr)]
    units = f", of {len(silent[0])}" if silent else ", no ReLU"
    return [f"x{scale}{units}", *(str(int(block.sum())) for block in silent)]


if __name__ == "__main__":
    typer.run(main)
