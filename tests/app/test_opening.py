"""The first picture: a still of the first view in the page's HTML."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app.opening import SIDE, opening_of
from app.viewer.component import Layer, Scene, first_view, scene_value
from drn.image import Array


@pytest.fixture
def layers(photo: Array) -> tuple[Layer, ...]:
    """An original, its small image at x4, two methods and an error map."""
    height, width = (side // 4 * 4 for side in photo.shape[:2])
    hr = photo[:height, :width]
    return (
        Layer("lr", "small", 4, "Small", "", hr[::4, ::4]),
        Layer("a", "method", 4, "A <b> {{ 7 * 7 }} {% endraw %}", "", hr // 2, method="A"),
        Layer("b", "method", 4, "B", "", hr // 3, method="B"),
        Layer("map", "error_map", 4, "Map", "", hr // 4, method="B", shown=False),
        Layer("late", "method", 4, "Late", "", None, method="Late"),
        Layer("truth", "original", 4, "Original", "", hr),
    )


def scene(layers: tuple[Layer, ...], x: float, y: float) -> Scene:
    height, width = layers[-1].pixels.shape[:2]  # type: ignore[union-attr]
    return Scene("token", "picture", width, height, layers, first_view(x, y))


def test_the_images_are_the_middle_of_the_first_view(layers: tuple[Layer, ...]) -> None:
    x, y = 100, 96
    opening = opening_of(scene_value(scene(layers, x, y)))
    assert set(opening.files) == {f"/opening/{key}.webp" for key in ("lr", "a", "b", "truth")}
    for layer in layers:
        if layer.key in ("map", "late"):
            continue
        scale = 4 if layer.key == "lr" else 1
        with Image.open(io.BytesIO(opening.files[f"/opening/{layer.key}.webp"])) as image:
            sent = np.asarray(image.convert("RGB"))
        assert layer.pixels is not None
        # A part outside the image is black.
        reach = SIDE // 2 // scale
        padded = np.pad(layer.pixels, ((reach, SIDE), (reach, SIDE), (0, 0)))
        expected = padded[y // scale :, x // scale :][: SIDE // scale, : SIDE // scale]
        assert np.array_equal(sent, expected)


def test_the_html_shows_each_image_and_the_first_two_methods_on_phones(layers: tuple[Layer, ...]) -> None:
    html = opening_of(scene_value(scene(layers, 100, 96))).html
    assert [part.split('"')[0] for part in html.split('<figure class="')[1:]] == ["further", "left", "front", "further"]
    assert "A &lt;b&gt; &#123;&#123; 7 * 7 }} &#123;% endraw %}" in html


@pytest.mark.slow
def test_the_page_has_the_first_picture(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as web:
        html = web.get("/").text
        assert html.count('id="opening"') == 1
        paths = [part.split('"')[0] for part in html.split('<img src="')[1:]]
        assert [Path(path).name.split(".")[0] for path in paths] == ["lr", "bicubic", "drn", "truth"]
        for path in paths:
            answer = web.get(f"/{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
            assert "immutable" in answer.headers["cache-control"]
