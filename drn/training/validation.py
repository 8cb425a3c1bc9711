"""Validation during training: PSNR of the averaged weights, the curve, TensorBoard, and export of the best weights."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from drn import weights
from drn.degrade import CLEAN, VALIDATION
from drn.evaluation import methods
from drn.evaluation.benchmark import measure_set
from drn.evaluation.pairs import degrade_pairs, read_pairs
from drn.model import DRN
from drn.training.checkpoint import RunState
from drn.training.config import TrainConfig
from drn.training.curve import COLUMNS, CURVE, read_curve, write_curve
from drn.training.revive import count_silent, hidden_units
from drn.upscaler import Upscaler

DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class ValidationSets:
    """The HR images on which the best weights are chosen.

    Args:
        folders: Folders of HR images with different names.
        scale: Upscaling factor.
        degrade: Degradation of the LR images, one of ``drn.training.config.DEGRADATIONS``. With ``photo`` the images of
            a folder get the degradations of ``drn.degrade.VALIDATION`` in this order, repeated.

    Raises:
        InputError: If a folder is missing or empty, or an image is damaged or too small.
    """

    def __init__(self, folders: tuple[Path, ...], scale: int, degrade: str = "none") -> None:
        degradations = VALIDATION if degrade == "photo" else (CLEAN,)
        self.sets = {
            folder.resolve().name: degrade_pairs(read_pairs(folder, scale), degradations) for folder in folders
        }

    def measure(self, upscaler: Upscaler, self_ensemble: bool = False) -> dict[str, float]:
        """Return the mean PSNR of each folder in dB, by the folder's name."""
        method = methods.drn(upscaler, self_ensemble)
        return {name: measure_set(name, pairs, method).psnr for name, pairs in self.sets.items()}

    def mean_psnr(self, upscaler: Upscaler) -> float:
        """Return the mean of the folders' mean PSNR in dB."""
        return mean(self.measure(upscaler).values())


class Validator:
    """Validates the averaged weights of a run, records the results in its folder, and exports the best weights.

    Args:
        config: Settings of the run.
        scale: Upscaling factor.
        dtype: Dtype in which the network runs.
        probe: LR patches on which silent hidden units are counted: (B, 3, P, P).
        iteration: Number of finished iterations. Later rows of an existing curve are dropped, because they will be
            measured again.

    Raises:
        InputError: If the validation images cannot be used.
    """

    def __init__(self, config: TrainConfig, scale: int, dtype: torch.dtype, probe: Tensor, iteration: int) -> None:
        self.config = config
        self.dtype = dtype
        self.probe = probe
        self.sets = ValidationSets(config.valid, scale, config.degrade)
        config.out.mkdir(parents=True, exist_ok=True)
        self.curve = config.out / CURVE
        write_curve(self.curve, [row for row in read_curve(self.curve) if row["iteration"] <= iteration])
        self.writer = SummaryWriter(str(config.out / "tensorboard"), purge_step=iteration + 1)

    def validate(self, ema: DRN, state: RunState, learning_rate: float) -> None:
        """Measure the averaged weights, add a row to the curve, and export them if they are the best so far.

        Args:
            ema: The network with the averaged weights.
            state: State of the run. Its ``best_psnr`` is updated.
            learning_rate: Present learning rate of Muon.
        """
        psnrs = self.sets.measure(Upscaler(ema, str(next(ema.parameters()).device), DTYPE_NAMES[self.dtype]))
        psnr = mean(psnrs.values())
        loss = state.loss_sum / max(1, state.loss_count)
        hours = state.seconds / 3600
        values = (state.iteration, round(hours, 4), round(learning_rate, 7), round(loss, 6), round(psnr, 4))
        row = dict(zip(COLUMNS, values, strict=True))
        if len(psnrs) > 1:
            row |= {f"{COLUMNS[-1]}_{folder}": round(value, 4) for folder, value in psnrs.items()}
        write_curve(self.curve, [*read_curve(self.curve), row])
        self.writer.add_scalar("silent_units", count_silent(hidden_units(ema, self.probe)), state.iteration)
        for column in list(row)[2:]:
            self.writer.add_scalar(column, row[column], state.iteration)
        self.writer.flush()
        tqdm.write(f"iteration {state.iteration}: loss {loss:.5f}, validation PSNR {psnr:.3f} dB")
        if psnr > state.best_psnr:
            state.best_psnr = psnr
            self._export(ema, {"iteration": str(state.iteration), "hours": f"{hours:.3f}", "valid_psnr": f"{psnr:.4f}"})

    def _export(self, ema: DRN, notes: dict[str, str]) -> None:
        if self.config.degrade != "none":
            notes = {**notes, "degradation": self.config.degrade}
        weights.save(self.config.out / weights.filename(ema.scale), ema, notes)

    def close(self) -> None:
        """Close the TensorBoard files."""
        self.writer.close()
