"""The page in a real browser: what a visitor sees and does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from drn.image import Array

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from app.ui import build, launch

    demo = build()
    yield launch(demo, block=False)
    demo.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--disable-gpu", "--disable-background-networking"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not start for root
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    page.goto(url)
    yield page
    page.close()


def numbers(page: Page, panel: str, which: str) -> tuple[float, float]:
    """PSNR and SSIM that a panel shows for the ``region`` or the ``whole`` image."""
    row = page.locator(f'[data-panel="{panel}"] [data-testid="{which}"]')
    expect(row.locator(".psnr")).to_have_text(re.compile(r"^\d+\.\d\d dB$"))
    return float(row.locator(".psnr").inner_text().split()[0]), float(row.locator(".ssim").inner_text())


def names(page: Page) -> list[str | None]:
    return [figure.get_attribute("data-panel") for figure in page.locator("[data-panel]").all()]


def picture(page: Page, panel: str) -> str | None:
    return page.locator(f'[data-panel="{panel}"] img').get_attribute("src")


def test_an_example_is_compared_without_a_click(page: Page) -> None:
    expect(page.locator("[data-panel]")).to_have_count(4)
    assert names(page) == ["LR", "bicubic", "DRN", "ground truth"]
    for which in ("region", "whole"):
        bicubic, drn = numbers(page, "bicubic", which), numbers(page, "DRN", which)
        assert 10 < bicubic[0] < drn[0] < 60
        assert 0 < bicubic[1] < drn[1] < 1
        assert page.locator(f'[data-panel="DRN"] [data-testid="{which}"].best').count() == 1
    expect(page.get_by_test_id("weights")).to_contain_text(re.compile(r"bundled \(x2 [0-9a-f]{7}, x3"))


def test_changing_the_scale_changes_the_numbers(page: Page) -> None:
    before = {which: numbers(page, "DRN", which) for which in ("region", "whole")}
    page.get_by_label("x2").check()
    expect(page.locator('[data-panel="LR"]')).to_contain_text("36×36 pixels")
    for which in ("region", "whole"):
        assert numbers(page, "DRN", which)[0] > before[which][0] + 1


def test_clicking_the_photograph_moves_the_region(page: Page) -> None:
    whole, truth = numbers(page, "DRN", "whole"), picture(page, "ground truth")
    box = page.locator("#overview img").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.8)
    expect(page.locator('[data-panel="ground truth"] img')).not_to_have_attribute("src", truth or "")
    numbers(page, "DRN", "region")
    assert numbers(page, "DRN", "whole") == whole


def test_the_size_slider_and_drn_plus(page: Page) -> None:
    page.locator("#size input[type=number]").fill("120")
    page.locator("#size input[type=number]").press("Enter")
    expect(page.locator('[data-panel="ground truth"]')).to_contain_text("120×120 pixels")
    page.get_by_label("DRN+").check()
    expect(page.locator("[data-panel]")).to_have_count(5)
    assert names(page)[2:4] == ["DRN", "DRN+"]
    assert numbers(page, "DRN+", "whole")[0] > numbers(page, "DRN", "whole")[0]


def test_another_example(page: Page) -> None:
    before, truth = numbers(page, "DRN", "whole"), picture(page, "ground truth")
    page.locator("#examples").get_by_role("button").nth(3).click()
    expect(page.locator('[data-panel="ground truth"] img')).not_to_have_attribute("src", truth or "")
    assert numbers(page, "DRN", "whole") != before


def test_uploads(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "mine.png")
    (tmp_path / "broken.png").write_text("no image")
    before = picture(page, "ground truth")
    chooser = page.locator("#upload input[type=file], input[type=file]").first
    chooser.set_input_files(tmp_path / "mine.png")
    expect(page.locator('[data-panel="ground truth"] img')).not_to_have_attribute("src", before or "")
    expect(page.locator('[data-panel="ground truth"]')).to_contain_text("72×60 pixels")
    mine = picture(page, "ground truth")
    chooser.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("broken.png is not an image that can be read")).to_be_visible()
    assert picture(page, "ground truth") == mine


@pytest.mark.parametrize("width", [390, 800, 1280, 2560])
def test_pixels_are_whole_and_nothing_overflows(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("LR", "bicubic", "DRN", "ground truth"):
        box = page.locator(f'[data-panel="{name}"] img').bounding_box()
        assert box is not None
        assert box["width"] >= 144
        assert box["width"] % 72 == pytest.approx(0, abs=0.01)
        assert box["height"] == pytest.approx(box["width"], abs=0.01)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_asks_nobody_else(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    expect(page.locator("[data-panel]")).to_have_count(4)
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
