"""Learning from a teacher: part of the target is what given weights make of the patch.

What no network can know of the truth is noise to the gradient; a network's output has none of it. The teacher sees each
patch in one of its 8 views at random, so that what it teaches is, in the mean, its self-ensemble: weights that learn
from themselves learn from their own DRN+.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from drn.views import VIEWS


def soften(
    hr: Tensor, lr: Tensor, teacher: Callable[[Tensor], Tensor], share: float, seed: int, iteration: int
) -> Tensor:
    """The truth, moved by ``share`` towards what the teacher makes of a batch.

    Args:
        hr: float32, (B, 3, H*scale, W*scale).
        lr: float32, (B, 3, H, W), RGB in [0, 1].
        teacher: A network of the same scale.
        share: Of the target, 0 to 1.
        seed: First part of the random seed of the view.
        iteration: The second: the same number gives the same view.

    Returns:
        The target, float32, of the shape of ``hr``.
    """
    view = VIEWS[np.random.default_rng([seed, iteration, len(VIEWS)]).integers(len(VIEWS))]
    with torch.no_grad():
        return torch.lerp(hr, view.undo(teacher(view.of(lr)).float()), share)
