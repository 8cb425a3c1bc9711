"""The choice of the weights in the Upscale tab, with photo weights for x2 only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.options import PageOptions
from drn import weights
from drn.image import Array
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.variants import VARIANTS
from tests.helpers.browsing import upload_to_upscale


@pytest.fixture(scope="module")
def page_options(photo_place: Path) -> PageOptions:
    return PageOptions(weights=str(photo_place))


def choose(page: Page, group: str, label: str) -> None:
    page.locator(group).get_by_label(label, exact=True).check()


def upscaled(page: Page, sentence: str) -> Array:
    """Start the work, wait for its status, and return the pixels of the download."""
    page.locator("#upscale-start").click()
    expect(page.locator("#upscale-status")).to_have_text(sentence)
    with page.expect_download() as download:
        page.locator("#download").click()
    return read_image(download.value.path()).rgb


@pytest.mark.parametrize("width", [390, 1280])
def test_the_weights_fit_the_file_unless_the_visitor_chooses(
    page: Page, photo_place: Path, photo: Array, tmp_path: Path, width: int
) -> None:
    file = tmp_path / "a.jpg"
    Image.fromarray(photo).save(file, quality=75)
    expected = {
        variant: Upscaler(weights.load(weights.find(2, photo_place, variant)).model).upscale(read_image(file).rgb)
        for variant in VARIANTS
    }
    page.set_viewport_size({"width": width, "height": 844})
    page.get_by_role("tab", name="Upscale").click()
    expect(page.locator("#upscale-weights").get_by_label("Auto", exact=True)).to_be_checked()
    choose(page, "#upscale-scale", "x2")
    upload_to_upscale(page, file)
    automatic = upscaled(page, "168×120 pixels. JPEG, quality about 75: photo weights.")
    assert np.array_equal(automatic, expected["photo"])

    choose(page, "#upscale-weights", "Clean")
    expect(page.locator("#download")).to_be_hidden()
    expect(page.locator("#upscale-viewer .viewer")).to_be_hidden()
    expect(page.locator("#upscale-status")).to_contain_text("up to 16 megapixels")
    page.wait_for_timeout(500)
    assert np.array_equal(upscaled(page, "168×120 pixels. Clean weights, as chosen."), expected["clean"])

    choose(page, "#upscale-weights", "Photo")
    choose(page, "#upscale-scale", "x3")
    page.wait_for_timeout(500)
    upscaled(page, "252×180 pixels. There are no photo weights for x3: the clean weights were used.")


def test_a_png_gets_the_clean_weights(page: Page, photo_place: Path, photo: Array, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    page.get_by_role("tab", name="Upscale").click()
    choose(page, "#upscale-scale", "x2")
    upload_to_upscale(page, tmp_path / "a.png")
    shown = upscaled(page, "168×120 pixels. Not a JPEG: clean weights.")
    assert np.array_equal(shown, Upscaler(weights.load(photo_place / "drn_x2.safetensors").model).upscale(photo))
