"""The stage of the Compare tab: its place in the window, its labels, and its pixels on real screenshots."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from drn.image import Array
from drn.resize import downscale, upscale
from tests.helpers.browsing import after_a_frame, assert_shows, drawn, in_view, numbers, slow_down, thumbnails, visit

PHONE, ZOOMED = (390, 844), (640, 400)  # 640x400: a window of 1280x800 at a browser zoom of 200 %
WINDOWS = [(1280, 800), (1440, 900), PHONE, ZOOMED]


def box_of(found: Locator) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom in the window, in CSS pixels."""
    box = found.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


@pytest.mark.parametrize("size", WINDOWS)
def test_images_names_and_gain_are_visible_without_scrolling(browser: Browser, url: str, size: tuple[int, int]) -> None:
    narrow = size == PHONE
    with visit(browser, url, size, has_touch=narrow, is_mobile=narrow) as page:
        viewer = page.locator("#viewer")
        assert page.evaluate("scrollY") == 0
        first = box_of(viewer.locator(".pane canvas").first)
        assert first[1] <= (130 if narrow else 150)
        images = [box_of(canvas) for canvas in viewer.locator(".pane canvas").all()]
        if narrow:  # two images on one canvas, as wide as the window
            assert images[0][0] <= 1
            assert images[0][2] >= size[0] - 1
            assert images[0][3] - images[0][1] > 0.5 * size[1]
            assert page.locator("#viewer .viewer").get_attribute("data-mode") == "divider"
        else:
            assert sum(bottom <= size[1] for *_, bottom in images) >= 2
        captions = viewer.locator(".caption:visible")
        assert captions.count() == (2 if narrow else 4)
        for key, name in (("bicubic", "Bicubic"), ("drn", "DRN")):
            labels = viewer.locator(f'.caption[data-of="{key}"]')
            expect(labels.locator(".name")).to_have_text(name)
            for pill in (labels.locator(".name"), labels.locator(".region")):
                left, top, right, bottom = box_of(pill)
                assert left >= 0
                assert top >= first[1]
                assert right <= size[0]
                assert bottom <= size[1]
        expect(viewer.locator('.caption[data-of="truth"] .region, .caption[data-of="lr"] .region')).to_have_count(
            0 if narrow else 2
        )
        expect(viewer.locator('.caption[data-of="truth"] .region')).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_gain_is_the_difference_of_the_displayed_values(page: Page) -> None:
    bicubic, drn = numbers(page, "bicubic", "region")[0], numbers(page, "drn", "region")[0]
    viewer = page.locator("#viewer")
    expect(viewer.locator('.caption[data-of="drn"] .gain')).to_have_text(f"+{drn - bicubic:.2f} dB")
    expect(viewer.locator('.caption[data-of="bicubic"] .gain')).to_have_text("")
    bicubic, drn = numbers(page, "bicubic", "whole")[0], numbers(page, "drn", "whole")[0]
    expect(viewer.get_by_role("table")).to_be_hidden()
    viewer.get_by_text("Whole image").click()
    row = viewer.get_by_role("table").get_by_role("row", name="DRN")
    expect(row).to_contain_text(f"+{drn - bicubic:.2f} dB")
    expect(row).to_contain_text(" s")


def test_flip_shows_one_image_with_its_name(page: Page) -> None:
    numbers(page, "drn", "region")
    viewer = page.locator("#viewer")
    viewer.get_by_role("button", name="Flip").click()
    for name in ("DRN", "Bicubic", "DRN"):
        expect(viewer.locator(".pane")).to_have_count(1)
        expect(viewer.locator(".pill.name")).to_have_text([name])
        viewer.get_by_test_id("viewer").focus()
        page.keyboard.press("Space")


def screenshot(page: Page, key: str, ratio: float) -> Array:
    """Return the screen's own pixels of a panel's canvas, and check that it lies on whole ones."""
    edges = [edge * ratio for edge in box_of(page.locator(f'canvas[data-key="{key}"]'))]
    left, top, right, bottom = map(round, edges)
    assert edges == pytest.approx([left, top, right, bottom], abs=0.05)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        return np.asarray(image.convert("RGBA"))[top:bottom, left:right]


