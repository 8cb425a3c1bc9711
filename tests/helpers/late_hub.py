"""A replacement for the Hub that delivers other weights than the bundled ones at a chosen time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drn import weights
from drn.hub import HubRepo
from drn.weights import Weights
from tests.helpers.models import small_model


def other_weights(folder: Path) -> list[Weights]:
    """Make untrained weights of every scale in ``folder``, and load them as if they came from the Hub."""
    for scale in (2, 3, 4):
        weights.save(folder / weights.filename(scale), small_model(scale))
    return [replace(part, source="hub drn/drn@1234567") for part in weights.load_scales(folder)]


@contextmanager
def late_hub(monkeypatch: pytest.MonkeyPatch, arriving: list[Weights]) -> Iterator[threading.Event]:
    """Replace the Hub by one that delivers ``arriving`` when the event is set, at the latest after the block."""
    release = threading.Event()

    def load_hub(repo: HubRepo, scales: Sequence[int], *_: object) -> list[Weights]:
        release.wait(60)
        return arriving

    monkeypatch.setenv("DRN_HUB_REPO", "drn/drn")
    monkeypatch.setattr("drn.weights.load_hub", load_hub)
    yield release
    release.set()
