"""Make the best weights of a training run the bundled weights: copy them to weights/, with their curve.

python -m scripts.export_run runs/x3                # replaces the curve of the scale
python -m scripts.export_run runs/x2b --continues   # continues the curve, if the run started from weights in weights/
python -m scripts.export_run runs/x2_photo          # a run with --degrade photo: drn_x2_photo.safetensors
python -m scripts.export_run runs/x2c --continues --valid valid --valid valid_urban --curve-of valid
                                                    # measures both weights, which were validated on different images

Then run `python -m drn evaluate` and `python -m scripts.write_results`, as shown in the docstring of write_results.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.errors import InputError
from drn.files import replace_file
from drn.model import SCALES
from drn.training.curve import COLUMNS, CURVE, read_curve, write_curve
from drn.training.validation import ValidationSets
from drn.upscaler import Upscaler


def stated_psnr(file: weights.Weights) -> float:
    """Return the validation PSNR that ``drn train`` wrote into a weights file, in dB.

    Raises:
        InputError: If the file does not state it.
    """
    if "valid_psnr" not in file.notes:
        raise InputError(f"{file.path} does not state its validation PSNR: use weights that `drn train` wrote.")
    return float(file.notes["valid_psnr"])


def export(run: Path, target: Path, continues: bool, valid: Sequence[Path] = (), curve_of: str = "") -> Path:
    """Copy the weights of a run into ``target`` if their validation PSNR is higher than that of the weights there.

    The names of the files depend on the variant of the weights (see ``drn.weights``).

    Args:
        run: Folder of the run.
        target: Folder of the released weights.
        continues: Whether the run started from weights in ``target``, of any scale. The hours and iterations of the run
            are then added to the existing curve of its scale and variant.
        valid: Validation folders on which both weights are measured. Without them, the PSNR values that training wrote
            into the two files are compared.
        curve_of: Name of the validation folder whose PSNR is added to the curve, if the run had several; empty for the
            mean of the folders.

    Returns:
        The weights file written.

    Raises:
        InputError: If the run has no weights or no curve, its weights are not better, a file does not state its
            validation PSNR, the validation images cannot be used, or the run did not have the folder ``curve_of``.
    """
    scale = next(iter(weights.available_scales(run)), SCALES[0])
    new = weights.load(weights.find(scale, run))
    path = target / weights.filename(scale, new.variant)
    curve = target / f"{path.stem.replace('drn', 'curve', 1)}.csv"
    earlier, added = read_curve(curve) if continues else [], read_curve(run / CURVE)
    if not added:
        raise InputError(f"{run} has no {CURVE}, so its training hours are unknown: export another run.")
    if curve_of:
        if f"valid_psnr_{curve_of}" not in added[0]:
            raise InputError(f"{run} was not validated on a folder {curve_of!r}: give one of its validation folders.")
        added = [
            {column: row[column] for column in COLUMNS} | {"valid_psnr": row[f"valid_psnr_{curve_of}"]} for row in added
        ]
    if path.is_file():
        both = new, weights.load(path)
        if valid:
            sets = ValidationSets(tuple(valid), scale, new.notes.get("degradation", "none"))
            psnr, before = (sets.mean_psnr(Upscaler(file.model)) for file in both)
        else:
            psnr, before = map(stated_psnr, both)
        if psnr <= before:
            raise InputError(
                f"{run} has a validation PSNR of {psnr:.3f} dB, and {path.name} in {target} has {before:.3f} dB: "
                "train for longer."
            )
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
    valid: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of validation images on which both weights are measured; repeat it for several."),
    ] = None,
    curve_of: Annotated[
        str, typer.Option(help="The validation folder whose PSNR is added to the curve, if the run had several.")
    ] = "",
) -> None:
    """Make the best weights of a training run the bundled weights, if they are better than the present ones."""
    try:
        path = export(run, weights.BUNDLED, continues, valid or (), curve_of)
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{path} is written: now evaluate it and write the results.")


if __name__ == "__main__":
    typer.run(main)
