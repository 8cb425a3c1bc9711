"""The tabs in a real browser."""

from __future__ import annotations

import base64
import io
import re
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from app.photographs import examples
from drn.image import Array, mod_crop
from drn.metrics import psnr
from drn.resize import downscale, upscale
from tests.helpers.browsing import chromium, drag, in_view, names, numbers, thumbnails, upload_to_upscale


def test_drn_plus_and_the_maps(page: Page) -> None:
    numbers(page, "drn", "region")
    page.get_by_label("DRN+ too").check()
    expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    assert names(page)[2:4] == ["DRN", "DRN+"]
    assert numbers(page, "drn+", "whole")[0] > numbers(page, "drn", "whole")[0]
    for name in ("DRN+ error", "What DRN adds"):
        page.get_by_role("button", name=name).click()
        assert name in names(page)
    expect(page.locator('[data-of="error-drn+"] .legend')).to_contain_text("32 levels")


def test_another_example(page: Page) -> None:
    before = {key: numbers(page, key, "whole") for key in ("bicubic", "drn")}
    thumbnails(page).nth(3).click()
    for key, former in before.items():
        numbers(page, key, "whole", former=former)


def test_the_viewer_shows_that_it_waits(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    numbers(page, "drn", "whole")
    viewer = page.locator("#viewer").get_by_test_id("viewer")
    page.evaluate(
        """() => {
            window.busy = [];
            const root = document.querySelector("#viewer .viewer");
            const note = () => window.busy.at(-1) === root.ariaBusy || window.busy.push(root.ariaBusy);
            new MutationObserver(note).observe(root, { attributeFilter: ["aria-busy"] });
        }"""
    )
    page.locator("#scale").get_by_label("x3").check()
    page.wait_for_function("window.busy.join() === 'true,false'")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("broken.png is not an image that can be read")).to_be_visible()
    page.wait_for_function("window.busy.join() === 'true,false,true,false'")
    expect(viewer).to_have_attribute("aria-busy", "false")


def test_uploads(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "mine.png")
    (tmp_path / "broken.png").write_text("no image")
    numbers(page, "drn", "whole")
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files(tmp_path / "mine.png")
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("80×60 pixels at 2, 0")
    mine = numbers(page, "bicubic", "whole")
    assert mine[0] == pytest.approx(psnr(upscale(downscale(photo, 4), 4), photo, 4), abs=0.0051)
    chooser.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("broken.png is not an image that can be read")).to_be_visible()
    assert numbers(page, "bicubic", "whole") == mine


def test_two_visitors_see_only_their_own_photographs(browser: Browser, url: str, photo: Array, tmp_path: Path) -> None:
    def of_bicubic(pixels: Array, scale: int) -> str:
        hr = mod_crop(pixels, scale)
        return f"{psnr(upscale(downscale(hr, scale), scale), hr, scale):.2f} dB"

    shown = []
    for name, pixels in (("one.png", photo), ("two.png", photo[::-1, :70])):
        Image.fromarray(pixels).save(tmp_path / name)
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(url)
        numbers(page, "drn", "whole")
        page.locator("input[type=file]").first.set_input_files(tmp_path / name)
        number = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')
        expect(number).to_have_text(of_bicubic(pixels, 4))
        shown.append((page, number, pixels))
    assert of_bicubic(shown[0][2], 2) != of_bicubic(shown[1][2], 2)
    for page, number, pixels in shown:  # after both are open
        page.locator("#scale").get_by_label("x2").check()
        expect(number).to_have_text(of_bicubic(pixels, 2))
        page.context.close()


def test_a_pasted_photograph_is_compared(page: Page, photo: Array) -> None:
    numbers(page, "drn", "whole")
    stored = io.BytesIO()
    Image.fromarray(photo).save(stored, format="PNG")
    page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true });
            document.querySelector("#scale input").dispatchEvent(paste);
        }""",
        base64.b64encode(stored.getvalue()).decode(),
    )
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("80×60 pixels at 2, 0")


def test_a_photograph_dropped_on_the_page_is_compared(page: Page, photo: Array) -> None:
    numbers(page, "drn", "whole")
    stored = io.BytesIO()
    Image.fromarray(photo).save(stored, format="PNG")
    prevented = page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
            return ["dragover", "drop"].map((name) => !document.querySelector("#viewer canvas").dispatchEvent(
                new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true })));
        }""",
        base64.b64encode(stored.getvalue()).decode(),
    )
    assert prevented == [True, True]  # or the browser would leave the page for the file
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("80×60 pixels at 2, 0")


