"""Options of the page from the command line; visitors cannot change them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drn.evaluation.methods import Method


@dataclass(frozen=True)
class PageOptions:
    """The options of ``drn app``.

    Attributes:
        data: Folders of photographs, which replace the bundled examples; if empty, the bundled examples are shown.
        further: Methods to compare beside the built-in methods.
        scale: Scale that the page opens with; None for the largest scale that has weights.
        weights: A weights file, a folder or a Hub repo; None for the bundled weights, or those of ``DRN_HUB_REPO``.
        port: Port of the server; None for the port in ``GRADIO_SERVER_PORT``, or 7860.
    """

    data: tuple[Path, ...] = ()
    further: tuple[Method, ...] = ()
    scale: int | None = None
    weights: str | None = None
    port: int | None = None
