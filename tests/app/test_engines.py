"""The weights that the page serves: first the bundled weights, then those of the Hub, replaced as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from app.engines import ServedWeights
from app.session import compute, open_example
from drn import weights
from drn.errors import InputError
from drn.hub import HubRepo
from drn.image import Array, Picture
from drn.model import DRN
from drn.upscaler import Upscaler
from drn.weights import Weights
from drn.writing import write_image
from tests.helpers.hub_server import wait_until
from tests.helpers.late_hub import late_hub, other_weights
from tests.helpers.models import small_model

pytestmark = pytest.mark.slow


@pytest.fixture
def arriving(tmp_path: Path) -> list[Weights]:
    return other_weights(tmp_path)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, arriving: list[Weights]) -> Iterator[threading.Event]:
    """A Hub that delivers when the event is set."""
    with late_hub(monkeypatch, arriving) as release:
        yield release


def test_all_scales_are_replaced_together(release: threading.Event, arriving: list[Weights]) -> None:
    served = ServedWeights()
    before, key = {scale: served.upscaler_for(scale) for scale in served.scales}, served.key
    assert "weights: bundled (x2" in served.header
    assert "fetching drn/drn@main" in served.header
    release.set()
    wait_until(lambda: served.key != key)
    for part in arriving:
        scale = part.model.scale
        assert served.upscaler_for(scale) is not before[scale]
        assert served.upscaler_for(scale).model.config == part.model.config
    wait_until(lambda: "fetching" not in served.header)
    assert f"weights: hub drn/drn@1234567 (x2 {arriving[0].sha256[:7]}" in served.header


@pytest.mark.parametrize(
    ("repo", "sentence"),
    [
        ("drn/drn", "Using the bundled weights: &lt;the sentence&gt;"),
        ("<b>", "&#x27;&lt;b&gt;&#x27; is not a Hub repo"),
    ],
)
def test_the_header_says_why_the_bundled_weights_stay_in_use(
    monkeypatch: pytest.MonkeyPatch, repo: str, sentence: str
) -> None:
    def load_hub(repo: HubRepo, scales: Sequence[int]) -> list[Weights]:
        raise InputError("<the sentence>")

    monkeypatch.setenv("DRN_HUB_REPO", repo)
    monkeypatch.setattr("drn.weights.load_hub", load_hub)
    served = ServedWeights()
    wait_until(lambda: sentence in served.header)
    assert "weights: bundled" in served.header


def test_weights_that_do_not_fit_the_device_leave_the_bundled_ones_in_use(
    release: threading.Event, arriving: list[Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(model: DRN) -> Upscaler:
        if model.config == arriving[0].model.config:
            raise RuntimeError("CUDA error: out of memory")
        return Upscaler(model)

    monkeypatch.setattr("app.engines.Upscaler", place)
    served = ServedWeights()
    release.set()
    wait_until(
        lambda: (
            "the weights of drn/drn@main could not be loaded onto the device; the log has the reason." in served.header
        )
    )
    assert "weights: bundled" in served.header
    asyncio.run(asyncio.wait_for(served.settled(), 5))


def test_one_comparison_uses_one_set_of_weights(
    release: threading.Event, arriving: list[Weights], tmp_path: Path, photo: Array
) -> None:
    """The Hub's weights arrive between DRN and DRN+, which both use the bundled weights."""
    served = ServedWeights()
    bundled = served.upscaler_for(2)
    write_image(tmp_path / "a.png", Picture(photo))
    session = open_example(tmp_path / "a.png", 2)
    for computed in compute(session, served.upscaler_for, self_ensemble=True):
        session = computed or session
        if (2, "DRN") in session.results and not release.is_set():
            release.set()
            wait_until(lambda: served.upscaler_for(2) is not bundled)
    assert served.upscaler_for(2) is not bundled
    lr = session.pairs[0].lr
    assert np.array_equal(session.results[2, "DRN+"].sr, bundled.upscale(lr, self_ensemble=True))


def test_without_a_repo_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    monkeypatch.setattr("drn.hub.fetch", lambda *_: pytest.fail("a request was sent to the Hub"))
    assert 'data-testid="hub"' not in ServedWeights().header


def test_the_scale_of_a_damaged_bundled_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scale in (2, 3):
        weights.save(tmp_path / weights.filename(scale), small_model(scale))
    digests = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in tmp_path.iterdir()]
    (tmp_path / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests))
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    assert ServedWeights().scales == [2, 3]
    (tmp_path / weights.filename(3)).write_bytes(b"garbage")
    served = ServedWeights()
    assert served.scales == [2]
    assert "drn_x3.safetensors is not the file that SHA256SUMS beside it lists" in served.header
    monkeypatch.setenv("DRN_HUB_REPO", "not a repo")
    header = ServedWeights().header
    assert "drn_x3.safetensors is not the file" in header
    assert "is not a Hub repo" in header
    monkeypatch.delenv("DRN_HUB_REPO")
    (tmp_path / weights.filename(2)).unlink()
    with pytest.raises(InputError, match=r"drn_x3\.safetensors is not the file"):
        ServedWeights()
