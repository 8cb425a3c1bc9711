"""The chosen region in a real browser: drag, fields, keys and touch, its numbers, and their export."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.photographs import examples
from drn.geometry import Rect
from drn.image import Array
from drn.metrics import psnr, ssim
from drn.resize import downscale, upscale
from tests.helpers.browsing import (
    after_a_frame,
    assert_region,
    drag,
    in_view,
    names,
    numbers,
    open_compare,
    region_fields,
    type_region,
    viewer_scripts,
)

FRAME = '[data-panel="Original"] [data-testid="frame"]'


@pytest.fixture
def page(context: BrowserContext, url: str) -> Page:
    return open_compare(context, url)


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    with viewer_scripts(browser, "viewport", "region", "panels", "table") as page:
        yield page


def expected_scores(truth: Array, region: Rect) -> tuple[float, float]:
    """Measure bicubic enlargement in a region that keeps clear of the border of 4 pixels."""
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    sr = upscale(downscale(truth, 4), 4)[rows, columns]
    return psnr(sr, truth[rows, columns], 0), ssim(sr, truth[rows, columns], 0)


def framed(page: Page) -> Array:
    """Return a screenshot of the part of the original that the frame of the region encloses."""
    after_a_frame(page)
    box = page.locator(FRAME).bounding_box()
    assert box is not None
    with Image.open(io.BytesIO(page.screenshot(clip=box))) as image:
        return np.asarray(image.convert("RGB"))


def drag_region(page: Page, left: float, top: float, right: float, bottom: float) -> None:
    """Drag with the shift key on the panel of the original, between two positions in CSS pixels."""
    box = page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + left, box["y"] + top)
    page.mouse.down()
    page.mouse.move(box["x"] + (left + right) / 2, box["y"] + top)
    page.mouse.move(box["x"] + right, box["y"] + bottom)
    page.mouse.up()
    page.keyboard.up("Shift")
    after_a_frame(page)


def test_drag_fields_and_keys_choose_the_same_region(page: Page, truth: Array) -> None:
    view = in_view(page)
    drag_region(page, 200, 370, 41, 262)  # to the upper left, below the overview
    region = region_fields(page)
    assert in_view(page) == view, "the view must not move"
    assert (region.width, region.height) == pytest.approx((160 / 4, 109 / 4), abs=1.5)
    by_drag = numbers(page, "bicubic", "region")
    assert by_drag == pytest.approx(expected_scores(truth, region), abs=0.0051)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    block = truth[rows, columns].repeat(4, 0).repeat(4, 1)
    assert np.array_equal(framed(page), block), "the frame does not enclose the pixels of the region"

    page.get_by_role("button", name="Clear").click()
    expect(page.locator(FRAME)).to_have_count(0)
    assert region_fields(page) == in_view(page)
    assert numbers(page, "bicubic", "region") == pytest.approx(expected_scores(truth, view), abs=0.0051)
    type_region(page, region)
    assert region_fields(page) == region
    assert numbers(page, "bicubic", "region") == by_drag
    assert np.array_equal(framed(page), block)

    type_region(page, Rect(region.x - 11, region.y + 9, region.width, region.height))
    page.get_by_test_id("viewer").first.focus()
    for key in ("Shift+ArrowRight", "ArrowRight", "Shift+ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    after_a_frame(page)
    assert region_fields(page) == region
    assert numbers(page, "bicubic", "region") == by_drag
    expect(page.locator("#viewer .overview [data-testid=frame]")).to_be_visible()


def test_a_region_is_clamped_to_the_image_and_stays_visible(page: Page, truth: Array) -> None:
    height, width = truth.shape[:2]
    type_region(page, Rect(width - 12, 3, 400, 20))
    assert_region(page, Rect(width - 12, 3, 12, 20))
    page.get_by_test_id("viewer").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert_region(page, Rect(width - 12, 3, 12, 20))
    view = in_view(page)
    assert view.x <= width - 12
    assert view.x + view.width == width
    type_region(page, Rect(999999, 999999, 999999, 0))
    assert_region(page, Rect(width - 1, height - 1, 1, 1))
    type_region(page, Rect(0, 0, 999999, 999999))
    assert_region(page, Rect(0, 0, width, height))
    assert in_view(page) == Rect(0, 0, width, height)  # a region larger than the panel is fitted
    whole = numbers(page, "drn", "whole")
    assert numbers(page, "drn", "region") == whole


def test_malformed_coordinates_leave_the_region_as_it_is(page: Page) -> None:
    type_region(page, Rect(10, 20, 30, 40))
    width = page.locator('#viewer input[name="width"]')
    for text in ("", "-5", "1e3", "x", "12.5"):
        width.fill(text)
        width.press("Enter")
        assert_region(page, Rect(10, 20, 30, 40))
    width.fill("99")
    width.press("Escape")
    assert_region(page, Rect(10, 20, 30, 40))
    width.fill("31")
    page.get_by_test_id("viewer").first.focus()  # leaving the fields applies them too
    assert_region(page, Rect(10, 20, 31, 40))


def test_without_a_region_the_keys_and_the_mouse_move_the_view(page: Page) -> None:
    start = in_view(page)
    page.get_by_test_id("viewer").first.focus()
    page.keyboard.press("ArrowRight")
    after_a_frame(page)
    assert in_view(page).x > start.x + 2
    drag(page, "truth", 40, 0)
    expect(page.locator(FRAME)).to_have_count(0)
    box = page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    page.mouse.click(box["x"] + 50, box["y"] + 50)  # a click without a drag chooses nothing
    page.keyboard.up("Shift")
    after_a_frame(page)
    expect(page.locator(FRAME)).to_have_count(0)


def test_the_region_tool_with_a_finger(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    page = open_compare(context, url)
    tool = page.locator("#viewer").get_by_role("button", name="Region")
    tool.tap()
    expect(tool).to_have_attribute("aria-pressed", "true")
    canvas = page.locator('canvas[data-key="drn"]')
    canvas.scroll_into_view_if_needed()
    box, view = canvas.bounding_box(), in_view(page)
    assert box is not None
    client = context.new_cdp_session(page)
    x, y = box["x"] + 20, box["y"] + 30

    def touch(kind: str, *point: float) -> None:
        points = [{"x": point[0], "y": point[1], "id": 0}] if point else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", x, y)
    touch("touchMove", x + 30, y + 20)
    touch("touchMove", x + 80, y + 40)
    touch("touchEnd")
    after_a_frame(page)
    region = region_fields(page)
    assert (region.width, region.height) == pytest.approx((21, 11), abs=1)  # 4 CSS pixels for a pixel
    assert in_view(page) == view
    expect(tool).to_have_attribute("aria-pressed", "false")
    touch("touchStart", x, y)
    touch("touchMove", x - 20, y)
    touch("touchMove", x - 40, y)
    touch("touchEnd")
    after_a_frame(page)
    assert in_view(page).x > view.x  # the next drag pans
    assert region_fields(page) == region
    context.close()


def test_the_region_stays_at_another_scale_and_goes_with_the_photograph(page: Page, truth: Array) -> None:
    width = truth.shape[1]
    type_region(page, Rect(width - 22, 100, 22, 30))
    page.locator("#scale").get_by_label("x3").check()  # crops the image to a multiple of 3
    left = width // 3 * 3 - width + 22
    assert_region(page, Rect(width - 22, 100, left, 30))
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    assert_region(page, Rect(width - 22, 100, left, 30))
    page.locator("#examples .thumbnail-item").nth(2).click()
    expect(page.locator(FRAME)).to_have_count(0)


@pytest.mark.parametrize(("kind", "start"), [("SVG", b"<svg "), ("PDF", b"%PDF-")])
def test_the_figure_is_offered_in_vector_formats(page: Page, kind: str, start: bytes) -> None:
    type_region(page, Rect(131, 149, 48, 40))
    decibel, similarity = numbers(page, "drn", "region")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Figure as {kind}", exact=True).click()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x4_figure.{kind.lower()}"
    data = Path(download.value.path()).read_bytes()
    assert data.startswith(start)
    if kind == "SVG":
        text = re.sub("<[^>]*>", "", data.decode())
        assert "x4, region 48x40 at 131, 149" in text
        assert f"{decibel:.2f} dB / {similarity:.4f}" in text


def test_copied_text_csv_and_figure_have_the_numbers_of_the_region(page: Page, truth: Array) -> None:
    region = Rect(131, 349, 48, 40)
    type_region(page, region)
    shown = {key: {which: numbers(page, key, which) for which in ("region", "whole")} for key in ("bicubic", "drn")}
    assert shown["bicubic"]["region"] == pytest.approx(expected_scores(truth, region), abs=0.0051)
    page.get_by_role("button", name="Copy numbers").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    copied = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
    with page.expect_download() as download:
        page.locator("#viewer").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x4_numbers.csv"
    saved = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    expected = [["method", "PSNR", "SSIM", "region", "image", "scale", "LR"]]
    for which, place in (("region", "131,349,48,40"), ("whole", "whole image")):
        for key, name in (("bicubic", "Bicubic"), ("drn", "DRN")):
            decibel, similarity = shown[key][which]
            expected.append([name, f"{decibel:.2f}", f"{similarity:.4f}", place, examples()[0].stem, "4", "bicubic"])
    assert copied == expected
    assert saved == expected
    assert float(saved[1][1]) == pytest.approx(expected_scores(truth, region)[0], abs=0.0051)

    with page.expect_download() as download:
        page.locator("#figure-png").click()
    with Image.open(download.value.path()) as image:
        figure = np.asarray(image)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    for pixels in (truth, upscale(downscale(truth, 4), 4)):
        block = pixels[rows, columns].repeat(5, 0).repeat(5, 1)
        places = np.argwhere((figure[: -block.shape[0], : -block.shape[1]] == block[0, 0]).all(2))
        assert any(np.array_equal(figure[y : y + block.shape[0], x : x + block.shape[1]], block) for y, x in places)


def test_a_region_that_is_being_typed_survives_a_change_of_the_view(page: Page) -> None:
    numbers(page, "drn", "region")
    fields = page.locator("#viewer .region-fields input")
    fields.nth(0).fill("33")
    fields.nth(1).fill("44")  # the first field is edited, and no longer has the focus
    before = fields.nth(2).input_value()
    page.locator('#viewer [data-panel="DRN"] canvas').hover()
    page.mouse.wheel(0, -200)
    expect(fields.nth(2)).not_to_have_value(before)
    assert [fields.nth(0).input_value(), fields.nth(1).input_value()] == ["33", "44"]
    fields.nth(1).press("Enter")
    after_a_frame(page)
    assert region_fields(page).x == 33
    assert region_fields(page).y == 44


def test_the_table_of_several_scales_and_unusual_names(scripts: Page) -> None:
    score = {"text": "∞ dB", "best": True}
    none = {"text": "–", "best": False}
    scores = {"region": {"psnr": score, "ssim": none}, "whole": {"psnr": score, "ssim": score}, "seconds": None}
    images: list[dict[str, Any]] = [
        {"key": "a", "name": 'my "best", <b>net</b>\tv2', "scale": 2},
        {"key": "b", "name": "plain", "scale": 4},
        {"key": "c", "name": "without numbers", "scale": 4},
    ]
    answer = {"token": "t", "region": {"x": 1, "y": 2, "width": 3, "height": 4}, "scores": {"a": scores, "b": scores}}
    text, saved, name = scripts.evaluate(
        """(shown) => {
            const table = numbersTable(shown);
            return [asText(table), asCsv(table), csvName(shown)];
        }""",
        {"photograph": "photo, 1", "images": images, "degradation": "JPEG 75", "numbers": answer},
    )
    rows = list(csv.reader(io.StringIO(saved)))
    lr = "bicubic then JPEG 75 (outside the benchmark protocol)"
    assert rows[1] == ['my "best", <b>net</b>\tv2', "inf", "", "1,2,3,4", "photo, 1", "2", lr]
    assert [len(row) for row in rows] == [7] * 5
    assert [len(line.split("\t")) for line in text.splitlines()] == [7] * 5
    assert name == "photo, 1_x2_x4_JPEG75_numbers.csv"


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2, 3])
def test_every_position_in_a_panel_belongs_to_the_pixel_that_is_drawn_there(scripts: Page, ratio: float) -> None:
    """The boxes of single pixels are next to each other, and ``pixelAt`` finds the pixel of each box."""
    for zoom in (1, 3, 8):
        script = """([ratio, zoom]) => {
            const view = new Viewport();
            view.setImage(97, 61);
            view.setPane(303 / ratio, 227 / ratio, ratio);
            view.moveTo({ x: 41.3, y: 30.7, fit: false, zoom });
            const { region } = view, wrong = [];
            for (let index = 0; index < region.width * region.height; index++) {
                const x = region.x + index % region.width, y = region.y + Math.floor(index / region.width);
                const box = view.boxOf({ x, y, width: 1, height: 1 });
                for (const share of [0.01, 0.5, 0.99]) {
                    const found = view.pixelAt(box.left + box.width * share, box.top + box.height * share);
                    if (found.x !== x || found.y !== y) wrong.push([x, y, share]);
                }
            }
            return [wrong, region, view.pixelAt(-9999, -9999), view.pixelAt(9999, 9999)];
        }"""
        wrong, _, first, last = scripts.evaluate(script, [ratio, zoom])
        assert wrong == []
        assert (first, last) == ({"x": 0, "y": 0}, {"x": 96, "y": 60})


@pytest.mark.parametrize("region", [Rect(0, 0, 97, 61), Rect(90, 50, 7, 11), Rect(3, 4, 1, 1), Rect(10, 0, 30, 61)])
def test_a_fitted_region_is_visible_in_panels_of_every_size(scripts: Page, region: Rect) -> None:
    rect = {"x": region.x, "y": region.y, "width": region.width, "height": region.height}
    for pane in ((303, 227), (80, 300), (1000, 40)):
        seen = scripts.evaluate(
            """([pane, region]) => {
                const view = new Viewport();
                view.setImage(97, 61);
                view.showRegion(region);  // before the size of the panel is known
                view.setPane(...pane, 1);
                const first = view.region;
                view.setPane(pane[0] + 11, pane[1] - 9, 1);
                return [first, view.region];
            }""",
            [list(pane), rect],
        )
        for view in seen:
            message = json.dumps([pane, view])
            assert view["x"] <= region.x, message
            assert view["y"] <= region.y, message
            assert view["x"] + view["width"] >= region.x + region.width, message
            assert view["y"] + view["height"] >= region.y + region.height, message


def test_the_frame_is_on_every_panel_and_on_the_divided_one(page: Page) -> None:
    type_region(page, Rect(150, 360, 20, 20))
    assert len(names(page)) == 4
    expect(page.locator("#viewer .pane [data-testid=frame]")).to_have_count(4)
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    expect(page.locator("#viewer .pane [data-testid=frame]")).to_have_count(1)
    assert region_fields(page) == Rect(150, 360, 20, 20)
