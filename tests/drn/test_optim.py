"""Muon and Adam: which parameters each of them updates, and by how much."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from drn.training.muon import Muon
from drn.training.optim import Optimizers
from tests.helpers.models import small_model


def test_muon_updates_the_convolutions_of_the_body() -> None:
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
            # All singular values of Muon's update of a (rows, columns) matrix are near
            # learning_rate * 0.2 sqrt(max(rows, columns)). After the Newton-Schulz iterations they are 0.5 to 1.3 times
            # this value.
            matrix = moved.permute(0, 2, 3, 1).reshape(moved.shape[0], -1)
            values = torch.linalg.svdvals(matrix) / (0.1 * 0.5 * 0.2 * max(matrix.shape) ** 0.5)
            assert 0.3 < float(values.median()) < 1.4, name
        assert parameter.grad is None, name


def test_weight_decay_shrinks_muon_s_weights_and_no_others() -> None:
    moved: list[dict[str, torch.Tensor]] = []
    for weight_decay in (0.0, 0.5):
        model = small_model(2).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        optimizers = Optimizers(model, 0.1, 0.0, weight_decay)
        model(torch.full((1, 3, 8, 8), 0.25)).mean().backward()
        optimizers.step(0.2)
        moved.append({name: parameter.detach() - before[name] for name, parameter in model.named_parameters()})
    for name, start in before.items():
        by_muon = not (name.startswith(("head", "tail")) or name.endswith("bias"))
        expected = -0.1 * 0.2 * 0.5 * start if by_muon else torch.zeros_like(start)
        assert torch.allclose(moved[1][name] - moved[0][name], expected, atol=1e-6), name


@pytest.mark.parametrize(
    ("muon_layers", "by_adam"),
    [("body", {"head.weight", "tail.weight"}), ("all", set()), ("none", None)],
)
def test_adam_updates_the_weights_that_muon_does_not(muon_layers: str, by_adam: set[str] | None) -> None:
    model = small_model(2).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizers = Optimizers(model, 0.0, 0.1, 0.0, muon_layers)
    model(torch.rand(1, 3, 8, 8)).mean().backward()
    optimizers.step(1.0)
    moved = {name for name, parameter in model.named_parameters() if (parameter != before[name]).any()}
    weights = {name for name in before if name.endswith("weight")}
    assert moved & weights == (weights if by_adam is None else by_adam)


def test_an_unknown_choice_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="must be body or all or none, not 'head'"):
        Optimizers(small_model(2), 0.1, 0.1, 0.0, "head")


def test_the_updates_equal_those_of_torch_s_muon(rng: np.random.Generator) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim.Muon came with torch 2.9")
    shapes = [(12, 40), (40, 12), (12, 40), (16, 16), (40, 12), (12, 40)]
    start = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    ours, theirs = ([nn.Parameter(torch.tensor(matrix)) for matrix in start] for _ in range(2))
    optimizers = (
        Muon(ours, learning_rate=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for matrix, other in zip(ours, theirs, strict=True):
            matrix.grad = torch.tensor(rng.standard_normal(matrix.shape).astype(np.float32))
            other.grad = matrix.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for matrix, other, first in zip(ours, theirs, start, strict=True):
        size = 0.02 * 0.2 * max(matrix.shape) ** 0.5
        assert (matrix - other).detach().norm() < 0.02 * size  # both compute in bfloat16
        assert (matrix - torch.tensor(first)).detach().norm() > size
