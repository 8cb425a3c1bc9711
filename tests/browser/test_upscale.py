"""The Upscale tab: samples, choices, and the first view of a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from drn.image import Array
from tests.helpers.browsing import upload_to_upscale


def upscaled(page: Page, photo: Array, path: Path) -> None:
    """Open the tab, choose an image and wait for its result."""
    Image.fromarray(np.ascontiguousarray(photo)).save(path)
    upload_to_upscale(page, path)
    page.locator("#upscale-start").click()
    expect(page.locator("#download")).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_click_on_a_sample_shows_its_result(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.get_by_role("tab", name="Upscale").click()
    page.locator("#upscale-samples .thumbnail-item").nth(1).click()
    expect(page.locator("#upscale-status")).to_contain_text("640×480 pixels.", timeout=60_000)
    expect(page.locator("#upscale-viewer canvas").first).to_be_in_viewport(ratio=0.9)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "cat_DRN_x4.png"


def test_a_change_of_a_choice_removes_the_result(page: Page, photo: Array, tmp_path: Path) -> None:
    upscaled(page, photo, tmp_path / "a.png")
    for choice, label in (("#upscale-scale", "x2"), ("#upscale-plus", "DRN+")):
        page.locator(choice).get_by_label(label).check()
        expect(page.locator("#download")).to_be_hidden()
        expect(page.locator("#upscale-viewer .viewer")).to_be_hidden()
        expect(page.locator("#upscale-status")).to_contain_text("up to 16 megapixels")
        page.wait_for_timeout(500)
        page.locator("#upscale-start").click()
        expect(page.locator("#upscale-status")).to_contain_text("168×120 pixels.", timeout=60_000)


def test_a_tiny_image_is_shown_whole_and_a_larger_one_at_four_hundred_percent(
    page: Page, photo: Array, tmp_path: Path
) -> None:
    upscaled(page, photo[:24, :24], tmp_path / "logo.png")
    fitted = page.locator("#upscale-viewer [aria-pressed=true]", has_text="Fit")
    expect(fitted).to_have_count(1)
    upscaled(page, np.tile(photo, (2, 2, 1)), tmp_path / "photo.png")
    expect(page.locator("#upscale-status")).to_contain_text("672×480 pixels.")
    expect(fitted).to_have_count(0)


def test_the_images_of_a_panorama_are_stacked(page: Page, photo: Array, tmp_path: Path) -> None:
    upscaled(page, np.tile(photo, (1, 20, 1)), tmp_path / "panorama.png")
    expect(page.locator("#upscale-viewer .pane canvas")).to_have_count(3)
    boxes = [canvas.bounding_box() for canvas in page.locator("#upscale-viewer .pane canvas").all()]
    assert [box["width"] > 1200 for box in boxes if box] == [True] * 3
    expect(page.locator("#upscale-viewer").get_by_test_id("zoom")).to_have_text("100 %")
