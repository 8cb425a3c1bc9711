"""The first views of the examples agree with the examples, and other photographs do not use them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.first_views import chosen_views, first_region
from app.options import PageOptions
from app.photographs import EXAMPLES, examples
from app.scene import scene_of
from app.session import open_example
from drn.evaluation.pairs import read_pair
from drn.metrics import psnr
from drn.resize import upscale
from drn.upscaler import Upscaler
from scripts.choose_views import least_detail

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.png"))


def centre(path: Path, scale: int = 4) -> tuple[float, float]:
    start = scene_of(open_example(path, scale)).start
    return start["x"], start["y"]


def test_every_example_has_a_view_inside_it() -> None:
    views = chosen_views()["views"]
    assert sorted(views) == NAMES
    for name, view in views.items():
        with Image.open(EXAMPLES / f"{name}.png") as image:
            assert view["size"] == list(image.size)
        x, y, width, height = view["region"]
        assert 0 <= x < x + width <= view["size"][0]
        assert 0 <= y < y + height <= view["size"][1]
        assert sorted(view["gain"]) == ["2", "3", "4"]
        assert min(view["gain"].values()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_first_view_of_an_example_is_its_entry_at_every_scale(name: str) -> None:
    x, y, width, height = chosen_views()["views"][name]["region"]
    for scale in (2, 3, 4):
        assert centre(EXAMPLES / f"{name}.png", scale) == (x + width / 2, y + height / 2)


def test_the_page_opens_with_the_photograph_that_gains_most() -> None:
    views = chosen_views()["views"]
    gains = {name: np.mean(list(view["gain"].values())) for name, view in views.items() if name != "test-card"}
    assert chosen_views()["first"] == examples()[0].stem == max(gains, key=lambda name: gains[name])


def test_the_gain_is_the_psnr_of_the_bundled_weights() -> None:
    view = chosen_views()["views"]["cat"]
    pair = read_pair(EXAMPLES / "cat.png", 4)
    x, y, width, height = view["region"]
    region = np.s_[y : y + height, x : x + width]
    base, sr = upscale(pair.lr, 4), Upscaler.load(scale=4).upscale(pair.lr)
    gain = psnr(sr[region], pair.hr[region], 0) - psnr(base[region], pair.hr[region], 0)
    assert view["gain"]["4"] == pytest.approx(gain, abs=0.02)


def test_other_photographs_start_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    with Image.open(EXAMPLES / "cat.png") as image:
        image.crop((0, 0, 400, 200)).save(path)
    assert examples(PageOptions(data=(tmp_path,)).data) == [path]
    assert centre(path) == (200, 100)
    shutil.copy(EXAMPLES / "cat.png", tmp_path / "kitten.png")
    assert centre(tmp_path / "kitten.png") == (224, 150)  # 451 pixels are cropped to 448 at x4
    assert first_region("", 451, 300) is None


def test_a_flat_area_and_a_straight_edge_have_no_detail() -> None:
    flat, edge = np.full((120, 80, 3), 90, np.uint8), np.full((120, 80, 3), 20, np.uint8)
    edge[:, 37:] = 220
    y, x = np.mgrid[0:120, 0:80]
    checks = np.repeat((((x // 9 + y // 9) % 2) * 200).astype(np.uint8)[:, :, None], 3, axis=2)
    assert [least_detail(image).shape for image in (flat, edge, checks)] == [(1, 1)] * 3
    assert least_detail(flat).max() == pytest.approx(0, abs=1e-6)
    assert least_detail(edge).max() == pytest.approx(0, abs=1e-4)
    assert least_detail(checks).min() > 5
