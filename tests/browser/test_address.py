"""The state of the page in its address, the walk through the photographs, and the announcements, in a real browser."""

from __future__ import annotations

import itertools
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.page import build, launch
from drn.geometry import Rect
from drn.image import Array
from tests.helpers.browsing import (
    assert_region,
    drag,
    in_view,
    names,
    numbers,
    open_compare,
    region_fields,
    thumbnails,
    type_region,
    viewer_scripts,
)

REGION = Rect(60, 50, 70, 44)

PATIENT = 120_000
"""Milliseconds; a comparison is computed anew, perhaps on a busy machine."""


def query_of(page: Page) -> dict[str, str]:
    """Return the fields of the page's address."""
    return {name: value for name, (value, *_) in parse_qs(urlparse(page.url).query).items()}


def wait_for_query(page: Page, **fields: str) -> None:
    """Wait until the address has these fields."""
    page.wait_for_function(
        """fields => {
            const query = new URLSearchParams(location.search);
            return Object.entries(fields).every(([name, value]) => query.get(name) === value);
        }""",
        arg=fields,
    )


def wait_for_scale(page: Page, scale: str) -> None:
    """Wait until the viewer shows an example at a scale, and the server has computed it."""
    expect(page.locator("#viewer .viewer")).to_have_attribute("aria-busy", "false", timeout=PATIENT)
    expect(page.locator("#scale").get_by_label(f"x{scale}")).to_be_checked(timeout=PATIENT)


def state_of(page: Page) -> dict[str, Any]:
    """Return the comparison that the page shows: image, scale, layout, region and numbers."""
    shown = numbers(page, "drn", "region"), numbers(page, "drn", "whole")
    return {
        "image": page.locator("#examples .thumbnail-item.selected").inner_text(),
        "scale": page.locator("#scale input:checked").input_value(),
        "layout": page.locator("#viewer .viewer").get_attribute("data-mode"),
        "names": names(page),
        "region": region_fields(page),
        "numbers": shown,
    }


