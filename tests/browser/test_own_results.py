"""Results of other methods that visitors add to the Compare tab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from drn.image import Array
from drn.metrics import psnr
from tests.helpers.browsing import names, numbers, thumbnails


def add(page: Page, file: Path) -> None:
    """Choose a file for "+ your result"."""
    page.locator("#own").locator("xpath=..").locator("input[type=file]").last.set_input_files(file)


def test_own_results_are_panels_with_names_numbers_and_maps(page: Page, photo: Array, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noisy = [np.clip(photo + rng.normal(0, sigma, photo.shape), 0, 255).astype(np.uint8) for sigma in (3, 6)]
    for name, pixels in {"mine": photo, "good": noisy[0], "poor": noisy[1], "large": photo.repeat(2, 0)}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    numbers(page, "drn", "whole")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("80×60 pixels at 2, 0")
    numbers(page, "drn", "whole")
    add(page, tmp_path / "good.png")
    expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    add(page, tmp_path / "poor.png")
    expect(page.locator("#viewer [data-panel]")).to_have_count(6)
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "good", "poor", "Original"]
    for key, pixels in (("own-1", noisy[0]), ("own-2", noisy[1])):
        assert numbers(page, key, "whole")[0] == pytest.approx(psnr(pixels, photo, 4), abs=0.0051)
    page.get_by_role("button", name="poor error").click()
    assert "poor error" in names(page)

    page.get_by_label("Names of your results").fill("good\n<b>IMDN</b>")
    page.keyboard.press("Tab")
    expect(page.locator('#viewer [data-panel="<b>IMDN</b>"]')).to_be_visible()
    numbers(page, "own-2", "region")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Figure (PNG)").click()
    assert downloading.value.suggested_filename == "mine_x4_figure.png"

    page.get_by_label("Names of your results").fill("drn\nIMDN")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Two methods have the name drn: give each its own.")).to_be_visible()
    add(page, tmp_path / "large.png")
    expect(page.get_by_text("large.png has 84x120 pixels, and the original at x4 has 84x60")).to_be_visible()
    expect(page.locator("#viewer").get_by_test_id("viewer")).to_have_attribute("aria-busy", "false")
    page.get_by_label("Names of your results").fill("")
    page.keyboard.press("Tab")
    expect(page.locator('#viewer [data-panel="good"]')).to_have_count(0)
    expect(page.get_by_label("Names of your results")).to_have_count(0)


def test_a_reload_says_that_added_results_are_gone(page: Page, truth: Array, tmp_path: Path) -> None:
    Image.fromarray(truth).save(tmp_path / "same.png")
    numbers(page, "drn", "whole")
    add(page, tmp_path / "same.png")
    expect(page.locator('[data-of="own-1"] [data-testid="whole"] .psnr')).to_have_text("∞ dB")
    page.wait_for_url("**own=1**")
    page.reload()
    numbers(page, "drn", "whole")
    notice = page.locator("#viewer").get_by_test_id("notice")
    expect(notice).to_have_text(
        "Results that were added to this comparison are not kept in its address: add them again."
    )
    expect(notice).to_be_visible()
    thumbnails(page).nth(3).click()
    expect(notice).to_be_hidden()


def test_another_photograph_removes_own_results(page: Page, truth: Array, tmp_path: Path) -> None:
    Image.fromarray(truth).save(tmp_path / "same.png")
    numbers(page, "drn", "whole")
    add(page, tmp_path / "same.png")
    expect(page.locator('[data-of="own-1"] [data-testid="whole"] .psnr')).to_have_text("∞ dB")
    thumbnails(page).nth(3).click()
    expect(page.get_by_label("Names of your results")).to_have_count(0)
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
