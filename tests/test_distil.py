"""Self-distillation: what stands in for the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drn import weights
from drn.distil import soften
from drn.inference import Upscaler
from drn.loss import psnr_loss
from drn.model import DRN
from drn.settings import TrainConfig
from drn.train import train
from tests.conftest import SMALL, small_model


def test_the_target_lies_between_the_truth_and_what_the_average_makes() -> None:
    lr, hr = torch.rand(2, 3, 5, 7), torch.rand(2, 3, 10, 14)

    def nearest(x: Tensor) -> Tensor:  # the same in every view
        return F.interpolate(x, scale_factor=2)

    for iteration in range(8):
        target = soften(hr, lr, nearest, 0.25, 1, iteration)
        torch.testing.assert_close(target, 0.75 * hr + 0.25 * nearest(lr))


def test_what_the_average_adds_is_in_the_mean_its_self_ensemble() -> None:
    model = small_model()
    lr, hr = torch.rand(1, 3, 6, 9), torch.zeros(1, 3, 12, 18)
    targets = [soften(hr, lr, model, 1.0, 0, iteration) for iteration in range(64)]
    assert not any(target.requires_grad for target in targets)
    different: list[Tensor] = []
    for target in targets:
        if not any(torch.equal(target, other) for other in different):
            different.append(target)
    assert len(different) == 8
    plus = Upscaler(model, "cpu", "fp32").upscale_tensor(lr, self_ensemble=True)
    torch.testing.assert_close(torch.stack(different).mean(0), plus, rtol=0, atol=1e-5)


def test_training_learns_from_its_average(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[Tensor] = []
    targets: list[Tensor] = []
    averages: list[DRN] = []

    def noting(sr: Tensor, hr: Tensor) -> Tensor:
        learnt.append(hr)
        return psnr_loss(sr, hr)

    def watched(hr: Tensor, lr: Tensor, average: DRN, share: float, seed: int, iteration: int) -> Tensor:
        averages.append(average)
        targets.append(soften(hr, lr, average, share, seed, iteration))
        return targets[-1]

    monkeypatch.setattr("drn.train.psnr_loss", noting)
    monkeypatch.setattr("drn.train.soften", watched)
    config = replace(config, iterations=2, valid_every=2, ema_decay=0.5)
    train(SMALL, config)
    assert not averages
    truth, _ = learnt
    learnt.clear()
    taught = replace(config, out=config.out / "taught", self_distillation=0.5)
    train(SMALL, taught)
    assert learnt[0] is targets[0] and learnt[1] is targets[1]
    assert not torch.equal(targets[0], truth)
    exported = weights.load(taught.out / "drn_x2.safetensors").model.state_dict()
    for name, tensor in averages[0].state_dict().items():
        assert torch.equal(tensor, exported[name]), name
