"""What the browser tests share: reading the Compare tab's viewer and moving in it."""

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
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserType, Locator, Page, expect

from drn.geometry import Rect
from drn.image import Array
from drn.upscaler import Cancelled

expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong


def numbers(page: Page, panel: str, which: str) -> tuple[float, float]:
    """PSNR and SSIM that a panel shows for the ``region`` in view or the ``whole`` image, once they are settled."""
    # In one look: a result that arrives in between draws the captions anew.
    settled = page.wait_for_function(
        r"""([panel, which]) => {
            const rows = document.querySelectorAll(`[data-of="${panel}"] [data-testid="${which}"]`);
            if (rows.length !== 1 || document.querySelectorAll('#viewer [data-fresh="true"]').length !== 1) return null;
            const [psnr, ssim] = [".psnr", ".ssim"].map((name) => rows[0].querySelector(name).textContent);
            const known = /^\d+\.\d\d dB$/.test(psnr) && /^-?\d\.\d{4}$/.test(ssim);
            return known ? [parseFloat(psnr), parseFloat(ssim)] : null;
        }""",
        arg=[panel, which],
    )
    psnr, ssim = settled.json_value()
    return psnr, ssim


def after_a_frame(page: Page) -> None:
    """Wait until what was asked for is drawn: the viewer draws in the next animation frame."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def thumbnails(page: Page) -> Locator:
    """The example photographs; gradio puts an unseen button before them now and then, so they are not just buttons."""
    return page.locator("#examples .thumbnail-item")


def names(page: Page) -> list[str | None]:
    return [figure.get_attribute("data-panel") for figure in page.locator("#viewer [data-panel]").all()]


def in_view(page: Page) -> Rect:
    """The region that the Compare tab's viewer says it shows, in HR pixels."""
    place = page.locator("#viewer").get_by_test_id("place").inner_text()
    match = re.fullmatch(r"(\d+)×(\d+) pixels at (\d+), (\d+)", place)
    assert match is not None
    width, height, x, y = map(int, match.groups())
    return Rect(x, y, width, height)


def drawn(page: Page, key: str) -> Array:
    """What a panel's canvas shows: uint8 (h, w, 4), transparent where there is no image."""
    after_a_frame(page)
    encoded = page.locator(f'canvas[data-key="{key}"]').evaluate("canvas => canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(encoded.split(",")[1]))) as image:
        return np.asarray(image.convert("RGBA"))


def assert_shows(canvas: Array, image: Array, region: Rect, zoom: int, left: Array | None = None, cut: int = 0) -> None:
    """Every pixel of ``region`` is a block of zoom x zoom equal screen pixels, cut only by the canvas' edge.

    Args:
        left: What is shown instead left of canvas column ``cut``.
    """
    height, width = canvas.shape[:2]

    def blocks(source: Array) -> Array:
        part = source[region.y : region.y + region.height, region.x : region.x + region.width]
        return part.repeat(zoom, 0).repeat(zoom, 1)

    shown = blocks(image)
    hidden = shown if left is None else blocks(left)
    # The first pixel may be cut; where is not said, so try each offset: one must fit everywhere.
    for dy in range(zoom):
        for dx in range(zoom):
            expected = shown[dy : dy + height, dx : dx + width].copy()
            expected[:, :cut] = hidden[dy : dy + height, dx : dx + cut]
            if expected.shape[:2] == (height, width) and np.array_equal(expected, canvas[..., :3]):
                return
    pytest.fail("the canvas does not show the region pixel by pixel")


def drag(page: Page, key: str, dx: int, dy: int) -> None:
    box = page.locator(f'canvas[data-key="{key}"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()
    after_a_frame(page)


def work_until_cancelled(cancelled: Callable[[], bool], started: threading.Event, stopped: threading.Event) -> NoReturn:
    """Stand in for a network whose work never ends by itself."""
    started.set()
    while not cancelled():
        time.sleep(0.02)
    stopped.set()
    raise Cancelled


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(kind: BrowserType, **options: Any) -> Iterator[Browser]:
    """A headless Chromium, started with ``options``: the machine's own, else playwright's."""
    arguments = ["--disable-gpu", "--disable-background-networking"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not start for root
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = kind.launch(executable_path=found, args=arguments, **options)
    yield browser
    browser.close()
