"""Training checkpoints: everything a run needs to go on exactly, in one safetensors file (no pickle)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from drn import weights
from drn.errors import InputError
from drn.training.optim import Optimizers


def save_checkpoint(
    path: Path, model: nn.Module, ema: nn.Module, optimizers: Optimizers, progress: dict[str, Any]
) -> None:
    """Write a run's state, whole or not at all.

    Args:
        progress: Anything JSON holds: configs, iteration, best value.

    Raises:
        OSError: If the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("model", model), ("ema", ema)):
        tensors |= {f"{prefix}/{name}": tensor for name, tensor in module.state_dict().items()}
    for prefix, optimizer in optimizers.named.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{prefix}/{index}/{name}": value for name, value in state.items()}
    weights.save_tensors(path, tensors, {"progress": json.dumps(progress)})


def read_progress(path: Path) -> dict[str, Any]:
    """The ``progress`` of a checkpoint, without its tensors.

    Raises:
        InputError: If the file is missing or is not a checkpoint.
    """
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}: start without --resume.")
    try:
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads((file.metadata() or {})["progress"])
            return progress
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a complete checkpoint of a DRN training.") from error


def other_version(path: Path) -> InputError:
    """What to raise for a checkpoint that is whole, but not of this network or this training code."""
    return InputError(f"{path} was written by another version: start another run, with --init its best weights.")


def restore_checkpoint(path: Path, model: nn.Module, ema: nn.Module, optimizers: Optimizers) -> None:
    """Load a checkpoint's tensors into networks and optimizers made from the same configs.

    Raises:
        InputError: If its tensors are not those of the networks.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "muon": {}, "adam": {}}
    with safe_open(path, framework="pt") as file:
        for key in list(file.keys()):
            prefix, _, name = key.partition("/")
            parts.setdefault(prefix, {})[name] = file.get_tensor(key)
    try:
        model.load_state_dict(parts["model"], strict=True)
        ema.load_state_dict(parts["ema"], strict=True)
    except RuntimeError as error:
        raise other_version(path) from error
    for prefix, optimizer in optimizers.named.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts[prefix].items():
            index, name = key.split("/", 1)
            state.setdefault(int(index), {})[name] = tensor
        groups = optimizer.state_dict()["param_groups"]
        with torch.no_grad():
            optimizer.load_state_dict({"state": state, "param_groups": groups})
