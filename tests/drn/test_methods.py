"""Pairs of an original and its LR image, the methods that enlarge it, and their measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drn.errors import InputError
from drn.evaluation import methods
from drn.evaluation.benchmark import measure_set
from drn.evaluation.comparison import measure
from drn.evaluation.methods import Method
from drn.evaluation.pairs import clip_rect, make_pair, notes_on, parse_rect, read_pair, read_pairs, whole_rect
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.metrics import psnr, ssim
from drn.resize import downscale
from drn.upscaler import Cancelled, Upscaler
from drn.writing import write_image
from tests.helpers.models import small_model


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pair_is_cropped_and_shrunk(photo: Array, scale: int) -> None:
    pair = make_pair(Picture(photo[:59, :83]), scale)
    height, width = 59 // scale * scale, 83 // scale * scale
    assert np.array_equal(pair.hr, photo[:height, :width])
    assert np.array_equal(pair.lr, downscale(photo[:height, :width], scale))
    assert whole_rect(pair) == Rect(0, 0, width, height)


def test_an_original_must_be_large_enough_to_measure(tmp_path: Path, photo: Array) -> None:
    with pytest.raises(InputError, match="too small for x4: give one of at least 4 pixels a side"):
        make_pair(Picture(photo[:3]), 4)
    write_image(tmp_path / "large.png", Picture(photo[:20, :20]))
    assert [pair.hr.shape for pair in read_pairs(tmp_path, 4)] == [(20, 20, 3)]
    write_image(tmp_path / "small.png", Picture(photo[:19]))  # 2 x 4 pixels of border and 11 of the window of SSIM
    with pytest.raises(InputError, match="too small to measure at x4: it needs 20 pixels a side"):
        read_pair(tmp_path / "small.png", 4)
    with pytest.raises(ValueError, match="19x4 is too small to measure"):
        measure_set("set", [make_pair(Picture(photo[:18, :76]), 4)], methods.bicubic())


@pytest.mark.parametrize(
    ("hr_rect", "clipped"),
    [
        (Rect(10, 20, 5, 6), Rect(10, 20, 5, 6)),
        (Rect(-4, -5, 10, 11), Rect(0, 0, 6, 6)),
        (Rect(80, 50, 99, 99), Rect(80, 50, 4, 10)),
        (Rect(500, 500, 3, 3), Rect(83, 59, 1, 1)),
        (Rect(-50, -50, 3, 3), Rect(0, 0, 1, 1)),
    ],
)
def test_rectangles_are_clipped_to_the_image(photo: Array, hr_rect: Rect, clipped: Rect) -> None:
    assert clip_rect(hr_rect, make_pair(Picture(photo), 2)) == clipped


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1,2,3", "is not X,Y,W,H: give four whole numbers"),
        ("1,2,3,x", "is not X,Y,W,H: give four whole numbers"),
        ("0,0,0,5", "does not lie inside the 84x60 image"),
        ("80,0,5,5", "does not lie inside the 84x60 image"),
        ("-1,0,5,5", "does not lie inside the 84x60 image"),
    ],
)
def test_rectangles_that_cannot_be_used_are_refused(photo: Array, text: str, sentence: str) -> None:
    pair = make_pair(Picture(photo), 2)
    assert parse_rect("79, 0, 5, 60", pair) == Rect(79, 0, 5, 60)
    with pytest.raises(InputError, match=sentence):
        parse_rect(text, pair)


def test_transparency_is_mentioned(photo: Array) -> None:
    assert notes_on(Picture(photo, notes=("Rotated.",))) == ["Rotated."]
    assert notes_on(Picture(photo, photo[..., 0])) == ["Its transparency is left out: all of its pixels are compared."]


def test_any_function_can_be_a_method(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    brighter = np.minimum(pair.hr, 250) + np.uint8(5)
    method = Method("brighter", "a test", lambda pair, *_: brighter)
    result = measure(pair, method)
    assert result.sr is brighter
    assert (result.whole.psnr, result.whole.ssim) == (psnr(brighter, pair.hr, 2), ssim(brighter, pair.hr, 2))
    assert measure_set("set", [pair, pair], method).method == "brighter"


def test_progress_and_cancelling_reach_the_network(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    upscaler = Upscaler(small_model(2), "cpu", "fp32", tile=21)
    tiles: list[tuple[int, int]] = []
    for method in methods.builtin_methods(upscaler, self_ensemble=True):
        tiles.clear()
        measure(pair, method, lambda done, total: tiles.append((done, total)))
        assert tiles == ([] if method.name == methods.BICUBIC else [(1, 4), (2, 4), (3, 4), (4, 4)])
    with pytest.raises(Cancelled):
        measure(pair, methods.drn(upscaler), None, lambda: True)


def test_the_built_in_methods_are_described_in_the_order_of_display() -> None:
    upscaler = Upscaler(small_model(2), "cpu", "fp32")
    built_in = methods.builtin_methods(upscaler, self_ensemble=True)
    assert {method.name: method.description for method in built_in} == methods.DESCRIPTIONS
    for self_ensemble in (False, True):
        names = [method.name for method in methods.builtin_methods(upscaler, self_ensemble)]
        assert names == methods.builtin_names(self_ensemble)
