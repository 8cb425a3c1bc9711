"""The page in a real browser: what a visitor sees and does."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.session import examples
from drn.image import Array, mod_crop, read_image
from drn.inference import Region
from drn.metrics import psnr, ssim
from drn.resize import downscale, upscale

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong


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
    """PSNR and SSIM that a panel shows for the ``region`` in view or the ``whole`` image, once they are settled."""
    expect(page.locator('#viewer [data-fresh="true"]')).to_have_count(1)
    row = page.locator(f'[data-of="{panel}"] [data-testid="{which}"]')
    expect(row.locator(".psnr")).to_have_text(re.compile(r"^\d+\.\d\d dB$"))
    return float(row.locator(".psnr").inner_text().split()[0]), float(row.locator(".ssim").inner_text())


def names(page: Page) -> list[str | None]:
    return [figure.get_attribute("data-panel") for figure in page.locator("#viewer [data-panel]").all()]


def in_view(page: Page) -> Region:
    """The region that the Compare tab's viewer says it shows, in HR pixels."""
    place = page.locator("#viewer").get_by_test_id("place").inner_text()
    match = re.fullmatch(r"(\d+)×(\d+) pixels at (\d+), (\d+)", place)
    assert match is not None
    width, height, x, y = map(int, match.groups())
    return Region(x, y, width, height)


