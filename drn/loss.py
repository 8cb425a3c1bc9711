"""What training minimizes."""

from __future__ import annotations

import torch
from torch import Tensor

from drn.metrics import LUMA

RGB_SHARE = 0.1


def y_weighted_l1(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 of the luma, which PSNR is measured on, plus ``RGB_SHARE`` times L1 of RGB, which holds the colours.

    Args:
        sr: float, (B, 3, H, W), RGB in [0, 1].
        hr: The ground truth, of the same shape.

    Returns:
        A scalar. Luma counts in [0, 1] too: the weights of R, G and B sum to 1.
    """
    error = sr - hr
    weights = torch.tensor(LUMA, dtype=error.dtype, device=error.device).view(1, 3, 1, 1) / sum(LUMA)
    return (error * weights).sum(1).abs().mean() + RGB_SHARE * error.abs().mean()
