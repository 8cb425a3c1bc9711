"""The figure that super-resolution papers show: the whole image with a box, and the boxed region by each method."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drn.evaluation.comparison import Result, best, format_psnr, format_ssim, score
from drn.evaluation.pairs import Pair
from drn.geometry import Rect
from drn.image import Array

TILE = 240
"""About how many pixels a region takes on the figure, on its longer side."""

MAX_SIDE = 2000
"""How many it takes at most; larger regions are reduced to that."""

GAP, LABEL, FONT = 16, 46, 17
WIDEST = "00.00 dB / 0.0000 "
"""Room that the numbers under a region may take."""
INK, PAPER, FAINT = (24, 28, 36), (255, 255, 255), (96, 104, 120)


def figure(pair: Pair, results: Mapping[str, Result], hr_rect: Rect) -> Image.Image:
    """Draw the figure.

    Args:
        results: By method, in the order of the panels between LR and the ground truth.
        hr_rect: The part to show, inside the image.

    Returns:
        RGB. Regions are enlarged by a whole factor, pixel by pixel, or reduced if a side is longer than
        ``MAX_SIDE``; the best PSNR and the best SSIM are in bold ink, the rest in grey.
    """
    longest = max(hr_rect.width, hr_rect.height)
    is_reduced = longest > MAX_SIDE
    zoom = MAX_SIDE / longest if is_reduced else max(1, TILE // longest)
    width, height = max(1, round(hr_rect.width * zoom)), max(1, round(hr_rect.height * zoom))
    resampling = Image.Resampling.LANCZOS if is_reduced else Image.Resampling.NEAREST
    scores = {name: score(pair, result.sr, hr_rect) for name, result in results.items()}
    psnr = best({name: value.psnr for name, value in scores.items()})
    ssim = best({name: value.ssim for name, value in scores.items()})
    # Of each method, its numbers and whether each is the best.
    numbers = {
        name: [
            (format_psnr(value), name in psnr),
            (" / ", False),
            (format_ssim(value), name in ssim),
        ]
        for name, value in scores.items()
    }
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
        part = np.ascontiguousarray(
            image[hr_rect.y : hr_rect.y + hr_rect.height, hr_rect.x : hr_rect.x + hr_rect.width]
        )
        canvas.paste(Image.fromarray(part).resize((width, height), resampling), (left, top))
        draw.text((left, top + height + 3), name, INK, font)
        pen = float(left)
        for text, is_best in numbers.get(name, []):
            ink, stroke = (INK, 0.4) if is_best else (FAINT, 0)
            draw.text((pen, top + height + 23), text, ink, font, stroke_width=stroke)
            pen += font.getlength(text)
    return canvas


def _overview(hr: Array, hr_rect: Rect, width: int, height: int) -> Image.Image:
    """The whole image within ``width`` x ``height``, the region's box on it."""
    share = min(width / hr.shape[1], height / hr.shape[0])
    size = (max(1, round(hr.shape[1] * share)), max(1, round(hr.shape[0] * share)))
    picture = Image.fromarray(hr).resize(size, Image.Resampling.LANCZOS)
    left, top = hr_rect.x * share, hr_rect.y * share
    right, bottom = left + max(hr_rect.width * share, 6), top + max(hr_rect.height * share, 6)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, right, bottom), outline=(0, 0, 0), width=4)
    draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=(255, 220, 40), width=2)
    return picture
