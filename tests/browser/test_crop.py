"""Large photographs: the visitor chooses a part in the browser, and only this part is uploaded."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from starlette.types import Receive

from app.page import crop_script
from app.serving import guard
from app.serving.limits import MAX_CROP_PIXELS, MAX_UPLOAD_BYTES
from app.serving.uploads import store_upload
from drn.evaluation.comparison import format_psnr, format_ssim, measure
from drn.evaluation.methods import builtin_methods
from drn.evaluation.pairs import make_pair
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.reading import read_image
from drn.upscaler import Upscaler
from tests.browser.test_drop import send
from tests.helpers.browsing import numbers, thumbnails
from tests.helpers.phone import phone_photo, upright

NOTE = "Crop of a 12-megapixel photo"
START = Rect(1020, 1360, 960, 1280)
"""The first frame on an upright photograph of 3000x4000 pixels in Compare."""


class Uploads:
    """The uploads that a server received: number of bytes of each request's body, and the stored files."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.files: list[Path] = []


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 12 megapixels, upright 3000x4000."""
    path = tmp_path_factory.mktemp("phone") / "IMG_0042.JPG"
    path.write_bytes(phone_photo())
    return path


@pytest.fixture(scope="module")
def pixels(phone: Path) -> Array:
    """The pixels of ``phone``, as Pillow decodes them."""
    return upright(phone.read_bytes())


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Uploads:
    received = Uploads()

    async def record(receive: Receive, kind: str, length: int, address: str | None, upload_id: str | None) -> str:
        path = await store_upload(receive, kind, length, address, upload_id)
        received.lengths.append(length)
        received.files.append(Path(path))
        return path

    monkeypatch.setattr(guard, "store_upload", record)
    return received


@pytest.fixture
def page(page: Page) -> Page:
    numbers(page, "drn", "whole")
    return page


@pytest.fixture
def touch_page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 320, "height": 568}, has_touch=True, is_mobile=True, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(f"{url}?__theme=dark")
    numbers(page, "drn", "whole")
    yield page
    context.close()


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Choose a part of the photo")


def choose(page: Page, path: Path) -> None:
    """Click the upload button of the Compare tab and choose a file."""
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(path)


def choose_to_upscale(page: Page, path: Path) -> None:
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#small-image")).to_be_visible()
    page.locator("#small-image input[type=file]").set_input_files(path)


def frame_of(page: Page) -> Rect:
    """Return the frame that the dialog states, in pixels of the photograph."""
    size, place = dialog(page).get_by_role("status").inner_text().split(" pixels at ")
    (width, height), (x, y) = map(int, size.split("×")), map(int, place.split(", "))
    return Rect(x, y, width, height)


def cut(image: Array, rect: Rect) -> Array:
    return image[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]


def centre(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pull(page: Page, start: tuple[float, float], dx: float, dy: float) -> None:
    """Drag with the mouse from a position by a distance in CSS pixels."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + dx / 2, start[1] + dy / 2)
    page.mouse.move(start[0] + dx, start[1] + dy)
    page.mouse.up()


def test_a_phones_photograph_is_compared_after_one_crop_step(
    page: Page, phone: Path, pixels: Array, uploads: Uploads
) -> None:
    choose(page, phone)
    expect(dialog(page)).to_contain_text("IMG_0042.JPG: 3000×4000 pixels, 12 megapixels")
    expect(page.locator(".crop-frame")).to_be_focused()
    assert frame_of(page) == START
    page.get_by_role("button", name="Use this crop").click()
    expect(page.locator("#viewer").get_by_test_id("place")).to_contain_text("at 4", timeout=60_000)
    expect(page.locator(".crop-note")).to_have_text(NOTE)
    shown = {key: numbers(page, key, "whole") for key in ("bicubic", "drn")}

    assert len(uploads.lengths) == 1 and uploads.lengths[0] < 4_000_000
    crop = cut(pixels, START)
    sent = read_image(uploads.files[0])
    np.testing.assert_array_equal(sent.rgb, crop)
    assert sent.alpha is None
    assert uploads.files[0].stem == "IMG_0042"

    pair = make_pair(Picture(crop), 4)
    for method in builtin_methods(Upscaler.load(scale=4), self_ensemble=False):
        score = measure(pair, method).whole
        psnr, ssim = shown[method.name.lower()]
        assert (f"{psnr:.2f} dB", f"{ssim:.4f}") == (format_psnr(score), format_ssim(score))

    with page.expect_download() as downloading:
        page.get_by_role("button", name="Figure (PNG)").click()
    assert downloading.value.suggested_filename == "IMG_0042_x4_figure.png"
    page.locator("#scale").get_by_label("x2").check()
    numbers(page, "drn", "whole")
    expect(page.locator(".crop-note")).to_have_text(NOTE)
    thumbnails(page).nth(2).click()
    expect(page.locator(".crop-note")).to_be_hidden()


