from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import ImageDraw

from drn.degrade import only_jpeg
from drn.evaluation.comparison import Result, Score, measure, score
from drn.evaluation.figure import FONT, GAP, Figure, draw, lay_out
from drn.evaluation.methods import builtin_methods
from drn.evaluation.pairs import make_pair, whole_rect
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.resize import upscale
from drn.upscaler import Upscaler
from tests.helpers.models import small_model


@pytest.mark.parametrize("region", [Rect(20, 10, 30, 24), Rect(0, 0, 84, 60), Rect(81, 57, 3, 3)])
def test_regions_are_enlarged_pixel_by_pixel(photo: Array, region: Rect) -> None:
    pair = make_pair(Picture(photo), 3)
    upscaler = Upscaler(small_model(3), "cpu", "fp32")
    results = {method.name: measure(pair, method) for method in builtin_methods(upscaler, self_ensemble=False)}
    drawn = np.asarray(draw(lay_out(pair, results, [region])))
    zoom = max(1, 240 // max(region.width, region.height))
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    for image in (photo, results["DRN"].sr, results["bicubic"].sr):
        expected = image[rows, columns].repeat(zoom, 0).repeat(zoom, 1)
        height, width = expected.shape[:2]
        right, lower = drawn.shape[1] - GAP, drawn.shape[0]
        places = [
            (top, left)
            for left in (right - width, right - 2 * width - GAP)
            for top in range(GAP, lower - height)
            if np.array_equal(drawn[top : top + height, left : left + width], expected)
        ]
        assert len(places) >= 1


def test_a_perfect_result_can_be_drawn(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    perfect = Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)
    assert draw(lay_out(pair, {"DRN": perfect}, [Rect(4, 4, 8, 8)])).size[0] > 240


@pytest.mark.parametrize(("height", "width"), [(30, 3000), (3000, 30), (400, 600)])
def test_small_regions_of_long_images(height: int, width: int) -> None:
    pair = make_pair(Picture(np.full((height, width, 3), 90, np.uint8)), 2)
    drawn = draw(
        lay_out(pair, {"DRN": Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)}, [Rect(0, 0, 4, 4)])
    )
    assert max(drawn.size) < 4000


def test_texts_below_narrow_regions_do_not_overlap_and_the_best_scores_are_bold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    hr = np.clip(128 + 6 * rng.standard_normal((400, 40, 3)).cumsum(0), 30, 220).astype(np.uint8)
    pair = make_pair(Picture(hr), 2)
    brighter = hr + np.uint8(30)  # this result has the right structure and a wrong level
    noisy = np.clip(hr + rng.normal(0, 10, hr.shape), 0, 255).astype(np.uint8)
    unknown = Result(hr, Score(None, None), 0.1)
    drawn: list[tuple[float, float, float, str, bool]] = []

    def text(self: Any, place: tuple[float, float], text: str, ink: Any, font: Any, stroke_width: float = 0) -> None:
        drawn.append((place[1], place[0], place[0] + font.getlength(text), text.strip(" /"), stroke_width > 0))

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    canvas = draw(
        lay_out(pair, {"a": replace(unknown, sr=brighter), "b": replace(unknown, sr=noisy)}, [whole_rect(pair)])
    )
    drawn.sort()
    for before, after in pairwise(drawn):
        assert before[0] != after[0] or before[2] <= after[1] + 1e-6
    assert max(right for _, _, right, *_ in drawn) < canvas.width
    numbers = [(words, bold) for *_, words, bold in drawn if words[:1].isdigit() and "region" not in words]
    assert [bold for _, bold in numbers] == [False, True, True, False]  # PSNR and SSIM of a, then of b


def test_a_large_region_is_reduced() -> None:
    hr = np.zeros((40, 4000, 3), np.uint8)
    hr[:, 2000:] = (200, 100, 0)
    pair = make_pair(Picture(hr), 2)
    drawn = np.asarray(
        draw(lay_out(pair, {"DRN": Result(hr, score(pair, hr, whole_rect(pair)), 0.1)}, [whole_rect(pair)]))
    )
    panel = drawn[GAP : GAP + 10, -GAP - 1000 : -GAP]
    assert (panel[:, :490] == 0).all()
    assert (panel[:, 510:] == (200, 100, 0)).all()


def test_a_degraded_small_image_is_marked(photo: Array) -> None:
    region = Rect(0, 0, 12, 12)
    marked = {}
    for quality in (None, 75):
        pair = make_pair(Picture(photo), 2, degradation=only_jpeg(quality))
        result = Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)
        for regions in ([region], [region, region]):
            lines = lay_out(pair, {"DRN": result}, regions).lines
            texts = ["".join(part for part, _ in line.text) for line in lines]
            marked[quality, len(regions)] = [text for text in texts if text.startswith(("LR", "outside"))]
            assert len({(line.left, line.top) for line in lines}) == len(lines)
    assert marked == {
        (None, 1): ["LR"],
        (None, 2): ["LR", "LR"],
        (75, 1): ["outside the benchmark protocol", "LR, JPEG 75"],
        (75, 2): ["outside the benchmark protocol", "LR, JPEG 75", "LR, JPEG 75"],
    }


def texts_of(made: Figure) -> list[str]:
    return ["".join(part for part, _ in line.text) for line in made.lines]


def test_the_caption_tells_the_place_of_each_region(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    results = {"DRN": Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)}
    one, two = Rect(4, 6, 20, 10), Rect(30, 8, 12, 16)
    assert texts_of(lay_out(pair, results, [one]))[0] == "x2, region 20x10 at 4, 6"
    made = lay_out(pair, results, [one, two])
    assert texts_of(made)[:3] == ["x2, 2 regions, from the top:", "region 20x10 at 4, 6", "region 12x16 at 30, 8"]
    assert max(line.top for line in made.lines[:3]) + made.font_size < made.height


def test_text_grows_with_the_panels() -> None:
    pair = make_pair(Picture(np.full((1200, 900, 3), 120, np.uint8)), 2)
    results = {"DRN": Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)}
    small, large = (lay_out(pair, results, [rect]) for rect in (Rect(0, 0, 60, 60), Rect(0, 0, 900, 1200)))
    assert small.font_size == FONT
    shares = [made.font_size / made.width for made in (small, large)]
    assert shares[1] == pytest.approx(shares[0], rel=0.35)
    assert all(line.top + made.font_size <= made.height for made in (small, large) for line in made.lines)


def test_an_unknown_score_is_drawn_as_a_hyphen_because_the_font_has_no_dash(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    results = {"bicubic": Result(upscale(pair.lr, 2), score(pair, pair.hr, whole_rect(pair)), 0.1)}
    *_, scores, _ = texts_of(lay_out(pair, results, [Rect(10, 10, 6, 6)]))  # SSIM needs 11x11 pixels
    assert scores.endswith("dB / -")
