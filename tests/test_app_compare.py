from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.compare import (
    METHODS,
    Score,
    compare_region,
    format_psnr,
    format_ssim,
    make_pair,
    measure_whole,
    region_around,
)
from app.tabs import at_scale, examples, open_session, render, render_whole
from app.viewer import overview, panels_html
from drn.errors import InputError
from drn.evaluate import measure
from drn.image import Array, Picture, read_image
from drn.inference import Region, Upscaler
from drn.metrics import psnr, ssim
from drn.resize import upscale
from tests.conftest import small_model


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler(small_model(3), "cpu", "fp32")


@pytest.mark.parametrize(
    ("x", "y", "size", "expected"),
    [
        (42, 30, 24, Region(10, 6, 8, 8)),
        (0, 0, 24, Region(0, 0, 8, 8)),
        (1e9, 1e9, 24, Region(20, 12, 8, 8)),
        (-5, 30, 1000, Region(0, 0, 28, 20)),
        (42, 30, 1, Region(14, 10, 1, 1)),
    ],
)
def test_region_stays_inside(photo: Array, x: float, y: float, size: int, expected: Region) -> None:
    assert region_around(make_pair(Picture(photo), 3), x, y, size) == expected


def test_panels_show_the_same_place(photo: Array, upscaler: Upscaler) -> None:
    pair = make_pair(Picture(photo), 3)
    region = Region(7, 4, 9, 8)
    panels = {panel.name: panel for panel in compare_region(pair, upscaler, region, METHODS)}
    assert list(panels) == ["LR", "bicubic", "DRN", "DRN+", "ground truth"]
    assert np.array_equal(panels["LR"].pixels, pair.lr[4:12, 7:16])
    assert np.array_equal(panels["ground truth"].pixels, photo[12:36, 21:48])
    assert np.array_equal(panels["bicubic"].pixels, upscale(pair.lr, 3)[12:36, 21:48])
    whole = upscaler.upscale(pair.lr)[12:36, 21:48].astype(int)
    assert np.abs(panels["DRN"].pixels - whole).max() <= 1
    score = panels["bicubic"].score
    assert score is not None
    assert score.psnr == pytest.approx(psnr(panels["bicubic"].pixels, photo[12:36, 21:48], 0))
    assert score.ssim == pytest.approx(ssim(panels["bicubic"].pixels, photo[12:36, 21:48], 0))


def test_the_whole_image_scores_as_in_the_tables(photo: Array, upscaler: Upscaler) -> None:
    for picture in (Picture(photo), Picture(photo[..., :1].repeat(3, 2), is_grey=True)):
        pair = make_pair(picture, 3)
        row = measure("set", "DRN", [picture.measured], 3, upscaler.upscale)
        whole = measure_whole(pair, upscaler, "DRN")
        assert whole.score.psnr == pytest.approx(row.psnr, abs=1e-9)
        assert whole.score.ssim == pytest.approx(row.ssim, abs=1e-9)
        # A region that is the whole image is scored like the whole image.
        everything = Region(0, 0, 28, 20)
        assert compare_region(pair, upscaler, everything, ("DRN",))[1].score == whole.score


def test_what_cannot_be_measured_shows_a_dash(photo: Array, upscaler: Upscaler) -> None:
    pair = make_pair(Picture(photo), 3)
    corner = compare_region(pair, upscaler, Region(0, 0, 1, 1), ("bicubic",))[1].score
    assert corner == Score(None, None)
    assert (format_psnr(Score(None, None)), format_ssim(Score(None, None))) == ("–", "–")
    small = compare_region(pair, upscaler, Region(5, 5, 3, 3), ("bicubic",))[1].score
    assert small is not None
    assert small.psnr is not None
    assert small.ssim is None
    assert format_psnr(Score(float("inf"), 1.0)) == "∞ dB"


def test_best_value_is_marked_once_everything_is_known(photo: Array, upscaler: Upscaler) -> None:
    session = at_scale(Picture(photo), 3, (42, 30), 24)
    panels = compare_region(session.pair, upscaler, session.region, ("bicubic", "DRN"))
    waiting = panels_html(panels, {"bicubic": None, "DRN": None})
    assert waiting.count("measuring…") == 2
    assert waiting.count('numbers best" data-testid="region"') == 1
    assert 'best" data-testid="whole"' not in waiting
    whole = {name: measure_whole(session.pair, upscaler, name) for name in ("bicubic", "DRN")}
    assert panels_html(panels, whole).count('best" data-testid="whole"') == 1


def test_region_comes_first_and_then_the_whole_image(photo: Array, upscaler: Upscaler) -> None:
    states = [session for session, _, _ in render_whole(at_scale(Picture(photo), 3, (42, 30), 24), upscaler, False)]
    assert [sorted(session.whole) for session in states] == [[], ["bicubic"], ["DRN", "bicubic"]]
    assert render(states[-1], upscaler, False)[2].count("measuring…") == 0


def test_overview_outlines_the_region(photo: Array) -> None:
    pair = make_pair(Picture(np.full((1200, 900, 3), 90, np.uint8)), 3)
    picture, share = overview(pair, Region(60, 90, 30, 30))
    assert picture.size == (480, 640)
    changed = (np.asarray(picture) != 90).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert columns[0] == pytest.approx(180 * share, abs=3)
    assert columns[-1] == pytest.approx(270 * share, abs=3)
    assert rows[0] == pytest.approx(270 * share, abs=3)
    assert not changed[170, 115]


def test_examples_are_enough_and_credited() -> None:
    paths = examples()
    assert len(paths) >= 6
    credits = (paths[0].parent / "CREDITS.md").read_text(encoding="utf-8")
    for path in paths:
        assert path.name in credits
        assert min(read_image(path).rgb.shape[:2]) >= 240


def test_photographs_that_cannot_be_compared_are_refused(tmp_path: Path, photo: Array) -> None:
    Image.fromarray(photo[:10]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="smaller than 16 pixels"):
        open_session(tmp_path / "a.png", 2, 72)
    Image.new("L", (3000, 2000)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"3000x2000: the limit here is 4\.00 megapixels"):
        open_session(tmp_path / "b.png", 2, 72)
