"""Detection and reinitialization of silent hidden units."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from drn import weights
from drn.image import Array
from drn.model import DRN, RDB
from drn.training.config import TrainConfig
from drn.training.loop import train
from drn.training.revive import FIRING_SHARE, count_silent, hidden_units, revive
from tests.helpers.models import SMALL, small_model

pytestmark = pytest.mark.slow

SILENCED = [[0, 3], [], list(range(16)), [7]]
"""Indices of the silent units in each of the four blocks, which have 16 units."""


def silenced(**changes: bool | str) -> DRN:
    """Return a small network in which the units of ``SILENCED`` get an input far below 0 everywhere."""
    model = small_model(2, **{"activation": "relu", **changes})
    blocks = [block for group in model.groups for block in group.blocks]  # type: ignore[union-attr]
    for block, units in zip(blocks, SILENCED, strict=True):
        block.conv1.bias.data[units] = -10
    return model


@pytest.mark.parametrize("use_rdb", [True, False])
def test_silent_units_are_found(use_rdb: bool) -> None:
    observed = hidden_units(silenced(use_rdb=use_rdb), torch.rand(4, 3, 24, 24))
    assert [units.silent.nonzero().flatten().tolist() for units in observed] == SILENCED


def test_revived_units_fire_and_get_a_gradient_and_the_output_stays() -> None:
    model, lr = silenced(), torch.rand(8, 3, 48, 48)
    before = model(lr)
    silent = [units.silent for units in hidden_units(model, lr)]
    kept = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert revive(model, lr) == 19
    torch.testing.assert_close(model(lr), before, rtol=0, atol=1e-6)

    inputs: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, RDB):
            module.conv1.register_forward_hook(lambda _, args, __, name=name: inputs.update({name: args[0]}))
    assert count_silent(hidden_units(model, lr)) == 0
    model(lr).square().mean().backward()
    for (name, x), units in zip(inputs.items(), silent, strict=True):
        block = model.get_submodule(name)
        assert isinstance(block, RDB)
        assert torch.equal(block.conv1.weight[~units], kept[f"{name}.conv1.weight"][~units])
        if units.any():
            fires = (block.conv1(x) > 0).float().mean((0, 2, 3))[units]
            assert fires.tolist() == pytest.approx([FIRING_SHARE] * int(units.sum()), abs=0.04)
            assert block.conv2.weight.grad is not None
            assert (block.conv2.weight.grad[:, units].abs().sum((0, 2, 3)) > 0).all()


def test_elu_is_never_silent() -> None:
    model = silenced(activation="elu")
    before = [parameter.clone() for parameter in model.parameters()]
    assert revive(model, torch.rand(1, 3, 24, 24)) == 0
    assert all(torch.equal(new, old) for new, old in zip(model.parameters(), before, strict=True))


def test_training_from_weights_revives_their_silent_units(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "silent.safetensors"
    weights.save(path, silenced(), {})
    train(replace(SMALL, activation="relu"), replace(config, iterations=4, init=path))
    trained = weights.load(config.out / weights.filename(2)).model
    lr = F.interpolate(torch.rand(4, 3, 6, 6), scale_factor=4.0, mode="bicubic").clamp(0, 1)
    assert count_silent(hidden_units(trained, lr)) < 5
    events = EventAccumulator(str(config.out / "tensorboard"))
    events.Reload()
    assert all(event.value < 5 for event in events.Scalars("silent_units"))

    train(replace(SMALL, activation="relu"), replace(config, out=tmp_path / "kept", init=path, revive=False))
    kept = weights.load(tmp_path / "kept" / weights.filename(2)).model
    assert count_silent(hidden_units(kept, lr)) == count_silent(hidden_units(silenced(), lr)) > 5


def test_the_script_prints_the_count_of_each_block(tmp_path: Path, photo: Array) -> None:
    weights.save(tmp_path / weights.filename(2), silenced(), {})
    (tmp_path / "data").mkdir()
    Image.fromarray(np.tile(photo, (2, 2, 1))).save(tmp_path / "data" / "a.png")
    command = [sys.executable, "-m", "scripts.silent_units", "--weights", str(tmp_path), "--data"]
    done = subprocess.run([*command, str(tmp_path / "data")], capture_output=True, text=True)
    assert "| x2, of 16 |" in done.stdout, done.stderr
    counts = [int(cell) for cell in done.stdout.splitlines()[-1].split("|")[2:-1]]
    assert counts[2] == 16
    for count, units in zip(counts, SILENCED, strict=True):  # units with random weights may be silent by chance
        assert len(units) <= count <= len(units) + 3
    failed = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.stderr
