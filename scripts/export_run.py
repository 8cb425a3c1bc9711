"""Copy the best weights of a training run into weights/, with the curve, and update SHA256SUMS.

python -m scripts.export_run runs/x3                # replaces the curve of the scale
python -m scripts.export_run runs/x2b --continues   # continues the curve, if the run started from weights in weights/
python -m scripts.export_run runs/x2_photo          # a run with --degrade photo: drn_x2_photo.safetensors

Then run `python -m drn evaluate` and `python -m scripts.write_results`, as shown in the docstring of write_results.
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
from drn.training.curve import CURVE, read_curve, write_curve


def export(run: Path, target: Path, continues: bool) -> Path:
    """Copy the weights of a run into ``target`` if their validation PSNR is higher than that of the weights there.

    The names of the files depend on the variant of the weights (see ``drn.weights``).

    Args:
        run: Folder of the run.
        target: Folder of the released weights.
        continues: Whether the run started from weights in ``target``, of any scale. The hours and iterations of the run
            are then added to the existing curve of its scale and variant.

    Returns:
        The weights file written.

    Raises:
        InputError: If the run has no weights or no curve, its weights are not better, or a file does not state its
            validation PSNR.
    """
    scale = next(iter(weights.available_scales(run)), SCALES[0])
    new = weights.load(weights.find(scale, run))
    path = target / weights.filename(scale, new.variant)
    curve = target / f"{path.stem.replace('drn', 'curve', 1)}.csv"
    if path.is_file():
        both = new, weights.load(path)
        unknown = [str(file.path) for file in both if "valid_psnr" not in file.notes]
        if unknown:
            raise InputError(f"{unknown[0]} does not state its validation PSNR: use weights that `drn train` wrote.")
        psnr, before = (float(file.notes["valid_psnr"]) for file in both)
        if psnr <= before:
            raise InputError(
                f"{run} has a validation PSNR of {psnr:.3f} dB, and {path.name} in {target} has {before:.3f} dB: "
                "train for longer."
            )
    earlier, added = read_curve(curve) if continues else [], read_curve(run / CURVE)
    if not added:
        raise InputError(f"{run} has no {CURVE}, so its training hours are unknown: export another run.")
    offset = {column: earlier[-1][column] if earlier else 0.0 for column in ("iteration", "hours")}
    content = new.path.read_bytes()
    digests = weights.read_sums(target) | {path.name: hashlib.sha256(content).hexdigest()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    rows = [row | {column: row[column] + offset[column] for column in offset} for row in added]
    # The weights are written last. If a write fails, `git restore` undoes the previous ones.
    write_curve(curve, [*earlier, *rows])
    replace_file(target / weights.SUMS, lambda temporary: temporary.write_text(sums, encoding="utf-8"))
    replace_file(path, lambda temporary: temporary.write_bytes(content))
    return path


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    continues: Annotated[bool, typer.Option("--continues", help="The run started from weights in weights/.")] = False,
) -> None:
    """Copy the best weights of a training run into weights/."""
    try:
        typer.echo(f"{export(run, weights.BUNDLED, continues)} is written: now evaluate it and write the results.")
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    typer.run(main)
