"""The panels of a comparison as HTML: the same region in every panel, at a whole-number zoom."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from app.compare import Pair, Panel, Score, Whole, format_psnr, format_ssim
from drn.image import Array
from drn.inference import Region

STATIC = Path(__file__).parent / "static"
CSS = (STATIC / "page.css").read_text(encoding="utf-8")
OVERVIEW_EDGE = 640
"""Longest side of the overview picture, in pixels."""

EXPLAIN = {
    "LR": "all that is given",
    "bicubic": "the baseline",
    "DRN": "one pass",
    "DRN+": "mean of 8 passes",
    "ground truth": "the original",
}


def panels_html(panels: list[Panel], whole: Mapping[str, Whole | None]) -> str:
    """The panels side by side.

    Args:
        panels: From ``compare_region``; the last one is the ground truth.
        whole: Score over the whole image by method, None while it is being computed.
    """
    height, width = panels[-1].pixels.shape[:2]
    best = _best({panel.name: panel.score for panel in panels})
    best_whole = _best({name: result.score if result else None for name, result in whole.items()})
    cards = "".join(
        _card(panel, width, height, whole.get(panel.name), panel.name == best, panel.name == best_whole)
        for panel in panels
    )
    return f'<div class="panels" data-testid="panels" style="--w:{width};--h:{height}">{cards}</div>'


def _card(panel: Panel, width: int, height: int, whole: Whole | None, best: bool, best_whole: bool) -> str:
    alt = f"{panel.name}, {EXPLAIN[panel.name]}: a region of {width} by {height} pixels"
    if panel.score is None:
        numbers = f'<p class="explain">{panel.pixels.shape[1]}×{panel.pixels.shape[0]} pixels</p>'
    else:
        times = [f"{panel.seconds * 1000:.0f} ms"] if panel.seconds is not None else []
        times += [f"image {whole.seconds:.2f} s"] if whole else []
        numbers = (
            f'<div class="numbers{" best" if best else ""}" data-testid="region"><span>region</span>'
            f"{_values(panel.score)}</div>"
            f'<div class="numbers{" best" if best_whole else ""}" data-testid="whole"><span>image</span>'
            f"{_values(whole.score) if whole else _MEASURING}</div>"
            f'<p class="explain">{" · ".join(times)}</p>'
        )
    return (
        f'<figure data-panel="{escape(panel.name)}">'
        f'<div class="pixels"><img src="{_data_url(panel.pixels)}" alt="{escape(alt)}"></div>'
        f"<figcaption><strong>{escape(panel.name)}</strong> "
        f'<span class="explain">{EXPLAIN[panel.name]}</span>{numbers}</figcaption></figure>'
    )


_MEASURING = '<span class="waiting">measuring…</span>'


def _values(score: Score) -> str:
    return f'<span class="psnr">{format_psnr(score)}</span><span class="ssim">{format_ssim(score)}</span>'


def _best(scores: Mapping[str, Score | None]) -> str | None:
    """The name with the highest PSNR; None while any is missing or there is nothing to compare."""
    known = {name: score.psnr for name, score in scores.items() if score and score.psnr is not None}
    return max(known, key=lambda name: known[name]) if len(known) > 1 else None


def _data_url(pixels: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def overview(pair: Pair, region: Region) -> tuple[Image.Image, float]:
    """The ground truth, reduced if it is large, with the region's box drawn on it.

    Returns:
        The picture, and its size as a share of the ground truth's.
    """
    height, width = pair.hr.shape[:2]
    share = min(1.0, OVERVIEW_EDGE / max(height, width))
    picture = Image.fromarray(pair.hr)
    if share < 1:
        picture = picture.resize((max(1, round(width * share)), max(1, round(height * share))))
    left, top = region.x * pair.scale * share, region.y * pair.scale * share
    right = left + region.width * pair.scale * share
    bottom = top + region.height * pair.scale * share
    draw = ImageDraw.Draw(picture)
    for inset, colour in enumerate(("black", "white", "white", "black")):
        box = (left - inset, top - inset, right - 1 + inset, bottom - 1 + inset)
        draw.rectangle(box, outline=colour)
    return picture, share
