"""Make app/static/preview.jpg, the picture that link previews show: one region by bicubic and by DRN.

python -m scripts.make_preview
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from app.photographs import EXAMPLES
from drn import Upscaler
from drn.evaluation.pairs import read_pair
from drn.resize import upscale

OUT = EXAMPLES.parent / "static" / "preview.jpg"
SCALE, ZOOM = 4, 6
LEFT, TOP, WIDTH, HEIGHT = 176, 62, 100, 105
"""The region, in HR pixels."""


def labelled(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], name: str) -> Image.Image:
    """Cut out the region, enlarge each pixel to a square, and write a name on it."""
    part = pixels[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH].repeat(ZOOM, 0).repeat(ZOOM, 1)
    image = Image.fromarray(part)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(44)
    left, top, right, bottom = draw.textbbox((28, 24), name, font=font)
    draw.rounded_rectangle((left - 14, top - 10, right + 14, bottom + 10), 10, fill=(15, 23, 42))
    draw.text((28, 24), name, font=font, fill="white")
    return image


def main(out: Path = OUT) -> None:
    """Write the picture."""
    pair = read_pair(EXAMPLES / "astronaut.png", SCALE)
    sr = Upscaler.load(scale=SCALE).upscale(pair.lr)
    picture = Image.new("RGB", (2 * WIDTH * ZOOM, HEIGHT * ZOOM))
    for index, (name, pixels) in enumerate({"Bicubic": upscale(pair.lr, SCALE), "DRN": sr}.items()):
        picture.paste(labelled(pixels, name), (index * WIDTH * ZOOM, 0))
    picture.save(out, quality=85)


if __name__ == "__main__":
    typer.run(main)
