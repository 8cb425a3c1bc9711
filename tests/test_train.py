from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from drn import weights
from drn.cli import train_command
from drn.errors import InputError
from drn.evaluate import Row
from drn.image import Array
from drn.loss import psnr_loss
from drn.model import DRN, drn
from drn.optim import Optimizers
from drn.train import CHECKPOINT, CURVE, TrainConfig, init_from, rate_factor, resume_configs, train
from tests.conftest import small_model

SMALL = small_model(2).config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tmp_path: Path, photo: Array) -> TrainConfig:
    for name in ("data", "valid"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo).save(tmp_path / name / "a.png")
    return TrainConfig(
        out=tmp_path / "run",
        data=(tmp_path / "data",),
        valid=tmp_path / "valid",
        iterations=8,
        batch_size=2,
        patch_size=12,
        warmup=2,
        valid_every=4,
        dtype="fp32",
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / CURVE).open(newline="") as file:
        return list(csv.DictReader(file))


def test_resume_is_exact(config: TrainConfig, tmp_path: Path) -> None:
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
        patch.setattr("drn.train.psnr_loss", interrupting)
        assert train(SMALL, cut).iteration == 3
    model_config, resumed = resume_configs(cut.out)
    assert (model_config, resumed) == (SMALL, cut)
    assert train(model_config, resumed, resume=True).iteration == 8

    again = load_file(cut.out / CHECKPOINT)
    assert again.keys() == straight.keys()
    for name, tensor in straight.items():
        assert torch.equal(again[name], tensor), name
    keys = ("iteration", "learning_rate", "loss", "valid_psnr")
    assert [[row[k] for k in keys] for row in rows(cut.out)] == [[row[k] for k in keys] for row in rows(config.out)]


def test_it_learns_and_exports_the_best(config: TrainConfig) -> None:
    progress = train(SMALL, replace(config, iterations=60, valid_every=20, ema_decay=0.9))
    curve = rows(config.out)
    assert [int(row["iteration"]) for row in curve] == [20, 40, 60]
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"]) - 0.02
    assert float(curve[-1]["valid_psnr"]) > float(curve[0]["valid_psnr"]) + 1
    best = weights.load(config.out / "drn_x2.safetensors", 2)
    assert best.notes["valid_psnr"] == f"{progress.best_psnr:.4f}"
    assert any((config.out / "tensorboard").iterdir())


def test_the_exported_average_follows_the_weights_slowly(config: TrainConfig) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(Optimizers):
        def step(self, factor: float) -> None:
            super().step(factor)
            seen.append({name: parameter.detach().clone() for name, parameter in self.model.named_parameters()})

        def __init__(self, model: DRN, *rates: float) -> None:
            super().__init__(model, *rates)
            self.model = model
            seen.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.train.Optimizers", Watched)
        train(SMALL, replace(config, iterations=3, valid_every=3, ema_decay=0.15))
    stored = load_file(config.out / CHECKPOINT)
    for name in seen[0]:
        average = seen[0][name]
        for step, weights_then in enumerate(seen[1:], 1):
            decay = min(0.15, step / (step + 10))  # 1/11, then the decay asked for
            average = decay * average + (1 - decay) * weights_then[name]
        assert torch.allclose(stored[f"ema/{name}"], average, atol=1e-6), name


def test_the_best_on_validation_is_exported_not_the_last(config: TrainConfig) -> None:
    psnrs = iter([30.0, 32.0, 31.0])

    def measured(*_: Any) -> Any:
        return replace(Row("valid", 2, "DRN", 1, 0.0, 0.5, 0.1), psnr=next(psnrs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.train.measure", measured)
        progress = train(SMALL, replace(config, iterations=9, valid_every=3))
    assert progress.best_psnr == 32.0
    assert weights.load(config.out / "drn_x2.safetensors").notes["iteration"] == "6"


def test_a_steep_gradient_is_clipped(config: TrainConfig) -> None:
    norms: list[float] = []

    class Watched(Optimizers):
        def step(self, factor: float) -> None:
            gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
            super().step(factor)

        def __init__(self, model: DRN, *rates: float) -> None:
            super().__init__(model, *rates)
            self.model = model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.train.Optimizers", Watched)
        patch.setattr("drn.train.psnr_loss", lambda sr, hr: 1e6 * psnr_loss(sr, hr))
        train(SMALL, replace(config, iterations=2, max_norm=0.5))
    assert norms == pytest.approx([0.5, 0.5], rel=1e-3)


def test_rows_beyond_the_checkpoint_are_measured_again(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=4, valid_every=2))
    with (config.out / CURVE).open("a") as file:
        file.write("6,0.1,0.001,0.5,99\n")
    train(*resume_configs(config.out, iterations=6), resume=True)
    assert [int(row["iteration"]) for row in rows(config.out)] == [2, 4, 6]
    assert float(rows(config.out)[-1]["valid_psnr"]) < 99


def test_a_new_budget_replaces_the_old_one(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=0, max_hours=1e-6, valid_every=1))
    assert train(*resume_configs(config.out, iterations=5), resume=True).iteration == 5