def inside(canvas: Array, image: Array, zoom: int) -> Array:
    """Return the part of a canvas that the image covers."""
    height, width = (size * zoom for size in image.shape[:2])
    top, left = (
        max(0, (all_of - size + 1) // 2) for all_of, size in zip(canvas.shape[:2], (height, width), strict=True)
    )
    return canvas[top : top + height, left : left + width]


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2, 3])
def test_screen_pixels_are_image_pixels(browser: Browser, url: str, truth: Array, ratio: float) -> None:
    small = downscale(truth, 4)
    images = {"lr": small.repeat(4, 0).repeat(4, 1), "bicubic": upscale(small, 4), "truth": truth}
    with visit(browser, url, (1112, 704), device_scale_factor=ratio) as page:
        page.add_style_tag(content=".viewer figcaption, .viewer .overview { visibility: hidden; }")
        viewer = page.locator("#viewer")
        viewer.get_by_role("button", name="100 %").click()
        for zoom in (1, 2, 3, 4, 6, 8):
            expect(viewer.get_by_test_id("zoom")).to_have_text(f"{zoom * 100} %")
            viewer.get_by_test_id("viewer").focus()
            after_a_frame(page)
            for key, image in images.items():
                assert_shows(inside(screenshot(page, key, ratio), image, zoom), image, in_view(page), zoom)
            assert np.array_equal(
                inside(screenshot(page, "drn", ratio), truth, zoom), inside(drawn(page, "drn"), truth, zoom)
            )
            viewer.get_by_role("button", name="Zoom in").click()


def answer_late(route: Route) -> None:
    """Let a request wait for longer than Chromium ignores movements after a click."""
    time.sleep(0.7)
    route.continue_()


def test_nothing_moves_while_results_arrive(page: Page, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, 1)
    page.add_init_script(
        """window.moved = 0;
        new PerformanceObserver((list) => {
            for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.moved += shift.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    for size in (PHONE, (1280, 800)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.goto(url)
        before = numbers(page, "drn", "whole")
        page.wait_for_timeout(500)
        assert page.evaluate("window.moved") < 0.02, size
        page.evaluate("window.moved = 0")
        # Chromium does not count what moves within half a second after a click.
        page.route("**/gradio_api/queue/join*", answer_late)
        thumbnails(page).nth(2).click()
        numbers(page, "drn", "whole", former=before)
        page.wait_for_timeout(500)
        page.unroute_all()
        assert page.evaluate("window.moved") < 0.005, size


@pytest.mark.parametrize("touch", [False, True])
def test_targets_are_large_enough(browser: Browser, url: str, touch: bool) -> None:
    with visit(browser, url, PHONE if touch else (1280, 800), has_touch=touch, is_mobile=touch) as page:
        small = page.evaluate(
            """(least) => [...document.querySelectorAll("button, summary, select, .handle, #scale label, #plus label")]
                .filter((one) => one.offsetParent && one.getBoundingClientRect().width > 1)
                .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
                .filter(([, { width, height }]) => Math.min(width, height) < least)
                .map(([html, { width, height }]) => `${width} x ${height}: ${html}`)""",
            44 if touch else 32,
        )
        assert small == []


def test_fullscreen_shows_the_stage_and_hides_the_buttons_while_the_pointer_rests(page: Page) -> None:
    numbers(page, "drn", "region")
    viewer = page.locator("#viewer")
    page.keyboard.press("Escape")
    viewer.get_by_role("button", name="Fullscreen").click()
    page.wait_for_function("document.fullscreenElement")
    after_a_frame(page)
    width, height = page.evaluate("[innerWidth, innerHeight]")
    boxes = [box_of(canvas) for canvas in viewer.locator(".pane canvas").all()]
    assert min(left for left, *_ in boxes) <= 1
    assert min(top for _, top, *_ in boxes) <= 1
    assert max(right for _, _, right, _ in boxes) >= width - 4
    assert max(bottom for *_, bottom in boxes) >= height - 2
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(300, 300)
    expect(viewer.locator(".bar")).to_have_css("opacity", "1")
    expect(viewer.locator(".bar")).to_have_css("opacity", "0")
    page.mouse.move(320, 300)
    expect(viewer.locator(".bar")).to_have_css("opacity", "1")
    page.keyboard.press("Escape")
