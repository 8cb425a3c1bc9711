"""The layout with a row for each scale, in a real browser."""

from __future__ import annotations

import csv
import functools
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from app.photographs import examples
from drn.evaluation.comparison import format_psnr, format_ssim, measure, score
from drn.evaluation.methods import BICUBIC, DRN, builtin_methods
from drn.evaluation.pairs import make_pair
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.writing import write_image
from tests.helpers.browsing import (
    after_a_frame,
    drag,
    drawn,
    in_view,
    names,
    numbers,
    open_compare,
    region_fields,
    thumbnails,
    type_region,
    work_until_cancelled,
)

SCALES = (2, 3, 4)
PANELS = "#viewer figure[data-panel]:not([hidden])"


def open_scales(page: Page) -> None:
    """Choose the layout and wait for all results."""
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    wait_for_results(page)


def wait_for_results(page: Page) -> None:
    expect(page.locator("#viewer .viewer")).to_have_attribute("data-mode", "scales")
    expect(page.locator("#viewer .waiting")).to_have_count(0, timeout=60_000)
    for scale in SCALES:
        numbers(page, key_at(page, "drn", scale), "region")


def key_at(page: Page, method: str, scale: int) -> str:
    return method if page.locator("#scale").get_by_label(f"x{scale}").is_checked() else f"{method}-x{scale}"


def whole_numbers(page: Page) -> dict[tuple[str, int], tuple[float, float]]:
    return {
        (method, scale): numbers(page, key_at(page, method, scale), "whole")
        for method in ("bicubic", "drn")
        for scale in SCALES
    }


@functools.cache
def measured(path: Path, scale: int, hr_rect: Rect) -> dict[str, tuple[str, str, str, str]]:
    """Measure an image with ``measure``: PSNR and SSIM of the whole image and of a region, as the page shows them."""
    pair = make_pair(read_image(path), scale)
    found = {}
    for method in builtin_methods(Upscaler.load(scale=scale), self_ensemble=False):
        result = measure(pair, method)
        region = score(pair, result.sr, hr_rect)
        found[method.name.lower()] = (
            format_psnr(result.whole),
            format_ssim(result.whole),
            format_psnr(region),
            format_ssim(region),
        )
    return found


def test_each_row_has_the_numbers_of_compare_at_that_scale(page: Page, tmp_path: Path, photo: Array) -> None:
    path, region = tmp_path / "photo.png", Rect(10, 6, 40, 36)
    write_image(path, Picture(photo[:59, :83]))  # 82x58, 81x57 and 80x56 pixels at the three scales
    numbers(page, "drn", "whole")
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("80×56 pixels at 0, 0")
    type_region(page, region)
    numbers(page, "drn", "region")
    open_scales(page)
    rows = whole_numbers(page)
    for scale in SCALES:
        for method, expected in measured(path, scale, region).items():
            caption = page.locator(f'#viewer figure [data-of="{key_at(page, method, scale)}"]')
            row = page.locator(f'#viewer .whole [data-of="{key_at(page, method, scale)}"]')
            shown = [*row.locator(".psnr, .ssim").all(), *caption.locator(".psnr, .ssim").all()]
            assert tuple(one.text_content() for one in shown) == expected, (method, scale)
    page.locator("#viewer").get_by_role("button", name="Side by side").click()
    for scale in (2, 3):
        page.locator("#scale").get_by_label(f"x{scale}").check()
        expect(page.locator('#viewer .whole [data-of="drn"] .psnr')).to_have_text(f"{rows['drn', scale][0]:.2f} dB")
        assert numbers(page, "drn", "whole") == rows["drn", scale]
        assert numbers(page, "bicubic", "whole") == rows["bicubic", scale]
        assert region_fields(page) == region


