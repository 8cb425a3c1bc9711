"""The settings of a training run, their limits, and the learning rate schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from drn.errors import InputError
from drn.training.optim import MUON_LAYERS

DEGRADATIONS = ("none", "photo")

RENAMED = {"muon_drives": "muon_layers"}
"""Name of a setting in the checkpoints of earlier versions -> its present name."""


@dataclass(frozen=True)
class Setting:
    """The meaning and the limits of a field of ``TrainConfig``. Each field becomes an option of the command line.

    Attributes:
        help: One sentence for the command line's help.
        at_least: Lowest number allowed.
        above: Number that the value must exceed.
        below: Number that the value must stay below.
        at_most: Highest number allowed.
        choices: The texts allowed; empty if the setting has no such list.
        needs: Name of another setting; without it, this setting has no effect.
        on_resume: Whether the setting may be changed when a run is resumed.
    """

    help: str
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    needs: str = ""
    on_resume: bool = False

    @property
    def limits(self) -> str:
        """The limits in words, such as ``at least 0 and below 1``; empty if there are none."""
        if self.choices:
            return " or ".join(self.choices)
        limits = {"at least": self.at_least, "above": self.above, "below": self.below, "at most": self.at_most}
        return " and ".join(f"{word} {number:,}" for word, number in limits.items() if number is not None)

    def allows(self, value: Any) -> bool:
        """Return whether ``value``, or each element of a tuple, is within the limits."""
        if isinstance(value, tuple):
            return all(self.allows(element) for element in value)
        if self.choices:
            return value in self.choices
        if not self.limits:
            return True
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run, except for the shape of the network.

    Raises:
        InputError: If a setting is outside its limits, there is no budget, or two validation folders have the same
            name.
    """

    out: Annotated[Path, Setting("Folder of the run: checkpoint, best weights, curve.csv, TensorBoard files.")]
    data: Annotated[tuple[Path, ...], Setting("Folders of HR training images, searched to any depth.", on_resume=True)]
    valid: Annotated[
        tuple[Path, ...],
        Setting(
            "Folders of HR images for validation. The best weights have the highest mean of the folders' PSNR.",
            on_resume=True,
        ),
    ]
    iterations: Annotated[
        int, Setting("Length of the schedule in iterations; 0 for no limit.", at_least=0, on_resume=True)
    ] = 0
    max_hours: Annotated[
        float, Setting("Length of the schedule in hours of training; 0 for no limit.", at_least=0, on_resume=True)
    ] = 0.0
    degrade: Annotated[
        str, Setting("Degradation of the LR images; photo is for photographs stored as JPEG.", choices=DEGRADATIONS)
    ] = "none"
    shrink: Annotated[
        tuple[float, ...],
        Setting("Additional sizes of the training images, relative to their own, such as 0.6.", above=0, below=1),
    ] = ()
    init: Annotated[Path | None, Setting("Weights file to start from. It may be for another scale.")] = None
    revive: Annotated[
        bool, Setting("Reinitialize the hidden units of the --init weights that never fire.", needs="init")
    ] = True
    teacher: Annotated[
        Path | None, Setting("Weights file, or folder of them, of the same scale to learn from (distillation).")
    ] = None
    teacher_share: Annotated[
        float, Setting("Share of the teacher's output in the target.", above=0, at_most=1, needs="teacher")
    ] = 0.7
    batch_size: Annotated[int, Setting("Patches in a batch, on each process.", at_least=1)] = 8
    patch_size: Annotated[int, Setting("Side of a patch in LR pixels.", at_least=1)] = 48
    learning_rate: Annotated[float, Setting("Peak learning rate of Muon.", at_least=0)] = 2.5e-3
    adam_learning_rate: Annotated[float, Setting("Peak learning rate of Adam.", at_least=0)] = 1e-3
    weight_decay: Annotated[float, Setting("Weight decay of the weights that Muon optimizes.", at_least=0)] = 0.1
    muon_layers: Annotated[
        str,
        Setting(
            "Convolutions that Muon optimizes; body means all between the first and the last. Adam optimizes the rest.",
            choices=MUON_LAYERS,
        ),
    ] = "body"
    warmup: Annotated[int, Setting("Iterations over which the learning rates rise from 0.", at_least=0)] = 100
    hold: Annotated[
        float,
        Setting("Share of the budget after which the learning rates begin to fall.", at_least=0, below=1),
    ] = 0.0
    max_norm: Annotated[
        float, Setting("Largest norm of the gradient; larger gradients are scaled down to it.", above=0)
    ] = 1.0
    ema_decay: Annotated[
        float,
        Setting("Decay of the moving average of the weights, which is validated and exported.", at_least=0, below=1),
    ] = 0.999
    valid_every: Annotated[int, Setting("Iterations between validations.", at_least=1)] = 500
    seed: Annotated[int, Setting("Random seed of the initial weights and the patches.", at_least=0, below=2**63)] = 0
    dtype: Annotated[
        str, Setting("fp32, bf16, or auto: bf16 where the device has units for it. fp16 is trained as fp32.")
    ] = "auto"
    compile: Annotated[
        bool, Setting("Compile the network: a slow first iteration, then faster ones.", on_resume=True)
    ] = False

    def __post_init__(self) -> None:
        """Check every setting."""
        for name, (_, setting) in settings().items():
            value = getattr(self, name)
            if not setting.allows(value):
                shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
                raise InputError(f"{option_name(name)} must be {setting.limits}, not {shown}.")
        names = [folder.resolve().name for folder in self.valid]
        if len(set(names)) < len(names):
            raise InputError(
                "Two validation folders have the same name, so the curve could not distinguish them: rename one."
            )
        if not self.iterations and not self.max_hours:
            raise InputError("The training has no end: give --iterations, --max-hours, or both.")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values, with absolute paths, because a run may be resumed from another folder."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(element) for element in value]
            return str(value.resolve()) if isinstance(value, Path) else value

        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Build the settings from the dict that ``to_dict`` of this or an earlier version returned.

        Raises:
            InputError: If a setting is outside its limits.
            KeyError: If ``data`` or ``valid`` is missing.
            TypeError: If a setting is unknown, or another required setting is missing.
        """
        valid = values["valid"]  # a single path in the checkpoints of earlier versions
        optional = {name: Path(values[name]) for name in ("init", "teacher") if values.get(name)}
        parsed = {
            "out": Path(values["out"]),
            "data": tuple(Path(folder) for folder in values["data"]),
            "valid": tuple(Path(folder) for folder in ([valid] if isinstance(valid, str) else valid)),
            "shrink": tuple(values.get("shrink", ())),
            **optional,
        }
        return cls(**({RENAMED.get(name, name): value for name, value in values.items()} | parsed))


def settings() -> dict[str, tuple[Any, Setting]]:
    """Return the type and the description of each field of ``TrainConfig``, by name."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    return {name: (get_args(hint)[0], get_args(hint)[1]) for name, hint in hints.items()}


def option_name(setting: str) -> str:
    """Return the command line option of a setting: ``--batch-size`` for ``batch_size``."""
    return f"--{setting.replace('_', '-')}"


def learning_rate_factor(config: TrainConfig, iteration: int, seconds: float) -> float:
    """Return the learning rate as a share of its peak: linear warm-up, constant for ``hold``, then a cosine to 0.

    Args:
        config: The settings of the run.
        iteration: Number of finished iterations.
        seconds: Training time so far, in seconds. If both budgets are given, the schedule follows the budget of which
            the larger share is used up.

    Returns:
        A factor from 0 to 1.
    """
    used = iteration / config.iterations if config.iterations else 0.0
    if config.max_hours:
        used = max(used, seconds / 3600 / config.max_hours)
    warmup = min(1.0, (iteration + 1) / config.warmup) if config.warmup else 1.0
    falling = max(0.0, min(1.0, used) - config.hold) / (1 - config.hold)
    return warmup * 0.5 * (1 + math.cos(math.pi * falling))
