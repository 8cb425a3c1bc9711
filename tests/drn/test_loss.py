"""The training loss, compared with values computed by hand and with the PSNR metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drn.metrics import psnr
from drn.training.loss import psnr_loss


def test_an_error_in_green_counts_by_its_weight_in_luma() -> None:
    hr = torch.zeros(1, 3, 4, 4)
    sr = hr.clone()
    sr[:, 1] = 0.1
    # Luma: ln((0.1 * 128.553 / 219)^2 + 0.0001) = ln(0.0035457) = -5.64202. RGB: 0.1 * 0.1 / 3 = 0.003333.
    assert psnr_loss(sr, hr).item() == pytest.approx(0.02 * -5.64202 + 0.003333, abs=2e-6)


def test_an_error_of_colour_alone_counts() -> None:
    """An error that does not change the luma has a loss too. Otherwise the colours would change during training."""
    hr = torch.full((1, 3, 4, 4), 0.5)
    sr = hr.clone()
    sr[:, 0] += 0.1
    sr[:, 1] -= 0.1 * 65.481 / 128.553
    assert psnr_loss(sr, hr).item() == pytest.approx(0.02 * -9.21034 + 0.1 * (0.1 + 0.050937) / 3, abs=2e-6)


def test_a_gain_in_the_mean_psnr_of_the_patches_reduces_the_loss_in_proportion(rng: np.random.Generator) -> None:
    hr = rng.integers(60, 190, (2, 32, 32, 3))
    patches = {}
    for name, errors in {"before": (40, 30), "after": (40, 20)}.items():
        noise = np.stack([rng.normal(0, error, (32, 32, 1)) for error in errors])
        patches[name] = np.clip(hr + noise, 0, 255).round()  # equal in R, G and B, so that L1 of RGB is L1 of luma
    truth = torch.from_numpy(hr).permute(0, 3, 1, 2) / 255
    loss, reported, colours = {}, {}, {}
    for name, sr in patches.items():
        loss[name] = psnr_loss(torch.from_numpy(sr).permute(0, 3, 1, 2) / 255, truth).item()
        reported[name] = np.mean([psnr(a.astype(np.uint8), b.astype(np.uint8), 0) for a, b in zip(sr, hr, strict=True)])
        colours[name] = np.abs(sr - hr).mean() / 255
    gain = reported["after"] - reported["before"]
    assert gain > 1.5
    expected = -0.02 * np.log(10) / 10 * gain + 0.1 * (colours["after"] - colours["before"])
    assert loss["after"] - loss["before"] == pytest.approx(expected, rel=0.02)