def test_upscaling_an_image(page: Page, photo: Array, tmp_path: Path) -> None:
    alpha = np.full(photo.shape[:2], 200, np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save(tmp_path / "my logo.png")
    upload_to_upscale(page, tmp_path / "my logo.png")
    page.locator("#upscale-scale").get_by_label("x3").check()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("252×180 pixels. Transparency was kept.")
    viewer = page.locator("#upscale-viewer")
    expect(viewer.locator("[data-panel]")).to_have_count(3)
    assert [node.get_attribute("data-panel") for node in viewer.locator("[data-panel]").all()] == [
        "Small (LR)",
        "Bicubic",
        "DRN",
    ]
    expect(viewer).to_contain_text("There is no original to compare with")
    expect(viewer.locator(".pill.region:visible")).to_have_count(0)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "my logo_DRN_x3.png"
    with Image.open(download.value.path()) as result:
        assert (result.size, result.mode) == ((252, 180), "RGBA")
    # When the image is removed, the browser hides the result itself. Requests to the server are held back here.
    Image.fromarray(photo[:30]).save(tmp_path / "other.png")
    page.route(re.compile("/gradio_api/(queue/join|run/)"), lambda route: None)
    page.locator("#small-image .icon-button-wrapper button").first.click()
    expect(page.locator("#download")).to_be_hidden()
    expect(viewer.locator(".viewer")).to_be_hidden()
    page.unroute_all()
    upload_to_upscale(page, tmp_path / "other.png")
    expect(page.get_by_test_id("status")).to_contain_text("up to 16 megapixels")
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("252×90 pixels.")
    expect(viewer.locator("[data-panel]")).to_have_count(3)


def test_upscaling_can_be_cancelled(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(np.tile(photo, (16, 10, 1))).save(tmp_path / "large.png")
    upload_to_upscale(page, tmp_path / "large.png")
    page.locator("#upscale-plus").get_by_label("DRN+").check()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("Upscaling")
    page.locator("#upscale-cancel").click()
    expect(page.get_by_test_id("status")).to_have_text("Cancelled.")
    # The queue is free again: another job is answered.
    Image.fromarray(photo).save(tmp_path / "small.png")
    page.locator("#small-image").get_by_label("Remove").or_(page.locator("#small-image button").first).first.click()
    upload_to_upscale(page, tmp_path / "small.png")
    page.locator("#upscale-plus").get_by_label("DRN+").uncheck()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("336×240 pixels.", timeout=60_000)


def test_the_figure_of_the_region_in_view(page: Page, truth: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers(page, "drn", "region")
    release = threading.Event()
    monkeypatch.setattr(
        "app.measurements.numbers_of", lambda *_: release.wait(30)
    )  # the scores of the region are not known yet
    drag(page, "drn", 60, 20)
    region = in_view(page)
    with page.expect_download() as download:
        page.locator("#figure-png").click()
    release.set()
    assert download.value.suggested_filename == f"{examples()[0].stem}_x4_figure.png"
    with Image.open(download.value.path()) as image:
        drawn = np.asarray(image)
    zoom = 240 // max(region.width, region.height)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    expected = truth[rows, columns].repeat(zoom, 0).repeat(zoom, 1)
    height, width = expected.shape[:2]
    starts = np.argwhere((drawn == expected[0, 0]).all(2))  # every place of the first pixel
    assert any(np.array_equal(drawn[top : top + height, left : left + width], expected) for top, left in starts)


def test_an_error_replaces_the_progress_of_upscaling(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    upload_to_upscale(page, tmp_path / "broken.png")
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("broken.png is not an image that can be read")
    expect(page.locator("#upscale-tab progress")).to_have_count(0)
    page.wait_for_timeout(500)
    expect(page.get_by_test_id("status")).to_contain_text("broken.png is not an image")
    expect(page.locator("#upscale-cancel")).to_be_disabled()


def test_a_full_disk_ends_the_progress_of_upscaling(
    page: Page, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(photo).save(tmp_path / "small.png")
    upload_to_upscale(page, tmp_path / "small.png")
    monkeypatch.setattr("app.upscaling.write_image", Mock(side_effect=OSError(28, "No space left on device")))
    page.locator("#upscale-start").click()
    expect(page.get_by_text("The server cannot store files just now")).to_be_visible()
    expect(page.locator("#upscale-tab progress")).to_have_count(0)


def test_results(page: Page) -> None:
    page.get_by_role("tab", name="Results").click()
    shown = page.locator("#results-x4")
    expect(shown.locator(".prose.standing")).to_contain_text("On Set5 at x4, DRN reaches")
    expect(shown.locator("svg.chart")).to_have_count(4)  # two of them beside the times of other networks
    expect(shown.locator(".vega-embed canvas, .vega-embed svg").first).to_be_visible()
    page.locator("#results-scale").get_by_label("x2").check()
    expect(page.locator("#results-x2 .prose.standing")).to_contain_text("On Set14 at x2, DRN reaches")
    expect(page.locator("#results-x2 svg.chart")).to_have_count(2)
    expect(shown).to_be_hidden()
    own = page.locator("#results-x2 [role=gridcell]").get_by_text("DRN", exact=True).first
    other = page.locator("#results-x2 [role=gridcell]").get_by_text("IMDN", exact=True).first
    weights = [cell.evaluate("cell => getComputedStyle(cell).fontWeight") for cell in (own, other)]
    assert weights == ["600", "400"]
    page.get_by_text("The other networks: papers").click()
    expect(page.locator("#peer-sources")).to_contain_text("Hui et al., ACM MM 2019")
    for name in ("Upscale", "Compare", "Results"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(200)
    assert [tab.inner_text() for tab in page.get_by_role("tab").all()] == ["Compare", "Upscale", "Results"]


def test_the_strip_of_photographs_scrolls_only_sideways(browser: Browser, url: str) -> None:
    # By default playwright hides scrollbars, which most visitors have.
    with chromium(browser.browser_type, ignore_default_args=["--hide-scrollbars"]) as with_scrollbars:
        page = with_scrollbars.new_page(viewport={"width": 820, "height": 900})
        page.goto(url)
        strip = page.locator("#examples .grid-container")
        strip.wait_for()
        assert strip.evaluate("strip => strip.scrollWidth > strip.clientWidth")  # so there is a scrollbar
        for part in ("#examples .grid-wrap", "#examples .grid-container"):
            assert page.locator(part).evaluate("part => part.scrollHeight <= part.clientHeight"), part


@pytest.mark.parametrize("width", [390, 800, 1280, 2560])
def test_nothing_overflows(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    numbers(page, "drn", "region")
    panels = page.locator("#viewer .pane canvas")
    assert panels.count() == (1 if width == 390 else 4)  # a narrow window shows the divider
    for panel in panels.all():
        box = panel.bounding_box()
        assert box is not None
        assert box["width"] >= 130
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for line in page.locator("#viewer .pill:visible").all():
        assert line.evaluate("line => line.scrollWidth <= line.clientWidth + 1")
    for tab in ("Upscale", "Results"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab


def test_the_page_requests_nothing_from_other_servers_and_nothing_that_is_missing(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    page.goto(url)
    numbers(page, "drn", "region")
    for tab in ("Upscale", "Results", "Compare"):
        page.get_by_role("tab", name=tab).click()
    page.locator("#viewer").get_by_role("button", name="Scales", exact=True).click()
    expect(page.locator("#viewer [data-panel]")).to_have_count(10)
    expect(page.locator("#viewer .waiting")).to_have_count(0, timeout=60_000)
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
    assert complaints == []
