"""Measure the time that a visitor waits for numbers, in a browser: ``python -m tools.timing``."""

from __future__ import annotations

import statistics
import time
from typing import Annotated

import typer
from playwright.sync_api import Page, expect, sync_playwright

from tests.helpers.browsing import chromium
from tools.load import served

FRESH = '#viewer [data-fresh="true"]'
"""Selects the viewer while it shows the scores of the region in view."""

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


def main(pans: Annotated[int, typer.Option(min=1)] = 15, loads: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Print the median and the longest wait for the first scores and for the scores after a pan."""
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
        waits = [pan(page, 30 - 7 * (index % 9), 11 * (-1) ** index) for index in range(pans)]
    print(f"first numbers after the request: {statistics.median(first):.1f} s (median of {loads}), {max(first):.1f} s")
    print(f"numbers after the end of a pan: {statistics.median(waits):.0f} ms (median of {pans}), {max(waits):.0f} ms")


if __name__ == "__main__":
    typer.run(main)
