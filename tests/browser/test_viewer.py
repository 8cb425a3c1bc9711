"""The viewer in a browser: mouse, wheel, keys, touch, and the pixels on its canvases."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from drn.geometry import Rect
from drn.image import Array
from drn.metrics import psnr, ssim
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from tests.helpers.browsing import (
    after_a_frame,
    assert_shows,
    drag,
    drawn,
    in_view,
    names,
    numbers,
    open_compare,
    thumbnails,
)


def test_an_example_is_compared_without_a_click(page: Page) -> None:
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "Original"]
    for which in ("region", "whole"):
        bicubic, drn = numbers(page, "bicubic", which), numbers(page, "drn", which)
        assert 10 < bicubic[0] < drn[0] < 60
        assert 0 < bicubic[1] < drn[1] < 1
        for name in ("psnr", "ssim"):
            row = page.locator(f'[data-of="drn"] [data-testid="{which}"] .{name}')
            expect(row).to_have_class(re.compile("best"))
    expect(page.get_by_test_id("weights")).to_contain_text(re.compile(r"bundled \(x2 [0-9a-f]{7}, x3"))


def test_the_panels_show_the_pixels_of_one_region(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    region = in_view(page)
    assert_shows(drawn(page, "truth"), truth, region, 4)
    assert_shows(drawn(page, "bicubic"), upscale(downscale(truth, 4), 4), region, 4)
    for _ in range(2):
        page.locator("#viewer").get_by_role("button", name="Zoom out").click()
    numbers(page, "drn", "region")
    assert in_view(page).width > 1.9 * region.width
    assert_shows(drawn(page, "truth"), truth, in_view(page), 2)
    assert_shows(drawn(page, "lr"), downscale(truth, 4).repeat(4, 0).repeat(4, 1), in_view(page), 2)


def test_numbers_are_those_of_the_region_in_view(page: Page, truth: Array) -> None:
    numbers(page, "bicubic", "region")
    drag(page, "bicubic", 200, 160)
    shown, region = numbers(page, "bicubic", "region"), in_view(page)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    sr = upscale(downscale(truth, 4), 4)
    assert shown[0] == pytest.approx(psnr(sr[rows, columns], truth[rows, columns], 0), abs=0.0051)
    assert shown[1] == pytest.approx(ssim(sr[rows, columns], truth[rows, columns], 0), abs=0.000051)


def test_changing_the_scale_changes_the_numbers_and_keeps_the_place(page: Page) -> None:
    before = {which: numbers(page, "drn", which) for which in ("region", "whole")}
    place = in_view(page)
    page.locator("#scale").get_by_label("x2").check()
    for which in ("whole", "region"):
        assert numbers(page, "drn", which, former=before[which])[0] > before[which][0] + 1
    assert in_view(page) == place


def test_drag_wheel_and_double_click(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    start = in_view(page)
    drag(page, "drn", -80, 40)
    moved = in_view(page)
    assert (moved.x - start.x, moved.y - start.y) == (20, -10)
    assert_shows(drawn(page, "lr"), downscale(truth, 4).repeat(4, 0).repeat(4, 1), moved, 4)
    page.mouse.wheel(0, -120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    page.mouse.wheel(0, 120)
    page.mouse.wheel(0, 120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("300 %")
    page.locator('canvas[data-key="drn"]').dblclick()
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("400 %")
    assert in_view(page) == start


def test_the_zoom_buttons(page: Page) -> None:
    numbers(page, "drn", "region")
    before = in_view(page)
    viewer = page.locator("#viewer")
    viewer.get_by_role("button", name="Zoom in").click()
    expect(viewer.get_by_test_id("zoom")).to_have_text("600 %")
    numbers(page, "drn", "region")
    after = in_view(page)
    assert after.width == pytest.approx(before.width * 4 / 6, abs=2)
    assert after.x + after.width / 2 == pytest.approx(before.x + before.width / 2, abs=1)
    viewer.get_by_role("button", name="100 %").click()
    expect(viewer.get_by_test_id("zoom")).to_have_text("100 %")
    expect(viewer.get_by_role("button", name="100 %")).to_have_attribute("aria-pressed", "true")
    viewer.get_by_role("button", name="Fit").click()
    expect(viewer.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "true")
    expect(viewer.get_by_test_id("overview")).to_be_hidden()


def test_a_horizontal_wheel_pans_and_small_turns_add_up_to_one_step(page: Page) -> None:
    numbers(page, "drn", "region")
    box = page.locator('canvas[data-key="drn"]').bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    before, zoom = in_view(page), page.locator("#viewer").get_by_test_id("zoom")
    page.mouse.wheel(40, 0)
    panned = f"{before.width}×{before.height} pixels at {before.x + 10}, {before.y}"
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text(panned)
    expect(zoom).to_have_text("400 %")
    # On a busy machine real events come too late to count as one turn, so these are sent in one go.
    turn = """(canvas, turns) => {
        const options = { bubbles: true, cancelable: true };
        for (const deltaY of turns) canvas.dispatchEvent(new WheelEvent("wheel", { deltaY, ...options }));
    }"""
    canvas = page.locator('canvas[data-key="drn"]')
    canvas.evaluate(turn, [-12, -12, -12])
    after_a_frame(page)
    expect(zoom).to_have_text("400 %")
    page.wait_for_timeout(400)  # a new turn begins
    canvas.evaluate(turn, [-12, -12, -12, -12])
    expect(zoom).to_have_text("600 %")
    canvas.evaluate(turn, [-12, -12, -12, 12, -12])  # the other direction begins anew
    after_a_frame(page)
    expect(zoom).to_have_text("600 %")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -20)
    page.keyboard.up("Control")
    expect(zoom).to_have_text("800 %")
    assert page.evaluate("[visualViewport.scale, scrollY]") == [1, 0]


def test_the_wheel_zooms_around_the_pointer(page: Page) -> None:
    numbers(page, "drn", "region")
    box = page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    before = in_view(page)
    page.mouse.wheel(0, -120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    after = in_view(page)
    assert abs(after.x - before.x) <= 1
    assert abs(after.y - before.y) <= 1


def test_keys(page: Page) -> None:
    numbers(page, "drn", "region")
    start = in_view(page)
    page.locator("#viewer").get_by_test_id("viewer").focus()
    page.keyboard.press("ArrowRight")
    after_a_frame(page)
    assert in_view(page).x > start.x
    page.keyboard.press("+")
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    page.keyboard.press("0")
    after_a_frame(page)
    assert (in_view(page).x, in_view(page).y) == (0, 0)
    page.keyboard.press("4")
    expect(page.locator("#viewer [data-panel]")).to_have_count(1)
    assert names(page) == ["Original"]
    page.keyboard.press("3")
    assert names(page) == ["DRN"]
    page.keyboard.press("Space")
    assert names(page) == ["Original"]
    page.keyboard.press("Space")
    assert names(page) == ["DRN"]
    page.keyboard.press("s")
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)


def test_the_divider_shows_one_image_on_each_side(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    page.keyboard.press("4")
    page.get_by_label("Left of the divider").select_option("bicubic")
    numbers(page, "bicubic", "region")
    left, right = upscale(downscale(truth, 4), 4), truth

    handle = page.get_by_test_id("divider")

    def check(percent: float) -> None:
        canvas, share = drawn(page, "truth"), float(handle.evaluate("handle => parseFloat(handle.style.left)")) / 100
        assert share == pytest.approx(percent / 100, abs=0.005)
        assert_shows(canvas, right, in_view(page), 4, left, int(canvas.shape[1] * share + 0.5))

    check(50)
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert handle.get_attribute("aria-valuenow") == "40"
    check(40)
    box, pane = handle.bounding_box(), page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    assert pane is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] * 0.75, box["y"] + 100)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "75"
    check(75)


def test_the_overview_moves_the_view(page: Page, truth: Array) -> None:
    whole = numbers(page, "drn", "whole")
    before = numbers(page, "drn", "region")
    box = page.locator("#viewer").get_by_test_id("overview").bounding_box()
    assert box is not None
    page.locator("#viewer").get_by_test_id("overview").click(
        position={"x": box["width"] * 0.25, "y": box["height"] * 0.75}
    )
    after_a_frame(page)
    region = in_view(page)
    assert region.x + region.width / 2 == pytest.approx(0.25 * truth.shape[1], abs=4)
    assert region.y + region.height / 2 == pytest.approx(0.75 * truth.shape[0], abs=4)
    assert numbers(page, "drn", "region") != before
    assert numbers(page, "drn", "whole") == whole


@pytest.fixture
def phone(browser: Browser, url: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        numbers(page, "drn", "region")
        yield page


class Fingers:
    """Moves fingers over the right half of the panel."""

    def __init__(self, page: Page) -> None:
        self.page, self.client = page, page.context.new_cdp_session(page)
        box = page.locator("#viewer .pane canvas").bounding_box()
        assert box is not None
        self.x, self.y = box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6

    def move(self, *steps: list[tuple[int, int]]) -> None:
        """Put the fingers on the screen, move them, and lift them.

        Args:
            steps: For each step, the position of each finger relative to the starting point, in CSS pixels.
        """
        for kind, offsets in zip(
            ["touchStart", *["touchMove"] * (len(steps) - 1), "touchEnd"], [*steps, []], strict=True
        ):
            points = [{"x": self.x + dx, "y": self.y + dy, "id": index} for index, (dx, dy) in enumerate(offsets)]
            self.client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        after_a_frame(self.page)

    def swipe_up(self) -> float:
        """Swipe with one finger and return how far the page scrolled."""
        self.move(*([(0, -10 * step)] for step in range(15)))
        self.page.wait_for_timeout(300)
        return float(self.page.evaluate("scrollY"))


def test_touch(phone: Page) -> None:
    expect(phone.locator("#viewer .viewer")).to_have_attribute("data-mode", "divider")
    zoom = phone.locator("#viewer").get_by_test_id("zoom")
    expect(zoom).to_have_text("800 %")  # on a screen with 2 device pixels for one CSS pixel
    for tab in ("Upscale", "Results"):
        expect(phone.get_by_role("tab", name=tab)).to_be_visible()
    start, fingers = in_view(phone), Fingers(phone)
    fingers.move([(0, 0)], [(-20, 0)], [(-40, 0)])
    assert in_view(phone).x - start.x == pytest.approx(10, abs=1)
    fingers.move(*([(-half, 0), (half, 0)] for half in (20, 22, 30)))
    expect(zoom).to_have_text("1200 %")


def test_on_a_phone_a_chosen_photograph_is_scrolled_into_view(phone: Page) -> None:
    frame, thumbnail = phone.locator("#viewer .frame"), thumbnails(phone).nth(3)
    thumbnail.scroll_into_view_if_needed()
    phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(frame).not_to_be_in_viewport(ratio=0.5)
    thumbnail.tap()
    expect(frame).to_be_in_viewport(ratio=0.9)
    # Results that arrive later do not move the page again.
    numbers(phone, "drn", "region")
    phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    phone.locator("#plus").get_by_label("DRN+").check()
    numbers(phone, "drn+", "whole")
    expect(frame).not_to_be_in_viewport(ratio=0.5)


def test_at_the_fitted_zoom_one_finger_scrolls_the_page_and_two_zoom(phone: Page, truth: Array) -> None:
    before, fingers = in_view(phone), Fingers(phone)
    assert fingers.swipe_up() == 0
    assert in_view(phone).y > before.y
    phone.locator("#viewer").get_by_role("button", name="Fit").click()
    after_a_frame(phone)
    assert fingers.swipe_up() > 50
    phone.evaluate("scrollTo(0, 0)")
    after_a_frame(phone)
    fitted = in_view(phone)
    assert fitted == Rect(0, 0, truth.shape[1], truth.shape[0])
    fingers.move(*([(-half, 0), (half, 0)] for half in range(15, 60, 3)))
    assert in_view(phone).width < 0.6 * fitted.width
    assert phone.evaluate("[visualViewport.scale, scrollY]") == [1, 0]


def test_numbers_follow_a_drag_before_it_ends(page: Page) -> None:
    before = numbers(page, "drn", "region")
    box = page.locator('canvas[data-key="drn"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    psnr_shown = page.locator('[data-of="drn"] [data-testid="region"] .psnr')
    for step in range(1, 400):
        page.mouse.move(x + step % 90, y)
        if psnr_shown.inner_text() != f"{before[0]:.2f} dB":
            break
    else:
        pytest.fail("the numbers did not change while the view moved")
    page.mouse.up()


def test_a_view_that_comes_back_is_not_left_waiting(page: Page) -> None:
    before = numbers(page, "drn", "region")
    page.locator("#viewer").get_by_test_id("viewer").focus()
    for key in ("ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        page.wait_for_timeout(30)
    assert numbers(page, "drn", "region") == before


def test_only_the_first_button_drags(page: Page) -> None:
    numbers(page, "drn", "region")
    start = in_view(page)
    box = page.locator('canvas[data-key="drn"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 60, y)
    page.mouse.up(button="right")
    after_a_frame(page)
    assert in_view(page) == start
    page.keyboard.press("Escape")  # closes the context menu


def test_focus_stays_when_the_panels_are_built_anew(page: Page) -> None:
    numbers(page, "drn", "region")
    chips = page.locator("#viewer .chips")
    chips.get_by_role("button", name="Original").focus()
    page.keyboard.press("Enter")
    assert names(page) == ["Small (LR)", "Bicubic", "DRN"]
    expect(chips.get_by_role("button", name="Original")).to_be_focused()
    page.keyboard.press("2")
    assert names(page) == ["Bicubic"]
    page.keyboard.press("d")
    page.locator("#viewer").get_by_test_id("divider").focus()
    page.keyboard.press("3")
    expect(page.locator("#viewer").get_by_test_id("divider")).to_be_focused()


def test_the_divider_never_shows_one_image_twice(page: Page) -> None:
    numbers(page, "drn", "region")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    label = page.locator("#viewer .pane canvas")
    expect(label).to_have_attribute("aria-label", "Bicubic and DRN, the region in view")
    page.locator("#viewer").get_by_test_id("viewer").focus()
    page.keyboard.press("Space")
    expect(label).to_have_attribute("aria-label", "DRN and Bicubic, the region in view")
    page.locator("#viewer .left-choice select").select_option("bicubic")
    expect(label).to_have_attribute("aria-label", "Bicubic and DRN, the region in view")


def test_an_image_that_goes_leaves_no_empty_stage_and_comes_back(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    upscale_now, release = Upscaler.upscale, threading.Event()

    def held(self: Upscaler, lr: Array, **options: Any) -> Array:
        release.wait(30)
        return upscale_now(self, lr, **options)

    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    numbers(page, "drn", "region")
    chips = page.locator("#viewer .chips")
    for key in ("added", "lr", "bicubic", "drn", "truth"):
        chips.locator(f'[data-key="{key}"]').click()
    chips.locator('[data-key="added"]').click()  # the last panel stays
    assert names(page) == ["What DRN adds"]
    monkeypatch.setattr(Upscaler, "upscale", held)
    thumbnails(page).nth(3).click()  # its map is not computed yet
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "Original"]
    page.locator("#viewer").get_by_test_id("viewer").focus()
    for key in ("+", "ArrowLeft", "0", "2", "s"):
        page.keyboard.press(key)
    release.set()
    expect(page.locator("#viewer [data-panel]")).to_have_count(1)
    assert names(page) == ["What DRN adds"]
    assert errors == []


def test_the_divider_is_dragged_on_while_results_arrive(page: Page) -> None:
    numbers(page, "drn", "region")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    handle = page.locator("#viewer .handle")
    box, pane = handle.bounding_box(), page.locator("#viewer .pane").bounding_box()
    assert box and pane
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] * 0.6, pane["y"] + 50)
    expect(handle).to_have_attribute("aria-valuenow", "60")
    page.get_by_label("DRN+ too").evaluate("box => box.click()")
    expect(page.locator("#viewer .chips").get_by_role("button", name="DRN+", exact=False).first).to_be_visible()
    page.mouse.move(pane["x"] + pane["width"] * 0.25, pane["y"] + 60)
    expect(handle).to_have_attribute("aria-valuenow", "25")
    page.mouse.up()
    page.mouse.move(pane["x"] + pane["width"] * 0.9, pane["y"] + 60)
    expect(handle).to_have_attribute("aria-valuenow", "25")


def test_a_screen_with_a_pixel_ratio_of_one_and_a_half(browser: Browser, url: str, truth: Array) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 700}, device_scale_factor=1.5)
    page = open_compare(context, url)
    page.locator("#viewer").get_by_role("button", name="100").click()
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("100 %")  # 1 device pixel for one HR pixel
    page.locator("#viewer").get_by_role("button", name="Zoom in").click()
    before = in_view(page)
    drag(page, "drn", 40, 0)
    region = in_view(page)
    assert before.x - region.x == 30
    assert_shows(drawn(page, "truth"), truth, region, 2)
    canvas = page.locator('canvas[data-key="truth"]')
    for side in ("width", "height"):
        dots, shown = canvas.evaluate(f"canvas => [canvas.{side}, canvas.getBoundingClientRect().{side} * 1.5]")
        assert dots == pytest.approx(shown, abs=1e-3)  # no resampling
    context.close()
