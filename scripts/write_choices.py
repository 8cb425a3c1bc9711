"""Write the table of the weights that `drn upscale --variant auto` chooses into docs/engine.md.

The ten files are JPEGs of known quality, made from an example photograph by Pillow (libjpeg-turbo).

python -m scripts.write_choices
"""

from __future__ import annotations

import io

import typer
from PIL import Image

from app.photographs import EXAMPLES
from drn import Upscaler, weights
from drn.commands.networks import Networks
from drn.image import Array
from drn.reading import read_image
from scripts._markdown import ROOT, fill, store, table

PAGE, MARK = ROOT / "docs" / "engine.md", "choices"
"""The page, and the name of the marks between which the table stands."""

SCALE = 2

FILES = (
    (30, "4:2:0", False),
    (45, "4:4:4", False),
    (50, "4:2:0", True),
    (60, "4:4:4", False),
    (75, "4:2:0", False),
    (85, "4:4:4", True),
    (92, "4:2:0", False),
    (96, "4:4:4", False),
    (98, "4:2:0", True),
    (100, "4:4:4", False),
)
"""Quality, chroma subsampling, and whether the coding is progressive, of each file."""


def choices_table(rgb: Array, networks: Networks) -> str:
    """Return a Markdown table of the weights that ``auto`` chooses for JPEG files.

    Each file in ``FILES`` contains the same image.

    Args:
        rgb: The image, uint8, (H, W, 3).
        networks: The networks of ``drn upscale --variant auto``.
    """
    rows = []
    for quality, subsampling, is_progressive in FILES:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=is_progressive)
        network, sentence = networks.for_image(file.getvalue())
        coding = "progressive" if is_progressive else "baseline"
        rows.append([str(quality), subsampling, coding, network.variant, sentence])
    return table(["quality", "chroma", "coding", "weights", "line of `drn upscale`"], rows)


def main() -> None:
    """Make the table, write it into docs/engine.md, and print it."""
    networks = Networks(lambda variant: weights.load(weights.find(SCALE, None, variant)), Upscaler, "auto")
    made = choices_table(read_image(EXAMPLES / "cat.png").rgb, networks)
    store(PAGE, fill(PAGE.read_text(encoding="utf-8"), MARK, made))
    typer.echo(made)


if __name__ == "__main__":
    typer.run(main)
