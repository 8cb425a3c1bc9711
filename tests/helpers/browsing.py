"""Helpers of the browser tests: starting Chromium, and reading and moving the viewer of the Compare tab."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, BrowserType, Locator, Page, expect

from app.viewer.component import read_static
from drn.geometry import Rect
from drn.image import Array
from drn.upscaler import Cancelled, Upscaler

expect.set_options(timeout=20_000)  # a busy machine may be slow


OPENING_SHOWN = """() => {
    const shown = [...document.querySelectorAll("#opening img")].filter((image) => image.offsetParent);
    return shown.length > 0 && shown.every((image) => image.complete && image.naturalWidth);
}"""
"""JavaScript that tells whether the first picture is complete."""

FRESH = '#viewer [data-fresh="true"]'
"""Selects the viewer while it shows the scores of the region in view."""


def numbers(page: Page, panel: str, which: str, former: tuple[float, float] | None = None) -> tuple[float, float]:
    """Wait until a panel's numbers are those of the present view, and return its PSNR (dB) and SSIM.

    After a change, pass the ``former`` numbers. The viewer may be built again before the change reaches it. The numbers
    are then absent for a moment, and the old ones return.

    Args:
        page: The page with the Compare tab open.
        panel: The image's key.
        which: "region" for the region in view, "whole" for the whole image.
        former: Numbers with another PSNR than the one to wait for, if any.
    """
    # Read both values in one evaluation, because a new result replaces the captions.
    settled = page.wait_for_function(
        r"""([panel, which, former]) => {
            const rows = document.querySelectorAll(`[data-of="${panel}"] [data-testid="${which}"]`);
            if (rows.length !== 1 || document.querySelectorAll('#viewer [data-fresh="true"]').length !== 1) return null;
            const [psnr, ssim] = [".psnr", ".ssim"].map((name) => rows[0].querySelector(name).textContent);
            const known = /^\d+\.\d\d dB$/.test(psnr) && /^-?\d\.\d{4}$/.test(ssim);
            return known && parseFloat(psnr) !== former ? [parseFloat(psnr), parseFloat(ssim)] : null;
        }""",
        arg=[panel, which, former and former[0]],
    )
    psnr, ssim = settled.json_value()
    return psnr, ssim


def after_a_frame(page: Page) -> None:
    """Wait for two animation frames. The viewer has then drawn its present state."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def upload_to_upscale(page: Page, path: Path) -> None:
    """Open the Upscale tab, choose a file there, and wait until it has replaced the former image and its result."""
    page.get_by_role("tab", name="Upscale").click()
    page.evaluate(
        """() => {
            window.arrived = false;
            document.addEventListener("photo-shown", function listen({ detail }) {
                if (detail.name !== "upscale" || !detail.id) return;
                window.arrived = true;
                document.removeEventListener("photo-shown", listen);
            });
        }"""
    )
    page.locator("#small-image input[type=file]").set_input_files(path)
    page.wait_for_function("() => window.arrived")
    expect(page.locator("#small-image img")).to_have_count(1)
    expect(page.locator("#download")).to_be_hidden()


def thumbnails(page: Page) -> Locator:
    """Find the example photographs. The gallery may have other buttons, because gradio sometimes adds a hidden one."""
    return page.locator("#examples .thumbnail-item")


def names(page: Page) -> list[str | None]:
    """Return the names of the viewer's panels, in their order."""
    return [figure.get_attribute("data-panel") for figure in page.locator("#viewer [data-panel]").all()]


def in_view(page: Page) -> Rect:
    """Return the region that the viewer reports below its panels, in HR pixels."""
    after_a_frame(page)
    place = page.locator("#viewer").get_by_test_id("place").inner_text()
    match = re.fullmatch(r"(\d+)×(\d+) pixels at (\d+), (\d+)", place)
    assert match is not None
    width, height, x, y = map(int, match.groups())
    return Rect(x, y, width, height)


def region_fields(page: Page) -> Rect:
    """Return the region in the fields of the Compare tab: the chosen one, or else the one in view."""
    after_a_frame(page)
    fields = page.locator("#viewer .region-fields input").all()
    return Rect(*(int(field.input_value()) for field in fields))


def type_region(page: Page, region: Rect) -> None:
    """Fill in the four region fields of the Compare tab and press Enter."""
    fields = page.locator("#viewer .region-fields input").all()
    for field, value in zip(fields, (region.x, region.y, region.width, region.height), strict=True):
        field.fill(str(value))
    fields[-1].press("Enter")
    after_a_frame(page)


def assert_region(page: Page, region: Rect) -> None:
    """Check that the fields of the Compare tab soon show a region."""
    fields = page.locator("#viewer .region-fields input")
    for index, value in enumerate((region.x, region.y, region.width, region.height)):
        expect(fields.nth(index)).to_have_value(str(value))


