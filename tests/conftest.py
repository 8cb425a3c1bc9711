"""Fixtures shared by the tests. gradio and playwright are imported only by the fixtures that need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from drn.image import Array, mod_crop
from drn.reading import read_image
from drn.training.config import TrainConfig

if TYPE_CHECKING:
    from gradio_client import Client
    from playwright.sync_api import Browser, BrowserContext, Page

    from app.options import PageOptions


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def photo(rng: np.random.Generator) -> Array:
    """uint8 (60, 84, 3): smooth colour, edges and a little noise."""
    y, x = np.mgrid[0:60, 0:84]
    planes = [128 + 90 * np.sin(x / (5 + c) + y / 9) + 30 * ((x // 12 + y // 10) % 2) for c in range(3)]
    return np.clip(np.stack(planes, 2) + rng.normal(0, 4, (60, 84, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def page_options() -> PageOptions:
    """The choices with which ``url`` starts the page; a file of tests may define its own."""
    from app.options import PageOptions

    return PageOptions()


@pytest.fixture(scope="module")
def url(page_options: PageOptions) -> Iterator[str]:
    from app.page import build, launch

    demo = build(page_options)
    yield launch(demo, block=False)
    demo.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    from tests.helpers.browsing import chromium

    with sync_playwright() as playwright, chromium(playwright.chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    from gradio_client import Client

    return Client(url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window of desktop size for all tests of a file, so that the scripts of the page are compiled once."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def page(desktop: BrowserContext, url: str) -> Iterator[Page]:
    from tests.helpers.browsing import opened

    with opened(desktop, url) as page:
        yield page


@pytest.fixture(scope="module")
def photo_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clean weights for x2 and x3, and photo weights for x2 only."""
    from tests.helpers.models import folder_with_photo_weights

    return folder_with_photo_weights(tmp_path_factory.mktemp("place") / "weights")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window of desktop size for one test, whose pages may use the clipboard."""
    permissions = ["clipboard-read", "clipboard-write"]
    with browser.new_context(viewport={"width": 1280, "height": 900}, permissions=permissions) as context:
        context.set_default_timeout(120_000)  # milliseconds; a busy machine computes a comparison slowly
        yield context


@pytest.fixture(scope="module")
def truth() -> Array:
    from app.photographs import examples

    return mod_crop(read_image(examples()[0]).rgb, 4)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tmp_path: Path, photo: Array, one_thread: None) -> TrainConfig:
    """A short training on one photograph, in one thread."""
    for name in ("data", "valid"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo).save(tmp_path / name / "a.png")
    return TrainConfig(
        out=tmp_path / "run",
        data=(tmp_path / "data",),
        valid=(tmp_path / "valid",),
        iterations=8,
        batch_size=2,
        patch_size=12,
        warmup=2,
        valid_every=4,
        dtype="fp32",
    )
