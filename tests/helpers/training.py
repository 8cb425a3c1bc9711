"""Short training runs for tests."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from drn import weights
from drn.model import DRN
from drn.training.config import TrainConfig
from drn.training.curve import CURVE


def taught_by(model: DRN, config: TrainConfig) -> TrainConfig:
    """Return ``config`` with ``model`` as its teacher, whose weights are saved beside the run."""
    path = config.out.with_name(f"drn_x{model.scale}.safetensors")
    weights.save(path, model, {})
    return replace(config, teacher=path)


def rows(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's curve as text, by column."""
    with (run / CURVE).open(newline="") as file:
        return list(csv.DictReader(file))
