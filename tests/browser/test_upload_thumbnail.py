"""The thumbnail of the visitor's photograph in the Compare tab."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from drn.image import Array
from tests.helpers.browsing import numbers, thumbnails


def test_the_thumbnail_of_an_upload_is_marked_and_opens_it_again(page: Page, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "mine.png")
    numbers(page, "drn", "whole")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    mine = page.get_by_role("button", name="mine (your photograph)")
    expect(mine).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#examples .selected")).to_have_count(0)
    before = numbers(page, "drn", "whole")
    thumbnails(page).nth(2).click()
    expect(mine).to_have_attribute("aria-pressed", "false")
    expect(thumbnails(page).nth(2)).to_have_attribute("aria-pressed", "true")
    numbers(page, "drn", "whole")
    mine.click()
    expect(mine).to_have_attribute("aria-pressed", "true")
    assert numbers(page, "drn", "whole") == before
