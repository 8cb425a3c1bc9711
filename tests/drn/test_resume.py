"""Runs that are cut, and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from drn.errors import InputError
from drn.model import drn
from drn.training.checkpoint import read_progress
from drn.training.config import TrainConfig
from drn.training.loop import CHECKPOINT, CURVE, resume_configs, train
from drn.training.loss import psnr_loss
from drn.weights import save_tensors
from tests.helpers.models import SMALL, small_model
from tests.helpers.training import rows, taught_by


@pytest.mark.parametrize(("look_every", "noticed"), [(1, 3), (5, 5)])
def test_resume_is_exact(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_every: int, noticed: int
) -> None:
    monkeypatch.setattr("drn.training.loop._look_every", lambda device: look_every)
    config = replace(config, shrink=(0.75,), degrade="photo", valid_every=7)
    config = taught_by(small_model(), config)
    train(SMALL, config)
    straight = load_file(config.out / CHECKPOINT)

    cut = replace(config, out=tmp_path / "cut")
    # SIGTERM arrives during iteration 3, as a handler would see it.
    calls = 0

    def interrupting(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return psnr_loss(sr, hr)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.training.loop.psnr_loss", interrupting)
        assert train(SMALL, cut).iteration == noticed
    model_config, resumed = resume_configs(cut.out)
    assert (model_config, resumed) == (SMALL, cut)
    assert train(model_config, resumed, resume=True).iteration == 8

    again = load_file(cut.out / CHECKPOINT)
    assert again.keys() == straight.keys()
    for name, tensor in straight.items():
        assert torch.equal(again[name], tensor), name
    keys = ("iteration", "learning_rate", "loss", "valid_psnr")
    assert [[row[k] for k in keys] for row in rows(cut.out)] == [[row[k] for k in keys] for row in rows(config.out)]


def test_a_checkpoint_from_before_a_setting_existed_goes_on_with_its_default(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=2))
    checkpoint = config.out / CHECKPOINT
    stored = read_progress(checkpoint)
    for setting in ("degrade", "hold", "muon_drives", "shrink", "teacher", "teacher_share"):
        del stored["train"][setting]
    save_tensors(checkpoint, load_file(checkpoint), {"progress": json.dumps(stored)})
    assert train(*resume_configs(config.out, iterations=3), resume=True).iteration == 3


def test_rows_beyond_the_checkpoint_are_measured_again(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=4, valid_every=2))
    with (config.out / CURVE).open("a") as file:
        file.write("6,0.1,0.001,0.5,99\n")
    train(*resume_configs(config.out, iterations=6), resume=True)
    assert [int(row["iteration"]) for row in rows(config.out)] == [2, 4, 6]
    assert float(rows(config.out)[-1]["valid_psnr"]) < 99


def test_a_resumed_run_loses_no_point_of_its_curves(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=4, valid_every=2))
    time.sleep(1.1)  # TensorBoard reads its files in the order of their names, which tell the second
    train(*resume_configs(config.out, iterations=6), resume=True)
    events = EventAccumulator(str(config.out / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("valid_psnr")] == [2, 4, 6]


def test_a_run_is_resumed_from_another_folder(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.valid[0].parent)
    train(SMALL, replace(config, data=(Path("data"),), valid=(Path("valid"),), iterations=1))
    monkeypatch.chdir("/")
    assert train(*resume_configs(config.out, iterations=2), resume=True).iteration == 2


def test_what_is_left_of_a_run_is_not_written_over(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=1))
    (config.out / CHECKPOINT).unlink()
    before = (config.out / CURVE).read_bytes()
    with pytest.raises(InputError, match="holds what is left of an earlier run: choose another folder"):
        train(SMALL, config)
    assert (config.out / CURVE).read_bytes() == before
    (config.out / CURVE).unlink()
    with pytest.raises(InputError, match="holds what is left of an earlier run"):
        train(SMALL, config)


def test_a_new_budget_replaces_the_old_one(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=0, max_hours=1e-6, valid_every=1))
    assert train(*resume_configs(config.out, iterations=5), resume=True).iteration == 5


def test_sigterm_saves_and_exits_with_0(config: TrainConfig) -> None:
    command = [sys.executable, "-m", "drn", "train", "--out", str(config.out), "--valid", str(config.valid[0])]
    command += ["--data", str(config.data[0]), "--iterations", "100000", "--patch-size", "12", "--batch-size", "2"]
    command += ["--n-feats", "8", "--n-groups", "1", "--valid-every", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (config.out / CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    model_config, stored = resume_configs(config.out, iterations=100_001)
    assert model_config == replace(drn(2).config, n_feats=8, n_groups=1)
    assert (stored.iterations, stored.batch_size) == (100_001, 2)
    assert "best validation PSNR" in out
