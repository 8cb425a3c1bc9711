"""The first picture stands where the viewer shows the same pixels, and disappears with it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, expect

from drn.image import Array
from tests.helpers.browsing import FRESH, OPENING_SHOWN


def shot(page: Page, selector: str) -> tuple[FloatRect, Array]:
    """Return the rectangle of an element in CSS pixels, and the window's real pixels in it."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    with Image.open(io.BytesIO(page.screenshot(clip=box, scale="css"))) as image:
        return box, np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (820, 1180), (390, 844), (320, 640)])
def test_the_viewer_replaces_it_without_a_move(browser: Browser, url: str, width: int, height: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark")
    page = context.new_page()
    page.route("**/assets/*.js", lambda route: route.abort())  # gradio's scripts have not arrived
    page.goto(url)
    page.wait_for_function(OPENING_SHOWN)
    opening, early = shot(page, "#opening .stage")
    expect(page.get_by_text("Loading…", exact=True)).to_be_visible()

    page.unroute_all()
    page.goto(url)
    expect(page.locator(FRESH)).to_have_count(1)
    expect(page.locator("#opening")).to_be_hidden()
    stage, shown = shot(page, "#viewer .stage")
    assert opening == stage
    # The names, the numbers and the small overview cover some parts, and the images may differ by a screen pixel.
    assert np.median(np.abs(early - shown)) <= 2
    context.close()


def test_it_does_not_cover_another_tab(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.route("**/*.webp*", lambda route: route.abort() if "/file=" in route.request.url else route.continue_())
    page.goto(url)
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#opening")).to_be_hidden()
    page.close()


def test_a_link_does_not_show_another_view_first(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}?image=cat&scale=4&x=60&y=60&zoom=2&layout=side")
    expect(page.locator("#opening")).to_have_count(0)
    page.close()
