"""The choice how the small picture is made, in a real browser, with photo weights for x2 only."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.options import PageOptions
from app.photographs import examples
from drn import weights
from drn.geometry import Rect
from drn.image import Array, mod_crop
from drn.metrics import psnr, ssim
from drn.reading import read_image
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from tests.helpers.browsing import (
    assert_region,
    drag,
    in_view,
    names,
    numbers,
    open_compare,
    thumbnails,
    type_region,
    work_until_cancelled,
)

REGION = Rect(60, 50, 70, 44)

MARKS = "#viewer .caption .mark"


@pytest.fixture(scope="module")
def page_options(photo_place: Path) -> PageOptions:
    return PageOptions(weights=str(photo_place), scale=2)


@pytest.fixture
def page(context: BrowserContext, url: str) -> Page:
    return open_compare(context, url)


def choose(page: Page, label: str) -> None:
    """Choose how the small picture is made, and wait for the images."""
    page.locator("#made").get_by_label(label, exact=True).check()
    if label == "Bicubic":
        expect(page.locator(MARKS)).to_have_count(0)
    else:
        expect(page.locator(MARKS).first).to_have_text(label.removeprefix("+ "))
    expect(page.locator("#viewer .viewer")).to_have_attribute("aria-busy", "false")


def stored(lr: Array, quality: int) -> Array:
    """Store an image as JPEG by Pillow, whose default is 4:2:0, and read it again."""
    file = io.BytesIO()
    Image.fromarray(lr).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.array(image)


def expected_numbers(hr: Array, quality: int, photo_place: Path, region: Rect) -> dict[str, tuple[float, float]]:
    """Compute PSNR and SSIM of a region that keeps clear of the border, by the key of each method at x2."""
    lr = stored(downscale(hr, 2), quality)
    place = np.s_[region.y : region.y + region.height, region.x : region.x + region.width]
    results = {"bicubic": upscale(lr, 2)}
    for key, name in {"drn": "drn_x2.safetensors", "drn-photo": "drn_x2_photo.safetensors"}.items():
        results[key] = Upscaler(weights.load(photo_place / name).model).upscale(lr)
    return {key: (psnr(sr[place], hr[place], 0), ssim(sr[place], hr[place], 0)) for key, sr in results.items()}


def assert_numbers(page: Page, expected: dict[str, tuple[float, float]]) -> None:
    for key, (decibel, similarity) in expected.items():
        shown = numbers(page, key, "region")
        assert shown[0] == pytest.approx(decibel, abs=0.0051)
        assert shown[1] == pytest.approx(similarity, abs=0.000051)


def test_every_method_shows_what_it_makes_of_the_jpeg(page: Page, truth: Array, photo_place: Path) -> None:
    type_region(page, REGION)
    clean = numbers(page, "drn", "region")
    choose(page, "+ JPEG 75")
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "DRN photo", "Original"]
    assert set(page.locator(MARKS).all_inner_texts()) == {"JPEG 75"}
    sentence = "The small picture was made by bicubic, then JPEG 75: the numbers are outside the benchmark protocol."
    expect(page.locator("#viewer .hint")).to_have_text(sentence)
    expect(page.locator('#viewer [data-panel="DRN photo"] .region .gain')).to_contain_text("dB")
    assert_region(page, REGION)
    assert_numbers(page, expected_numbers(truth, 75, photo_place, REGION))
    assert numbers(page, "drn", "region") != clean
    choose(page, "Bicubic")
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "Original"]
    expect(page.locator("#viewer .hint")).to_have_text("")
    assert numbers(page, "drn", "region") == clean


def test_the_view_stays_and_the_photo_weights_are_missing_at_another_scale(page: Page) -> None:
    drag(page, "drn", 60, 30)
    numbers(page, "drn", "region")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    before = in_view(page)
    choose(page, "+ JPEG 50")
    numbers(page, "drn", "region")
    assert in_view(page) == before
    left = page.locator("#viewer .left-choice select")
    left.select_option("drn-photo")
    page.locator("#scale").get_by_label("x3").check()
    expect(left.locator('option[value="drn-photo"]')).to_have_count(0)
    expect(page.locator("#viewer .viewer")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#made").get_by_label("+ JPEG 50")).to_be_checked()
    assert set(page.locator(MARKS).all_inner_texts()) == {"JPEG 50"}


def test_a_reload_back_and_a_link_restore_the_choice(
    page: Page, context: BrowserContext, truth: Array, photo_place: Path
) -> None:
    type_region(page, REGION)
    choose(page, "+ JPEG 90")
    page.wait_for_url("**jpeg=90**")
    expected = expected_numbers(truth, 90, photo_place, REGION)
    address = page.url

    def assert_restored(page: Page) -> None:
        expect(page.locator("#made").get_by_label("+ JPEG 90")).to_be_checked()
        expect(page.locator(MARKS)).to_have_count(4)
        assert_region(page, REGION)
        assert_numbers(page, expected)

    page.reload()
    assert_restored(page)
    page.goto("about:blank")
    page.go_back()
    assert_restored(page)
    other = context.new_page()
    other.goto(address)
    assert_restored(other)
    choose(other, "Bicubic")
    other.wait_for_function("() => !location.search.includes('jpeg')")


def test_a_link_with_another_quality_is_refused(page: Page, url: str) -> None:
    page.goto(f"{url}?image=cat&scale=2&jpeg=60&x=100&y=80&zoom=2&layout=side")
    expect(page.locator(".toast-body")).to_contain_text("This link names an image, a scale, a JPEG quality or a view")
    numbers(page, "drn", "region")
    expect(page.locator("#made").get_by_label("Bicubic")).to_be_checked()
    expect(page.locator(MARKS)).to_have_count(0)


def test_another_photograph_and_an_upload_keep_the_choice(page: Page, photo: Array, tmp_path: Path) -> None:
    choose(page, "+ JPEG 50")
    shown = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')

    def assert_shows(original: Array) -> None:
        hr = mod_crop(original, 2)
        lr = stored(downscale(hr, 2), 50)
        expect(shown).to_have_text(f"{psnr(upscale(lr, 2), hr, 2):.2f} dB")

    thumbnails(page).nth(3).click()
    assert_shows(read_image(examples()[3]).rgb)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    assert_shows(photo)
    expect(page.locator("#made").get_by_label("+ JPEG 50")).to_be_checked()


def test_the_copied_numbers_the_csv_and_the_figure_are_marked(page: Page) -> None:
    type_region(page, REGION)
    choose(page, "+ JPEG 75")
    shown = numbers(page, "drn-photo", "region")
    with page.expect_download() as download:
        page.locator("#viewer").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x2_JPEG75_numbers.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert [row["method"] for row in rows] == 2 * ["Bicubic", "DRN", "DRN photo"]
    assert {row["LR"] for row in rows} == {"bicubic then JPEG 75 (outside the benchmark protocol)"}
    assert rows[2]["PSNR"] == f"{shown[0]:.2f}"
    page.get_by_role("button", name="Copy numbers").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    assert str(page.evaluate("navigator.clipboard.readText()")).count("outside the benchmark protocol") == 6
    with page.expect_download() as download:
        page.locator("#figure-png").click()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x2_JPEG75_figure.png"


def test_the_table_of_the_whole_image_has_every_method_in_the_same_columns(page: Page) -> None:
    choose(page, "+ JPEG 75")
    numbers(page, "drn-photo", "whole")
    page.locator("#viewer summary", has_text="Whole image").click()
    table = page.locator("#viewer .whole table")
    assert table.locator("tbody th").all_inner_texts() == ["Bicubic", "DRN", "DRN photo"]
    for row in table.locator("tbody tr").all():
        edges = [[box["x"], box["width"]] for cell in row.locator("th, td").all() if (box := cell.bounding_box())]
        heads = [[box["x"], box["width"]] for cell in table.locator("thead th").all() if (box := cell.bounding_box())]
        assert edges == heads
    weights = table.locator("td.psnr").evaluate_all("cells => cells.map((cell) => getComputedStyle(cell).fontWeight)")
    assert sorted(weights) == ["400", "400", "650"]  # the best is bold


def test_a_change_stops_older_work(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    upscale_now = Upscaler.upscale
    started, stopped = threading.Event(), threading.Event()

    def first_never_ends(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **others: Any) -> Array:
        if started.is_set():
            return upscale_now(self, lr, cancelled=cancelled, **others)
        work_until_cancelled(cancelled, started, stopped)

    monkeypatch.setattr(Upscaler, "upscale", first_never_ends)
    page.locator("#made").get_by_label("+ JPEG 90").check()
    assert started.wait(20)
    page.locator("#made").get_by_label("+ JPEG 50").check()
    assert stopped.wait(10), "the older work continued"
    numbers(page, "drn-photo", "whole")
    assert set(page.locator(MARKS).all_inner_texts()) == {"JPEG 50"}
    expect(page.locator("#made").get_by_label("+ JPEG 50")).to_be_checked()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_choice_fits_the_page_and_the_marks_are_readable(
    browser: Browser, url: str, width: int, scheme: Any
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(f"{url}?image=astronaut&scale=2&jpeg=75&x=200&y=200&zoom=2&layout=divider")
    expect(page.locator(MARKS)).to_have_count(2, timeout=60_000)
    numbers(page, "drn-photo", "whole")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for place in (*page.locator("#made label").all(), *page.locator(MARKS).all()):
        box = place.bounding_box()
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
        assert box["height"] < 50  # one line
    # The mark has letters that differ clearly from the pill, whatever image is behind it.
    with Image.open(io.BytesIO(page.locator(MARKS).first.screenshot())) as shot:
        levels = np.asarray(shot.convert("L"), np.int64)
    assert levels.max() - np.median(levels) > 90
    page.close()
