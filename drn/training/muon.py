"""The Muon optimizer (Keller Jordan, 2024): momentum whose matrices are orthogonalised before each step.

``torch.optim.Muon`` (torch 2.9 and later) makes the same updates, one matrix at a time. This implementation updates all
matrices of the same shape as one batch, which is faster for many small matrices.
"""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic Newton-Schulz iteration, from https://kellerjordan.github.io/posts/muon."""

STEPS = 5
"""Newton-Schulz iterations in each optimizer step."""


def orthogonalise(batch: Tensor) -> Tensor:
    """Bring the singular values of each matrix close to 1 by Newton-Schulz iterations in bfloat16.

    The iteration is ``X <- a X + b (X X^T) X + c (X X^T)^2 X`` (Keller Jordan, "Muon", 2024). Singular values above
    1/500 of the matrix's Frobenius norm end between 0.6 and 1.3; smaller singular values stay below 0.6.

    Args:
        batch: float, (N, rows, columns).

    Returns:
        bfloat16, (N, rows, columns).
    """
    tall = batch.shape[1] > batch.shape[2]
    x = (batch.mT if tall else batch).bfloat16()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay.

    Args:
        matrices: Parameters of two dimensions, (rows, columns).
        learning_rate: Learning rate. An update is scaled by 0.2 sqrt(max(rows, columns)), so that it has the size of
            Adam's updates at the same learning rate (Liu et al., arXiv 2502.16982, section 2.2).
        weight_decay: Each step multiplies the matrices by 1 - learning_rate * weight_decay.
        momentum: Decay of the moving average of the gradients.
    """

    def __init__(
        self, matrices: list[nn.Parameter], learning_rate: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # without the closure that torch's optimizers accept
        """Update every matrix. Each must have a gradient."""
        for group in self.param_groups:
            momentum, matrices = group["momentum"], group["params"]
            gradients = [matrix.grad for matrix in matrices]
            for matrix in matrices:
                if not self.state[matrix]:
                    self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
            averages = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
            torch._foreach_lerp_(averages, gradients, 1 - momentum)
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for matrix, update in zip(matrices, torch._foreach_lerp(gradients, averages, momentum), strict=True):
                by_shape[matrix.shape].append((matrix, update))
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            for shape, pairs in by_shape.items():
                same_shape, updates = zip(*pairs, strict=True)
                size = 0.2 * math.sqrt(max(shape)) * group["lr"]
                torch._foreach_add_(same_shape, orthogonalise(torch.stack(updates)).float().unbind(), alpha=-size)