def test_two_processes_train_one_network(config: TrainConfig) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "drn"]
    command += ["train", "--out", str(config.out), "--data", str(config.data[0]), "--valid", str(config.valid)]
    command += ["--iterations", "4", "--valid-every", "2", "--patch-size", "12", "--batch-size", "2", "--dtype", "fp32"]
    command += ["--n-feats", "8", "--n-groups", "1", "--n-blocks", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("best validation PSNR") == 1
    assert [int(row["iteration"]) for row in rows(config.out)] == [2, 4]


def test_warm_start_of_another_scale_takes_all_but_the_tail(tmp_path: Path) -> None:
    source, target = small_model(2), DRN(replace(SMALL, scale=3))
    weights.save(tmp_path / "a.safetensors", source)
    taken = init_from(target, tmp_path / "a.safetensors")
    assert taken == len(source.state_dict()) - 2
    assert torch.equal(target.head.weight, source.head.weight)
    other = DRN(replace(SMALL, n_feats=8))
    with pytest.raises(InputError, match="other width or depth"):
        init_from(other, tmp_path / "a.safetensors")


def test_muon_moves_the_body_and_adam_the_rest() -> None:
    model = small_model(2).train()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizers = Optimizers(model, learning_rate=0.1, adam_learning_rate=0.0, weight_decay=0.0)
    model(torch.rand(1, 3, 8, 8)).mean().backward()
    optimizers.step(0.5)
    for name, parameter in model.named_parameters():
        moved = parameter.detach() - before[name]
        if name.startswith(("head", "tail")) or name.endswith("bias"):
            assert not moved.any(), name
        else:
            # Muon's update is orthogonal: of a flattened (rows, columns) matrix all singular values are near 1,
            # times rate * 0.2 sqrt(max(rows, columns)); its Newton-Schulz steps leave them within 0.5 to 1.3.
            matrix = moved.permute(0, 2, 3, 1).reshape(moved.shape[0], -1)
            values = torch.linalg.svdvals(matrix) / (0.1 * 0.5 * 0.2 * max(matrix.shape) ** 0.5)
            assert 0.3 < float(values.median()) < 1.4, name
        assert parameter.grad is None, name


def test_weight_decay_takes_its_share_of_muon_s_weights_and_of_no_others() -> None:
    moved: list[dict[str, torch.Tensor]] = []
    for weight_decay in (0.0, 0.5):
        model = small_model(2).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        optimizers = Optimizers(model, 0.1, 0.0, weight_decay)
        model(torch.full((1, 3, 8, 8), 0.25)).mean().backward()
        optimizers.step(0.2)
        moved.append({name: parameter.detach() - before[name] for name, parameter in model.named_parameters()})
    for name, start in before.items():
        driven = not (name.startswith(("head", "tail")) or name.endswith("bias"))
        expected = -0.1 * 0.2 * 0.5 * start if driven else torch.zeros_like(start)
        assert torch.allclose(moved[1][name] - moved[0][name], expected, atol=1e-6), name


def test_rates_rise_then_fall_to_zero(config: TrainConfig) -> None:
    config = replace(config, iterations=100, warmup=10)
    assert rate_factor(config, 0, 0) == pytest.approx(0.1, rel=0.01)
    assert rate_factor(config, 50, 0) == pytest.approx(0.5)
    assert rate_factor(config, 100, 0) == 0
    timed = replace(config, iterations=0, max_hours=2)
    assert rate_factor(timed, 999, 3600) == pytest.approx(0.5)
    assert rate_factor(timed, 999, 7200) == 0


def test_time_budget_ends_the_run(config: TrainConfig) -> None:
    progress = train(SMALL, replace(config, iterations=0, max_hours=1 / 3600))
    assert progress.iteration > 0
    assert 1 <= progress.seconds < 20
    assert [int(row["iteration"]) for row in rows(config.out)][-1] == progress.iteration


def test_a_run_that_diverges_keeps_its_last_checkpoint(config: TrainConfig) -> None:
    calls = 0

    def diverging(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return psnr_loss(sr, hr) * (float("inf") if calls == 6 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.train.psnr_loss", diverging)
        with pytest.raises(InputError, match=r"diverged at iteration 6, .* lower --learning-rate"):
            train(SMALL, config)
    assert all(tensor.isfinite().all() for tensor in load_file(config.out / CHECKPOINT).values())
    assert train(*resume_configs(config.out), resume=True).iteration == 8


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"learning_rate": -1.0}, "must be 0 or more"),
        ({"weight_decay": float("nan")}, "must be 0 or more"),
        ({"max_hours": float("nan")}, "must be 0 or more"),
        ({"seed": -1}, "must be 0 or more"),
        ({"ema_decay": 1.0}, "less than 1"),
        ({"patch_size": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range_get_one_sentence(config: TrainConfig, setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        replace(config, **setting)


def test_without_the_training_packages_one_sentence_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.delitem(sys.modules, "drn.train")
    with pytest.raises(InputError, match=r"Training needs accelerate: .*requirements-dev\.txt"):
        train_command(out=tmp_path)


def test_misuse_gets_one_sentence(config: TrainConfig) -> None:
    with pytest.raises(InputError, match="Give the training an end"):
        replace(config, iterations=0)
    with pytest.raises(InputError, match="no checkpoint"):
        resume_configs(config.out)
    config.out.mkdir()
    (config.out / CHECKPOINT).write_bytes(b"junk")
    with pytest.raises(InputError, match="already holds a run"):
        train(SMALL, config)
    with pytest.raises(InputError, match="not a complete checkpoint"):
        resume_configs(config.out)
    unknown: list[dict[str, Any]] = [
        {"train": {}, "model": {}},
        {"model": SMALL.to_dict(), "train": config.to_dict() | {"loss": "L1"}},
    ]
    for stored in unknown:
        weights.save_tensors(config.out / CHECKPOINT, {"a": torch.zeros(1)}, {"progress": json.dumps(stored)})
        with pytest.raises(InputError, match="was written by another version"):
            resume_configs(config.out)
    assert not list(config.out.glob(".*"))


def test_sigterm_saves_and_exits_with_0(config: TrainConfig) -> None:
    command = [sys.executable, "-m", "drn", "train", "--out", str(config.out), "--valid", str(config.valid)]
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
