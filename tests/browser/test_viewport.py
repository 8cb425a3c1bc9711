"""The arithmetic of the viewport, compared with independent calculations in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.browsing import viewer_scripts

RATIOS = (1, 1.25, 1.5, 2, 3)
ZOOMS = (1, 2, 3, 4, 6, 8, 12, 16)
MAGNIFICATIONS = (*ZOOMS, 24, 32, 48)

IMAGE, PANE = (511, 341), (303, 227)
"""Size of the image in HR pixels and of a panel in device pixels; odd, so that halves are not whole numbers."""


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    with viewer_scripts(browser, "viewport") as page:
        yield page


def run(page: Page, script: str, ratio: float = 1, image: tuple[int, int] = IMAGE, **values: Any) -> Any:
    """Run JavaScript with a new viewport ``view`` for a panel of ``PANE`` device pixels; ``values`` are variables."""
    names = ", ".join(values)
    return page.evaluate(
        f"""([image, pane, ratio, values]) => {{
            const view = new Viewport(), {{ {names} }} = values;
            view.setImage(...image);
            view.setPane(pane[0] / ratio, pane[1] / ratio, ratio);
            {script}
        }}""",
        [image, PANE, ratio, values],
    )


def rounded(value: Fraction) -> int:
    """Round to the nearest integer, halves up, as JavaScript does."""
    return math.floor(value + Fraction(1, 2))


def visible(size: int, pane: int, centre: Fraction, magnification: int) -> tuple[int, int]:
    """Return the first visible pixel of one axis and the number of visible pixels, by testing every pixel."""
    start = rounded(Fraction(pane, 2) - centre * magnification)
    seen = [
        index
        for index in range(size)
        if start + (index + 1) * magnification > 0 and start + index * magnification < pane
    ]
    return seen[0], len(seen)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("image", [IMAGE, (97, 61), (40, 28), (3001, 2003)])
def test_zoom_levels(scripts: Page, ratio: float, image: tuple[int, int]) -> None:
    largest = min(Fraction(pane, size) for pane, size in zip(PANE, image, strict=True))
    fitted = largest if largest < 1 else Fraction(math.floor(largest))
    larger = [dots for dots in MAGNIFICATIONS if fitted < dots <= 16 * Fraction(ratio)]
    expected = [float(dots / Fraction(ratio)) for dots in (fitted, *map(Fraction, larger))]
    assert run(scripts, "return view.levels", ratio, image) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_an_image_pixel_is_a_whole_number_of_device_pixels(scripts: Page, ratio: float) -> None:
    script = "return zooms.map((zoom) => { view.zoomTo(zoom); return [view.magnification, view.zoom]; })"
    for zoom, (dots, shown) in zip(ZOOMS, run(scripts, script, ratio, zooms=ZOOMS), strict=True):
        assert dots == rounded(Fraction(zoom) * Fraction(ratio))
        assert shown == pytest.approx(dots / ratio, rel=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_level_is_reached_by_steps_in_both_directions(scripts: Page, ratio: float) -> None:
    up, down, levels = run(
        scripts,
        """const levels = view.levels, up = [], down = [];
        for (const _ of levels) { up.push(view.zoom); view.step(1); }
        for (const _ of levels) { down.push(view.zoom); view.step(-1); }
        return [up, down, levels]""",
        ratio,
    )
    assert up == pytest.approx(levels, rel=1e-12)
    assert down == pytest.approx(levels[::-1], rel=1e-12)


def test_the_region_is_made_of_the_pixels_on_the_canvas(scripts: Page) -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        image = tuple(int(size) for size in rng.integers(150, 700, 2) * 2 + 1)
        ratio, zoom = float(rng.choice(RATIOS)), int(rng.choice(ZOOMS[1:]))
        dots = rounded(Fraction(zoom) * Fraction(ratio))
        # The centres are far enough from the borders to stay unchanged. Thirds are never halfway between pixels.
        centre = [Fraction(size, 2) + Fraction(int(rng.integers(-60, 60)), 3) for size in image]
        found = run(
            scripts,
            "view.moveTo({ x, y, fit: false, zoom }); return view.region",
            ratio,
            (image[0], image[1]),
            x=float(centre[0]),
            y=float(centre[1]),
            zoom=zoom,
        )
        axes = [visible(size, pane, at, dots) for size, pane, at in zip(image, PANE, centre, strict=True)]
        assert [(found["x"], found["width"]), (found["y"], found["height"])] == axes


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("zoom", [1, 3, 8])
def test_the_view_stops_at_the_borders(scripts: Page, ratio: float, zoom: int) -> None:
    corners, parts = run(
        scripts,
        """view.zoomTo(zoom);
        const corners = [], parts = [];
        for (const far of [-9999, 9999]) {
            view.panBy(far, far);
            corners.push(view.region);
            parts.push(view.part({ width: image[0], height: image[1] }, 1, 0, pane[0]).target);
        }
        return [corners, parts]""",
        ratio,
        zoom=zoom,
    )
    first, last = corners
    assert (first["x"], first["y"]) == (0, 0)
    assert (last["x"] + last["width"], last["y"] + last["height"]) == IMAGE
    for part in parts:  # the image covers the canvas
        assert part["x"] <= 0
        assert part["y"] <= 0
        assert part["x"] + part["width"] >= PANE[0]
        assert part["y"] + part["height"] >= PANE[1]


def test_a_small_image_is_in_the_middle(scripts: Page) -> None:
    image = (97, 61)
    part, place = run(
        scripts,
        """view.zoomTo(2); view.panBy(500, -500);
        return [view.part({ width: image[0], height: image[1] }, 1, 0, pane[0]), view.place]""",
        image=image,
    )
    assert (place["x"], place["y"]) == (48.5, 30.5)
    assert part["source"] == {"x": 0, "y": 0, "width": 97, "height": 61}
    # (303 - 194) / 2 and (227 - 122) / 2, rounded up
    assert part["target"] == {"x": 55, "y": 53, "width": 194, "height": 122}


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_fitted_image_is_wholly_visible(scripts: Page, ratio: float) -> None:
    for image in (IMAGE, (97, 61), (227, 303)):
        region, part = run(
            scripts,
            """view.zoomTo(8); view.panBy(40, 40); view.fitImage();
            return [view.region, view.part({ width: image[0], height: image[1] }, 1, 0, pane[0]).target]""",
            ratio,
            image,
        )
        assert region == {"x": 0, "y": 0, "width": image[0], "height": image[1]}
        assert part["width"] <= PANE[0] + 1e-9
        assert part["height"] <= PANE[1] + 1e-9
        assert part["x"] + part["width"] / 2 == pytest.approx(PANE[0] / 2, abs=0.5)
        assert part["y"] + part["height"] / 2 == pytest.approx(PANE[1] / 2, abs=0.5)


@pytest.mark.parametrize("ratio", RATIOS)
def test_zooming_keeps_the_point_under_the_pointer(scripts: Page, ratio: float) -> None:
    left, top = 31 / ratio, 190 / ratio
    points, places = run(
        scripts,
        """view.moveTo({ x: 250, y: 170, fit: false, zoom: 4 / ratio });
        const points = [view.imagePoint(left, top)], places = [view.place];
        for (const direction of [1, 1, 1, -1, -1, -1]) {
            view.step(direction, left, top);
            points.push(view.imagePoint(left, top));
            places.push(view.place);
        }
        return [points, places]""",
        ratio,
        left=left,
        top=top,
    )
    expected = (250 + (31 - PANE[0] / 2) / 4, 170 + (190 - PANE[1] / 2) / 4)
    for point in points:
        assert (point["x"], point["y"]) == pytest.approx(expected, abs=1e-9)
    assert (places[-1]["x"], places[-1]["y"]) == pytest.approx((250, 170), abs=1e-9)


def test_the_lowest_level_is_the_fitted_image_at_any_size(scripts: Page) -> None:
    """After zooming out to the fitted zoom, the whole image stays in view when the panel changes its size."""
    fit, region = run(
        scripts,
        """view.zoomTo(8);
        for (const _ of view.levels) view.step(-1, 20, 20);
        view.setPane(200, 120, 1);
        return [view.place.fit, view.region]""",
    )
    assert fit
    assert region == {"x": 0, "y": 0, "width": IMAGE[0], "height": IMAGE[1]}


def test_zooming_without_a_point_keeps_the_centre(scripts: Page) -> None:
    place = run(scripts, "view.moveTo({ x: 250, y: 170, fit: false, zoom: 4 }); view.zoomTo(12); return view.place")
    assert (place["x"], place["y"], place["zoom"]) == (250, 170, 12)


@pytest.mark.parametrize(("wanted", "expected"), [(1.3, 1), (1.5, 2), (4.8, 4), (5, 6), (100, 16), (0.01, 303 / 511)])
def test_a_pinch_goes_to_the_nearest_level(scripts: Page, wanted: float, expected: float) -> None:
    assert run(scripts, "view.zoomNear(wanted, 0, 0); return view.zoom", wanted=wanted) == expected


def test_panning_moves_by_css_pixels(scripts: Page) -> None:
    script = "view.moveTo({ x: 250, y: 170, fit: false, zoom: 4 }); view.panBy(30, -18); return view.place"
    place = run(scripts, script, ratio=1.5)
    assert (place["x"], place["y"]) == (250 + 30 / 4, 170 - 18 / 4)


VIEWPOINT = {"x": 200, "y": 150, "fit": False, "zoom": 4, "min_width": 64}


@pytest.mark.parametrize(
    ("ratio", "min_width", "zoom"),
    [
        (1, 64, 4),
        (1, 0, 4),
        (1, 100, 3),
        (1, 200, 1),
        (1, 400, 1),
        (1.5, 64, 4 / 1.5),
        (2, 64, 4 / 2),
        (3, 64, 4 / 3),
    ],  # device pixels: 303 / 64 = 4.7
)
def test_a_narrow_panel_lowers_the_zoom_of_a_viewpoint(
    scripts: Page, ratio: float, min_width: int, zoom: float
) -> None:
    viewpoint = VIEWPOINT | {"min_width": min_width}
    place = run(scripts, "view.moveToViewpoint(viewpoint); return view.place", ratio, viewpoint=viewpoint)
    assert (place["fit"], place["zoom"]) == (False, pytest.approx(zoom, rel=1e-12))


def test_a_viewpoint_may_fit_the_image(scripts: Page) -> None:
    viewpoint = VIEWPOINT | {"fit": True}
    assert run(scripts, "view.moveToViewpoint(viewpoint); return view.region", viewpoint=viewpoint) == {
        "x": 0,
        "y": 0,
        "width": IMAGE[0],
        "height": IMAGE[1],
    }


def test_the_overview_moves_the_centre(scripts: Page) -> None:
    place = run(scripts, "view.zoomTo(12); view.centreOn(0.5, 0.75); return view.place")
    assert place == {"x": 255.5, "y": 255.75, "fit": False, "zoom": 12}


def test_the_part_of_a_small_image_left_and_right_of_the_divider(scripts: Page) -> None:
    """At scale 4 and 2 device pixels for an HR pixel, a pixel of the small image is a block of 8 x 8."""
    left, right = run(
        scripts,
        """view.moveTo({ x: 256, y: 170, fit: false, zoom: 2 });
        const bitmap = { width: 127, height: 85 };
        return [view.part(bitmap, 4, 0, 100), view.part(bitmap, 4, 100, pane[0])]""",
    )
    x, y = rounded(Fraction(303, 2) - 256 * 2), rounded(Fraction(227, 2) - 170 * 2)
    rows = [row for row in range(85) if y + 8 * (row + 1) > 0 and y + 8 * row < 227]
    for part, start, end in ((left, 0, 100), (right, 100, 303)):
        columns = [column for column in range(127) if x + 8 * (column + 1) > start and x + 8 * column < end]
        assert part["source"] == {"x": columns[0], "y": rows[0], "width": len(columns), "height": len(rows)}
        assert part["target"] == {
            "x": x + 8 * columns[0],
            "y": y + 8 * rows[0],
            "width": 8 * len(columns),
            "height": 8 * len(rows),
        }
    assert run(scripts, "return view.part({ width: 127, height: 85 }, 4, pane[0] + 400, pane[0] + 500)") is None


def test_a_hidden_panel_leaves_the_place_as_it_is(scripts: Page) -> None:
    ready, place = run(
        scripts,
        """view.setPane(0, 0, 1); view.moveTo({ x: 3, y: 4, fit: false, zoom: 6 });
        return [view.isReady, view.place]""",
    )
    assert (ready, place) == (False, {"x": 3, "y": 4, "fit": False, "zoom": 6})
