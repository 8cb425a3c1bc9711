"""What training minimizes."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from drn.metrics import LUMA

FLOOR = 1e-4
"""Added to a patch's squared error, so that patches that are right to 41 dB already count less."""

PSNR_SHARE, RGB_SHARE = 0.02, 0.1
"""Of the two terms. The first's gradient is 0.4 to 2 times that of L1, for patches of 20 to 45 dB."""


def psnr_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Minus the PSNR that is reported, that of the luma, patch by patch; and some L1 of RGB, which holds the colours.

    ``mean(0.02 ln(MSE_Y + 1e-4)) + 0.1 L1``. The logarithm, which PSNR has too, lets every patch count alike; the plain
    squared error leaves most of the say to those with the most texture.

    Args:
        sr: float, (B, 3, H, W), RGB in [0, 1].
        hr: The target, of the same shape.

    Returns:
        A scalar, mostly negative. Luma counts in [0, 1] too: the weights of R, G and B sum to 1.
    """
    error = sr - hr
    y_squared = (error * _luma(error.device)).sum(1).square().mean((1, 2))
    return PSNR_SHARE * (y_squared + FLOOR).log().mean() + RGB_SHARE * error.abs().mean()


@functools.cache
def _luma(device: torch.device) -> Tensor:
    """The weights of R, G and B in Y, (3, 1, 1). Kept, since bringing them to a GPU waits for it."""
    return torch.tensor(LUMA, device=device).view(3, 1, 1) / sum(LUMA)