def drawn(page: Page, key: str) -> Array:
    """Return the pixels of a panel's canvas: uint8 (h, w, 4), transparent where there is no image."""
    after_a_frame(page)
    encoded = page.locator(f'canvas[data-key="{key}"]').evaluate("canvas => canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(encoded.split(",")[1]))) as image:
        return np.asarray(image.convert("RGBA"))


def assert_shows(canvas: Array, image: Array, region: Rect, zoom: int, left: Array | None = None, cut: int = 0) -> None:
    """Check that a canvas shows every pixel of a region as a block of zoom x zoom equal pixels.

    The edge of the canvas may cut blocks.

    Args:
        canvas: uint8 (h, w, 4).
        image: The image that is expected, uint8 (h, w, 3).
        region: The region in view, in pixels of ``image``.
        zoom: Canvas pixels for one pixel of ``image``.
        left: Another image, expected left of canvas column ``cut``.
        cut: The divider's canvas column.
    """
    height, width = canvas.shape[:2]

    def blocks(source: Array) -> Array:
        part = source[region.y : region.y + region.height, region.x : region.x + region.width]
        return part.repeat(zoom, 0).repeat(zoom, 1)

    shown = blocks(image)
    hidden = shown if left is None else blocks(left)
    # The visible part of the first block is unknown. Try every offset; one of them must match everywhere.
    for dy in range(zoom):
        for dx in range(zoom):
            expected = shown[dy : dy + height, dx : dx + width].copy()
            expected[:, :cut] = hidden[dy : dy + height, dx : dx + cut]
            if expected.shape[:2] == (height, width) and np.array_equal(expected, canvas[..., :3]):
                return
    pytest.fail("the canvas does not show the region pixel by pixel")


def drag(page: Page, key: str, dx: int, dy: int) -> None:
    """Drag with the mouse from the middle of a panel, by ``dx`` and ``dy`` CSS pixels."""
    box = page.locator(f'canvas[data-key="{key}"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()
    after_a_frame(page)


def slow_down(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each call of ``Upscaler.upscale`` first wait."""
    upscale_now = Upscaler.upscale

    def slow(self: Upscaler, lr: Array, **options: Any) -> Array:
        time.sleep(seconds)
        return upscale_now(self, lr, **options)

    monkeypatch.setattr(Upscaler, "upscale", slow)


def work_until_cancelled(cancelled: Callable[[], bool], started: threading.Event, stopped: threading.Event) -> NoReturn:
    """Replace a network by a function that runs until it is cancelled."""
    started.set()
    while not cancelled():
        time.sleep(0.02)
    stopped.set()
    raise Cancelled


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(kind: BrowserType, **options: Any) -> Iterator[Browser]:
    """Start a headless Chromium.

    An installed Chromium is used. If there is none, the one that playwright downloads is used.

    Args:
        kind: Playwright's object that starts Chromium.
        options: Further options for the start.
    """
    arguments = ["--disable-gpu", "--disable-background-networking"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not start for root
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = kind.launch(executable_path=found, args=arguments, **options)
    yield browser
    browser.close()


@contextmanager
def viewer_scripts(browser: Browser, *names: str) -> Iterator[Page]:
    """Open an empty page that has some of the viewer's scripts, to test their classes without the application.

    Args:
        browser: The browser to use.
        names: Files of ``app/viewer/static`` without their ending.
    """
    page = browser.new_page()
    for name in names:
        page.add_script_tag(content=read_static(f"viewer/static/{name}.js"))
    yield page
    page.close()


def open_compare(context: BrowserContext, url: str) -> Page:
    """Open the page in a new tab of a window, and wait for the first numbers of the Compare tab."""
    page = context.new_page()
    page.goto(url)
    numbers(page, "drn", "region")
    return page


@contextmanager
def opened(desktop: BrowserContext, url: str) -> Iterator[Page]:
    """Open the page in a context that other tests use too.

    The local storage and the cookies of the address are deleted first. The pages of the context are closed afterwards.

    Args:
        desktop: The context.
        url: Address of the page, without a path.
    """
    page = desktop.new_page()
    session = desktop.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": url.rstrip("/"), "storageTypes": "local_storage,cookies"})
    session.detach()
    page.set_default_timeout(20_000)
    page.goto(url)
    yield page
    for opened_by_test in desktop.pages:
        opened_by_test.close()


@contextmanager
def visit(browser: Browser, url: str, size: tuple[int, int], **options: Any) -> Iterator[Page]:
    """Open the page in a window of a size, and wait for its first numbers."""
    with browser.new_context(viewport={"width": size[0], "height": size[1]}, **options) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        numbers(page, "drn", "region")
        yield page
