"""Muon (Keller Jordan, 2024): momentum, made orthogonal; matrices of one shape are stepped as one batch.

``torch.optim.Muon`` (torch 2.9) makes the same updates one matrix at a time, which is slower where there are many small
ones.
"""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz step (kellerjordan.github.io/posts/muon)."""
STEPS = 5


def orthogonalise(batch: Tensor) -> Tensor:
    """Bring the singular values of each matrix near 1, by Newton-Schulz steps in bfloat16.

    Those above a 500th of the matrix's Frobenius norm end between 0.6 and 1.3; smaller ones stay smaller.

    Args:
        batch: (N, rows, columns), float.

    Returns:
        The same shape, in bfloat16.
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
    """Muon over matrices, with Nesterov momentum and decoupled weight decay.

    Args:
        matrices: Parameters (rows, columns).
        learning_rate: Matched to Adam's by the size of the updates: each is scaled by
            0.2 sqrt(max(rows, columns)) (Moonshot, arXiv 2502.16982, 2.2).
        weight_decay: Each step takes away rate times this.
        momentum: Decay of the gradients' moving average.
    """

    def __init__(
        self, matrices: list[nn.Parameter], learning_rate: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # nobody here has a closure
        """One step of every matrix; each must have a gradient."""
        for group in self.param_groups:
            momentum, matrices = group["momentum"], group["params"]
            gradients = [matrix.grad for matrix in matrices]
            for matrix in matrices:
                if not self.state[matrix]:
                    self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
            averages = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
            torch._foreach_lerp_(averages, gradients, 1 - momentum)
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for matrix, update in zip(matrices, torch._foreach_lerp(gradients, averages, momentum), strict=True):
                alike[matrix.shape].append((matrix, update))
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            for shape, pairs in alike.items():
                same, updates = zip(*pairs, strict=True)
                size = 0.2 * math.sqrt(max(shape)) * group["lr"]
                torch._foreach_add_(same, orthogonalise(torch.stack(updates)).float().unbind(), alpha=-size)
