"""Make app/static/preview.jpg, the picture that link previews show: the middle of the page's first view, twice.

The left half is made by bicubic, and the right half by DRN.

python -m scripts.make_preview
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from app.first_views import chosen_views
from app.photographs import EXAMPLES
from drn import Upscaler
from drn.evaluation.pairs import read_pair
from drn.resize import upscale

OUT = EXAMPLES.parent / "static" / "preview.jpg"
SCALE, ZOOM = 4, 6
WIDTH, HEIGHT = 100, 105
"""Size of the region, in HR pixels."""


def labelled(part: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], name: str) -> Image.Image:
    """Enlarge each pixel to a square, and write a name on the image."""
    image = Image.fromarray(part.repeat(ZOOM, 0).repeat(ZOOM, 1))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(44)
    left, top, right, bottom = draw.textbbox((28, 24), name, font=font)
    draw.rounded_rectangle((left - 14, top - 10, right + 14, bottom + 10), 10, fill=(15, 23, 42))
    draw.text((28, 24), name, font=font, fill="white")
    return image


def main(out: Path = OUT) -> None:
    """Write the picture."""
    name = chosen_views()["first"]
    x, y, width, height = chosen_views()["views"][name]["region"]
    left, top = x + (width - WIDTH) // 2, y + (height - HEIGHT) // 2
    pair = read_pair(EXAMPLES / f"{name}.png", SCALE)
    sr = Upscaler.load(scale=SCALE).upscale(pair.lr)
    picture = Image.new("RGB", (2 * WIDTH * ZOOM, HEIGHT * ZOOM))
    for index, (method, pixels) in enumerate({"Bicubic": upscale(pair.lr, SCALE), "DRN": sr}.items()):
        part = pixels[top : top + HEIGHT, left : left + WIDTH]
        picture.paste(labelled(part, method), (index * WIDTH * ZOOM, 0))
    picture.save(out, quality=85)


if __name__ == "__main__":
    typer.run(main)
