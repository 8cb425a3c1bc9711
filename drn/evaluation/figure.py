"""Draw the usual figure of super-resolution papers: the whole image, and regions of it by each method.

``lay_out`` computes the positions of all parts, and ``draw`` draws them as an image. ``drn.evaluation.figure_files``
writes the figure as a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drn.degrade import CLEAN
from drn.evaluation.comparison import Result, best, format_psnr, format_ssim, score
from drn.evaluation.pairs import Pair
from drn.geometry import Rect
from drn.image import Array
from drn.metrics import Luma

PANEL = 240
"""Approximate length of the longer side of a panel, in pixels of the figure."""

MAX_SIDE = 1000
"""Largest length of the longer side of a panel, in pixels of the figure. Larger regions are reduced."""

GAP, LABEL, FONT = 16, 46, 17
"""Space between panels, height of the text below a panel, and size of the font, in pixels.

The text of a figure with larger panels is larger in proportion (see ``Figure.font_size``).
"""

FRAME = 3
"""Width in pixels of the coloured frames that distinguish several regions."""

WIDEST = "00.00 dB / 0.0000 "
"""The longest text of scores below a panel."""

OUTSIDE = "outside the benchmark protocol"
"""Caption of a figure whose LR image is degraded."""

Colour = tuple[int, int, int]

INK, PAPER, FAINT = (24, 28, 36), (255, 255, 255), (96, 104, 120)

FRAMES: Sequence[Colour] = (
    (255, 220, 40),
    (230, 60, 60),
    (60, 130, 240),
    (50, 180, 90),
    (200, 90, 220),
    (240, 140, 30),
)
"""Colours of the frames of the first, second, ... region; after the last colour they repeat."""

Text = Sequence[tuple[str, bool]]
"""Parts of a line of text: the text of each part, and whether it is drawn in bold."""


@dataclass(frozen=True)
class Line:
    """A line of text in a figure.

    Attributes:
        left: Left end, in pixels of the figure.
        top: Upper end of the line.
        text: The text.
        ink: Colour of the parts that are not bold; bold parts have the colour ``INK``.
    """

    left: int
    top: int
    text: Text
    ink: Colour = INK


@dataclass
class Figure:
    """The parts of a figure with their positions, in pixels.

    Attributes:
        width: Width of the figure.
        height: Height of the figure.
        font_size: Size of the font.
        images: Left, top and pixels of each image: uint8, (H, W, 3).
        lines: Lines of text.
        frames: The rectangle inside each frame, and the colour of the frame.
    """

    width: int = 0
    height: int = 0
    font_size: int = FONT
    images: list[tuple[int, int, Array]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    frames: list[tuple[Rect, Colour]] = field(default_factory=list)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font in which a figure's texts are measured and drawn."""
    return ImageFont.load_default(size)