def test_a_region_is_inside_the_part_that_all_scales_have(page: Page, tmp_path: Path, photo: Array) -> None:
    write_image(tmp_path / "photo.png", Picture(photo[:59, :83]))
    numbers(page, "drn", "whole")
    page.locator("#scale").get_by_label("x2").check()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    viewer = page.locator("#viewer")
    expect(viewer.get_by_test_id("place")).to_have_text("80×58 pixels at 1, 0")
    numbers(page, "drn", "region")
    open_scales(page)
    viewer.get_by_role("button", name="Fit").click()
    after_a_frame(page)
    assert in_view(page) == Rect(0, 0, 80, 56)
    zoom = int(viewer.get_by_test_id("zoom").inner_text().split()[0]) // 100
    for key in ("truth", "lr-x3"):  # nothing of the larger bitmaps is drawn beside the part
        opaque = drawn(page, key)[..., 3] > 0
        assert (opaque.any(0).sum(), opaque.any(1).sum()) == (80 * zoom, 56 * zoom)
    type_region(page, Rect(70, 40, 30, 30))
    assert region_fields(page) == Rect(70, 40, 10, 16)
    viewer.get_by_role("button", name="Side by side").click()
    viewer.get_by_role("button", name="Clear").click()
    viewer.get_by_role("button", name="Fit").click()
    after_a_frame(page)
    assert in_view(page) == Rect(0, 0, 82, 58)


def test_every_panel_shows_the_same_region_and_the_original_once(page: Page) -> None:
    numbers(page, "drn", "region")
    drag(page, "drn", 100, 60)
    before = in_view(page)
    page.locator("#viewer .viewer").focus()
    page.keyboard.press("c")
    wait_for_results(page)
    rows = [f"{name} x{scale}" for scale in SCALES for name in ("Small (LR)", "Bicubic", "DRN")]
    assert names(page) == [*rows, "Original"]
    place = in_view(page)
    assert place.x + place.width / 2 == pytest.approx(before.x + before.width / 2, abs=1)
    assert place.y + place.height / 2 == pytest.approx(before.y + before.height / 2, abs=1)
    boxes = {name: page.locator(f'#viewer [data-panel="{name}"]').bounding_box() for name in names(page)}
    assert len({(box["width"], box["height"]) for box in boxes.values() if box}) == 1
    hr = read_image(examples()[0]).rgb
    part = hr[place.y : place.y + place.height, place.x : place.x + place.width]
    zoom = int(page.locator("#viewer").get_by_test_id("zoom").inner_text().split()[0]) // 100
    height, width = drawn(page, "truth").shape[:2]
    assert part.shape[:2] == pytest.approx((height / zoom, width / zoom), abs=1)
    page.mouse.move(*centre(page, "drn-x2"))
    page.mouse.wheel(0, -100)  # every panel moves, whichever is under the pointer
    after_a_frame(page)
    assert in_view(page).width < place.width
    for which in ("region", "whole"):
        best = page.locator(f'#viewer [data-testid="{which}"] .psnr.best')
        expect(best).to_have_count(3)


