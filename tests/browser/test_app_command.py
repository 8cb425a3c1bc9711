"""``drn app``: test sets, finished results and networks from the command line appear on the page."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import BrowserContext, Page, expect

from drn import load_model
from drn.image import Array, Picture
from drn.upscaler import Upscaler
from drn.writing import write_image
from tests.helpers.browsing import names, numbers, opened, thumbnails

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three test sets, DRN's own results for two images of the first, and DRN as an ONNX file."""
    folder = tmp_path_factory.mktemp("sets")
    generator = torch.Generator().manual_seed(0)
    upscaler = Upscaler(load_model(scale=2))
    for place in ("one", "two", "large", "finished"):
        (folder / place).mkdir()
    for place, name in (("one", "first"), ("one", "second"), ("two", "third")):
        small = torch.rand(3, 32, 40, generator=generator)
        image = torch.nn.functional.interpolate(small[None], (64, 80), mode="bicubic").clamp(0, 1)[0]
        hr = (image * 255).round().byte().permute(1, 2, 0).numpy()
        write_image(folder / place / f"{name}.png", Picture(hr))
        if name != "third":
            write_finished(folder / "finished" / f"{name}_x2_mine.png", hr, upscaler)
    # Images that take seconds each, so that a test can cancel their measurement.
    for name in ("fourth", "fifth"):
        write_image(folder / "large" / f"{name}.png", Picture(np.zeros((1620, 2160, 3), np.uint8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the export without dynamo warns that it is old
        torch.onnx.export(
            load_model(scale=2),
            (torch.rand(1, 3, 32, 32),),
            str(folder / "own.onnx"),
            dynamo=False,
            input_names=["lr"],
            dynamic_axes={"lr": {2: "height", 3: "width"}},
        )
    return folder


def write_finished(path: Path, hr: Array, upscaler: Upscaler) -> None:
    from drn.resize import downscale

    write_image(path, Picture(upscaler.upscale(downscale(hr, 2))))


@pytest.fixture(scope="module")
def served(sets: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-u", "-m", "drn", "app", "--port", str(port), "--scale", "2"]
    command += [
        "--data",
        str(sets / "one"),
        str(sets / "two"),
        str(sets / "large"),
        "--results",
        f"mine={sets / 'finished'}",
    ]
    command += ["--network", f"a network={sets / 'own.onnx'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_SERVER")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any(f":{port}" in line for line in server.stdout)
        yield f"http://127.0.0.1:{port}"
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


@pytest.fixture
def page(desktop: BrowserContext, served: str) -> Iterator[Page]:
    with opened(desktop, served) as page:
        yield page


def test_the_methods_of_the_command_line_are_panels_with_numbers(page: Page) -> None:
    expect(thumbnails(page)).to_have_count(5)
    drn = numbers(page, "drn", "whole")
    assert names(page) == ["Small (LR)", "Bicubic", "DRN", "mine", "a network", "Original"]
    assert numbers(page, "further-1", "whole") == drn
    assert numbers(page, "further-2", "whole")[0] == pytest.approx(drn[0], abs=0.02)
    assert page.locator('[data-of="further-1"] .time').text_content() == ""
    assert page.locator('[data-of="further-2"] .time').text_content() != ""
    page.get_by_role("button", name="a network error").click()
    assert "a network error" in names(page)

    thumbnails(page).nth(2).click()  # this image has no finished result
    expect(page.get_by_text("mine has no result for this photograph.")).to_be_visible()
    assert names(page)[:4] == ["Small (LR)", "Bicubic", "DRN", "a network"]
    numbers(page, "further-2", "whole")
    page.locator("#scale").get_by_label("x3").check()  # both methods are for x2
    expect(page.locator('#viewer [data-panel="a network"]')).to_have_count(0)
    third = numbers(page, "drn", "whole")
    thumbnails(page).nth(1).click()
    numbers(page, "drn", "whole", former=third)
    page.locator("#scale").get_by_label("x2").check()
    expect(page.locator('#viewer [data-panel="mine"]')).to_be_visible()
    drn = numbers(page, "drn", "whole")
    assert numbers(page, "further-1", "whole") == drn


def test_an_upload_has_no_finished_result(page: Page, photo: Array, tmp_path: Path) -> None:
    numbers(page, "further-2", "whole")
    write_image(tmp_path / "first.png", Picture(photo))  # an upload named like an original gets no finished result
    page.locator("input[type=file]").first.set_input_files(tmp_path / "first.png")
    expect(page.get_by_text("mine has no result for this photograph.")).to_be_visible()
    numbers(page, "further-2", "whole")


def test_a_whole_set_is_measured_and_its_images_open_in_compare(page: Page) -> None:
    numbers(page, "drn", "whole")
    page.get_by_role("tab", name="Results").click()
    page.locator("#set").get_by_label("one").check()
    page.locator("#set-scale").get_by_label("x2").check()
    page.locator("#set-start").click()
    expect(page.locator("#set-status")).to_contain_text("All 8 results are measured.", timeout=60_000)
    cells = page.locator("#set-images [role=gridcell]")
    expect(cells).to_have_count(2 * 9)
    texts = [text.strip() for text in cells.all_inner_texts()]
    lines = {line[0]: [float(value) for value in line[1:]] for line in (texts[:9], texts[9:])}
    assert set(lines) == {"first", "second"}
    assert all(values[4:6] == values[2:4] for values in lines.values())  # the scores of "mine" equal those of DRN
    with page.expect_download() as downloading:
        page.locator("#set-csv").click()
    head, *rows = csv.reader(downloading.value.path().read_text(encoding="utf-8").splitlines())
    assert head == ["set", "image", "scale", "method", "PSNR", "SSIM", "seconds"]
    assert [(row[1], row[3]) for row in rows[:5]] == [
        *(("first", name) for name in ("bicubic", "DRN", "mine", "a network")),
        ("second", "bicubic"),
    ]
    header = page.locator("#set-images").get_by_role("columnheader", name="bicubic PSNR")
    highest = max(lines, key=lambda name: lines[name][0])
    header.last.hover()
    header.last.get_by_label("Open cell menu").click(force=True)
    page.get_by_role("menuitem", name="Sort descending").click()
    expect(cells.first).to_have_text(highest)
    page.locator("#set-images [role=gridcell]", has_text="second").click()
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    shown = page.locator('#viewer [data-of="drn"] [data-testid="whole"] .psnr')
    expect(shown).to_have_text(f"{lines['second'][2]:.2f} dB")


def test_measuring_a_set_is_cancelled_and_goes_on(page: Page) -> None:
    numbers(page, "drn", "whole")
    page.get_by_role("tab", name="Results").click()
    page.locator("#set").get_by_label("large").check()
    page.locator("#set-scale").get_by_label("x3").check()
    page.locator("#set-start").click()
    expect(page.locator("#set-status")).to_contain_text("1 of 4 results measured")  # the next takes longer
    page.locator("#set-cancel").click()
    expect(page.locator("#set-status")).to_contain_text("Stopped: the finished measurements are kept.")
    page.locator("#set-start").click()
    expect(page.locator("#set-status")).to_contain_text("All 4 results are measured.", timeout=60_000)
    expect(page.locator("#set-means")).to_contain_text("bicubic")
