"""The page while the Hub's weights arrive, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.page import build, launch
from drn.upscaler import Upscaler
from tests.helpers.browsing import numbers
from tests.helpers.late_hub import late_hub, other_weights


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[threading.Event]:
    """A Hub that delivers when the event is set."""
    with late_hub(monkeypatch, other_weights(tmp_path)) as release:
        yield release


def test_an_open_page_changes_to_the_new_weights_and_the_next_page_starts_with_them(
    release: threading.Event, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = build()
    page = browser.new_page()
    try:
        url = launch(demo, block=False)
        page.goto(url)
        expect(page.get_by_test_id("weights")).to_contain_text("bundled (x2")
        expect(page.get_by_test_id("hub")).to_have_text("fetching drn/drn@main")
        before = numbers(page, "drn", "whole")
        release.set()
        expect(page.get_by_test_id("weights")).to_contain_text("hub drn/drn@1234567 (x2")
        expect(page.get_by_test_id("hub")).to_have_count(0)
        after = numbers(page, "drn", "whole", former=before)
        # A comparison is kept for the next page when all its images are there.
        expect(page.get_by_test_id("viewer").first).to_have_attribute("aria-busy", "false")
        page.close()
        monkeypatch.setattr(Upscaler, "upscale", lambda *_, **__: pytest.fail("computed once more"))
        page = browser.new_page()
        page.goto(url)
        assert numbers(page, "drn", "whole", former=before) == after
    finally:
        page.close()
        demo.close()


def test_a_shared_link_keeps_its_scale_and_drn_plus_when_the_weights_change(
    release: threading.Event, browser: Browser
) -> None:
    demo = build()
    page = browser.new_page()
    try:
        page.goto(f"{launch(demo, block=False)}?image=cat&scale=2&plus=1&x=60&y=60&zoom=2&layout=side")
        place = page.locator("#viewer").get_by_test_id("place")
        before, there = numbers(page, "drn+", "whole"), place.inner_text()
        release.set()
        numbers(page, "drn+", "whole", former=before)
        assert place.inner_text() == there
        expect(page.locator("#scale").get_by_label("x2")).to_be_checked()
        expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    finally:
        page.close()
        demo.close()


def test_every_scale_is_computed_again_when_the_weights_change(release: threading.Event, browser: Browser) -> None:
    demo = build()
    page = browser.new_page()
    try:
        page.goto(f"{launch(demo, block=False)}?image=cat&scale=2&x=60&y=60&zoom=2&layout=scales")
        before = {key: numbers(page, key, "whole") for key in ("drn", "drn-x3", "drn-x4")}
        release.set()
        for key, old in before.items():
            numbers(page, key, "whole", former=old)
        expect(page.locator("#viewer .waiting")).to_have_count(0)
        expect(page.locator("#viewer .viewer")).to_have_attribute("data-mode", "scales")
        assert page.locator('#viewer .whole [data-of="bicubic-x3"] .psnr').text_content() != ""
    finally:
        page.close()
        demo.close()
