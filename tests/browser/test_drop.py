"""Files that are dropped on the page or pasted: who takes them, and what is refused."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from drn.image import Array

DROP_JS = """([files, names, target]) => {
    const dataTransfer = new DataTransfer();
    for (const [name, type, data] of files) {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        dataTransfer.items.add(new File([bytes], name, { type }));
    }
    return names.map((name) => !document.querySelector(target).dispatchEvent(
        new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true })));
}"""


def send(page: Page, names: list[str], *files: tuple[str, str, bytes], target: str = "body") -> None:
    """Send drag events with files to an element; the page must not let the browser open the files."""
    encoded = [(name, kind, base64.b64encode(data).decode()) for name, kind, data in files]
    assert page.evaluate(DROP_JS, [encoded, names, target]) == [True] * len(names)


def png(photo: Array) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(photo).save(stored, format="PNG")
    return stored.getvalue()


@pytest.mark.parametrize("tab", ["Compare", "Upscale", "Results"])
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["paper.pdf"], "paper.pdf was not opened: a PDF file is not an image that can be read."),
        (["notes.txt"], "notes.txt was not opened: a TXT file is not an image that can be read."),
        (["a.png", "b.png"], "a.png, b.png were not opened: drop or paste one image at a time."),
    ],
)
def test_refused_files_are_named_on_every_tab(page: Page, tab: str, names: list[str], told: str) -> None:
    page.get_by_role("tab", name=tab).click()
    send(page, ["dragenter", "dragover", "drop"], *((name, "", b"x") for name in names))
    expect(page.locator("#drop-note")).to_contain_text(told)
    page.locator("#drop-note").click()
    expect(page.locator("#drop-note")).to_be_hidden()


def test_an_overlay_says_what_a_drop_does(page: Page, photo: Array) -> None:
    overlay = page.locator("#drop-overlay")
    expect(overlay).to_be_hidden()
    for tab, text in (("Compare", "compare it"), ("Upscale", "upscale it"), ("Results", "Open Compare or Upscale")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        send(page, ["dragenter", "dragover"], ("a.png", "image/png", b"x"))
        expect(overlay).to_be_visible()
        expect(overlay).to_contain_text(text)
        send(page, ["dragleave"], ("a.png", "image/png", b"x"))
        expect(overlay).to_be_hidden()
    send(page, ["drop"], ("a.png", "image/png", png(photo)))
    expect(page.locator("#drop-note")).to_contain_text("a.png was not opened: open the Compare or the Upscale tab")


@pytest.mark.parametrize("target", ["body", "#small-image", "#upscale-status"])
def test_an_image_dropped_on_the_upscale_tab_goes_there(page: Page, photo: Array, target: str) -> None:
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#small-image")).to_be_visible()
    for name in ("first.png", "second.png"):  # the second replaces the first
        send(page, ["dragenter", "dragover", "drop"], (name, "image/png", png(photo)), target=target)
        expect(page.locator(f'#small-image img[src$="{name}"]')).to_be_visible()
    expect(page.locator("#drop-note")).to_be_hidden()
    page.locator("#upscale-start").click()
    expect(page.locator("#upscale-status")).to_contain_text("336×240 pixels.", timeout=60_000)


def test_an_image_of_a_type_that_the_browser_does_not_know_is_taken(page: Page, photo: Array) -> None:
    stored = io.BytesIO()
    Image.fromarray(photo).save(stored, format="HEIF")
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#small-image")).to_be_visible()
    send(page, ["drop"], ("phone.HEIC", "", stored.getvalue()))
    expect(page.locator('#small-image img[src$="phone.HEIC"]')).to_have_count(1)
    page.locator("#upscale-start").click()
    expect(page.locator("#upscale-status")).to_contain_text("336×240 pixels.", timeout=60_000)
