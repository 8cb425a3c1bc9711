"""What the command line chooses for the page; visitors cannot change it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drn.evaluation.methods import Method


@dataclass(frozen=True)
class PageOptions:
    """The options of ``drn app``.

    Attributes:
        data: Folders of photographs, which replace the bundled examples; without any, the bundled ones are shown.
        further: Methods to compare beside the built-in ones.
        scale: Scale that the page opens with; None for the largest one that can be served.
        weights: A weights file, a folder or a Hub repo; None for the bundled weights, or those of ``DRN_HUB_REPO``.
        port: Port of the server; None for the one in ``GRADIO_SERVER_PORT``, or 7860.
    """

    data: tuple[Path, ...] = ()
    further: tuple[Method, ...] = ()
    scale: int | None = None
    weights: str | None = None
    port: int | None = None
