"""Fixtures shared by the tests."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright
from safetensors.torch import load_file, save_file

from app.session import examples
from drn import weights
from drn.image import Array, mod_crop, read_image
from drn.model import DRN, DRNConfig
from drn.settings import TrainConfig
from drn.train import CURVE

TEST_SETS = Path(
    os.environ.get("DRN_TEST_SETS", Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "test")
)
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def photo(rng: np.random.Generator) -> Array:
    """uint8 (60, 84, 3): smooth colour, edges and a little noise."""
    y, x = np.mgrid[0:60, 0:84]
    planes = [128 + 90 * np.sin(x / (5 + c) + y / 9) + 30 * ((x // 12 + y // 10) % 2) for c in range(3)]
    return np.clip(np.stack(planes, 2) + rng.normal(0, 4, (60, 84, 3)), 0, 255).astype(np.uint8)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from app.ui import build, launch

    demo = build()
    yield launch(demo, block=False)
    demo.close()


@contextmanager
def chromium(kind: BrowserType, **options: Any) -> Iterator[Browser]:
    """A headless Chromium, started with ``options``: the machine's own, else playwright's."""
    arguments = ["--disable-gpu", "--disable-background-networking"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not start for root
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = kind.launch(executable_path=found, args=arguments, **options)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright.chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False, analytics_enabled=False)


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    page.goto(url)
    yield page
    page.close()


@pytest.fixture(scope="module")
def truth() -> Array:
    return mod_crop(read_image(examples()[0]).rgb, 4)


def small_model(scale: int = 2, **changes: bool | int | str) -> DRN:
    torch.manual_seed(scale)
    values: dict[str, bool | int | str] = {"n_feats": 16, "n_distill": 4, "n_blocks": 2, "n_groups": 2, **changes}
    return DRN(DRNConfig.from_dict({"scale": scale, **values})).eval()


def benchmark_folder(name: str) -> Path:
    """Folder of a benchmark's HR images; skips the test where it is absent, as it is not ours to ship."""
    folder = TEST_SETS / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here ({folder}): DRN_TEST_SETS names another place")
    return folder


def rewritten(path: Path, **changes: object) -> None:
    """Write weights whose config was changed after the fact, so that it no longer fits them."""
    weights.save(path, small_model(2))
    config = small_model(2).config.to_dict() | changes
    save_file(load_file(path), path, metadata={"config": json.dumps(config)})


SMALL = small_model(2).config


def taught_by(model: DRN, config: TrainConfig) -> TrainConfig:
    """The training ``config`` with ``model`` as its teacher, beside the run."""
    path = config.out.with_name(f"drn_x{model.scale}.safetensors")
    weights.save(path, model, {})
    return replace(config, teacher=path)


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


def rows(run: Path) -> list[dict[str, str]]:
    """The curve of a run."""
    with (run / CURVE).open(newline="") as file:
        return list(csv.DictReader(file))
