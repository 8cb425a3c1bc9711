"""Self-distillation: a part of the target is the averaged network's own output.

What no network can know of the truth is noise to the gradient, and more of it the larger the scale. The average of the
weights sees each patch in one of its 8 views at random, so that what it adds is, in the mean, DRN+ (``self_ensemble``):
better than the network, and with hardly any of the noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from drn.views import VIEWS


def soften(
    hr: Tensor, lr: Tensor, average: Callable[[Tensor], Tensor], share: float, seed: int, iteration: int
) -> Tensor:
    """The truth, moved by ``share`` towards what the averaged network makes of a batch.

    Args:
        hr: float32, (B, 3, H*scale, W*scale).
        lr: float32, (B, 3, H, W), RGB in [0, 1].
        average: The network with the averaged weights.
        share: Of the target, 0 to 1.
        seed: First part of the random seed of the view.
        iteration: The second: the same number gives the same view.

    Returns:
        The target, float32, of the shape of ``hr``.
    """
    view = VIEWS[np.random.default_rng([seed, iteration, len(VIEWS)]).integers(len(VIEWS))]
    with torch.no_grad():
        return torch.lerp(hr, view.undo(average(view.of(lr)).float()), share)
