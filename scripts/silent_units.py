"""How many hidden units of each block never fire, for the released networks or other weights.

python -m scripts.silent_units --data photos --weights weights
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.data import PatchSampler
from drn.revive import hidden_units
from drn.train import PROBE_PATCHES, PROBE_SIZE
from scripts.write_results import markdown


def main(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images.")],
    folder: Annotated[Path, typer.Option("--weights", help="Folder of weights files.")] = weights.BUNDLED,
) -> None:
    """Print a row for each scale, a column for each block, first group first."""
    rows = []
    for scale in weights.available_scales(folder):
        model = weights.load(weights.find(scale, folder)).model
        lr, _ = PatchSampler(data, scale, seed=0).batch(0, PROBE_PATCHES, PROBE_SIZE)
        silent = [hidden.silent for hidden in hidden_units(model, lr)]
        counts = [str(int(units.sum())) for units in silent]
        rows.append([f"x{scale}, of {len(silent[0])}" if silent else f"x{scale}", *counts])
    width = max(len(row) for row in rows)
    head = ["silent units of block", *(str(block) for block in range(1, width))]
    typer.echo(markdown(head, rows))


if __name__ == "__main__":
    typer.run(main)