@pytest.mark.parametrize("by_key", [True, False])
def test_cancel_leaves_everything_as_it_was(page: Page, phone: Path, uploads: Uploads, by_key: bool) -> None:
    token = page.locator("#viewer .viewer").get_attribute("data-seen")
    for _ in range(2):  # the same file can be chosen again
        choose(page, phone)
        expect(dialog(page)).to_be_visible()
        if by_key:
            page.keyboard.press("Escape")
        else:
            page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(dialog(page)).to_have_count(0)
        expect(page.locator("#upload")).to_be_focused()
    page.wait_for_timeout(500)
    assert uploads.lengths == []
    assert page.locator("#viewer .viewer").get_attribute("data-seen") == token
    expect(page.locator("#viewer .viewer")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".crop-note")).to_have_count(0)


def test_keys_move_and_resize_the_frame(page: Page, phone: Path) -> None:
    before = page.locator("#viewer .viewer").get_attribute("data-seen")
    choose(page, phone)
    expect(dialog(page)).to_be_visible()
    for key, moved in {
        "ArrowRight": Rect(1030, 1360, 960, 1280),
        "ArrowDown": Rect(1030, 1370, 960, 1280),
        "Shift+ArrowLeft": Rect(930, 1370, 960, 1280),
        "Shift+ArrowUp": Rect(930, 1270, 960, 1280),
    }.items():
        page.keyboard.press(key)
        assert frame_of(page) == moved
    for _ in range(12):
        page.keyboard.press("Shift+ArrowLeft")
    assert frame_of(page) == Rect(0, 1270, 960, 1280)
    page.get_by_role("button", name="Bottom right corner").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert frame_of(page) == Rect(0, 1270, 860, 1280)
    page.keyboard.press("Shift+ArrowDown")
    assert frame_of(page) == Rect(0, 1270, 860, 1380)
    page.get_by_role("button", name="Top left corner").focus()
    page.keyboard.press("ArrowDown")
    assert frame_of(page) == Rect(0, 1280, 860, 1370)
    page.keyboard.press("Escape")
    assert page.locator("#viewer .viewer").get_attribute("data-seen") == before


def test_the_mouse_moves_and_resizes_the_frame_within_the_limit(
    page: Page, phone: Path, pixels: Array, uploads: Uploads
) -> None:
    choose(page, phone)
    expect(dialog(page)).to_be_visible()
    stage = page.locator(".crop-stage").bounding_box()
    assert stage is not None
    zoom = 3000 / stage["width"]
    pull(page, centre(page.locator(".crop-frame")), 60, -30)
    moved = frame_of(page)
    assert (moved.width, moved.height) == (960, 1280)
    assert moved.x == pytest.approx(1020 + 60 * zoom, abs=2)
    assert moved.y == pytest.approx(1360 - 30 * zoom, abs=2)
    pull(page, centre(page.get_by_role("button", name="Bottom right corner")), -90, -100)
    small = frame_of(page)
    assert (small.x, small.y) == (moved.x, moved.y)
    assert small.width == pytest.approx(960 - 90 * zoom, abs=2)
    assert small.height == pytest.approx(1280 - 100 * zoom, abs=2)
    pull(page, centre(page.get_by_role("button", name="Top left corner")), -900, -900)  # as far as the limit
    large = frame_of(page)
    assert large.x + large.width == small.x + small.width
    assert MAX_CROP_PIXELS * 0.99 < large.width * large.height <= MAX_CROP_PIXELS
    page.mouse.click(stage["x"] + stage["width"] - 2, stage["y"] + 2)  # beside the frame: it moves there
    assert frame_of(page) == Rect(3000 - large.width, 0, large.width, large.height)
    corner = frame_of(page)
    page.get_by_role("button", name="Use this crop").click()
    expect(page.locator(".crop-note")).to_have_text(NOTE, timeout=60_000)
    np.testing.assert_array_equal(read_image(uploads.files[0]).rgb, cut(pixels, corner))


