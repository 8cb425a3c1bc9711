"""Draw the usual figure of super-resolution papers: the whole image, and one region of each method's result."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drn.evaluation.comparison import Result, best, format_psnr, format_ssim, score
from drn.evaluation.pairs import Pair
from drn.geometry import Rect
from drn.image import Array

PANEL = 240
"""Approximate length of the longer side of a panel, in pixels of the figure."""

MAX_SIDE = 2000
"""Largest length of the longer side of a panel, in pixels of the figure. Larger regions are reduced."""

GAP, LABEL, FONT = 16, 46, 17
"""Space between panels, height of the text below a panel, and size of the font, in pixels."""

WIDEST = "00.00 dB / 0.0000 "
"""The longest text of scores below a panel."""

INK, PAPER, FAINT = (24, 28, 36), (255, 255, 255), (96, 104, 120)

Text = list[tuple[str, bool]]
"""Parts of a line of text: the text of each part, and whether it is drawn in bold."""


def figure(pair: Pair, results: Mapping[str, Result], hr_rect: Rect) -> Image.Image:
    """Draw the figure.

    Args:
        pair: The original and its LR image.
        results: Method name -> result, in the order of the panels between LR and the ground truth.
        hr_rect: The region to show, inside the image.

    Returns:
        An RGB image. The region is enlarged by an integer factor without interpolation, or reduced if a side is longer
        than ``MAX_SIDE``. The best PSNR and the best SSIM of the region are bold.
    """
    longest = max(hr_rect.width, hr_rect.height)
    zoom = MAX_SIDE / longest if longest > MAX_SIDE else max(1, PANEL // longest)
    width, height = max(1, round(hr_rect.width * zoom)), max(1, round(hr_rect.height * zoom))
    resampling = Image.Resampling.LANCZOS if longest > MAX_SIDE else Image.Resampling.NEAREST
    texts = _score_texts(pair, results, hr_rect)
    nearest = pair.lr.repeat(pair.scale, 0).repeat(pair.scale, 1)
    panels = {"LR": nearest, **{name: result.sr for name, result in results.items()}, "ground truth": pair.hr}

    columns = -(-len(panels) // 2)
    rows = -(-len(panels) // columns)
    right_height = rows * (height + LABEL) + (rows - 1) * GAP
    whole = _overview(pair.hr, hr_rect, 3 * right_height, right_height - LABEL)
    font, caption = ImageFont.load_default(FONT), f"x{pair.scale}, region {hr_rect.width}x{hr_rect.height}"
    whole_width = max(whole.width, math.ceil(font.getlength(caption)))
    column = max(width, *(math.ceil(font.getlength(label)) for label in (*panels, WIDEST)))
    size = (GAP * 2 + whole_width + columns * (column + GAP), right_height + 2 * GAP)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(whole, (GAP, GAP))
    draw.text((GAP, GAP + right_height - LABEL + 4), caption, INK, font)
    for index, (name, image) in enumerate(panels.items()):
        left = 2 * GAP + whole_width + (index % columns) * (column + GAP)
        top = GAP + (index // columns) * (height + LABEL + GAP)
        part = image[hr_rect.y : hr_rect.y + hr_rect.height, hr_rect.x : hr_rect.x + hr_rect.width]
        canvas.paste(Image.fromarray(np.ascontiguousarray(part)).resize((width, height), resampling), (left, top))
        draw.text((left, top + height + 3), name, INK, font)
        _draw_text(draw, left, top + height + 23, texts.get(name, []), font)
    return canvas


def _score_texts(pair: Pair, results: Mapping[str, Result], hr_rect: Rect) -> dict[str, Text]:
    """Return the text of each method's scores in the region; the best PSNR and the best SSIM are bold."""
    scores = {name: score(pair, result.sr, hr_rect) for name, result in results.items()}
    psnr = best({name: value.psnr for name, value in scores.items()})
    ssim = best({name: value.ssim for name, value in scores.items()})
    return {
        name: [(format_psnr(value), name in psnr), (" / ", False), (format_ssim(value), name in ssim)]
        for name, value in scores.items()
    }


def _draw_text(
    draw: ImageDraw.ImageDraw, left: float, top: float, text: Text, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    """Draw a line of text: bold parts in black, the others in grey."""
    for part, is_bold in text:
        ink, stroke = (INK, 0.4) if is_bold else (FAINT, 0)
        draw.text((left, top), part, ink, font, stroke_width=stroke)
        left += font.getlength(part)


def _overview(hr: Array, hr_rect: Rect, width: int, height: int) -> Image.Image:
    """Draw the whole image within ``width`` x ``height`` pixels, with a box around the region."""
    share = min(width / hr.shape[1], height / hr.shape[0])
    size = (max(1, round(hr.shape[1] * share)), max(1, round(hr.shape[0] * share)))
    picture = Image.fromarray(hr).resize(size, Image.Resampling.LANCZOS)
    left, top = hr_rect.x * share, hr_rect.y * share
    right, bottom = left + max(hr_rect.width * share, 6), top + max(hr_rect.height * share, 6)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, right, bottom), outline=(0, 0, 0), width=4)
    draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=(255, 220, 40), width=2)
    return picture
