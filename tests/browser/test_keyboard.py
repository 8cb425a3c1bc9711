"""The Compare tab by keyboard alone: every action is reached by Tab, and the focus stays visible."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from drn.geometry import Rect
from tests.helpers.browsing import (
    after_a_frame,
    assert_region,
    in_view,
    names,
    numbers,
    open_compare,
    region_fields,
    slow_down,
    thumbnails,
)

FOCUS = """() => {
  const one = document.activeElement;
  const rings = [one, one.closest("label"), one.matches(".viewer") ? one.querySelector(".frame") : null];
  const isMarked = rings.filter(Boolean).some((ring) => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(ring);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow.includes("3px");
  });
  const { width, height, right, bottom } = one.getBoundingClientRect();
  return { name: one.outerHTML.slice(0, 120), isBody: one === document.body,
           isSeen: isMarked && width > 0 && height > 0 && right > 0 && bottom > 0 };
}"""


def assert_focus_is_seen(page: Page) -> None:
    """Check that an element has the focus and shows it."""
    focus = page.evaluate(FOCUS)
    assert not focus["isBody"], "the focus is lost"
    assert focus["isSeen"], focus["name"]


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus; each element on the way must show its focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        assert_focus_is_seen(page)
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} cannot be reached by Tab")


def press(page: Page, wanted: Locator, key: str = "Enter") -> None:
    """Go on to an element by Tab, press a key, and check that the element keeps the focus."""
    tab_to(page, wanted)
    page.keyboard.press(key)
    after_a_frame(page)
    expect(wanted).to_be_focused()
    assert_focus_is_seen(page)


def test_the_skip_link_leads_to_the_content_of_each_tab(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    skip = page.get_by_role("link", name="Skip to the content")
    page.keyboard.press("Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.locator("#viewer .viewer")).to_be_focused()
    assert_focus_is_seen(page)
    assert "#" not in page.url
    page.get_by_role("tab", name="Results").click()
    skip.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tabpanel").locator("visible=true")).to_be_focused()


def test_a_comparison_by_keyboard(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    viewer = page.locator("#viewer")
    before = numbers(page, "drn", "whole")
    _choose_scale(page)
    numbers(page, "drn", "whole", former=before)
    assert_focus_is_seen(page)
    _arrange(page)
    _choose_region(page)
    _export(page)
    _walk(page)
    table = viewer.get_by_role("table")
    press(page, viewer.locator(".whole summary"))
    expect(table).to_be_visible()
    page.keyboard.press("Enter")
    expect(table).to_be_hidden()
    press(page, viewer.locator(".chips").get_by_role("button", name="DRN error"))
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "Original", "DRN error"]
    press(page, thumbnails(page).nth(3))
    expect(thumbnails(page).nth(3)).to_have_attribute("aria-pressed", "true")
    numbers(page, "drn", "region")
    expect(thumbnails(page).nth(3)).to_be_focused()
    press(page, page.get_by_label("DRN+ too"), "Space")
    expect(viewer.locator('[data-of="drn+"] [data-testid="whole"] .psnr')).to_contain_text("dB")
    expect(page.get_by_label("DRN+ too")).to_be_focused()


def test_the_table_keeps_the_focus_while_another_photograph_is_computed(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(page, "drn", "whole")
    slow_down(monkeypatch, 2)
    summary = page.locator("#viewer .whole summary")
    summary.focus()
    page.keyboard.press("]")
    expect(page.locator("#viewer .waiting").first).to_be_visible()
    after_a_frame(page)
    expect(summary).to_be_focused()
    numbers(page, "drn", "whole")
    expect(summary).to_be_focused()


def _choose_scale(page: Page) -> None:
    """Choose the next smaller scale; the options of a scale are one stop of Tab."""
    tab_to(page, page.get_by_role("radio", name="x4").locator("visible=true"))
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="x3").locator("visible=true")).to_be_focused()
    tab_to(page, page.locator("#viewer .viewer"))
    assert_focus_is_seen(page)


def _arrange(page: Page) -> None:
    """Choose each layout, then zoom, pan, and use fullscreen and the link."""
    bar = page.locator("#viewer .bar")
    for layout, panels in (("divider", 1), ("single", 1)):
        press(page, bar.locator(f'[data-mode="{layout}"]'))
        expect(page.locator("#viewer [data-panel]")).to_have_count(panels)
    page.keyboard.press("s")
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    press(page, bar.get_by_role("button", name="Zoom in"))
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    start = in_view(page)
    page.keyboard.press("ArrowRight")
    after_a_frame(page)
    assert in_view(page).x > start.x
    tab_to(page, bar.get_by_role("button", name="Fullscreen"))
    page.keyboard.press("Enter")
    page.wait_for_function("document.fullscreenElement")
    assert_focus_is_seen(page)
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")
    assert_focus_is_seen(page)
    press(page, bar.get_by_role("button", name="Copy link"))
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('image=')")


def _choose_region(page: Page) -> None:
    """Choose a region by its fields, and move it by the arrow keys."""
    fields = page.locator("#viewer .region-fields input")
    for index, value in enumerate((120, 130, 40, 30)):
        tab_to(page, fields.nth(index))
        page.keyboard.type(str(value))
    page.keyboard.press("Enter")
    after_a_frame(page)
    assert region_fields(page) == Rect(120, 130, 40, 30)
    assert_focus_is_seen(page)
    tab_to(page, page.locator('#viewer [data-region="clear"]'))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert_region(page, Rect(121, 140, 40, 30))
    numbers(page, "drn", "region")
    assert_focus_is_seen(page)


def _export(page: Page) -> None:
    """Copy the numbers of the region."""
    press(page, page.locator('#viewer [data-region="copy"]'))
    shown = page.locator('#viewer [data-of="drn"] [data-testid="region"] .psnr').inner_text().removesuffix(" dB")
    page.wait_for_function("async (shown) => (await navigator.clipboard.readText()).includes(shown)", arg=shown)


def _walk(page: Page) -> None:
    """Choose the previous photograph and then the next one."""
    for name, selected in (("Previous photograph", 8), ("Next photograph", 0)):
        press(page, page.locator("#viewer").get_by_role("button", name=name))
        expect(thumbnails(page).nth(selected)).to_have_attribute("aria-pressed", "true")
        numbers(page, "drn", "region")
        assert_focus_is_seen(page)
