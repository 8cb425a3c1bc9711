"""Fixtures shared by the tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from drn import weights
from drn.image import Array
from drn.model import DRN, DRNConfig

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def photo(rng: np.random.Generator) -> Array:
    """uint8 (60, 84, 3): smooth colour, edges and a little noise."""
    y, x = np.mgrid[0:60, 0:84]
    planes = [128 + 90 * np.sin(x / (5 + c) + y / 9) + 30 * ((x // 12 + y // 10) % 2) for c in range(3)]
    return np.clip(np.stack(planes, 2) + rng.normal(0, 4, (60, 84, 3)), 0, 255).astype(np.uint8)


def small_model(scale: int = 2, **changes: bool | int) -> DRN:
    torch.manual_seed(scale)
    values: dict[str, bool | int] = {"n_feats": 16, "n_distill": 4, "n_blocks": 2, "n_groups": 2, **changes}
    return DRN(DRNConfig.from_dict({"scale": scale, **values})).eval()


def benchmark_folder(name: str) -> Path:
    """Folder of a benchmark's HR images; skips the test where it is absent, as it is not ours to ship."""
    folder = DATA / "test" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here ({folder}): it may not be shipped with the project")
    return folder


def rewritten(path: Path, **changes: object) -> None:
    """Write weights whose config was changed after the fact, so that it no longer fits them."""
    weights.save(path, small_model(2))
    config = small_model(2).config.to_dict() | changes
    save_file(load_file(path), path, metadata={"config": json.dumps(config)})
