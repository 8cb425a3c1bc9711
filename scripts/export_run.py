"""Take a training run's best weights into weights/: the file, its curve and SHA256SUMS.

python -m scripts.export_run runs/x3                # the first of its scale: its curve begins anew
python -m scripts.export_run runs/x2b --continues   # begun from weights here: the curve of its scale goes on

Then `python -m drn evaluate` and `python -m scripts.write_results`, as the README says.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.errors import InputError
from drn.files import replace_file
from drn.model import SCALES
from drn.training.curve import read_curve, write_curve
from drn.training.loop import CURVE


def export(run: Path, target: Path, continues: bool) -> Path:
    """Copy the weights of ``run`` into ``target`` if they are better on validation than those that are there.

    Args:
        continues: The run began from weights in ``target``, of its scale or another: its hours and iterations come on
            top of those of its scale.

    Returns:
        The file written.

    Raises:
        InputError: If the run has no weights, or none that are better.
    """
    scale = next(iter(weights.available_scales(run)), SCALES[0])
    new = weights.load(weights.find(scale, run))
    path, curve = target / new.path.name, target / f"curve_x{scale}.csv"
    if path.is_file():
        both = new, weights.load(path)
        unknown = [str(part.path) for part in both if "valid_psnr" not in part.notes]
        if unknown:
            raise InputError(f"{unknown[0]} does not say how it measures on validation: train it here.")
        psnr, before = (float(part.notes["valid_psnr"]) for part in both)
        if psnr <= before:
            raise InputError(f"{run} measures {psnr:.3f} dB on validation, {path.name} here {before:.3f}: train on.")
    earlier, added = read_curve(curve) if continues else [], read_curve(run / CURVE)
    if not added:
        raise InputError(f"{run} has no {CURVE}: its hours are not known.")
    offset = {column: earlier[-1][column] if earlier else 0.0 for column in ("iteration", "hours")}
    content = new.path.read_bytes()
    digests = weights.read_sums(target) | {path.name: hashlib.sha256(content).hexdigest()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    # The weights last: until then the run is not taken in, and `git restore` has the rest.
    rows = [row | {column: row[column] + offset[column] for column in offset} for row in added]
    write_curve(curve, [*earlier, *rows])
    replace_file(target / weights.SUMS, lambda temporary: temporary.write_text(sums, encoding="utf-8"))
    replace_file(path, lambda temporary: temporary.write_bytes(content))
    return path


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    continues: Annotated[bool, typer.Option("--continues", help="It began from weights that are here.")] = False,
) -> None:
    try:
        typer.echo(f"{export(run, weights.BUNDLED, continues)}: evaluate it, then write the results.")
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    typer.run(main)
