"""Shared links in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from drn.geometry import Rect
from drn.image import Array
from tests.helpers.browsing import drag, in_view, names, numbers, open_compare, thumbnails


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    ) as context:
        yield context


def copied_link(page: Page) -> str:
    page.locator("#viewer").get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_link_restores_image_scale_viewport_and_layout(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url)
    whole = numbers(page, "drn", "whole")
    thumbnails(page).nth(3).click()
    whole = numbers(page, "drn", "whole", former=whole)
    page.locator("#scale").get_by_label("x2").check()
    numbers(page, "drn", "whole", former=whole)
    page.locator("#plus").get_by_label("DRN+").check()
    numbers(page, "drn+", "whole")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    page.locator("#viewer .chips").get_by_role("button", name="Original").click()
    page.locator("#viewer .left-choice select").select_option("drn+")
    for _ in range(2):
        page.locator("#viewer").get_by_role("button", name="Zoom out").click()
    drag(page, "truth", 90, 30)
    shown, place = numbers(page, "drn+", "region"), in_view(page)
    other = context.new_page()
    other.goto(copied_link(page))
    expect(other.get_by_test_id("divider")).to_be_visible()
    expect(other.locator("#scale").get_by_label("x2")).to_be_checked()
    expect(other.locator("#viewer").get_by_test_id("zoom")).to_have_text("200 %")
    expect(other.locator("#plus").get_by_label("DRN+")).to_be_checked()
    assert numbers(other, "drn+", "region") == shown
    label = other.locator("#viewer .pane canvas")
    expect(label).to_have_attribute("aria-label", "DRN+ and Original, the region in view")
    assert in_view(other) == place


def test_a_link_restores_the_fitted_image(context: BrowserContext, url: str, truth: Array) -> None:
    page = open_compare(context, url)
    page.locator("#viewer").get_by_role("button", name="Fit").click()
    numbers(page, "drn", "region")
    query = parse_qs(urlparse(link := copied_link(page)).query)
    assert query["fit"] == ["1"]
    assert "zoom" not in query
    page.set_viewport_size({"width": 700, "height": 900})  # another zoom fits there
    page.goto(link)
    expect(page.locator("#viewer .viewer")).to_have_attribute("aria-busy", "false")
    numbers(page, "drn", "region")
    assert in_view(page) == Rect(0, 0, truth.shape[1], truth.shape[0])
    expect(page.locator('#viewer [data-zoom="fit"]')).to_have_attribute("aria-pressed", "true")


def test_only_a_visit_by_link_uses_the_queue(browser: Browser, url: str) -> None:
    """A visit without a link must not wait for other visitors' jobs."""
    asked: list[set[int]] = []
    for query in ("", "?image=cat&scale=4&x=100&y=80&zoom=2&layout=side"):
        page, requests = browser.new_page(), list[Request]()

        def note(request: Request, requests: list[Request] = requests) -> None:
            requests.append(request)

        page.on("request", note)
        page.goto(url + query)
        numbers(page, "drn", "region")
        page.wait_for_timeout(1000)
        joined = [one.post_data_json or {} for one in requests if "/queue/join" in one.url]
        asked.append({body["fn_index"] for body in joined})
        page.close()
    plain, linked = asked
    assert plain < linked
    assert len(linked - plain) == 1


def test_a_broken_link_shows_the_usual_page(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}?image=../../etc/passwd&scale=9&x=NaN&y=1e999&zoom=-3&layout=<b>")
    numbers(page, "drn", "region")
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    expect(page.locator(".toast-body")).to_contain_text(
        "This link names an image, a scale, a JPEG quality or a view that does not exist here"
    )
    expect(page.locator("#viewer .viewer")).to_have_attribute("aria-busy", "false")
    page.close()


def test_a_link_restores_the_panels(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(f"{url}?image=cat&scale=4&x=100&y=80&zoom=2&layout=side&shown=truth,error-drn,nothing")
    viewer = page.locator("#viewer")
    expect(viewer.locator("[data-panel]")).to_have_count(2)
    assert names(page) == ["Original", "DRN error"]
    viewer.get_by_role("button", name="What DRN adds").click()
    assert parse_qs(urlparse(copied_link(page)).query)["shown"] == ["truth,error-drn,added"]


def test_a_link_opens_a_map_in_front_as_soon_as_it_is_computed(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}?image=cat&scale=4&x=100&y=80&zoom=2&layout=divider&front=error-drn&left=bicubic")
    expect(page.get_by_test_id("divider")).to_be_visible()
    label = page.locator("#viewer .pane canvas")
    expect(label).to_have_attribute("aria-label", "Bicubic and DRN error, the region in view")
    page.locator("#scale").get_by_label("x2").check()
    page.wait_for_timeout(300)
    expect(page.locator('#viewer [data-testid="viewer"]')).to_have_attribute("aria-busy", "false")
    expect(label).to_have_attribute("aria-label", "Bicubic and DRN error, the region in view")
    page.close()
