"""What fixes a training run: its data, budget, batches, rates and their schedule."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drn.errors import InputError

DEGRADATIONS = ("none", "photo")


@dataclass(frozen=True)
class TrainConfig:
    """What fixes a training run, beside the network.

    Attributes:
        out: Folder of the run: checkpoint, best weights, curve, TensorBoard files.
        data: Folders of HR training images.
        valid: Folders of HR images that choose the best weights, by the mean of the folders' mean PSNR.
        degrade: Degradation of the LR images in training and validation: ``none``, or ``photo`` for weights that
            enlarge photographs stored as JPEG (``drn.degrade``).
        shrink: Shares of their size at which training images are drawn from too (``PatchSampler``).
        iterations: Length of the schedule; 0 if only ``max_hours`` counts.
        max_hours: Training time after which the schedule ends; 0 if only ``iterations`` counts.
        batch_size: Patches in a batch, on each process.
        patch_size: Patch side in LR pixels.
        learning_rate: Muon's peak rate.
        adam_learning_rate: Adam's peak rate.
        weight_decay: Of Muon's matrices.
        warmup: Iterations over which the rates rise from 0.
        hold: Share of the budget during which the rates stay at their peak, before they begin to fall.
        muon_drives: What Muon drives: ``body``, the convolutions between the first and the last; ``all`` of them;
            or ``none`` (``drn.training.optim.MUON_DRIVES``). Adam drives the rest.
        ema_decay: Decay of the weights' moving average, which is what gets validated and exported.
        teacher: Weights file, or folder of them, whose output is part of the target (``drn.training.teacher``).
        teacher_share: How much of the target, more than 0, at most 1.
        max_norm: Gradient norm above which gradients are scaled down.
        valid_every: Iterations between validations.
        seed: Of the patches and the initial weights.
        dtype: ``auto``, ``fp32``, ``bf16``; half precision without bfloat16 units falls back to float32.
    """

    out: Path
    data: tuple[Path, ...]
    valid: tuple[Path, ...]
    degrade: str = "none"
    shrink: tuple[float, ...] = ()
    iterations: int = 0
    max_hours: float = 0.0
    batch_size: int = 8
    patch_size: int = 48
    learning_rate: float = 2.5e-3
    adam_learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 100
    hold: float = 0.0
    muon_drives: str = "body"
    ema_decay: float = 0.999
    teacher: Path | None = None
    teacher_share: float = 0.7
    max_norm: float = 1.0
    valid_every: int = 500
    seed: int = 0
    dtype: str = "auto"

    def __post_init__(self) -> None:
        names = [folder.resolve().name for folder in self.valid]
        if len(set(names)) < len(names):
            raise InputError("Two validation folders have the same name, which names their curves: rename one of them.")
        if self.degrade not in DEGRADATIONS:
            raise InputError(f"The degradation must be {' or '.join(DEGRADATIONS)}, not {self.degrade!r}.")
        if self.iterations <= 0 and self.max_hours <= 0:
            raise InputError("Give the training an end: --iterations, --max-hours, or both.")
        if min(self.batch_size, self.patch_size, self.valid_every) < 1:
            raise InputError("Batch size, patch size and validation interval must be at least 1.")
        amounts = (self.max_hours, self.learning_rate, self.adam_learning_rate, self.weight_decay, self.seed)
        if not all(math.isfinite(amount) and amount >= 0 for amount in amounts):
            raise InputError("Hours, learning rates, weight decay and seed must be 0 or more.")
        if self.seed >= 2**63:
            raise InputError("The seed must be less than 2^63.")
        if not 0 <= self.ema_decay < 1:
            raise InputError("The decay of the moving average must be at least 0 and less than 1.")
        if not 0 < self.teacher_share <= 1:
            raise InputError("The teacher's share of the target must be more than 0 and at most 1.")
        if not all(0 < share < 1 for share in self.shrink):
            raise InputError("Training images can be shrunk to shares of their size between 0 and 1.")
        if not 0 <= self.hold < 1:
            raise InputError("The share of the budget at the peak rates must be at least 0 and less than 1.")

    def to_dict(self) -> dict[str, Any]:
        # Whole paths: a run may be resumed from another folder.
        data, valid = ([str(folder.resolve()) for folder in folders] for folders in (self.data, self.valid))
        teacher = self.teacher and str(self.teacher.resolve())
        return asdict(self) | {"out": str(self.out), "data": data, "valid": valid, "teacher": teacher}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        valid = values["valid"]  # one folder in the checkpoints of earlier versions
        read = {
            "out": Path(values["out"]),
            "data": tuple(Path(d) for d in values["data"]),
            "valid": tuple(Path(v) for v in ([valid] if isinstance(valid, str) else valid)),
            "shrink": tuple(values.get("shrink", ())),
            "teacher": Path(values["teacher"]) if values.get("teacher") else None,
        }
        return cls(**(values | read))


def rate_factor(config: TrainConfig, iteration: int, seconds: float) -> float:
    """Share of the peak learning rate: linear warm-up, ``hold``, then a cosine to 0 at the end of the budget."""
    done = iteration / config.iterations if config.iterations else 0.0
    if config.max_hours:
        done = max(done, seconds / 3600 / config.max_hours)
    warmup = min(1.0, (iteration + 1) / config.warmup) if config.warmup else 1.0
    falling = max(0.0, min(1.0, done) - config.hold) / (1 - config.hold)
    return warmup * 0.5 * (1 + math.cos(math.pi * falling))
