"""Measure the time that a visitor waits for numbers, in a browser: ``python -m tools.timing``."""

from __future__ import annotations

import statistics
import time
from typing import Annotated

import typer
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.helpers.browsing import FRESH, OPENING_SHOWN, chromium
from tools.load import served

SLOW_LINE = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
"""Latency in ms, and bytes per second, of the browser's emulated connection."""

NOTE_TIMES = """() => {
    const root = document.querySelector("#viewer .viewer");
    window.moved = window.answered = 0;
    root.addEventListener("pointermove", (event) => event.buttons && (window.moved = performance.now()));
    new MutationObserver(() => root.dataset.fresh === "true" && (window.answered = performance.now()))
        .observe(root, { attributes: true, attributeFilter: ["data-fresh"] });
}"""
"""JavaScript that records the times of the pointer's last move and of the viewer's last change to current scores."""


def pan(page: Page, dx: int, dy: int) -> float:
    """Drag the DRN panel.

    Returns:
        Milliseconds from the last move of the pointer to the scores of the new region.
    """
    box = page.locator('#viewer canvas[data-key="drn"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()
    page.wait_for_function("window.answered > window.moved")
    return float(page.evaluate("window.answered - window.moved"))


def slow_line(browser: Browser, url: str) -> tuple[float, float, float]:
    """Open the page on a phone with a slow connection and an empty cache.

    Returns:
        Seconds until the first picture, and until the scores; megabytes received until then.
    """
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=3, is_mobile=True, has_touch=True
    )
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW_LINE)
    received: list[float] = []
    devtools.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    start = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_function(OPENING_SHOWN, timeout=60_000)
    first = time.monotonic() - start
    page.locator(FRESH).wait_for(timeout=60_000)
    scores = time.monotonic() - start
    context.close()
    return first, scores, sum(received) / 1e6


def main(pans: Annotated[int, typer.Option(min=1)] = 15, loads: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Print the median and the longest wait: for the first scores, after a pan, and on a slow line."""
    with served() as (_, url), sync_playwright() as playwright, chromium(playwright.chromium) as browser:
        first = []
        for _ in range(loads):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.monotonic()
            page.goto(url)
            expect(page.locator(FRESH)).to_have_count(1, timeout=60_000)
            first.append(time.monotonic() - start)
            page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        expect(page.locator(FRESH)).to_have_count(1, timeout=60_000)
        page.evaluate(NOTE_TIMES)
        pictures = [slow_line(browser, url) for _ in range(3)]
        waits = [pan(page, 30 - 7 * (index % 9), 11 * (-1) ** index) for index in range(pans)]
    print(f"first numbers after the request: {statistics.median(first):.1f} s (median of {loads}), {max(first):.1f} s")
    print(f"numbers after the end of a pan: {statistics.median(waits):.0f} ms (median of {pans}), {max(waits):.0f} ms")
    first_pictures, scores, megabytes = (statistics.median(values) for values in zip(*pictures, strict=True))
    print(
        f"phone, 1.6 Mbit/s, latency 150 ms: first picture after {first_pictures:.1f} s, first numbers after "
        f"{scores:.1f} s, {megabytes:.2f} MB (medians of {len(pictures)})"
    )


if __name__ == "__main__":
    typer.run(main)
