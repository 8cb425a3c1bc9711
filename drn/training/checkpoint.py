"""Training checkpoints: everything needed to resume a run exactly, in one safetensors file (no pickle).

The file holds the tensors of the network, of its moving average and of the optimizers. Its metadata field ``progress``
is JSON with the settings of the network (``model``), the settings of the run (``train``), and the run state
(``progress``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from drn import weights
from drn.errors import InputError
from drn.model import DRN, DRNConfig
from drn.training.config import TrainConfig
from drn.training.optim import Optimizers

CHECKPOINT = "checkpoint.safetensors"
"""Name of the file in the folder of a run."""


@dataclass
class RunState:
    """The progress of a training run.

    Attributes:
        iteration: Number of finished iterations.
        seconds: Training time so far, in seconds.
        best_psnr: Best validation PSNR so far, in dB.
        loss_sum: Sum of the losses since the last validation.
        loss_count: Number of losses in ``loss_sum``.
        images: Identifies the training and validation images; empty in the checkpoints of earlier versions.
    """

    iteration: int = 0
    seconds: float = 0.0
    best_psnr: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    images: str = ""


def save_checkpoint(model: DRN, ema: DRN, optimizers: Optimizers, config: TrainConfig, state: RunState) -> None:
    """Write the checkpoint of a run into its folder, atomically.

    Raises:
        OSError: If the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, network in (("model", model), ("ema", ema)):
        tensors |= {f"{prefix}/{name}": tensor for name, tensor in network.state_dict().items()}
    for prefix, optimizer in optimizers.named.items():
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{prefix}/{index}/{name}": value for name, value in values.items()}
    metadata = {"model": model.config.to_dict(), "train": config.to_dict(), "progress": asdict(state)}
    weights.save_tensors(config.out / CHECKPOINT, tensors, {"progress": json.dumps(metadata)})


def restore_checkpoint(run: Path, model: DRN, ema: DRN, optimizers: Optimizers) -> RunState:
    """Load the checkpoint in the folder ``run`` into networks and optimizers that were built from the same settings.

    Raises:
        InputError: If there is no usable checkpoint, or its tensors do not fit.
    """
    state = read_state(run)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "muon": {}, "adam": {}}
    with safe_open(run / CHECKPOINT, framework="pt") as file:
        for key in list(file.keys()):
            prefix, _, name = key.partition("/")
            parts.setdefault(prefix, {})[name] = file.get_tensor(key)
    try:
        model.load_state_dict(parts["model"], strict=True)
        ema.load_state_dict(parts["ema"], strict=True)
    except RuntimeError as error:
        raise _other_version(run) from error
    for prefix, optimizer in optimizers.named.items():
        by_index: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts[prefix].items():
            index, name = key.split("/", 1)
            by_index.setdefault(int(index), {})[name] = tensor
        groups = optimizer.state_dict()["param_groups"]
        with torch.no_grad():
            optimizer.load_state_dict({"state": by_index, "param_groups": groups})
    return state


def read_state(run: Path) -> RunState:
    """Return the progress of the run in the folder ``run``.

    Raises:
        InputError: If there is no usable checkpoint.
    """
    try:
        return RunState(**_read_metadata(run)["progress"])
    except (KeyError, TypeError) as error:
        raise _other_version(run) from error


def resume_configs(run: Path, **changes: Any) -> tuple[DRNConfig, TrainConfig]:
    """Return the settings with which the run in the folder ``run`` is resumed.

    Args:
        run: Folder of the run.
        changes: Settings to change. ``iterations`` or ``max_hours`` replaces the whole budget.

    Raises:
        InputError: If there is no usable checkpoint.
    """
    metadata = _read_metadata(run)
    if {"iterations", "max_hours"} & set(changes):
        changes = {"iterations": 0, "max_hours": 0.0} | changes
    try:
        model_config = DRNConfig.from_dict(metadata["model"])
        return model_config, replace(TrainConfig.from_dict(metadata["train"]), out=run, **changes)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise _other_version(run) from error


def _read_metadata(run: Path) -> dict[str, Any]:
    """Return the JSON in the metadata of a checkpoint, without reading its tensors."""
    path = run / CHECKPOINT
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}: start without --resume.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = json.loads((file.metadata() or {})["progress"])
            return metadata
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a complete checkpoint of a DRN training: choose another run.") from error


def _other_version(run: Path) -> InputError:
    """Return the error for a complete checkpoint of another version of the network or of the training code."""
    remedy = "start another run and give its best weights to --init"
    return InputError(f"{run / CHECKPOINT} was written by another version: {remedy}.")
