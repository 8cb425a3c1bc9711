"""Make app/examples/ and app/samples/.

The examples are photographs from scikit-image and scikit-learn, and a test card drawn by this script. The samples are
small images to enlarge: parts of the examples, shrunk.

python -m scripts.make_examples

Credits and licences are in app/examples/CREDITS.md.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import skimage
import sklearn.datasets
import typer
from PIL import Image, ImageDraw, ImageFont

from drn.resize import downscale

OUT = Path(__file__).resolve().parent.parent / "app" / "examples"
SAMPLES_OUT = OUT.parent / "samples"
SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.datasets.__file__).parent / "images"

PHOTOS: dict[str, tuple[Path, tuple[int, int, int, int] | None]] = {
    "astronaut": (SKIMAGE / "astronaut.png", None),
    "cat": (SKIMAGE / "chelsea.png", None),
    "coffee": (SKIMAGE / "coffee.png", None),
    "bricks": (SKIMAGE / "brick.png", None),
    "palace": (SKLEARN / "china.jpg", None),
    "flower": (SKLEARN / "flower.jpg", None),
    "rocket": (SKIMAGE / "rocket.jpg", None),
    "galaxies": (SKIMAGE / "hubble_deep_field.jpg", (200, 150, 712, 662)),
}
"""Name -> source file, and the box (left, top, right, bottom) to crop, or None for the whole image."""


SAMPLES: dict[str, tuple[int, int, int, int]] = {
    "astronaut": (90, 0, 410, 240),
    "cat": (70, 30, 390, 270),
    "palace": (200, 90, 520, 330),
}
"""Name of an example -> the box (left, top, right, bottom) that becomes a sample."""


def sample(example: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Cut a box out of an example and shrink it by 2, by the bicubic filter of the metric protocol."""
    return Image.fromarray(downscale(np.asarray(example.convert("RGB").crop(box)), 2))


def test_card(size: int = 480) -> Image.Image:
    """Draw text, thin lines, a zone plate, a Siemens star and bricks: fine detail of known shape.

    Args:
        size: Side in pixels.

    Returns:
        RGB image, (size, size), drawn at 4 times the size and reduced by averaging.
    """
    over = 4
    edge = size * over
    card = Image.new("RGB", (edge, edge), (246, 244, 238))
    draw = ImageDraw.Draw(card)
    half = edge // 2

    y, x = np.mgrid[0:half, 0:half] - half / 2
    zone = 127.5 + 127.5 * np.cos(math.pi * (x**2 + y**2) / (half * over * 2.6))
    card.paste(Image.fromarray(zone.astype(np.uint8)), (half, 0))

    centre, radius = (half * 3 // 2, half * 3 // 2), half * 0.46
    for spoke in range(36):
        angles = (math.tau * spoke / 36, math.tau * (spoke + 0.5) / 36)
        rim = [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]
        draw.polygon([centre, *rim], fill=(24, 24, 32))

    top = 10 * over
    for points in (30, 22, 16, 12, 9, 7):
        font = ImageFont.load_default(points * over)
        draw.text((10 * over, top), "Resolution 0123", fill=(24, 24, 32), font=font)
        top += int(points * 1.35 * over)
    for index, width in enumerate((1, 2, 3, 4)):
        left = (12 + index * 54) * over
        for line in range(left, left + 44 * over, 2 * width * over):
            draw.rectangle((line, top + 8 * over, line + width * over - 1, half - 8 * over), fill=(24, 24, 32))

    brick_width, brick_height = 24 * over, 10 * over
    for row in range(half // brick_height):
        shift = (row % 2) * brick_width // 2
        for column in range(-1, half // brick_width + 1):
            left, upper = column * brick_width + shift, half + row * brick_height
            shade = 14 * ((row * 7 + column * 5) % 4)
            box = (max(left, 0), upper, min(left + brick_width, half) - over - 1, upper + brick_height - over - 1)
            if box[2] > box[0]:
                draw.rectangle(box, fill=(176 - shade, 84 - shade // 2, 62))
    return card.resize((size, size), Image.Resampling.BOX)


def main() -> None:
    """Write the examples into app/examples/, and the samples into app/samples/."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (source, box) in PHOTOS.items():
        image = Image.open(source)
        (image.crop(box) if box else image).save(OUT / f"{name}.png", optimize=True)
    test_card().save(OUT / "test-card.png", optimize=True)
    SAMPLES_OUT.mkdir(exist_ok=True)
    for name, box in SAMPLES.items():
        with Image.open(OUT / f"{name}.png") as example:
            sample(example, box).save(SAMPLES_OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    typer.run(main)