def drawn(page: Page, key: str) -> Array:
    """What a panel's canvas shows: uint8 (h, w, 4), transparent where there is no image."""
    page.wait_for_timeout(60)  # one animation frame
    encoded = page.locator(f'canvas[data-key="{key}"]').evaluate("canvas => canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(encoded.split(",")[1]))) as image:
        return np.asarray(image.convert("RGBA"))


def assert_shows(
    canvas: Array, image: Array, region: Region, zoom: int, left: Array | None = None, cut: int = 0
) -> None:
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
    page.wait_for_timeout(60)  # one animation frame


@pytest.fixture(scope="module")
def truth() -> Array:
    return mod_crop(read_image(examples()[0]).rgb, 4)


def test_an_example_is_compared_without_a_click(page: Page) -> None:
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    assert names(page) == ["LR", "bicubic", "DRN", "ground truth"]
    for which in ("region", "whole"):
        bicubic, drn = numbers(page, "bicubic", which), numbers(page, "drn", which)
        assert 10 < bicubic[0] < drn[0] < 60
        assert 0 < bicubic[1] < drn[1] < 1
        expect(page.locator(f'[data-of="drn"] [data-testid="{which}"]')).to_have_class(re.compile("best"))
    expect(page.get_by_test_id("weights")).to_contain_text(re.compile(r"bundled \(x2 [0-9a-f]{7}, x3"))


def test_the_panels_show_the_pixels_of_one_region(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    region = in_view(page)
    assert_shows(drawn(page, "truth"), truth, region, 4)
    assert_shows(drawn(page, "bicubic"), upscale(downscale(truth, 4), 4), region, 4)
    page.locator("#viewer").get_by_role("button", name="200").click()
    numbers(page, "drn", "region")
    assert in_view(page).width > 1.9 * region.width
    assert_shows(drawn(page, "truth"), truth, in_view(page), 2)
    assert_shows(drawn(page, "lr"), downscale(truth, 4).repeat(4, 0).repeat(4, 1), in_view(page), 2)


def test_numbers_are_those_of_the_region_in_view(page: Page, truth: Array) -> None:
    numbers(page, "bicubic", "region")
    drag(page, "bicubic", 200, 160)
    shown, region = numbers(page, "bicubic", "region"), in_view(page)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    sr = upscale(downscale(truth, 4), 4)
    assert shown[0] == pytest.approx(psnr(sr[rows, columns], truth[rows, columns], 0), abs=0.0051)
    assert shown[1] == pytest.approx(ssim(sr[rows, columns], truth[rows, columns], 0), abs=0.000051)


def test_changing_the_scale_changes_the_numbers_and_keeps_the_place(page: Page) -> None:
    before = {which: numbers(page, "drn", which) for which in ("region", "whole")}
    place = in_view(page)
    page.locator("#scale").get_by_label("x2").check()
    expect(page.locator('[data-of="drn"] [data-testid="whole"] .psnr')).not_to_have_text(f"{before['whole'][0]:.2f} dB")
    for which in ("region", "whole"):
        assert numbers(page, "drn", which)[0] > before[which][0] + 1
    assert in_view(page) == place


def test_drag_wheel_and_double_click(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    start = in_view(page)
    drag(page, "drn", -80, 40)
    moved = in_view(page)
    assert (moved.x - start.x, moved.y - start.y) == (20, -10)
    assert_shows(drawn(page, "lr"), downscale(truth, 4).repeat(4, 0).repeat(4, 1), moved, 4)
    page.mouse.wheel(0, -120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    page.mouse.wheel(0, 120)
    page.mouse.wheel(0, 120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("300 %")
    page.locator('canvas[data-key="drn"]').dblclick()
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("400 %")
    assert in_view(page) == start


def test_the_size_slider(page: Page) -> None:
    numbers(page, "drn", "region")
    before = in_view(page)
    slider = page.locator("#viewer").get_by_test_id("size")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    numbers(page, "drn", "region")
    after = in_view(page)
    assert after.width == pytest.approx(before.width * 4 / 6, abs=2)
    assert after.x + after.width / 2 == pytest.approx(before.x + before.width / 2, abs=1)
    slider.fill("0")
    numbers(page, "drn", "region")
    assert in_view(page).width > before.width


def test_the_wheel_zooms_around_the_pointer(page: Page) -> None:
    numbers(page, "drn", "region")
    box = page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    before = in_view(page)
    page.mouse.wheel(0, -120)
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    after = in_view(page)
    assert abs(after.x - before.x) <= 1
    assert abs(after.y - before.y) <= 1


def test_keys(page: Page) -> None:
    numbers(page, "drn", "region")
    start = in_view(page)
    page.locator("#viewer").get_by_test_id("viewer").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(60)
    assert in_view(page).x > start.x
    page.keyboard.press("+")
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("600 %")
    page.keyboard.press("0")
    page.wait_for_timeout(60)
    assert (in_view(page).x, in_view(page).y) == (0, 0)
    page.keyboard.press("4")
    expect(page.locator("#viewer [data-panel]")).to_have_count(1)
    assert names(page) == ["ground truth"]
    page.keyboard.press("3")
    assert names(page) == ["DRN"]
    page.keyboard.press("Space")
    assert names(page) == ["ground truth"]
    page.keyboard.press("Space")
    assert names(page) == ["DRN"]
    page.keyboard.press("s")
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)


def test_the_divider_shows_one_image_on_each_side(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    page.keyboard.press("4")
    page.get_by_label("Left of the divider").select_option("bicubic")
    numbers(page, "bicubic", "region")
    left, right = upscale(downscale(truth, 4), 4), truth

    handle = page.get_by_test_id("divider")

    def check(percent: float) -> None:
        canvas, share = drawn(page, "truth"), float(handle.evaluate("handle => parseFloat(handle.style.left)")) / 100
        assert share == pytest.approx(percent / 100, abs=0.005)
        assert_shows(canvas, right, in_view(page), 4, left, int(canvas.shape[1] * share + 0.5))

    check(50)
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert handle.get_attribute("aria-valuenow") == "40"
    check(40)
    box, pane = handle.bounding_box(), page.locator('canvas[data-key="truth"]').bounding_box()
    assert box is not None
    assert pane is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] * 0.75, box["y"] + 100)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "75"
    check(75)


def test_the_overview_moves_the_view(page: Page, truth: Array) -> None:
    whole = numbers(page, "drn", "whole")
    before = numbers(page, "drn", "region")
    box = page.locator("#viewer").get_by_test_id("overview").bounding_box()
    assert box is not None
    page.locator("#viewer").get_by_test_id("overview").click(
        position={"x": box["width"] * 0.25, "y": box["height"] * 0.75}
    )
    page.wait_for_timeout(60)
    region = in_view(page)
    assert region.x + region.width / 2 == pytest.approx(0.25 * truth.shape[1], abs=4)
    assert region.y + region.height / 2 == pytest.approx(0.75 * truth.shape[0], abs=4)
    assert numbers(page, "drn", "region") != before
    assert numbers(page, "drn", "whole") == whole


def test_touch(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    page.goto(url)
    numbers(page, "drn", "region")
    start = in_view(page)
    canvas = page.locator('canvas[data-key="drn"]')
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    client = context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": px, "y": py, "id": index} for index, (px, py) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    touch("touchStart", (x, y))
    touch("touchMove", (x - 20, y))
    touch("touchMove", (x - 40, y))
    touch("touchEnd")
    page.wait_for_timeout(60)
    assert in_view(page).x - start.x == pytest.approx(10, abs=1)
    touch("touchStart", (x - 20, y), (x + 20, y))
    touch("touchMove", (x - 22, y), (x + 22, y))
    touch("touchMove", (x - 40, y), (x + 40, y))
    touch("touchEnd")
    expect(page.locator("#viewer").get_by_test_id("zoom")).to_have_text("800 %")
    context.close()


def test_drn_plus_and_the_maps(page: Page) -> None:
    numbers(page, "drn", "region")
    page.get_by_label("DRN+ too").check()
    expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    assert names(page)[2:4] == ["DRN", "DRN+"]
    assert numbers(page, "drn+", "whole")[0] > numbers(page, "drn", "whole")[0]
    for name in ("DRN+ error", "what DRN adds"):
        page.get_by_role("button", name=name).click()
        assert name in names(page)
    expect(page.locator('[data-of="error-drn+"] .legend')).to_contain_text("32 levels")


def test_another_example(page: Page) -> None:
    before = numbers(page, "drn", "whole")
    page.locator("#examples").get_by_role("button").nth(3).click()
    expect(page.locator('[data-of="drn"] [data-testid="whole"] .psnr')).not_to_have_text(f"{before[0]:.2f} dB")
    assert numbers(page, "bicubic", "whole")[0] != before[0]


def test_uploads(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "mine.png")
    (tmp_path / "broken.png").write_text("no image")
    numbers(page, "drn", "whole")
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files(tmp_path / "mine.png")
    expect(page.locator("#viewer").get_by_test_id("place")).to_have_text("74×60 pixels at 5, 0")
    mine = numbers(page, "bicubic", "whole")
    assert mine[0] == pytest.approx(psnr(upscale(downscale(photo, 4), 4), photo, 4), abs=0.0051)
    chooser.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("broken.png is not an image that can be read")).to_be_visible()
    assert numbers(page, "bicubic", "whole") == mine


def test_all_scales_show_the_same_region(page: Page) -> None:
    numbers(page, "drn", "region")
    drag(page, "drn", 100, 60)
    numbers(page, "drn", "region")
    place = in_view(page)
    page.get_by_role("tab", name="Scales").click()
    expect(page.locator("#scales-chart .series")).to_have_count(3)
    scales = page.locator("#scales-viewer")
    expect(scales.locator("[data-panel]")).to_have_count(12)
    expect(scales.locator('[data-fresh="true"]')).to_have_count(1)
    shown = re.findall(r"\d+", scales.get_by_test_id("place").inner_text())
    width, height, x, y = map(int, shown)
    assert x + width / 2 == pytest.approx(place.x + place.width / 2, abs=2)
    assert y + height / 2 == pytest.approx(place.y + place.height / 2, abs=2)
    found = [
        float(scales.locator(f'[data-of="drn-x{scale}"] [data-testid="whole"] .psnr').inner_text().split()[0])
        for scale in (2, 3, 4)
    ]
    assert found == sorted(found, reverse=True)


def test_upscaling_ones_own_image(page: Page, photo: Array, tmp_path: Path) -> None:
    alpha = np.full(photo.shape[:2], 200, np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save(tmp_path / "my logo.png")
    page.get_by_role("tab", name="Upscale").click()
    page.locator("#small-image input[type=file]").set_input_files(tmp_path / "my logo.png")
    expect(page.locator("#small-image img")).to_be_visible()
    page.locator("#upscale-scale").get_by_label("x3").check()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_have_text("252×180 pixels. Transparency was kept.")
    viewer = page.locator("#upscale-viewer")
    expect(viewer.locator("[data-panel]")).to_have_count(3)
    assert [node.get_attribute("data-panel") for node in viewer.locator("[data-panel]").all()] == [
        "LR",
        "bicubic",
        "DRN",
    ]
    expect(viewer).to_contain_text("There is no original to compare with")
    expect(viewer.locator(".numbers:visible")).to_have_count(0)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "my logo_DRN_x3.png"
    with Image.open(download.value.path()) as result:
        assert (result.size, result.mode) == ((252, 180), "RGBA")


def test_upscaling_can_be_cancelled(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(np.tile(photo, (16, 10, 1))).save(tmp_path / "large.png")
    page.get_by_role("tab", name="Upscale").click()
    page.locator("#small-image input[type=file]").set_input_files(tmp_path / "large.png")
    expect(page.locator("#small-image img")).to_be_visible()
    page.locator("#upscale-plus").get_by_label("DRN+").check()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_contain_text("Upscaling")
    page.locator("#upscale-cancel").click()
    expect(page.get_by_test_id("status")).to_have_text("Cancelled.")
    # The queue is free again: another job is answered.
    Image.fromarray(photo).save(tmp_path / "small.png")
    page.locator("#small-image").get_by_label("Remove").or_(page.locator("#small-image button").first).first.click()
    page.locator("#small-image input[type=file]").set_input_files(tmp_path / "small.png")
    expect(page.locator("#small-image img")).to_be_visible()
    page.locator("#upscale-plus").get_by_label("DRN+").uncheck()
    page.locator("#upscale-start").click()
    expect(page.get_by_test_id("status")).to_have_text("336×240 pixels.", timeout=60_000)


def test_a_link_restores_image_scale_place_and_layout(browser: Browser, url: str) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.goto(url)
    whole = numbers(page, "drn", "whole")
    page.locator("#examples").get_by_role("button").nth(3).click()
    expect(page.locator('#viewer [data-of="drn"] [data-testid="whole"] .psnr')).not_to_have_text(f"{whole[0]:.2f} dB")
    whole = numbers(page, "drn", "whole")
    page.locator("#scale").get_by_label("x2").check()
    expect(page.locator('#viewer [data-of="drn"] [data-testid="whole"] .psnr')).not_to_have_text(f"{whole[0]:.2f} dB")
    page.locator("#viewer").get_by_role("button", name="Divider").click()
    page.locator("#viewer").get_by_role("button", name="200").click()
    drag(page, "drn", 90, 30)
    shown, place = numbers(page, "drn", "region"), in_view(page)
    page.locator("#viewer").get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer").get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    other = context.new_page()
    other.goto(link)
    expect(other.get_by_test_id("divider")).to_be_visible()
    expect(other.locator("#scale").get_by_label("x2")).to_be_checked()
    expect(other.locator("#viewer").get_by_test_id("zoom")).to_have_text("200 %")
    assert numbers(other, "drn", "region") == shown
    assert in_view(other) == place
    context.close()


def test_a_broken_link_shows_the_usual_page(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}?image=../../etc/passwd&scale=9&x=NaN&y=1e999&zoom=-3&layout=<b>")
    numbers(page, "drn", "region")
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)
    page.close()


def test_the_figure_of_the_region_in_view(page: Page, truth: Array) -> None:
    numbers(page, "drn", "region")
    drag(page, "drn", 60, 20)
    numbers(page, "drn", "region")
    region = in_view(page)
    with page.expect_download() as download:
        page.locator("#figure").click()
    assert download.value.suggested_filename == "astronaut_x4_figure.png"
    with Image.open(download.value.path()) as image:
        drawn = np.asarray(image)
    zoom = 240 // max(region.width, region.height)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    expected = truth[rows, columns].repeat(zoom, 0).repeat(zoom, 1)
    height, width = expected.shape[:2]
    left = drawn.shape[1] - 16 - width
    assert any(
        np.array_equal(drawn[top : top + height, left : left + width], expected) for top in range(len(drawn) - height)
    )


def test_benchmarks(page: Page) -> None:
    page.get_by_role("tab", name="Benchmarks").click()
    expect(page.locator("#peers svg")).to_have_count(3)
    expect(page.locator("#peers")).to_contain_text("Hui et al., ACM MM 2019")
    for name in ("Upscale", "Scales", "Compare", "Benchmarks"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(200)
    assert [tab.inner_text() for tab in page.get_by_role("tab").all()] == ["Compare", "Scales", "Upscale", "Benchmarks"]


@pytest.mark.parametrize("width", [390, 800, 1280, 2560])
def test_nothing_overflows(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    numbers(page, "drn", "region")
    boxes = [page.locator(f'canvas[data-key="{key}"]').bounding_box() for key in ("lr", "bicubic", "drn", "truth")]
    for box in boxes:
        assert box is not None
        assert box["width"] >= 130
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for line in page.locator(".numbers .line:visible").all():
        assert line.evaluate("line => line.scrollWidth <= line.clientWidth + 1")


def test_the_page_asks_nobody_else(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    numbers(page, "drn", "region")
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