def test_a_finger_moves_the_frame_on_a_small_dark_screen(touch_page: Page, phone: Path) -> None:
    page = touch_page
    page.locator("#upload").locator("xpath=..").locator("input[type=file]").first.set_input_files(phone)
    expect(dialog(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert page.locator("dialog").evaluate("(it) => it.scrollWidth <= it.clientWidth")
    for button in dialog(page).get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
    for name in ("Use this crop", "Cancel"):
        expect(dialog(page).get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    assert page.locator("dialog").evaluate("(it) => getComputedStyle(it).backgroundColor") == "rgb(30, 41, 59)"
    x, y = centre(page.locator(".crop-frame"))
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 20, "y": y + 10}]),
        ("touchMove", [{"x": x + 40, "y": y + 20}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    moved = frame_of(page)
    assert moved.x > START.x + 200 and moved.y > START.y + 100
    assert page.locator("dialog").evaluate("(it) => it.scrollTop") == 0


def test_upscale_takes_a_crop_too(page: Page, phone: Path, pixels: Array, uploads: Uploads) -> None:
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#small-image")).to_be_visible()
    send(page, ["dragenter", "dragover", "drop"], (phone.name, "image/jpeg", phone.read_bytes()))
    expect(dialog(page)).to_contain_text("At x4, images of up to 1 megapixel can be enlarged.")
    whole = frame_of(page)
    assert 990_000 < whole.width * whole.height <= 1_000_000
    page.get_by_role("button", name="Bottom right corner").focus()
    for _ in range(12):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    small = frame_of(page)
    assert (small.x, small.y, small.width) == (whole.x, whole.y, 64)
    page.get_by_role("button", name="Use this crop").click()
    expect(page.locator("#upscale-tab .crop-note")).to_contain_text(NOTE)
    expect(page.locator("#upscale-tab .crop-note")).to_contain_text("sent as PNG, so Auto uses the clean weights")
    page.locator("#upscale-start").click()
    expect(page.locator("#upscale-status")).to_contain_text(f"256×{4 * small.height} pixels.", timeout=60_000)
    np.testing.assert_array_equal(read_image(uploads.files[0]).rgb, cut(pixels, small))
    with page.expect_download() as downloading:
        page.locator("#download").click()
    assert downloading.value.suggested_filename == "IMG_0042_DRN_x4.png"
    page.locator("#upscale-samples .thumbnail-item").first.click()
    expect(page.locator("#upscale-tab .crop-note")).to_be_hidden()


def test_upscale_names_the_scales_at_which_an_image_fits(page: Page, uploads: Uploads, tmp_path: Path) -> None:
    Image.new("RGB", (1500, 1000), (90, 120, 60)).save(tmp_path / "flat.png")
    choose_to_upscale(page, tmp_path / "flat.png")
    expect(dialog(page)).to_contain_text("flat.png: 1500×1000 pixels, 1.5 megapixels")
    expect(dialog(page)).to_contain_text("It fits whole at x2 and x3.")
    dialog(page).get_by_role("button", name="Cancel").click()
    page.locator("#upscale-scale").get_by_label("x3").check()
    choose_to_upscale(page, tmp_path / "flat.png")
    expect(page.locator('#small-image img[src$="flat.png"]')).to_be_visible()
    assert uploads.files[0].read_bytes() == (tmp_path / "flat.png").read_bytes()
    expect(dialog(page)).to_have_count(0)


def test_a_file_above_the_limit_of_bytes_is_cropped(page: Page, photo: Array, uploads: Uploads, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "long.png")
    with (tmp_path / "long.png").open("ab") as file:
        file.write(bytes(MAX_UPLOAD_BYTES))
    choose(page, tmp_path / "long.png")
    expect(dialog(page)).to_contain_text("A file may have up to 20 MB.")
    assert frame_of(page) == Rect(0, 0, 84, 60)
    page.get_by_role("button", name="Use this crop").click()
    expect(page.locator(".crop-note")).to_have_text("Crop of a 0.005-megapixel photo", timeout=60_000)
    assert uploads.lengths[0] < 100_000


def test_files_that_the_browser_cannot_decode_go_to_the_server(page: Page, pixels: Array, tmp_path: Path) -> None:
    Image.fromarray(pixels[:2100, :2000]).save(tmp_path / "phone.heic", quality=30)
    choose(page, tmp_path / "phone.heic")
    told = "phone.heic is 2000x2100: the limit here is 4.00 megapixels. Crop it, or make it smaller."
    expect(page.get_by_text(told).first).to_be_visible(timeout=60_000)
    expect(dialog(page)).to_have_count(0)
    (tmp_path / "long.tiff").write_bytes(b"II*\0" + bytes(MAX_UPLOAD_BYTES))
    choose(page, tmp_path / "long.tiff")
    expect(page.locator("#drop-note")).to_contain_text("long.tiff was not opened: it has 20.0 MB")


def test_a_pasted_photograph_is_cropped_and_another_file_replaces_the_dialog(page: Page, phone: Path) -> None:
    paste = """(data) => {
        const clipboardData = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        clipboardData.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    }"""
    page.evaluate(paste, base64.b64encode(phone.read_bytes()).decode())
    expect(dialog(page)).to_contain_text("pasted.jpg")
    send(page, ["dragenter", "dragover", "drop"], (phone.name, "image/jpeg", phone.read_bytes()))
    expect(dialog(page)).to_contain_text("IMG_0042.JPG")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_frames_stay_inside_the_photograph_and_the_limit(browser: Browser) -> None:
    page = browser.new_page()
    page.add_script_tag(content=crop_script())
    faults = page.evaluate("""() => {
        let seed = 1;
        const random = (range) => { seed = (seed * 48271) % 2147483647; return seed % range; };
        const faults = [];
        for (let round = 0; round < 3000; round += 1) {
            const [width, height] = [1 + random(round % 3 ? 9000 : 90000), 1 + random(round % 2 ? 9000 : 200)];
            const limit = 10000 + random(1300000);
            const frame = new CropFrame(width, height, limit);
            const check = (what) => {
                const { x, y, width: w, height: h } = frame;
                const whole = [x, y, w, h].every(Number.isInteger);
                const least = w >= Math.min(64, width) && h >= Math.min(64, height);
                if (!whole || !least || x < 0 || y < 0 || x + w > width || y + h > height || w * h > limit) {
                    faults.push([what, width, height, limit, x, y, w, h]);
                }
            };
            check("start");
            for (let step = 0; step < 5; step += 1) {
                frame.moveTo(random(20000) - 5000, random(20000) - 5000);
                check("move");
                const corner = { right: random(2) === 1, bottom: random(2) === 1 };
                const still = frame.corner({ right: !corner.right, bottom: !corner.bottom });
                frame.moveCorner(corner, random(20000) - 5000, random(20000) - 5000);
                check("corner");
                const now = frame.corner({ right: !corner.right, bottom: !corner.bottom });
                if (now.x !== still.x || now.y !== still.y) faults.push(["still", still, now]);
            }
        }
        return faults.slice(0, 3);
    }""")
    page.close()
    assert faults == []


@pytest.mark.parametrize(
    ("count", "note"), [(12_192_768, "a 12"), (8_000_000, "an 8"), (18e6, "an 18"), (5.04e6, "a 5")]
)
def test_the_note_names_the_megapixels(browser: Browser, count: float, note: str) -> None:
    page = browser.new_page()
    page.add_script_tag(content=crop_script())
    assert page.evaluate("(pixels) => cropNote(pixels)", count) == f"Crop of {note}-megapixel photo"
    page.close()