def lay_out(
    pair: Pair,
    results: Mapping[str, Result],
    hr_rects: Sequence[Rect],
    columns: int = 0,
    panel: int = PANEL,
    luma: Luma = "rounded",
) -> Figure:
    """Arrange the whole image, and each region by each method.

    A region is enlarged by an integer factor without interpolation, or reduced if a side is longer than ``MAX_SIDE``.
    The best PSNR and the best SSIM of a region are bold. A degraded LR image is marked in its label and in the caption.

    Args:
        pair: The original and its LR image.
        results: Method name -> result, in the order of the panels between LR and the ground truth.
        hr_rects: The regions to show, at least one, inside the image.
        columns: Panels in a row; 0 makes two rows for a single region, and one row for each of several regions.
        panel: Approximate length of the longer side of a panel, in pixels of the figure.
        luma: See ``drn.evaluation.comparison.score``.
    """
    nearest = pair.lr.repeat(pair.scale, 0).repeat(pair.scale, 1)
    lr_label = "LR" if pair.degradation == CLEAN else f"LR, {pair.degradation}"
    panels = {lr_label: nearest, **{name: result.sr for name, result in results.items()}, "ground truth": pair.hr}
    columns = columns or (len(panels) if len(hr_rects) > 1 else -(-len(panels) // 2))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sizes = [_panel_size(hr_rect, panel) for hr_rect in hr_rects]
    font_size = max(FONT, *(round(FONT * math.sqrt(width * height) / PANEL) for width, height in sizes))
    step, label = round(1.2 * font_size), round(LABEL / FONT * font_size)
    heights = [rows * (height + label) + (rows - 1) * GAP for _, height in sizes]
    captions = _captions(pair, hr_rects)
    below = max(label, step * len(captions) + 6)
    total = max(sum(heights) + (len(heights) - 1) * GAP, below + PANEL // 2)
    overview_height = min(total, 2 * max(heights)) - below
    whole = _overview(pair.hr, hr_rects, 3 * (overview_height + below), overview_height)
    width_of = font(font_size).getlength
    whole_width = max(whole.shape[1], *(math.ceil(width_of(caption)) for caption in captions))
    column = max(*(width for width, _ in sizes), *(math.ceil(width_of(text)) for text in (*panels, WIDEST)))
    made = Figure(GAP * 2 + whole_width + columns * (column + GAP), total + 2 * GAP, font_size)
    made.images.append((GAP, GAP, whole))
    caption_top = GAP + (total - below if len(hr_rects) == 1 else whole.shape[0]) + 4
    made.lines += [Line(GAP, caption_top + step * row, [(text, False)]) for row, text in enumerate(captions)]
    top = GAP
    for index, (hr_rect, size, block) in enumerate(zip(hr_rects, sizes, heights, strict=True)):
        texts = _score_texts(pair, results, hr_rect, luma)
        for place, (name, image) in enumerate(panels.items()):
            left = 2 * GAP + whole_width + (place % columns) * (column + GAP)
            upper = top + (place // columns) * (size[1] + label + GAP)
            made.images.append((left, upper, _region(image, hr_rect, size)))
            made.lines.append(Line(left, upper + size[1] + 3, [(name, False)]))
            if name in texts:
                made.lines.append(Line(left, upper + size[1] + 3 + step, texts[name], FAINT))
            if len(hr_rects) > 1:
                made.frames.append((Rect(left, upper, *size), FRAMES[index % len(FRAMES)]))
        top += block + GAP
    return made


def _captions(pair: Pair, hr_rects: Sequence[Rect]) -> list[str]:
    """Return the lines below the whole image: the scale, and size and top left of each region in HR pixels."""
    places = [f"region {rect.width}x{rect.height} at {rect.x}, {rect.y}" for rect in hr_rects]
    if len(places) == 1:
        lines = [f"x{pair.scale}, {places[0]}"]
    else:
        lines = [f"x{pair.scale}, {len(places)} regions, from the top:", *places]
    return lines if pair.degradation == CLEAN else [*lines, OUTSIDE]


def draw(made: Figure) -> Image.Image:
    """Draw a figure: RGB."""
    canvas = Image.new("RGB", (made.width, made.height), PAPER)
    pen, face = ImageDraw.Draw(canvas), font(made.font_size)
    for left, top, pixels in made.images:
        canvas.paste(Image.fromarray(pixels), (left, top))
    for inner, colour in made.frames:
        outer = (
            inner.x - FRAME,
            inner.y - FRAME,
            inner.x + inner.width + FRAME - 1,
            inner.y + inner.height + FRAME - 1,
        )
        pen.rectangle(outer, outline=colour, width=FRAME)
    for line in made.lines:
        along = float(line.left)
        for part, is_bold in line.text:
            ink, stroke = (INK, 0.4) if is_bold else (line.ink, 0)
            pen.text((along, line.top), part, ink, face, stroke_width=stroke)
            along += face.getlength(part)
    return canvas


def _panel_size(hr_rect: Rect, panel: int) -> tuple[int, int]:
    """Return the width and height of a region in the figure."""
    longest = max(hr_rect.width, hr_rect.height)
    zoom = MAX_SIDE / longest if longest > MAX_SIDE else max(1, panel // longest)
    return max(1, round(hr_rect.width * zoom)), max(1, round(hr_rect.height * zoom))


def _region(image: Array, hr_rect: Rect, size: tuple[int, int]) -> Array:
    """Return the part of an image inside ``hr_rect``, resized to ``size`` (width, height)."""
    part = image[hr_rect.y : hr_rect.y + hr_rect.height, hr_rect.x : hr_rect.x + hr_rect.width]
    resampling = Image.Resampling.LANCZOS if size[0] < hr_rect.width else Image.Resampling.NEAREST
    resampling = Image.Resampling.LANCZOS if size[1] < hr_rect.height else resampling
    return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size, resampling), np.uint8)


def _score_texts(pair: Pair, results: Mapping[str, Result], hr_rect: Rect, luma: Luma) -> dict[str, Text]:
    """Return the text of each method's scores in the region; the best PSNR and the best SSIM are bold."""
    scores = {name: score(pair, result.sr, hr_rect, luma) for name, result in results.items()}
    psnr = best({name: value.psnr for name, value in scores.items()})
    ssim = best({name: value.ssim for name, value in scores.items()})
    # The font has no dash, which stands for an unknown score.
    return {
        name: [
            (format_psnr(value).replace("–", "-"), name in psnr),
            (" / ", False),
            (format_ssim(value).replace("–", "-"), name in ssim),
        ]
        for name, value in scores.items()
    }


def _overview(hr: Array, hr_rects: Sequence[Rect], width: int, height: int) -> Array:
    """Draw the whole image, within ``width`` x ``height`` pixels, with a box around each region."""
    share = min(width / hr.shape[1], height / hr.shape[0])
    size = (max(1, round(hr.shape[1] * share)), max(1, round(hr.shape[0] * share)))
    picture = Image.fromarray(hr).resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for index, hr_rect in enumerate(hr_rects):
        left, top = hr_rect.x * share, hr_rect.y * share
        right, bottom = left + max(hr_rect.width * share, 6), top + max(hr_rect.height * share, 6)
        pen.rectangle((left, top, right, bottom), outline=(0, 0, 0), width=4)
        pen.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=FRAMES[index % len(FRAMES)], width=2)
    return np.asarray(picture, np.uint8)
