from __future__ import annotations

import numpy as np
import pytest

from drn.resize import STRIP, downscale, upscale
from tests.helpers.data import FIXTURES

MATLAB = np.load(FIXTURES / "resize.npz")
"""Results of an independent imresize, made by fixtures/make_resize.py."""


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matches_matlab_everywhere_borders_included(scale: int) -> None:
    down, up = downscale(MATLAB["image"], scale), upscale(MATLAB["image"], scale)
    for ours, theirs in ((down, MATLAB[f"down{scale}"]), (up, MATLAB[f"up{scale}"])):
        difference = np.abs(ours.astype(int) - theirs)
        # Float32 may round an exact half in the other direction.
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.005


def test_halving_a_step_gives_the_hand_worked_values() -> None:
    # a = -0.5 kernel stretched by 2, sampled at +-0.5, 1.5, 2.5, 3.5 source pixels from the centre:
    # 0.43359375, 0.11328125, -0.03515625, -0.01171875 of the sum each side.
    step = np.repeat(np.array([[0] * 8 + [200] * 8], np.uint8), 8, axis=0)
    # Centres lie at 6.5 and 8.5: pixels 8, 9, 10 are 1.5, 2.5, 3.5 right of the first.
    low = 200 * (0.11328125 - 0.03515625 - 0.01171875)
    row = downscale(step, 2)[1]
    assert row[3] == round(low)
    assert row[4] == round(200 - low)
    assert list(row[:2]) == [0, 0]
    assert list(row[6:]) == [200, 200]


def test_strips_leave_no_seam(rng: np.random.Generator) -> None:
    tall = rng.integers(0, 256, (STRIP + 40, 6), np.uint8)
    near = upscale(tall[STRIP - 20 : STRIP + 20], 2)
    assert np.array_equal(upscale(tall, 2)[2 * STRIP - 20 : 2 * STRIP + 20], near[20:60])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7, 3), (5, 1, 3), (3, 2, 4)])
def test_tiny_images_work(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    enlarged = upscale(image, 4)
    assert enlarged.shape == (shape[0] * 4, shape[1] * 4, *shape[2:])
    assert np.array_equal(downscale(enlarged, 4), image)


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="7x4 image does not divide by 2"):
        downscale(np.zeros((4, 7), np.uint8), 2)
