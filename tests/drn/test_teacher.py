"""Distillation: the target that a teacher gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drn import weights
from drn.errors import InputError
from drn.training.checkpoint import resume_configs
from drn.training.config import TrainConfig
from drn.training.loop import train
from drn.training.loss import psnr_loss
from drn.training.teacher import TEACHER, Teacher
from drn.upscaler import Upscaler
from tests.helpers.models import SMALL, small_model
from tests.helpers.training import taught_by

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def test_the_target_mixes_the_ground_truth_and_the_teacher_s_output(tmp_path: Path) -> None:
    path = tmp_path / "drn_x2.safetensors"
    weights.save(path, small_model(), {})
    lr, hr = torch.rand(2, 3, 5, 7), torch.rand(2, 3, 10, 14)
    full, partial = (Teacher(path, 2, share, 1, CPU) for share in (1.0, 0.25))
    for iteration in range(8):
        output = full.target(lr, hr, iteration)
        torch.testing.assert_close(partial.target(lr, hr, iteration), 0.75 * hr + 0.25 * output)


def test_the_teacher_s_mean_output_is_that_of_its_self_ensemble(tmp_path: Path) -> None:
    path = tmp_path / "drn_x2.safetensors"
    weights.save(path, small_model(), {})
    lr, hr = torch.rand(1, 3, 6, 9), torch.zeros(1, 3, 12, 18)
    teacher = Teacher(path, 2, 1.0, 0, CPU)
    targets = [teacher.target(lr, hr, iteration) for iteration in range(64)]
    assert not any(target.requires_grad for target in targets)
    different: list[Tensor] = []
    for target in targets:
        if not any(torch.equal(target, other) for other in different):
            different.append(target)
    assert len(different) == 8
    plus = Upscaler(small_model(), "cpu", "fp32").upscale_tensor(lr, self_ensemble=True)
    torch.testing.assert_close(torch.stack(different).mean(0), plus, rtol=0, atol=1e-5)


def test_the_loss_gets_the_teacher_s_target(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def recorded(sr: Tensor, hr: Tensor) -> Tensor:
        seen.append((sr.detach(), hr))
        return psnr_loss(sr, hr)

    monkeypatch.setattr("drn.training.run.psnr_loss", recorded)
    teacher = small_model()
    # The last convolution is 0, so that the output is the same in every orientation: the nearest-neighbour enlargement
    # of the input, plus 0.2 in the blue channel.
    with torch.no_grad():
        teacher.tail.weight.zero_()
        teacher.tail.bias.copy_(torch.tensor([0.0, 0.0, 0.2]).repeat_interleave(4))  # type: ignore[union-attr]
    config = replace(config, iterations=1, dtype="fp32")
    train(SMALL, config)
    train(SMALL, taught_by(teacher, replace(config, out=config.out.with_name("taught"), teacher_share=0.75)))
    (before, truth), (after, target) = seen
    assert torch.equal(before, after)
    output = (target - 0.25 * truth) / 0.75
    blocks = output.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert float((blocks.amax(4) - blocks.amin(4)).max()) < 1e-5
    shrunk = F.interpolate(truth, scale_factor=0.5, mode="area")
    offset = (blocks.mean(4) - shrunk).mean((0, 2, 3))
    torch.testing.assert_close(offset, torch.tensor([0.0, 0.0, 0.2]), rtol=0, atol=0.01)


def test_a_run_is_resumed_with_its_copy_of_the_teacher(config: TrainConfig) -> None:
    config = taught_by(small_model(), replace(config, iterations=2))
    train(SMALL, config)
    assert config.teacher is not None
    original = config.teacher.read_bytes()
    config.teacher.unlink()
    assert (config.out / TEACHER).read_bytes() == original
    assert train(*resume_configs(config.out, iterations=3), resume=True).iteration == 3
    (config.out / TEACHER).unlink()
    with pytest.raises(InputError, match=r"There is no weights file or folder .*teacher\.safetensors"):
        train(*resume_configs(config.out, iterations=4), resume=True)


def test_a_teacher_of_another_scale_is_refused(config: TrainConfig) -> None:
    path = config.out.with_name("drn_x3.safetensors")
    weights.save(path, small_model(3), {})
    with pytest.raises(InputError, match="is for x3, not for x2"):
        train(SMALL, replace(config, teacher=path))
    with pytest.raises(InputError, match=r"no weights for x2 in .* \(available: x3\)"):
        train(SMALL, replace(config, teacher=path.parent))
