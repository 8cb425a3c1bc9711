from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drn.folders import find_images
from drn.image import Array, mod_crop
from drn.metrics import psnr, rgb_to_y, ssim
from drn.reading import read_image
from drn.resize import downscale, upscale
from tests.helpers.data import benchmark_folder


def noisy(image: Array, rng: np.random.Generator) -> Array:
    return np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8)


def test_luma_of_known_colours() -> None:
    # rgb2ycbcr(uint8) of MATLAB for white, black, red, green, blue and a medium colour.
    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [120, 60, 200]]], np.uint8)
    assert rgb_to_y(colours).tolist() == [[235, 16, 81, 145, 41, 97]]


def test_luma_agrees_with_skimage(photo: Array) -> None:
    assert np.array_equal(rgb_to_y(photo), np.rint(rgb2ycbcr(photo)[..., 0]))


def test_psnr_of_a_hand_worked_error() -> None:
    hr = np.full((20, 20), 100, np.uint8)
    sr = hr.copy()
    sr[4:16, 4:16] = 105  # inside a border of 4, every pixel is off by 5
    assert psnr(sr, hr, 4) == pytest.approx(10 * math.log10(255**2 / 25))
    assert psnr(hr, hr, 4) == math.inf


@pytest.mark.parametrize("crop_border", [0, 3])
def test_both_agree_with_skimage(photo: Array, rng: np.random.Generator, crop_border: int) -> None:
    sr = noisy(photo, rng)
    inner = np.s_[crop_border : 60 - crop_border, crop_border : 84 - crop_border]
    a, b = np.rint(rgb2ycbcr(sr)[..., 0])[inner], np.rint(rgb2ycbcr(photo)[..., 0])[inner]
    assert psnr(sr, photo, crop_border) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), abs=1e-6)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    _, full = structural_similarity(b, a, full=True, **options)
    assert ssim(sr, photo, crop_border) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-4)


def test_rgb_and_grey_images_can_be_measured_without_luma(photo: Array, rng: np.random.Generator) -> None:
    sr = noisy(photo, rng)
    expected = peak_signal_noise_ratio(photo, sr, data_range=255)
    assert psnr(sr, photo, 0, y_channel=False) == pytest.approx(expected, abs=1e-6)
    grey = peak_signal_noise_ratio(photo[..., 0], sr[..., 0], data_range=255)
    assert psnr(sr[..., 0], photo[..., 0], 0) == pytest.approx(grey, abs=1e-6)
    channels = [ssim(sr[..., c], photo[..., c], 0) for c in range(3)]
    assert ssim(sr, photo, 0, y_channel=False) == pytest.approx(np.mean(channels), abs=1e-9)


def test_images_that_cannot_be_measured_are_refused(photo: Array) -> None:
    with pytest.raises(ValueError, match="differ in size"):
        psnr(photo[:-1], photo, 2)
    with pytest.raises(ValueError, match="8-bit"):
        psnr(photo.astype(np.float32), photo, 2)
    with pytest.raises(ValueError, match="nothing left"):
        psnr(photo[:8], photo[:8], 4)
    with pytest.raises(ValueError, match="11x11"):
        ssim(photo[:14], photo[:14], 2)


PUBLISHED = {
    ("Set5", 2): (33.66, 0.9299),
    ("Set5", 3): (30.39, 0.8682),
    ("Set5", 4): (28.42, 0.8104),
    ("Set14", 2): (30.24, 0.8688),
    ("Set14", 3): (27.55, 0.7742),
    ("Set14", 4): (26.00, 0.7027),
}
"""PSNR and SSIM of bicubic, as published by VDSR (Kim et al., CVPR 2016) and by later papers."""


@pytest.mark.parametrize(("name", "scale"), PUBLISHED)
def test_bicubic_gives_the_published_table(name: str, scale: int) -> None:
    scores = []
    for path in find_images(benchmark_folder(name)):
        hr = mod_crop(read_image(path).measured, scale)
        sr = upscale(downscale(hr, scale), scale)
        scores.append((psnr(sr, hr, scale), ssim(sr, hr, scale)))
    measured = np.mean(scores, axis=0)
    assert measured[0] == pytest.approx(PUBLISHED[name, scale][0], abs=0.03)
    assert measured[1] == pytest.approx(PUBLISHED[name, scale][1], abs=0.001)
