"""Muon and Adam, each on its own part of the network."""

from __future__ import annotations

import torch

from drn.optim import Optimizers
from tests.conftest import small_model


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