def choose(page: Page) -> dict[str, Any]:
    """Compare the cat at x2 with a divider at a quarter and a region; return the state once the address has it."""
    numbers(page, "drn", "region")
    thumbnails(page).nth(3).click()
    wait_for_query(page, image="cat")
    page.locator("#scale").get_by_label("x2").check()
    wait_for_query(page, image="cat", scale="2")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    handle = page.get_by_test_id("divider")
    handle.focus()
    for key in ("PageDown", "PageDown", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    type_region(page, REGION)
    wait_for_query(page, layout="divider", divider="0.2600", region="60,50,70,44")
    assert not {"x", "y", "zoom", "fit"} & set(query_of(page)), "a link with a region has no zoom"
    return state_of(page)


def assert_state(page: Page, state: dict[str, Any]) -> None:
    """Check that the page soon shows a comparison."""
    wait_for_scale(page, state["scale"])
    ends = time.monotonic() + 60
    while (shown := state_of(page)) != state and time.monotonic() < ends:
        page.wait_for_timeout(200)
    assert shown == state
    expect(page.get_by_test_id("divider")).to_have_attribute("aria-valuenow", "26")
    frame, pane = page.get_by_test_id("frame").first.bounding_box(), page.locator("#viewer .pane").bounding_box()
    assert frame is not None
    assert pane is not None
    assert pane["x"] <= frame["x"] < frame["x"] + frame["width"] <= pane["x"] + pane["width"]


@contextmanager
def served(port: int) -> Iterator[str]:
    """Serve the page on a port."""
    demo = build()
    yield launch(demo, block=False, port=port)
    demo.close()


def test_reload_back_and_a_link_in_another_window_restore_the_comparison(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url)
    state = choose(page)
    page.reload()
    assert_state(page, state)
    page.goto("about:blank")
    page.go_back()
    assert_state(page, state)
    page.locator("#viewer").get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert urlparse(link).query == urlparse(page.url).query
    narrow = context.new_page()
    narrow.set_viewport_size({"width": 700, "height": 1000})
    narrow.goto(link)
    assert_state(narrow, state)


def test_a_restart_of_the_server_keeps_the_comparison(context: BrowserContext) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = context.new_page()
    with served(port) as url:
        page.goto(url)
        state = choose(page)
    with served(port):
        page.reload()
        assert_state(page, state)


def test_a_link_without_a_region_gives_the_same_numbers_in_another_window(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    page.locator("#viewer").get_by_role("button", name="Zoom out").dblclick()
    drag(page, "truth", 90, 30)
    view, shown = in_view(page), numbers(page, "drn", "region")
    wait_for_query(page, seen=f"{view.x},{view.y},{view.width},{view.height}", zoom="2")
    link = page.url
    page.reload()
    wait_for_scale(page, "4")
    assert numbers(page, "drn", "region") == shown
    assert in_view(page) == view
    expect(page.get_by_test_id("frame")).to_have_count(0)  # the same view needs no chosen region
    narrow = context.new_page()
    narrow.set_viewport_size({"width": 620, "height": 1000})
    narrow.goto(link)
    wait_for_scale(narrow, "4")
    assert_region(narrow, view)
    assert numbers(narrow, "drn", "region") == shown
    expect(narrow.locator("#viewer .pane").get_by_test_id("frame").first).to_be_visible()


def test_a_visit_without_a_change_keeps_its_address(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    page.set_viewport_size({"width": 1100, "height": 900})
    page.wait_for_timeout(1200)
    assert urlparse(page.url).query == ""


def test_the_address_is_written_at_most_twice_a_second(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    page.evaluate(
        """() => {
            window.written = [];
            const replace = history.replaceState;
            history.replaceState = function (...values) {
                written.push(performance.now());
                replace.apply(this, values);
            };
        }"""
    )
    page.get_by_test_id("viewer").first.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    page.wait_for_timeout(1500)
    written = page.evaluate("written")
    assert written
    assert all(later - earlier >= 500 for earlier, later in itertools.pairwise(written))


def test_a_newer_choice_replaces_a_link(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(f"{url}?image=cat&scale=4&region=60,50,70,44&layout=side")
    wait_for_scale(page, "4")
    assert_region(page, REGION)
    thumbnails(page).nth(4).click()
    wait_for_query(page, image="coffee")
    page.reload()
    expect(page.locator("#examples .thumbnail-item").nth(4)).to_have_class(re.compile("selected"), timeout=PATIENT)
    numbers(page, "drn", "region")
    assert query_of(page)["image"] == "coffee"
    expect(page.get_by_test_id("frame")).to_have_count(0)


@pytest.mark.parametrize(
    "query",
    [
        "image=cat&scale=4&region=60,50,70,4000&layout=side",
        "image=cat&scale=4&region=60,50,70&layout=side",
        "image=cat&scale=4&region=1e3,0,nan,5&layout=side",
        "image=cat&scale=4&x=1&y=2&zoom=4&layout=side&seen=-1,0,3,3",
        "image=cat&scale=4&x=1&y=2&zoom=4&layout=divider&divider=nan",
        "image=nothing&scale=4&x=1&y=2&zoom=4&layout=side&tab=<b>",
    ],
)
def test_a_malformed_link_is_ignored_with_a_sentence(context: BrowserContext, url: str, query: str) -> None:
    page = context.new_page()
    page.goto(f"{url}?{query}")
    expect(page.locator(".toast-body")).to_contain_text("does not exist here: choose a photograph instead")
    numbers(page, "drn", "region")
    expect(page.locator("#examples .thumbnail-item").first).to_have_class(re.compile("selected"))
    expect(page.get_by_test_id("frame")).to_have_count(0)


def test_the_open_tab_is_part_of_the_address(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    page.get_by_role("tab", name="Upscale").click()
    wait_for_query(page, tab="upscale")
    assert query_of(page) == {"tab": "upscale"}
    page.reload()
    expect(page.get_by_role("tab", name="Upscale")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Compare").click()
    numbers(page, "drn", "region")
    page.wait_for_function("() => location.search === ''")


def test_an_upload_that_is_gone_is_not_replaced_silently(
    context: BrowserContext, url: str, photo: Array, tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "my photo.png")
    page = context.new_page()
    page.goto(url)
    numbers(page, "drn", "whole")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "my photo.png")
    wait_for_query(page, upload="1")
    numbers(page, "drn", "whole")
    assert query_of(page) == {"upload": "1"}
    with page.expect_download() as download:
        page.locator("#figure-png").click()
    assert download.value.suggested_filename == "my photo_x4_figure.png"
    page.reload()
    notice = page.locator("#viewer").get_by_test_id("notice")
    expect(notice).to_have_text("Your photograph is no longer on the server, so an example is shown: upload it again.")
    numbers(page, "drn", "whole")  # the page is complete, so that nothing replaces the gallery during the click
    thumbnails(page).nth(3).click()
    wait_for_query(page, image="cat")
    expect(notice).to_be_hidden()


def test_the_next_photograph_keeps_the_relative_view(context: BrowserContext, url: str, truth: Array) -> None:
    page = open_compare(context, url)
    viewer = page.locator("#viewer .viewer")
    page.locator("#viewer").get_by_role("button", name="Zoom out").click()
    drag(page, "truth", -120, 40)
    before, size = in_view(page), truth.shape[1::-1]
    relative = (before.x + before.width / 2) / size[0], (before.y + before.height / 2) / size[1]
    for key, image in (("]", "astronaut"), ("]", "bricks"), ("[", "astronaut"), ("[", "flower")):
        viewer.focus()
        page.keyboard.press(key)
        wait_for_query(page, image=image)
        numbers(page, "drn", "region")
        expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("300 %")
    after = in_view(page)
    assert ((after.x + after.width / 2) / size[0], (after.y + after.height / 2) / size[1]) == pytest.approx(
        relative, abs=0.15
    )
    page.locator("#viewer").get_by_role("button", name="Previous").click()
    wait_for_query(page, image="test-card")  # the last one comes before the first one


def test_settled_numbers_and_the_image_in_front_are_announced(context: BrowserContext, url: str) -> None:
    page = open_compare(context, url)
    type_region(page, Rect(131, 349, 48, 40))
    bicubic, drn = (numbers(page, key, "region") for key in ("bicubic", "drn"))
    said = page.locator("#viewer").get_by_test_id("said")
    expect(said).to_have_attribute("role", "status")
    expect(said).to_have_text(
        f"48 by 40 pixels at 131, 349: Bicubic {bicubic[0]:.2f} dB, SSIM {bicubic[1]:.4f}; "
        f"DRN {drn[0]:.2f} dB, SSIM {drn[1]:.4f}."
    )
    page.locator("#viewer .viewer").focus()
    page.keyboard.press("3")
    expect(said).to_have_text(f"DRN in front. 48 by 40 pixels at 131, 349: DRN {drn[0]:.2f} dB, SSIM {drn[1]:.4f}.")
    page.keyboard.press("4")
    expect(said).to_have_text("Original in front.")


def test_only_settled_texts_are_announced(browser: Browser) -> None:
    with viewer_scripts(browser, "announcer") as page:
        page.clock.install()
        page.evaluate("window.said = []; window.announcer = new Announcer((text) => said.push(text))")
        page.evaluate("announcer.note('one')")
        page.clock.run_for(900)
        page.evaluate("announcer.note('two')")
        page.clock.run_for(1000)
        page.evaluate("announcer.note('two')")
        page.clock.run_for(2000)
        assert page.evaluate("said") == ["two"]
