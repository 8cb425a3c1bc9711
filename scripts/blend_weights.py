"""Blend the weights of a run with the released weights of the same scale.

Weights that were tuned for degraded images lose PSNR on clean ones. A weighted mean of both sets of weights loses less
(Wortsman et al., "Robust fine-tuning of zero-shot models", 2022, arXiv 2109.01903). Weights that were trained further
on clean images also gain from such a mean.

python -m scripts.blend_weights runs/x2_photo --share 0.5 --valid holdout --out runs/x2_photo_half

The blended network is validated like that of a run, so `python -m scripts.export_run` can export the folder OUT.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from drn import weights
from drn.errors import InputError
from drn.model import DRN, SCALES
from drn.training.curve import CURVE
from drn.training.validation import ValidationSets
from drn.upscaler import Upscaler


def blend(run: Path, share: float, out: Path, valid: Sequence[Path], released: Path = weights.BUNDLED) -> Path:
    """Write a weighted mean of a run's weights and the clean weights in ``released``, with a copy of the run's curve.

    Args:
        run: Folder of the run.
        share: Share of the run's weights, above 0 and below 1.
        out: Folder for the new weights and the curve.
        valid: The validation folders.
        released: Folder of the released weights.

    Returns:
        The weights file written.

    Raises:
        InputError: If the share is out of range, ``out`` is the run, weights or validation images are missing, or the
            networks have different configs.
    """
    if out.resolve() == run.resolve():
        raise InputError(f"The new weights would replace those of the run {run}: give another folder.")
    if not 0 < share < 1:
        raise InputError(f"The share is above 0 and below 1, not {share}.")
    scale = next(iter(weights.available_scales(run)), SCALES[0])
    tuned = weights.load(weights.find(scale, run))
    clean = weights.load(weights.find(scale, released))
    if tuned.model.config != clean.model.config:
        raise InputError(f"{tuned.path} and {clean.path} are networks of different shape and cannot be blended.")
    blended = DRN(tuned.model.config)
    original = clean.model.state_dict()
    blended.load_state_dict({key: original[key].lerp(value, share) for key, value in tuned.model.state_dict().items()})
    sets = ValidationSets(tuple(valid), scale, tuned.notes.get("degradation", "none"))
    psnr = sets.mean_psnr(Upscaler(blended))
    notes = {**tuned.notes, "share": str(share), "valid_psnr": f"{psnr:.4f}"}
    path = out / tuned.path.name
    out.mkdir(parents=True, exist_ok=True)
    weights.save(path, blended, notes)
    shutil.copyfile(run / CURVE, out / CURVE)
    return path


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    share: Annotated[float, typer.Option(help="Share of the run's weights, above 0 and below 1.")],
    out: Annotated[Path, typer.Option(help="Folder for the new weights.")],
    valid: Annotated[list[Path], typer.Option(help="Folder of validation images; repeat it for several.")],
) -> None:
    """Blend the weights of a run with the released weights of the same scale."""
    try:
        typer.echo(f"{blend(run, share, out, valid)} is written.")
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    typer.run(main)
