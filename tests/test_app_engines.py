"""The page's networks: bundled at once, the Hub's when they arrive, swapped as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from app.engines import Engines
from app.session import compute, open_example
from app.ui import build, launch
from drn import weights
from drn.errors import InputError
from drn.hub import HubRepo
from drn.image import Array, Picture, write_png
from drn.inference import Upscaler
from drn.model import DRN
from drn.weights import Weights
from tests.conftest import small_model
from tests.hub_server import wait_until

Answer = Callable[[], list[Weights]]


@pytest.fixture
def arriving(tmp_path: Path) -> list[Weights]:
    """Other weights than the bundled ones, as if from the Hub."""
    for scale in (2, 3, 4):
        weights.save(tmp_path / weights.filename(scale), small_model(scale))
    return [replace(part, source="hub drn/drn@1234567") for part in weights.load_scales(tmp_path)]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, arriving: list[Weights]) -> Iterator[threading.Event]:
    """A Hub that delivers when the event is set."""
    event = threading.Event()

    def load_hub(repo: HubRepo, scales: Sequence[int]) -> list[Weights]:
        event.wait(60)
        return arriving

    monkeypatch.setenv("DRN_HUB_REPO", "drn/drn")
    monkeypatch.setattr("drn.weights.load_hub", load_hub)
    yield event
    event.set()


def test_networks_are_swapped_together(release: threading.Event, arriving: list[Weights]) -> None:
    engines = Engines()
    before, key = {scale: engines(scale) for scale in engines.scales}, engines.key
    assert "weights: bundled (x2" in engines.header
    assert "fetching drn/drn@main" in engines.header
    release.set()
    wait_until(lambda: engines.key != key)
    for part in arriving:
        scale = part.model.scale
        assert engines(scale) is not before[scale]
        assert engines(scale).model.config == part.model.config
    wait_until(lambda: "fetching" not in engines.header)
    assert f"weights: hub drn/drn@1234567 (x2 {arriving[0].sha256[:7]}" in engines.header


@pytest.mark.parametrize(
    ("repo", "sentence"),
    [
        ("drn/drn", "Using the bundled weights: &lt;the sentence&gt;"),
        ("<b>", "&#x27;&lt;b&gt;&#x27; is not a Hub repo"),
    ],
)
def test_a_failure_is_said_and_the_bundled_weights_stay(
    monkeypatch: pytest.MonkeyPatch, repo: str, sentence: str
) -> None:
    def load_hub(repo: HubRepo, scales: Sequence[int]) -> list[Weights]:
        raise InputError("<the sentence>")

    monkeypatch.setenv("DRN_HUB_REPO", repo)
    monkeypatch.setattr("drn.weights.load_hub", load_hub)
    engines = Engines()
    wait_until(lambda: sentence in engines.header)
    assert "weights: bundled" in engines.header


def test_weights_that_cannot_be_placed_leave_the_bundled_ones(
    release: threading.Event, arriving: list[Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(model: DRN) -> Upscaler:
        if model.config == arriving[0].model.config:
            raise RuntimeError("CUDA error: out of memory")
        return Upscaler(model)

    monkeypatch.setattr("app.engines.Upscaler", place)
    engines = Engines()
    release.set()
    wait_until(lambda: "those of drn/drn@main could not be placed, the log says why." in engines.header)
    assert "weights: bundled" in engines.header
    asyncio.run(asyncio.wait_for(engines.settled(), 5))


def test_one_comparison_is_made_by_one_set(
    release: threading.Event, arriving: list[Weights], tmp_path: Path, photo: Array
) -> None:
    """The Hub's weights arrive between DRN and DRN+: both are the bundled ones'."""
    engines = Engines()
    bundled = engines(2)
    write_png(tmp_path / "a.png", Picture(photo))
    session = open_example(tmp_path / "a.png", 2)
    for computed in compute(session, engines, plus=True):
        session = computed or session
        if (2, "DRN") in session.results and not release.is_set():
            release.set()
            wait_until(lambda: engines(2) is not bundled)
    assert engines(2) is not bundled
    lr = session.pairs[0].lr
    assert np.array_equal(session.results[2, "DRN+"].sr, bundled.upscale(lr, self_ensemble=True))


def test_without_a_repo_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    monkeypatch.setattr("drn.hub.fetch", lambda *_: pytest.fail("the Hub was asked"))
    assert 'data-testid="hub"' not in Engines().header


def test_an_open_page_learns_of_the_switch_and_the_next_one_begins_with_it(
    release: threading.Event, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = build()
    page = browser.new_page()
    try:
        url = launch(demo, block=False)
        page.goto(url)
        shown = page.locator('#viewer [data-of="drn"] [data-testid="whole"] .psnr')
        expect(page.get_by_test_id("weights")).to_contain_text("bundled (x2")
        expect(page.get_by_test_id("hub")).to_have_text("fetching drn/drn@main")
        expect(shown).to_contain_text("dB", timeout=20_000)
        before = shown.inner_text()
        release.set()
        expect(page.get_by_test_id("weights")).to_contain_text("hub drn/drn@1234567 (x2", timeout=20_000)
        expect(page.get_by_test_id("hub")).to_have_count(0)
        expect(shown).not_to_have_text(before, timeout=20_000)
        expect(shown).to_contain_text("dB", timeout=20_000)
        after = shown.inner_text()
        page.close()
        monkeypatch.setattr(Upscaler, "upscale", lambda *_, **__: pytest.fail("computed once more"))
        page = browser.new_page()
        page.goto(url)
        expect(page.locator('#viewer [data-of="drn"] [data-testid="whole"] .psnr')).to_have_text(after)
    finally:
        page.close()
        demo.close()


def test_a_link_keeps_its_scale_and_drn_plus_when_the_weights_switch(
    release: threading.Event, browser: Browser
) -> None:
    demo = build()
    page = browser.new_page()
    try:
        page.goto(f"{launch(demo, block=False)}?image=cat&scale=2&plus=1&x=60&y=60&zoom=2&layout=side")
        place = page.locator("#viewer").get_by_test_id("place")
        shown = page.locator('#viewer [data-of="drn+"] [data-testid="whole"] .psnr')
        expect(shown).to_contain_text("dB", timeout=20_000)
        before, there = shown.inner_text(), place.inner_text()
        release.set()
        expect(shown).not_to_have_text(before, timeout=20_000)
        expect(shown).to_contain_text("dB", timeout=20_000)
        assert place.inner_text() == there
        expect(page.locator("#scale").get_by_label("x2")).to_be_checked()
        expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    finally:
        page.close()
        demo.close()


def test_a_damaged_bundled_file_leaves_its_scale_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scale in (2, 3):
        weights.save(tmp_path / weights.filename(scale), small_model(scale))
    digests = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in tmp_path.iterdir()]
    (tmp_path / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests))
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    assert Engines().scales == [2, 3]
    (tmp_path / weights.filename(3)).write_bytes(b"garbage")
    engines = Engines()
    assert engines.scales == [2]
    assert "drn_x3.safetensors is not the file that SHA256SUMS beside it lists" in engines.header
    monkeypatch.setenv("DRN_HUB_REPO", "not a repo")
    header = Engines().header
    assert "drn_x3.safetensors is not the file" in header
    assert "is not a Hub repo" in header
    monkeypatch.delenv("DRN_HUB_REPO")
    (tmp_path / weights.filename(2)).unlink()
    with pytest.raises(InputError, match=r"drn_x3\.safetensors is not the file"):
        Engines()
