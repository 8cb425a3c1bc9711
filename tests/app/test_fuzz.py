"""Damaged images and random events, with small numbers of each."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file

from drn import load_model
from drn.image import Array, Picture
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.writing import write_image
from tools.fuzz import SECRETS, elsewhere, fuzz_apart, fuzz_events, fuzz_images, seeds, watching
from tools.load import resident

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_images_are_read_or_refused_in_a_sentence() -> None:
    memory = resident(os.getpid())
    outcomes = fuzz_images(2500)
    assert sum(outcomes.values()) == 2500
    assert outcomes["read"] > 100, "the files are too damaged for a useful test"
    assert sum(count for outcome, count in outcomes.items() if outcome.startswith("refused")) > 1000
    assert resident(os.getpid()) - memory < 300


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_images_have_the_same_outcome_in_the_decoding_process() -> None:
    outcomes, peak = fuzz_apart(600, 7)
    same, refused_before = outcomes["apart: the same"], outcomes["apart: refused before it was decoded"]
    assert same > 550
    assert same + refused_before == 600
    assert 20 < peak < 150


def test_the_files_can_be_read_before_they_are_damaged() -> None:
    for data in seeds():
        assert sorted(read_image(io.BytesIO(data)).rgb.shape) == [3, 13, 17]


def test_the_watch_sees_files_and_connections(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with watching() as watch:
        (tmp_path / "a").read_text()
        with socket.socket() as closed, contextlib.suppress(OSError):
            closed.settimeout(0.1)
            closed.connect(("127.0.0.2", 9))
    assert str(tmp_path / "a") in watch.opened
    assert elsewhere(watch) == ["('127.0.0.2', 9)"]


def test_random_events_open_no_files_and_no_connections(
    url: str,
    photo: Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("app.serving.jobs.JOB_SECONDS", 1.0)  # some events are valid and take long
    memory = resident(os.getpid())
    outcomes, watch = fuzz_events(url, 120)
    assert sum(outcomes.values()) == 120
    assert sum(count for outcome, count in outcomes.items() if outcome.startswith("refused")) > 50
    assert not set(SECRETS) & set(watch.opened)
    assert elsewhere(watch) == []
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "A request ended with" in logged
    for sent in ("passwd", "onerror", "198.51.100.7", "Traceback"):
        assert sent not in logged
    write_image(tmp_path / "after.png", Picture(photo))
    client = Client(url, verbose=False, analytics_enabled=False)
    result = client.predict(handle_file(str(tmp_path / "after.png")), "2", api_name="/upscale")
    assert np.array_equal(read_image(Path(result)).rgb, Upscaler(load_model(scale=2)).upscale(photo))
    assert resident(os.getpid()) - memory < 500