def centre(page: Page, key: str) -> tuple[float, float]:
    box = page.locator(f'#viewer canvas[data-key="{key}"]').bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_rows_wait_for_their_results_and_drn_plus_is_a_column_if_it_is_chosen(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(page, "drn", "region")
    go_on, upscale_now = threading.Event(), Upscaler.upscale

    def slow(self: Upscaler, lr: Array, *, self_ensemble: bool, **others: Any) -> Array:
        assert go_on.wait(30)
        return upscale_now(self, lr, self_ensemble=False, **others)  # one pass instead of eight, which is faster

    monkeypatch.setattr(Upscaler, "upscale", slow)
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    for scale in (2, 3):
        numbers(page, f"bicubic-x{scale}", "region")
        expect(page.locator(f'#viewer [data-panel="DRN x{scale}"] .waiting')).to_have_text(f"computing DRN x{scale}…")
    go_on.set()
    wait_for_results(page)
    page.get_by_label("DRN+ too").check()
    expect(page.locator(PANELS)).to_have_count(13)
    for scale in SCALES:
        numbers(page, key_at(page, "drn+", scale), "region")
    page.locator("#viewer .chips").get_by_role("button", name="Small (LR)").click()  # hides it in every row
    expect(page.locator(PANELS)).to_have_count(10)
    page.get_by_label("DRN+ too").uncheck()
    expect(page.locator(PANELS)).to_have_count(7)


def test_a_reload_and_a_link_restore_the_layout(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    thumbnails(page).nth(3).click()
    page.wait_for_function("new URLSearchParams(location.search).get('image') === 'cat'")
    numbers(page, "drn", "region")
    type_region(page, Rect(60, 50, 70, 44))
    open_scales(page)
    page.wait_for_function("new URLSearchParams(location.search).get('layout') === 'scales'")
    before = {key: numbers(page, key, "region") for key in ("drn-x2", "drn-x3", "drn", "bicubic-x2")}
    page.locator("#viewer").get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    page.goto("about:blank")
    page.go_back()
    other = context.new_page()
    other.set_viewport_size({"width": 900, "height": 700})
    other.goto(link)
    for shown in (page, other):
        wait_for_results(shown)
        assert region_fields(shown) == Rect(60, 50, 70, 44)
        assert {key: numbers(shown, key, "region") for key in before} == before
        expect(shown.locator("#scale").get_by_label("x4")).to_be_checked()
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    page.wait_for_function("new URLSearchParams(location.search).get('layout') === 'divider'")


def test_another_photograph_and_another_scale_keep_the_layout(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers(page, "drn", "whole")
    open_scales(page)
    before = whole_numbers(page)
    thumbnails(page).nth(3).click()
    numbers(page, "drn-x2", "whole", former=before["drn", 2])
    wait_for_results(page)
    after = whole_numbers(page)
    assert not set(after.values()) & set(before.values())
    monkeypatch.setattr(Upscaler, "upscale", None)  # nothing is left to compute
    page.locator("#scale").get_by_label("x2").check()
    expect(page.locator('#viewer canvas[data-key="drn-x4"]')).to_be_visible()
    wait_for_results(page)
    assert whole_numbers(page) == after


def endless_at(scales: set[int], started: threading.Event, stopped: threading.Event) -> Callable[..., Array]:
    upscale_now = Upscaler.upscale

    def upscale(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **others: Any) -> Array:
        if self.scale not in scales:
            return upscale_now(self, lr, cancelled=cancelled, **others)
        work_until_cancelled(cancelled, started, stopped)

    return upscale


@pytest.mark.parametrize("leave", ["Side by side", "Flip", "Upscale", "Results"])
def test_leaving_stops_the_work_that_only_the_rows_need_and_returning_continues_it(
    page: Page, monkeypatch: pytest.MonkeyPatch, leave: str
) -> None:
    started, stopped = threading.Event(), threading.Event()
    is_tab = leave in ("Upscale", "Results")
    numbers(page, "drn", "whole")
    with monkeypatch.context() as slowed:
        slowed.setattr(Upscaler, "upscale", endless_at({3}, started, stopped))
        page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
        assert started.wait(20)
        page.get_by_role("tab" if is_tab else "button", name=leave).first.click()
        assert stopped.wait(10), "the work continued although nobody looks at it"
    if not is_tab:
        expect(page.locator("#viewer .viewer")).not_to_have_attribute("aria-busy", "true")
        numbers(page, "drn", "region")
    done: list[int] = []
    upscale_now = Upscaler.upscale

    def noted(self: Upscaler, lr: Array, **others: Any) -> Array:
        done.append(self.scale)
        return upscale_now(self, lr, **others)

    monkeypatch.setattr(Upscaler, "upscale", noted)
    if is_tab:
        page.get_by_role("tab", name="Compare").click()
        wait_for_results(page)
    else:
        open_scales(page)
    assert done == [3], "what was known is not computed again"


def test_a_photograph_chosen_in_the_layout_is_finished_after_leaving_it(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(page, "drn", "whole")
    open_scales(page)
    started, stopped = threading.Event(), threading.Event()
    with monkeypatch.context() as slowed:
        slowed.setattr(Upscaler, "upscale", endless_at({4}, started, stopped))
        thumbnails(page).nth(3).click()
        assert started.wait(20)
    page.locator("#viewer").get_by_role("button", name="Side by side").click()
    assert stopped.wait(10)
    expect(page.locator("#viewer .waiting")).to_have_count(0)
    whole = measured(examples()[3], 4, Rect(0, 0, 20, 20))["drn"][0]
    expect(page.locator('#viewer .whole [data-of="drn"] .psnr')).to_have_text(whole)


def test_a_full_queue_is_told_and_ends_the_wait(page: Page) -> None:
    numbers(page, "drn", "region")
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full!"}))
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    expect(page.locator('#viewer [data-panel="DRN x2"] .waiting')).to_have_text("no DRN x2: it could not be computed")
    expect(page.locator('#viewer canvas[data-key="drn"]')).to_be_visible()
    page.unroute("**/queue/join*")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    open_scales(page)


def test_leaving_stops_the_work_even_if_the_queue_is_full_at_that_moment(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopped = threading.Event(), threading.Event()
    numbers(page, "drn", "region")
    monkeypatch.setattr(Upscaler, "upscale", endless_at({3}, started, stopped))
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    assert started.wait(20)
    refused: list[Any] = []

    def refuse_the_choice(route: Route) -> None:
        event: Any = route.request.post_data_json
        if refused or event.get("event_data"):  # only requests for scores have such data
            route.continue_()
            return
        refused.append(event)
        route.fulfill(status=503, json={"detail": "Queue is full!"})

    page.route("**/queue/join*", refuse_the_choice)
    page.locator("#viewer").get_by_role("button", name="Side by side").click()
    assert stopped.wait(10)
    started.clear()
    page.wait_for_timeout(3000)
    assert len(refused) == 1
    assert not started.is_set(), "the work that was stopped continued"
    numbers(page, "drn", "region")


def test_copied_numbers_and_csv_have_all_rows_and_the_figure_the_chosen_scale(
    context: BrowserContext, url: str
) -> None:
    page = open_compare(context, url)
    type_region(page, Rect(131, 349, 48, 40))
    open_scales(page)
    shown = {
        (scale, method): numbers(page, key_at(page, method.lower(), scale), "region")
        for scale in SCALES
        for method in (BICUBIC, DRN)
    }
    with page.expect_download() as download:
        page.locator("#viewer").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x2_x3_x4_numbers.csv"
    lines = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    page.get_by_role("button", name="Copy numbers").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    assert [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()] == lines
    regions = [line for line in lines if line[3] == "131,349,48,40"]
    labels = {BICUBIC: "Bicubic", DRN: "DRN"}
    assert regions == [
        [labels[method], f"{psnr:.2f}", f"{ssim:.4f}", "131,349,48,40", examples()[0].stem, str(scale), "bicubic"]
        for (scale, method), (psnr, ssim) in shown.items()
    ]
    assert len([line for line in lines if line[3] == "whole image"]) == 6
    with page.expect_download() as figure:
        page.locator("#figure-png").click()
    assert figure.value.suggested_filename == f"{examples()[0].stem}_x4_figure.png"


def test_a_phone_shows_the_original_above_the_rows(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True)
    page = context.new_page()
    page.goto(f"{url}?image=cat&scale=3&region=60,50,70,44&layout=scales")
    wait_for_results(page)
    found = {panel.get_attribute("data-panel"): panel.bounding_box() for panel in page.locator(PANELS).all()}
    boxes = list(found.values())
    shown = {name: (round(box["y"]), round(box["x"])) for name, box in found.items() if box}
    order = ["Original", *(f"{name} x{scale}" for scale in SCALES for name in ("Bicubic", "DRN"))]
    assert sorted(shown, key=lambda name: shown[str(name)]) == order
    assert all(box and box["width"] >= 130 and box["x"] + box["width"] <= 390 for box in boxes)
    overview = page.locator("#viewer").get_by_test_id("overview").bounding_box()
    original = page.locator('#viewer [data-panel="Original"]').bounding_box()
    assert overview is not None
    assert original is not None
    assert overview["x"] >= original["x"] + original["width"]
    assert overview["y"] + overview["height"] <= original["y"] + original["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for line in page.locator("#viewer .pill:visible").all():
        assert line.evaluate("line => line.scrollWidth <= line.clientWidth + 1")
    context.close()


def test_a_click_in_the_overview_beside_the_rows_moves_the_view(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    open_scales(page)
    box = page.locator("#viewer").get_by_test_id("overview").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    after_a_frame(page)
    place = in_view(page)
    assert place.x + place.width / 2 == pytest.approx(truth.shape[1] / 4, abs=4)
    assert place.y + place.height / 2 == pytest.approx(truth.shape[0] / 4, abs=4)
    page.keyboard.press("3")  # the third image of the chosen scale, alone
    expect(page.locator("#viewer .viewer")).to_have_attribute("data-mode", "single")
    assert names(page) == ["DRN"]
