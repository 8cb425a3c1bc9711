"""Small networks for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from drn import weights
from drn.commands.networks import Networks
from drn.model import DRN, DRNConfig
from drn.upscaler import Upscaler
from drn.weights import Weights


def small_model(scale: int = 2, **changes: bool | int | str) -> DRN:
    """Build a small network with fixed random weights; ``changes`` are fields of ``DRNConfig``."""
    torch.manual_seed(scale)
    values: dict[str, bool | int | str] = {"n_feats": 16, "n_distill": 4, "n_blocks": 2, "n_groups": 2, **changes}
    return DRN(DRNConfig.from_dict({"scale": scale, **values})).eval()


def rewritten(path: Path, **changes: object) -> None:
    """Write weights with changes of the config that do not fit the tensors."""
    weights.save(path, small_model(2))
    config = small_model(2).config.to_dict() | changes
    save_file(load_file(path), path, metadata={"config": json.dumps(config)})


def one_network(upscaler: Upscaler, sha256: str = "") -> Networks:
    """Return ``upscaler`` as the only network of ``drn upscale``."""
    part = Weights(small_model(), Path(), "", sha256, {})
    return Networks(lambda variant: part, lambda model: upscaler, "clean")


def folder_with_photo_weights(folder: Path) -> Path:
    """Write clean and photo weights for x2, which give different images, and clean weights for x3."""
    folder.mkdir()
    for scale in (2, 3):
        weights.save(folder / weights.filename(scale), small_model(scale))
    weights.save(folder / weights.filename(2, "photo"), small_model(2, n_feats=24), {"degradation": "photo"})
    return folder


SMALL = small_model(2).config
