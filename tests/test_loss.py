"""The training loss, against numbers worked by hand and against the metric's own luma."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drn.loss import y_weighted_l1
from drn.metrics import rgb_to_y


def test_green_counts_by_its_share_of_luma() -> None:
    hr = torch.zeros(1, 3, 4, 4)
    sr = hr.clone()
    sr[:, 1] = 0.1
    # luma: 0.1 * 128.553 / 219 = 0.058700; RGB: a tenth of 0.1 / 3
    assert y_weighted_l1(sr, hr).item() == pytest.approx(0.058700 + 0.003333, abs=2e-6)


def test_colour_alone_still_counts() -> None:
    """An error that leaves luma as it is must not be free: it would let the colours drift."""
    hr = torch.full((1, 3, 4, 4), 0.5)
    sr = hr.clone()
    sr[:, 0] += 0.1
    sr[:, 1] -= 0.1 * 65.481 / 128.553
    assert y_weighted_l1(sr, hr).item() == pytest.approx(0.1 * (0.1 + 0.050937) / 3, abs=2e-6)


def test_luma_is_the_metric_s(rng: np.random.Generator) -> None:
    sr, hr = (rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2))
    luma = np.abs(rgb_to_y(sr) - rgb_to_y(hr)).mean() / 219
    rgb = np.abs(sr.astype(float) - hr).mean() / 255
    tensors = [torch.from_numpy(x).permute(2, 0, 1)[None] / 255 for x in (sr, hr)]
    assert y_weighted_l1(*tensors).item() == pytest.approx(luma + 0.1 * rgb, abs=1e-3)
