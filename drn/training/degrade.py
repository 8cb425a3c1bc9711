"""Degrade the LR patches of a training batch.

On the CPU, each patch goes through the real JPEG encoder. On a GPU, that would take longer than the training step, so
the whole batch is degraded in PyTorch (see ``drn.training.jpeg_codec``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drn.degrade import Degradation, draw_degradation
from drn.training.jpeg_codec import recode

DRAW_STREAM = 2
"""Third part of the random seed of a patch's degradation. It makes the random numbers differ from those of patches."""

BLUR_RADIUS = 3
"""Radius of the blur kernel in pixels: at least 3 sigma of the blurs that training draws."""


def degrade_batch(lr: Tensor, seed: int, iteration: int) -> Tensor:
    """Degrade each LR patch of a training batch. The result depends only on the patch, the device and the arguments.

    Args:
        lr: float32, (B, 3, H, W), whole 8-bit levels divided by 255.
        seed: Random seed of the run.
        iteration: Number of the iteration.

    Returns:
        float32, (B, 3, H, W) in [0, 1], channels_last, on the device of ``lr``.
    """
    drawn = [draw_degradation(np.random.default_rng([seed, iteration, DRAW_STREAM, index])) for index in range(len(lr))]
    if lr.is_cuda:
        return degrade_on_device(lr, drawn)
    patches = np.rint(lr.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    degraded = np.stack([degradation.apply(patch) for degradation, patch in zip(drawn, patches, strict=True)])
    return torch.from_numpy(degraded.astype(np.float32) / 255).permute(0, 3, 1, 2)


def degrade_on_device(lr: Tensor, degradations: Sequence[Degradation]) -> Tensor:
    """Degrade each patch of a batch in PyTorch, like ``Degradation.apply`` up to rounding and the noise drawn.

    Args:
        lr: float32, (B, 3, H, W), whole 8-bit levels divided by 255.
        degradations: One for each patch.

    Returns:
        float32, (B, 3, H, W), whole 8-bit levels divided by 255, channels_last, on the device of ``lr``.
    """
    levels = lr.contiguous() * 255
    blurs = torch.tensor([degradation.blur for degradation in degradations])
    if blurs.any():
        levels = _blur(levels, blurs.to(lr.device))
    noises = torch.tensor([degradation.noise for degradation in degradations])
    if noises.any():
        generator = torch.Generator(lr.device).manual_seed(degradations[0].noise_seed)
        noise = torch.randn(levels.shape, generator=generator, device=lr.device)
        levels = levels + noises.to(lr.device).view(-1, 1, 1, 1) * noise
    levels = levels.round().clamp(0, 255)
    for turn in range(max(len(degradation.jpegs) for degradation in degradations)):
        coded = [index for index, degradation in enumerate(degradations) if len(degradation.jpegs) > turn]
        levels[coded] = recode(levels[coded], [degradations[index].jpegs[turn] for index in coded])
    return (levels / 255).contiguous(memory_format=torch.channels_last)


def _blur(levels: Tensor, sigmas: Tensor) -> Tensor:
    """Blur each patch (B, 3, H, W) by a Gaussian; a sigma (B,) of 0 leaves the patch unchanged."""
    distances = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=levels.device)
    kernels = torch.exp(-((distances / sigmas.clamp_min(1e-3)[:, None]) ** 2) / 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    count, channels, height, width = levels.shape
    rows, columns = _mirrored(height).to(levels.device), _mirrored(width).to(levels.device)
    padded = levels[:, :, rows[:, None], columns].flatten(0, 1)[None]
    weights = kernels.repeat_interleave(channels, 0)[:, None]
    blurred = F.conv2d(padded, weights[..., None], groups=count * channels)
    return F.conv2d(blurred, weights[..., None, :], groups=count * channels).view(count, channels, height, width)


def _mirrored(length: int) -> Tensor:
    """Return the indices of the pixels of a row or column, with ``BLUR_RADIUS`` mirrored pixels on each side."""
    places = torch.arange(-BLUR_RADIUS, length + BLUR_RADIUS)
    return torch.where(places < 0, -1 - places, torch.where(places < length, places, 2 * length - 1 - places))
