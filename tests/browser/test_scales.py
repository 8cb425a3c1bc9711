"""The Scales tab in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from drn.image import Array, Picture
from drn.resize import upscale
from drn.upscaler import Upscaler
from drn.writing import write_image
from tests.helpers.browsing import drag, in_view, numbers, thumbnails


def test_the_scales_tab_waits_for_another_photograph(page: Page) -> None:
    page.get_by_role("tab", name="Scales").click()
    expect(page.locator("#scales-viewer [data-panel]")).to_have_count(12)
    page.get_by_role("tab", name="Compare").click()
    compared = page.locator("#viewer .viewer")
    before = compared.get_attribute("data-picture") or ""
    thumbnails(page).nth(2).click()
    expect(compared).not_to_have_attribute("data-picture", before)
    numbers(page, "drn", "whole")
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route))
    page.get_by_role("tab", name="Scales").click()
    viewer = page.locator("#scales-viewer .viewer")
    expect(viewer).to_have_attribute("aria-busy", "true")
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    expect(viewer).to_have_attribute("aria-busy", "false")
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("tab", name="Scales").click()
    page.wait_for_timeout(300)
    expect(viewer).to_have_attribute("aria-busy", "false")  # the images are shown already


def test_a_photograph_that_arrives_while_the_tab_is_open_is_shown_at_every_scale(
    page: Page, tmp_path: Path, photo: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(page, "drn", "whole")
    monkeypatch.setattr(Upscaler, "upscale", lambda self, lr, **_: upscale(lr, self.scale))
    compared, scales = page.locator("#viewer .viewer"), page.locator("#scales-viewer .viewer")
    before = compared.get_attribute("data-picture") or ""
    write_image(tmp_path / "photo.png", Picture(photo))
    held: list[Route] = []
    page.route("**/upload*", lambda route: held.append(route))
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    page.get_by_role("tab", name="Scales").click()
    expect(page.locator("#scales-chart .series")).to_have_count(3, timeout=60_000)
    for route in held:
        route.continue_()
    page.unroute("**/upload*")
    expect(compared).not_to_have_attribute("data-picture", before)
    expect(scales).to_have_attribute("data-picture", compared.get_attribute("data-picture") or "")
    expect(scales).to_have_attribute("aria-busy", "false")


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_each_scale_is_one_row(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_role("tab", name="Scales").click()
    viewer = page.locator("#scales-viewer")
    expect(viewer.locator("[data-panel]")).to_have_count(12)

    def lefts(name: str) -> set[int]:
        panels = [viewer.locator(f'[data-panel="{name} x{scale}"]') for scale in (2, 3, 4)]
        boxes = [panel.bounding_box() for panel in panels if panel.count()]
        return {round(box["x"]) for box in boxes if box}

    for hidden in ("Original x2", "Original x3"):
        viewer.get_by_role("button", name=hidden).click()
        assert all(len(lefts(name)) == 1 for name in ("Small (LR)", "Bicubic", "DRN", "Original"))
    tops = [viewer.locator(f'[data-panel="Small (LR) x{scale}"]').bounding_box() for scale in (2, 3, 4)]
    assert lefts("Small (LR)") == {round(box["x"]) for box in tops if box}
    assert len({round(box["y"]) for box in tops if box}) == 3


def test_all_scales_show_the_same_region(page: Page) -> None:
    numbers(page, "drn", "region")
    drag(page, "drn", 100, 60)
    numbers(page, "drn", "region")
    place = in_view(page)
    page.get_by_role("tab", name="Scales").click()
    expect(page.locator("#scales-chart .series")).to_have_count(3, timeout=60_000)
    scales = page.locator("#scales-viewer")
    expect(scales.locator("[data-panel]")).to_have_count(12)
    expect(scales.locator('[data-fresh="true"]')).to_have_count(1)
    shown = re.findall(r"\d+", scales.get_by_test_id("place").inner_text())
    width, height, x, y = map(int, shown)
    assert x + width / 2 == pytest.approx(place.x + place.width / 2, abs=2)
    assert y + height / 2 == pytest.approx(place.y + place.height / 2, abs=2)
    found = [
        float((scales.locator(f'[data-of="drn-x{scale}"] [data-testid="whole"] .psnr').text_content() or "").split()[0])
        for scale in (2, 3, 4)
    ]
    assert found == sorted(found, reverse=True)
    for which in ("region", "whole"):
        best = scales.locator(f'[data-testid="{which}"] .psnr.best')
        expect(best).to_have_count(3)
        assert all("drn-x" in str(one.evaluate("node => node.closest('[data-of]').dataset.of")) for one in best.all())
    expect(page.locator("#scales-tab").get_by_role("link", name="in the literature")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
