"""The training loop: learning, export of the best weights, and refused settings."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from drn import weights
from drn.errors import InputError
from drn.model import DRN, drn
from drn.training.checkpoint import CHECKPOINT, resume_configs
from drn.training.config import TrainConfig, learning_rate_factor
from drn.training.loop import train
from drn.training.loss import psnr_loss
from drn.training.optim import Optimizers
from drn.training.patches import PatchSampler
from drn.training.run import init_from
from drn.training.validation import ValidationSets
from tests.helpers.models import SMALL, small_model
from tests.helpers.training import rows, taught_by

pytestmark = pytest.mark.slow


def test_training_reduces_the_loss_and_exports_the_best_weights(config: TrainConfig) -> None:
    state = train(SMALL, replace(config, iterations=60, valid_every=20, ema_decay=0.9))
    curve = rows(config.out)
    assert [int(row["iteration"]) for row in curve] == [20, 40, 60]
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"]) - 0.02
    assert float(curve[-1]["valid_psnr"]) > float(curve[0]["valid_psnr"]) + 1
    best = weights.load(config.out / "drn_x2.safetensors", 2)
    assert best.notes["valid_psnr"] == f"{state.best_psnr:.4f}"
    assert any((config.out / "tensorboard").iterdir())


def test_the_moving_average_of_the_weights_follows_its_formula(config: TrainConfig) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(Optimizers):
        def step(self, factor: float) -> None:
            super().step(factor)
            seen.append({name: parameter.detach().clone() for name, parameter in self.model.named_parameters()})

        def __init__(self, model: DRN, *settings: Any) -> None:
            super().__init__(model, *settings)
            self.model = model
            seen.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.training.run.Optimizers", Watched)
        train(SMALL, replace(config, iterations=3, valid_every=3, ema_decay=0.15))
    stored = load_file(config.out / CHECKPOINT)
    for name in seen[0]:
        average = seen[0][name]
        for step, weights_then in enumerate(seen[1:], 1):
            decay = min(0.15, step / (step + 10))  # 1/11, then ``ema_decay``
            average = decay * average + (1 - decay) * weights_then[name]
        assert torch.allclose(stored[f"ema/{name}"], average, atol=1e-6), name


def test_the_best_on_validation_is_exported_not_the_last(config: TrainConfig) -> None:
    psnrs = iter([30.0, 32.0, 31.0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ValidationSets, "measure", lambda *_: {"valid": next(psnrs)})
        state = train(SMALL, replace(config, iterations=9, valid_every=3))
    assert state.best_psnr == 32.0
    assert weights.load(config.out / "drn_x2.safetensors").notes["iteration"] == "6"


def test_a_large_gradient_is_scaled_down_to_the_maximal_norm(config: TrainConfig) -> None:
    norms: list[float] = []

    class Watched(Optimizers):
        def step(self, factor: float) -> None:
            gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
            super().step(factor)

        def __init__(self, model: DRN, *settings: Any) -> None:
            super().__init__(model, *settings)
            self.model = model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.training.run.Optimizers", Watched)
        patch.setattr("drn.training.run.psnr_loss", lambda sr, hr: 1e6 * psnr_loss(sr, hr))
        train(SMALL, replace(config, iterations=2, max_norm=0.5))
    assert norms == pytest.approx([0.5, 0.5], rel=1e-3)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_a_batch_that_does_not_fit_in_memory_gets_one_sentence(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("drn.training.run.psnr_loss", Mock(side_effect=error))
    with pytest.raises(InputError, match="A batch does not fit in the memory of cpu: start with a lower --batch-size"):
        train(SMALL, config)


def test_a_network_too_large_to_be_loaded_is_not_trained(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_PARAMETERS", 1000)
    with pytest.raises(InputError, match="A network may have 1,000 parameters"):
        train(SMALL, config)


def test_two_processes_train_one_network(config: TrainConfig) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "drn"]
    command += ["train", "--out", str(config.out), "--data", str(config.data[0]), "--valid", str(config.valid[0])]
    command += ["--iterations", "1", "--patch-size", "12", "--batch-size", "2", "--dtype", "fp32"]
    command += ["--n-feats", "8", "--n-groups", "1", "--n-blocks", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("best validation PSNR") == 1
    assert [int(row["iteration"]) for row in rows(config.out)] == [1]

    # Make the same step in one process, on the patches of both processes.
    shape = replace(drn(2).config, n_feats=8, n_groups=1, n_blocks=1)
    torch.manual_seed(0)
    model = DRN(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = [PatchSampler(list(config.data), 2, seed).batch(0, 2, 12) for seed in (0, 1)]
    lr, hr = (torch.cat(parts) for parts in zip(*batches, strict=True))
    psnr_loss(model(lr), hr).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    Optimizers(model, 2.5e-3, 1e-3, 0.1).step(1 / 100)
    stored = load_file(config.out / CHECKPOINT)
    for name, tensor in model.groups.state_dict().items():
        if tensor.ndim == 4:
            torch.testing.assert_close(stored[f"model/groups.{name}"], tensor, rtol=0, atol=5e-7)


def test_init_from_another_scale_copies_all_but_the_last_convolution(tmp_path: Path) -> None:
    source, target = small_model(2), DRN(replace(SMALL, scale=3))
    weights.save(tmp_path / "a.safetensors", source)
    copied = init_from(target, tmp_path / "a.safetensors")
    assert copied == len(source.state_dict()) - 2
    assert torch.equal(target.head.weight, source.head.weight)
    leaky = DRN(replace(SMALL, activation="leaky_relu"))
    assert init_from(leaky, tmp_path / "a.safetensors") == len(source.state_dict())
    other = DRN(replace(SMALL, n_feats=8))
    with pytest.raises(InputError, match="another width or depth"):
        init_from(other, tmp_path / "a.safetensors")


def test_the_learning_rate_rises_then_falls_to_zero(config: TrainConfig) -> None:
    config = replace(config, iterations=100, warmup=10)
    assert learning_rate_factor(config, 0, 0) == pytest.approx(0.1, rel=0.01)
    assert learning_rate_factor(config, 50, 0) == pytest.approx(0.5)
    assert learning_rate_factor(config, 100, 0) == 0
    timed = replace(config, iterations=0, max_hours=2)
    assert learning_rate_factor(timed, 999, 3600) == pytest.approx(0.5)
    assert learning_rate_factor(timed, 999, 7200) == 0
    held = replace(config, hold=0.6)
    assert learning_rate_factor(held, 60, 0) == 1
    assert learning_rate_factor(held, 80, 0) == pytest.approx(0.5)
    assert learning_rate_factor(held, 100, 0) == 0
    both = replace(held, max_hours=2)  # the rate follows the budget that is nearer to its end
    assert learning_rate_factor(both, 60, 1.6 * 3600) == pytest.approx(0.5)
    assert learning_rate_factor(both, 80, 0.1 * 3600) == pytest.approx(0.5)


def test_the_time_budget_ends_the_run(config: TrainConfig) -> None:
    state = train(SMALL, replace(config, iterations=0, max_hours=1 / 3600))
    assert state.iteration > 0
    assert 1 <= state.seconds < 20
    assert [int(row["iteration"]) for row in rows(config.out)][-1] == state.iteration


def test_a_diverging_run_keeps_its_last_checkpoint(config: TrainConfig) -> None:
    calls = 0

    def diverging(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return psnr_loss(sr, hr) * (float("inf") if calls == 6 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drn.training.run.psnr_loss", diverging)
        with pytest.raises(InputError, match=r"diverged by iteration 6, .* lower --learning-rate"):
            train(SMALL, config)
    assert all(tensor.isfinite().all() for tensor in load_file(config.out / CHECKPOINT).values())
    assert train(*resume_configs(config.out), resume=True).iteration == 8


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"learning_rate": -1.0}, r"--learning-rate must be at least 0, not -1\.0\."),
        ({"weight_decay": float("nan")}, "--weight-decay must be at least 0, not nan"),
        ({"max_hours": float("nan")}, "--max-hours must be at least 0, not nan"),
        ({"max_hours": float("inf")}, "--max-hours must be at least 0, not inf"),
        ({"iterations": -1}, "--iterations must be at least 0, not -1"),
        ({"seed": -1}, "--seed must be at least 0 and below 9,223,372,036,854,775,808, not -1"),
        ({"seed": 2**63}, "--seed must be at least 0 and below 9,223,372,036,854,775,808"),
        ({"ema_decay": 1.0}, r"--ema-decay must be at least 0 and below 1, not 1\.0"),
        ({"teacher_share": 0.0}, r"--teacher-share must be above 0 and at most 1, not 0\.0"),
        ({"teacher_share": 1.5}, r"--teacher-share must be above 0 and at most 1, not 1\.5"),
        ({"patch_size": 0}, "--patch-size must be at least 1, not 0"),
        ({"hold": 1.0}, "--hold must be at least 0 and below 1"),
        ({"max_norm": 0.0}, "--max-norm must be above 0"),
        ({"muon_layers": "head"}, "--muon-layers must be body or all or none, not head"),
        ({"shrink": (0.5, 1.0)}, r"--shrink must be above 0 and below 1, not 0\.5 1\.0"),
    ],
)
def test_settings_outside_their_limits_are_refused(config: TrainConfig, setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        replace(config, **setting)


@pytest.mark.parametrize("has_teacher", [False, True])
def test_a_compiled_network_trains_as_the_plain_one(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, has_teacher: bool
) -> None:
    config = taught_by(small_model(), config) if has_teacher else config
    train(SMALL, config)
    # This backend traces the network and runs it without a compiler.
    compiling = Mock(wraps=functools.partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(torch, "compile", compiling)
    other = replace(config, out=config.out.with_name("compiled"))
    train(SMALL, replace(other, compile=True))
    assert compiling.call_count == 1 + has_teacher
    plain, compiled = (load_file(run.out / CHECKPOINT) for run in (config, other))
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=0, atol=5e-4)  # Muon rounds to bfloat16


@pytest.mark.parametrize("interval", [1, 20])
def test_a_row_of_the_curve_holds_the_mean_loss_since_the_row_before(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, interval: int
) -> None:
    losses: list[float] = []

    def recorded(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        loss = psnr_loss(sr, hr)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr("drn.training.run.psnr_loss", recorded)
    monkeypatch.setattr("drn.training.run.observation_interval", lambda device: interval)
    train(SMALL, replace(config, iterations=9, valid_every=3))
    means = [sum(losses[i : i + 3]) / 3 for i in (0, 3, 6)]
    assert [float(row["loss"]) for row in rows(config.out)] == pytest.approx(means, abs=1e-6)
    assert len({round(mean, 4) for mean in means}) == 3


def test_images_that_do_not_fit_in_memory(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drn.training.run.PatchSampler", Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(InputError, match="The training images do not fit in the memory of cpu: give fewer"):
        train(SMALL, config)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_cuda_trains_as_the_cpu_does(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    config = taught_by(small_model(), replace(config, iterations=45, valid_every=30, dtype="fp32"))
    try:
        train(SMALL, replace(config, out=config.out / "cuda", compile=compiled))
        AcceleratorState._reset_state(reset_partial_state=True)
        monkeypatch.setattr("drn.training.run.choose_device", lambda _: torch.device("cpu"))
        train(SMALL, replace(config, out=config.out / "cpu"))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    cuda, cpu = rows(config.out / "cuda"), rows(config.out / "cpu")
    assert [row["iteration"] for row in cuda] == [row["iteration"] for row in cpu] == ["30", "45"]
    for on_cuda, on_cpu in zip(cuda, cpu, strict=True):
        assert float(on_cuda["loss"]) == pytest.approx(float(on_cpu["loss"]), abs=0.002)
        assert float(on_cuda["valid_psnr"]) == pytest.approx(float(on_cpu["valid_psnr"]), abs=0.1)


def test_a_network_that_cannot_be_compiled_gets_one_sentence(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Mock(side_effect=RuntimeError("no compiler\nmore of it"))
    monkeypatch.setattr(torch, "compile", Mock(return_value=failing))
    with pytest.raises(InputError, match=r"cannot be compiled on cpu \(no compiler\): leave out --compile"):
        train(SMALL, replace(config, compile=True))


def test_a_missing_budget_or_an_unusable_folder_gets_one_sentence(config: TrainConfig) -> None:
    with pytest.raises(InputError, match="The training has no end"):
        replace(config, iterations=0)
    with pytest.raises(InputError, match="no checkpoint"):
        resume_configs(config.out)
    config.out.mkdir()
    (config.out / CHECKPOINT).write_bytes(b"junk")
    with pytest.raises(InputError, match="already holds a run"):
        train(SMALL, config)
    with pytest.raises(InputError, match="not a complete checkpoint"):
        resume_configs(config.out)
    assert not list(config.out.glob(".*"))


def test_a_checkpoint_of_another_version_gets_one_sentence(config: TrainConfig) -> None:
    config.out.mkdir()
    model, settings, state = SMALL.to_dict(), config.to_dict(), {"iteration": 1}
    unknown: list[dict[str, Any]] = [
        {"train": {}, "model": {}},
        {"model": model, "train": settings | {"loss": "L1"}, "progress": state},
        {"model": model | {"depth": 3}, "train": settings, "progress": state},
    ]
    for metadata in unknown:
        weights.save_tensors(config.out / CHECKPOINT, {"a": torch.zeros(1)}, {"progress": json.dumps(metadata)})
        with pytest.raises(InputError, match="was written by another version"):
            resume_configs(config.out)
    tensors = {"model/head.weight": torch.zeros(1), "of/later": torch.zeros(1)}
    for known_or_not in (state, {"epochs": 3}):
        metadata = {"model": model, "train": settings, "progress": known_or_not}
        weights.save_tensors(config.out / CHECKPOINT, tensors, {"progress": json.dumps(metadata)})
        with pytest.raises(InputError, match="was written by another version"):
            train(*resume_configs(config.out), resume=True)
