"""Accessibility in a real browser: axe-core, sizes of targets and text, forced colours, and narrow and wide windows."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from drn.image import Array
from tests.helpers.browsing import numbers, thumbnails, visit

DESKTOP, PHONE, NARROW, ZOOMED, WIDE = (1280, 800), (390, 844), (320, 640), (640, 400), (2560, 1300)

# A link within a sentence has the height of its line. gradio measures the tabs on hidden copies.
SMALL_TARGETS = """(least) => [...document.querySelectorAll(
    "button, a[href], input, select, summary, textarea, [role=slider]")]
  .filter((one) => !one.closest("p, .visually-hidden") && one.checkVisibility({ visibilityProperty: true }))
  .map((one) => [((one.matches("input") && one.closest("label")) || one).getBoundingClientRect(), one])
  .filter(([{ width, height }]) => width > 1 && Math.min(width, height) < least - 0.01)
  .map(([{ width, height }, one]) => `${width} x ${height}: ${one.outerHTML.slice(0, 120)}`)"""

SMALL_TEXTS = """() => {
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || parent.closest("script, style, .visually-hidden")) continue;
    if (!parent.checkVisibility({ visibilityProperty: true })) continue;
    const { a, b } = parent.getScreenCTM?.() ?? { a: 1, b: 0 }, scale = Math.hypot(a, b);
    const size = parseFloat(getComputedStyle(parent).fontSize) * scale;
    if (size < 11.95) found.push(`${size}: ${parent.outerHTML.slice(0, 120)}`);
  }
  return found;
}"""

# Tables, thumbnails and the list of images scroll by themselves.
CUT = """() => [...document.querySelectorAll("button, a, input, select, summary, h1, h2, p, img, svg, .pill")]
  .filter((one) => !one.closest(".visually-hidden, table, .results-table, #examples, .chips, .skip"))
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => {
    const { left, right, width } = one.getBoundingClientRect();
    return width > 1 && (left < -0.5 || right > document.documentElement.clientWidth + 0.5);
  }).map((one) => one.outerHTML.slice(0, 120))"""


def open_tab(page: Page, name: str) -> None:
    """Open a tab. In the Upscale tab, also click a sample and wait for its result."""
    page.get_by_role("tab", name=name).click()
    if name == "Upscale":
        page.get_by_role("button", name="astronaut").locator("visible=true").click()
        expect(page.locator("#download")).to_be_visible(timeout=60_000)
        expect(page.locator("#upscale-viewer canvas").first).to_be_visible()
    elif name == "Results":
        expect(page.locator(".results-plot svg").first).to_be_visible()


def assert_no_violations(page: Page) -> None:
    """Check that axe-core finds nothing serious or critical."""
    page.wait_for_timeout(300)  # transitions of colours
    found = Axe().run(page).response["violations"]
    assert [
        (violation["id"], node["target"], node["html"][:200])
        for violation in found
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_axe_finds_nothing_serious(browser: Browser, url: str, size: tuple[int, int], colours: str) -> None:
    touch = size == PHONE
    with visit(browser, url, size, has_touch=touch, is_mobile=touch, color_scheme=colours) as page:
        for layout in page.locator("#viewer .bar [data-mode]").all():
            layout.click()
            expect(page.locator("#viewer [data-panel]").locator("visible=true").first).to_be_visible()
            assert_no_violations(page)
        for summary in page.locator("#viewer summary").all():
            summary.click()
        page.get_by_label("About this page").click()
        assert_no_violations(page)
        page.get_by_label("About this page").click()
        for tab in ("Upscale", "Results"):
            open_tab(page, tab)
            assert_no_violations(page)
        page.get_by_role("button", name="The other networks").click()
        assert_no_violations(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW])
def test_targets_and_texts_are_large_enough(browser: Browser, url: str, size: tuple[int, int]) -> None:
    touch = size != DESKTOP
    with visit(browser, url, size, has_touch=touch, is_mobile=touch) as page:
        for tab in ("Compare", "Upscale", "Results"):
            open_tab(page, tab)
            assert page.evaluate(SMALL_TARGETS, 44 if touch else 32) == [], tab
            assert page.evaluate(SMALL_TEXTS) == [], tab


@pytest.mark.parametrize("size", [NARROW, ZOOMED, WIDE])
def test_nothing_is_cut(browser: Browser, url: str, size: tuple[int, int]) -> None:
    with visit(browser, url, size) as page:
        for tab in ("Compare", "Upscale", "Results"):
            open_tab(page, tab)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), tab
            assert page.evaluate(CUT) == [], tab


def background(button: Locator) -> tuple[int, ...]:
    """Return the colour of a pixel inside the left edge of a button on the screen."""
    with Image.open(io.BytesIO(button.screenshot())) as image:
        pixels: Array = np.asarray(image.convert("RGB"))
    return tuple(int(value) for value in pixels[pixels.shape[0] // 2, 5])


def test_forced_colours_show_what_is_pressed(browser: Browser, url: str) -> None:
    with visit(browser, url, DESKTOP, forced_colors="active") as page:
        bar = page.locator("#viewer .bar")
        assert background(bar.locator('[data-mode="side"]')) != background(bar.locator('[data-mode="divider"]'))
        chips = page.locator("#viewer .chips")
        assert background(chips.locator('[data-key="drn"]')) != background(chips.locator('[data-key="error-drn"]'))
        scales = page.locator("#scale label")
        assert background(scales.filter(has_text="x4")) != background(scales.filter(has_text="x2"))
        tabs = [page.get_by_role("tab", name=name) for name in ("Compare", "Results")]
        assert [tab.evaluate("tab => getComputedStyle(tab).outlineStyle") for tab in tabs] == ["solid", "none"]
        page.get_by_role("tab", name="Upscale").click()
        chosen = page.locator("#upscale-scale input")
        assert chosen.evaluate_all("all => all.map(one => getComputedStyle(one).appearance)") == ["auto"] * 3


def test_reduced_motion_is_respected(browser: Browser, url: str) -> None:
    with visit(browser, url, DESKTOP, reduced_motion="reduce") as page:
        moving = page.evaluate(
            """() => [...document.querySelectorAll(".tabs *")].filter((one) => {
                const { transitionDuration, animationName, animationDuration } = getComputedStyle(one);
                const longest = (times) => Math.max(...times.split(",").map(parseFloat));
                const isAnimated = animationName !== "none" && longest(animationDuration) > 0.01;
                return isAnimated || longest(transitionDuration) > 0.01;
            }).map((one) => one.outerHTML.slice(0, 100))"""
        )
        assert moving == []


def test_thumbnails_are_named_by_their_picture(page: Page) -> None:
    numbers(page, "drn", "region")
    examples = page.locator("#examples")
    expect(examples.get_by_role("button", name="flower", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(examples.get_by_role("button", name="cat", exact=True)).to_have_attribute("aria-pressed", "false")
    assert page.get_by_role("button", name=re.compile("Thumbnail")).count() == 0
    examples.get_by_role("button", name="cat", exact=True).click()
    expect(examples.get_by_role("button", name="cat", exact=True)).to_have_attribute("aria-pressed", "true")
    assert all(thumbnails(page).nth(index).get_attribute("aria-label") for index in range(thumbnails(page).count()))
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#upscale-samples").get_by_role("button", name="palace", exact=True)).to_be_visible()


def test_each_choice_is_one_group_of_options(page: Page) -> None:
    numbers(page, "drn", "region")
    for tab, names in (
        ("Compare", ["Scale", "Small picture made by"]),
        ("Upscale", ["Scale", "Weights"]),
        ("Results", ["Scale", "Test set", "Scale"]),
    ):
        page.get_by_role("tab", name=tab).click()
        groups = page.get_by_role("tabpanel").locator("visible=true").get_by_role("radiogroup")
        expect(groups).to_have_count(len(names))
        for group, name in zip(groups.all(), names, strict=True):
            expect(group).to_have_accessible_name(name)
            assert len(set(group.locator("input").evaluate_all("all => all.map(one => one.name)"))) == 1
    page.get_by_role("tab", name="Compare").click()
    before = numbers(page, "drn", "whole")
    page.get_by_role("radio", name="x4").locator("visible=true").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="x3").locator("visible=true")).to_be_checked()
    numbers(page, "drn", "whole", former=before)
    expect(page.get_by_role("radio", name="x4").locator("visible=true")).not_to_be_checked()
