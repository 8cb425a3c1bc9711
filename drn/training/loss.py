"""The training loss."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from drn.metrics import LUMA

FLOOR = 1e-4
"""Constant added to the mean squared error of a patch.

It halves the weight of a patch with a PSNR of 41 dB. Patches with a much lower PSNR keep nearly their full weight.
"""

PSNR_SHARE, RGB_SHARE = 0.02, 0.1
"""Weights of the two terms. For patches of 20 to 45 dB, the first gradient is 0.4 to 2 times the second."""


def psnr_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the loss ``mean(0.02 ln(MSE_Y + 1e-4)) + 0.1 L1``.

    The first term is the negative PSNR of the luma Y, averaged over the patches and scaled: PSNR is -10 log10(MSE) for
    values in [0, 1]. The logarithm gives every patch the same weight, whereas a plain squared error is dominated by
    the patches with most texture. The second term is the mean absolute error of RGB. It keeps the colours right,
    because the first term depends on Y alone.

    Args:
        sr: float, (B, 3, H, W), RGB in [0, 1].
        hr: The target, same shape and range.

    Returns:
        A scalar, usually negative. Y is in [0, 1] too: the weights of R, G and B add up to 1.
    """
    error = sr - hr
    y_squared = (error * _luma(error.device)).sum(1).square().mean((1, 2))
    return PSNR_SHARE * (y_squared + FLOOR).log().mean() + RGB_SHARE * error.abs().mean()


@functools.cache
def _luma(device: torch.device) -> Tensor:
    """Return the weights of R, G and B in Y, (3, 1, 1); cached, because the CPU waits for each copy to a GPU."""
    return torch.tensor(LUMA, device=device).view(3, 1, 1) / sum(LUMA)
