"""Runs that are stopped and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from drn.commands.main import app
from drn.errors import InputError
from drn.model import drn
from drn.training.checkpoint import CHECKPOINT, resume_configs
from drn.training.config import TrainConfig
from drn.training.curve import CURVE
from drn.training.loop import train
from drn.training.loss import psnr_loss
from drn.weights import save as save_weights
from drn.weights import save_tensors
from tests.helpers.models import SMALL, small_model
from tests.helpers.training import rows, taught_by

pytestmark = pytest.mark.slow


on_cuda = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
    ],
)


@pytest.fixture
def fresh_accelerator() -> Iterator[None]:
    """Let accelerate choose its device again, before and after a test."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerator")
@pytest.mark.parametrize("device", ["cpu", on_cuda])
@pytest.mark.parametrize(("interval", "noticed"), [(1, 3), (5, 5)])
def test_resume_is_exact(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: int, noticed: int, device: str
) -> None:
    monkeypatch.setattr("drn.training.run.choose_device", lambda _: torch.device(device))
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr("drn.training.run.observation_interval", lambda device: interval)
    config = replace(config, shrink=(0.75,), degrade="photo", valid_every=7)
    config = taught_by(small_model(), config)
    train(SMALL, config)
    uninterrupted = load_file(config.out / CHECKPOINT)

    stopped = replace(config, out=tmp_path / "stopped")
    # SIGTERM arrives during iteration 3.
    calls = 0

    def interrupting(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return psnr_loss(sr, hr)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.training.run.psnr_loss", interrupting)
        assert train(SMALL, stopped).iteration == noticed
    model_config, resumed = resume_configs(stopped.out)
    assert (model_config, resumed) == (SMALL, stopped)
    assert train(model_config, resumed, resume=True).iteration == 8

    resumed_tensors = load_file(stopped.out / CHECKPOINT)
    assert resumed_tensors.keys() == uninterrupted.keys()
    for name, tensor in uninterrupted.items():
        assert torch.equal(resumed_tensors[name], tensor), name
    keys = ("iteration", "learning_rate", "loss", "valid_psnr")
    assert [[row[k] for k in keys] for row in rows(stopped.out)] == [[row[k] for k in keys] for row in rows(config.out)]


def test_a_checkpoint_of_an_earlier_version_is_resumed(config: TrainConfig) -> None:
    """Settings that the checkpoint lacks get their defaults; settings with an earlier name or form are accepted."""
    config = replace(config, iterations=2, muon_layers="none")
    train(SMALL, config)
    checkpoint = config.out / CHECKPOINT
    with safe_open(checkpoint, framework="pt") as file:
        metadata = json.loads(file.metadata()["progress"])
    for setting in ("compile", "degrade", "hold", "init", "revive", "shrink", "teacher", "teacher_share"):
        del metadata["train"][setting]
    metadata["train"]["muon_drives"] = metadata["train"].pop("muon_layers")
    (metadata["train"]["valid"],) = metadata["train"]["valid"]
    save_tensors(checkpoint, load_file(checkpoint), {"progress": json.dumps(metadata)})
    assert resume_configs(config.out) == (SMALL, config)
    assert train(*resume_configs(config.out, iterations=3), resume=True).iteration == 3


def test_a_resumed_run_knows_its_init_and_whether_it_was_compiled(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "init.safetensors"
    save_weights(path, small_model(), {})
    config = replace(config, iterations=1, init=path, revive=False)
    train(SMALL, config)
    path.unlink()  # the checkpoint is complete without it
    assert resume_configs(config.out) == (SMALL, config)
    assert resume_configs(config.out, compile=True)[1] == replace(config, compile=True)
    assert train(*resume_configs(config.out, iterations=2), resume=True).iteration == 2


def test_rows_after_the_checkpoint_are_measured_again(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=4, valid_every=2))
    with (config.out / CURVE).open("a") as file:
        file.write("6,0.1,0.001,0.5,99\n")
    train(*resume_configs(config.out, iterations=6), resume=True)
    assert [int(row["iteration"]) for row in rows(config.out)] == [2, 4, 6]
    assert float(rows(config.out)[-1]["valid_psnr"]) < 99


def test_a_resumed_run_keeps_its_tensorboard_curves(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=4, valid_every=2))
    time.sleep(1.1)  # TensorBoard sorts its files by name, and the name contains the time in whole seconds
    train(*resume_configs(config.out, iterations=6), resume=True)
    events = EventAccumulator(str(config.out / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("valid_psnr")] == [2, 4, 6]


def test_a_run_is_resumed_from_another_folder(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.valid[0].parent)
    train(SMALL, replace(config, data=(Path("data"),), valid=(Path("valid"),), iterations=1))
    monkeypatch.chdir("/")
    assert train(*resume_configs(config.out, iterations=2), resume=True).iteration == 2


def test_files_of_an_earlier_run_are_not_overwritten(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=1))
    (config.out / CHECKPOINT).unlink()
    before = (config.out / CURVE).read_bytes()
    with pytest.raises(InputError, match="holds files of an earlier run: choose another folder"):
        train(SMALL, config)
    assert (config.out / CURVE).read_bytes() == before
    (config.out / CURVE).unlink()
    with pytest.raises(InputError, match="holds files of an earlier run"):
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


def test_a_moved_data_set_can_be_given_again(config: TrainConfig, tmp_path: Path) -> None:
    train(SMALL, replace(config, iterations=4, out=tmp_path / "whole"))
    moved = replace(config, iterations=4, out=tmp_path / "moved")
    train(SMALL, replace(moved, iterations=2))
    data, valid = tmp_path / "elsewhere", tmp_path / "other" / config.valid[0].name
    shutil.copytree(config.data[0], data)
    shutil.copytree(config.valid[0], valid)
    model_config, resumed = resume_configs(moved.out, data=(data,), valid=(valid,), iterations=4)
    assert train(model_config, resumed, resume=True).iteration == 4
    with (data / "a.png").open("ab") as file:
        file.write(b"longer")
    for changes in ({"data": (data,)}, {"valid": (data,)}):
        with pytest.raises(InputError, match=r"^The images in --data or --valid are not those of the run in"):
            train(*resume_configs(moved.out, iterations=6, **changes), resume=True)


def test_the_command_takes_a_moved_data_set(config: TrainConfig, tmp_path: Path) -> None:
    train(SMALL, replace(config, iterations=2))
    (tmp_path / "empty").mkdir()
    words = ["train", "--out", str(config.out), "--resume", "--data", str(tmp_path / "empty")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert "holds no images" in str(result.exception)
