from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from drn.borders import DEPTH, correct_flat_borders
from drn.geometry import Rect
from drn.image import Array, to_tensor
from drn.upscaler import Upscaler
from drn.weights import BUNDLED, load_model
from tests.helpers.models import small_model

CORNERS = [(255 * r, 255 * g, 255 * b) for r, g, b in itertools.product((0, 1), repeat=3)]
COLOURS = [*CORNERS, (255, 128, 0), (0, 128, 255), (200, 30, 60), (30, 160, 40), (250, 250, 240)]


def flat(colour: tuple[int, int, int], height: int, width: int) -> Array:
    return np.full((height, width, 3), colour, np.uint8)


def error(sr: Array, colour: tuple[int, int, int]) -> int:
    """Return the largest difference to a colour in levels."""
    return int(np.abs(sr.astype(int) - colour).max())


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("self_ensemble", [False, True])
def test_flat_fields_are_within_3_levels(scale: int, self_ensemble: bool) -> None:
    upscaler = Upscaler(load_model(BUNDLED, scale=scale), "cpu")
    for colour in COLOURS:
        assert error(upscaler.upscale(flat(colour, 24, 24), self_ensemble=self_ensemble), colour) <= 3, colour


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 11), (5, 6)])
def test_tiny_flat_images_have_one_colour(size: tuple[int, int]) -> None:
    colour = (255, 0, 255)
    sr = Upscaler(small_model(4), "cpu", "fp32", tile=3).upscale(flat(colour, *size))
    assert sr.shape == (4 * size[0], 4 * size[1], 3)
    assert error(sr, colour) == 0


def test_a_flat_area_beside_a_textured_one(photo: Array) -> None:
    """The corners of the flat half are exact, and the textured half keeps the output of the network."""
    lr = photo[:40, :60].copy()
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    lr[:, :30], lr[:, 30:] = (0, 0, 255), noise
    model = small_model(3)
    sr = Upscaler(model, "cpu", "fp32").upscale(lr)
    with torch.inference_mode():
        network = model(to_tensor(lr))[0].clamp(0, 1).mul(255).permute(1, 2, 0).numpy()
    assert error(sr[: 3 * 3, : 27 * 3], (0, 0, 255)) == 0
    assert error(sr[:, : 3 * 3], (0, 0, 255)) == 0
    assert np.abs(network[: 3 * 3, : 27 * 3] - (0, 0, 255)).max() > 3
    assert np.abs(sr[:, 32 * 3 :] - network[:, 32 * 3 :]).max() <= 0.51
    inner = slice(3 * DEPTH, -3 * DEPTH)
    assert np.abs(sr[inner, inner] - network[inner, inner]).max() <= 0.51


def banner() -> Array:
    """A flat image with a textured square that touches the right border."""
    lr = flat((255, 0, 0), 33, 47)
    lr[12:26, 30:] = np.random.default_rng(1).integers(0, 256, (14, 17, 3), dtype=np.uint8)
    return lr


@pytest.mark.parametrize("tile", [2, 7, 16])
@pytest.mark.parametrize("self_ensemble", [False, True])
def test_tiles_equal_the_whole_at_the_border(tile: int, self_ensemble: bool) -> None:
    model, lr = small_model(2), banner()
    whole = Upscaler(model, "cpu", "fp32", tile=200).upscale(lr, self_ensemble=self_ensemble)
    tiled = Upscaler(model, "cpu", "fp32", tile=tile).upscale(lr, self_ensemble=self_ensemble)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("rect", [Rect(0, 0, 47, 33), Rect(1, 1, 3, 2), Rect(4, 30, 20, 3), Rect(43, 10, 4, 20)])
def test_a_rectangle_is_that_part_of_the_corrected_whole(rect: Rect) -> None:
    lr, scale = banner(), 3
    whole = np.random.default_rng(2).integers(0, 256, (33 * scale, 47 * scale, 3), dtype=np.uint8)
    rows = slice(rect.y * scale, (rect.y + rect.height) * scale)
    columns = slice(rect.x * scale, (rect.x + rect.width) * scale)
    part = whole[rows, columns].copy()
    correct_flat_borders(part, lr, rect)
    correct_flat_borders(whole, lr, Rect(0, 0, 47, 33))
    assert np.array_equal(part, whole[rows, columns])


def test_the_correction_fades_out_with_the_distance_and_with_texture() -> None:
    """Expected shares of the bicubic result: by distance from the border, then by the difference of levels."""
    lr = flat((100, 100, 100), 20, 20)
    sr = np.zeros((40, 40, 3), np.uint8)
    correct_flat_borders(sr, lr, Rect(0, 0, 20, 20))
    assert sr[20, ::2, 0].tolist()[:8] == [100, 100, 100, 67, 33, 0, 0, 0]
    for difference, expected in ((3, 100), (6, 0)):
        lr[:] = 100
        lr[10, 2] += difference
        sr[:] = 0
        correct_flat_borders(sr, lr, Rect(0, 0, 20, 20))
        assert sr[20, 0, 0] == expected
        assert sr[2, 0, 0] == 100


def test_a_textured_border_stays_as_it_is() -> None:
    lr = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    sr = np.random.default_rng(4).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    before = sr.copy()
    correct_flat_borders(sr, lr, Rect(0, 0, 30, 20))
    assert np.array_equal(sr, before)
