"""Choose the first view of every example, and write app/examples/views.json.

The first view is the region in which DRN gains most PSNR over bicubic, on the mean of the scales, among the regions
that show something. There is one region for all scales, so that the view stays in place when a visitor changes the
scale. It has about the size that a panel shows at 400 % in a window of 1280 x 800 pixels.

The gain alone would choose a single sharp edge in front of a flat background. A region shows something if each of its
six cells does. The detail of a cell is the square root of the smaller eigenvalue of the structure tensor, averaged over
the cell. It is 0 for a flat area and also for a straight edge or parallel lines, because the image then changes in one
direction only. The image is blurred first, so that noise and grain do not count. A region is a candidate if the least
detail of its cells is at least ``LEAST`` of the greatest one in the example.

The page opens with the photograph whose region has the greatest gain. The test card is not a photograph.

python -m scripts.choose_views
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from app.first_views import VIEWS
from app.photographs import EXAMPLES
from drn import Upscaler
from drn.evaluation.comparison import score
from drn.evaluation.pairs import Pair, read_pair
from drn.files import replace_file
from drn.geometry import Rect
from drn.image import Array
from drn.metrics import rgb_to_y
from drn.model import SCALES
from drn.reading import read_image
from drn.resize import upscale
from drn.weights import BUNDLED, filename, read_sums

CELL, ACROSS, DOWN = 40, 2, 3
"""Side of a cell in HR pixels, and the number of cells of a region in each direction."""
WIDTH, HEIGHT = CELL * ACROSS, CELL * DOWN
"""Size of the regions, in HR pixels."""
BLUR = 1.5
"""Standard deviation of the blur before detail is measured, in HR pixels."""
LEAST = 0.8
"""Least detail of a candidate, as a share of the greatest detail of a region of the example."""
DRAWN = "test-card"
"""The example that is not a photograph."""

Map = NDArray[np.floating[Any]]


def main(out: Annotated[Path, typer.Option(help="File to write.")] = VIEWS) -> None:
    """Write the file and print the gains."""
    upscalers = {scale: Upscaler.load(scale=scale) for scale in SCALES}
    views = {path.stem: view_of(path, upscalers) for path in sorted(EXAMPLES.glob("*.png"))}
    gains = {name: mean_gain(view) for name, view in views.items()}
    first = max((name for name in views if name != DRAWN), key=gains.__getitem__)
    sums = read_sums(BUNDLED)
    weights = {str(scale): sums[filename(scale)] for scale in SCALES}
    text = json.dumps({"first": first, "weights": weights, "views": views}, indent=1) + "\n"
    replace_file(out, lambda path: path.write_text(text, encoding="utf-8"))
    for name, gain in gains.items():
        typer.echo(f"{name}: {gain:.2f} dB on the mean of the scales")
    typer.echo(f"The page opens with {first}.")


def mean_gain(view: Mapping[str, Any]) -> float:
    """Return the mean gain of a view over the scales, in dB."""
    return float(np.mean(list(view["gain"].values())))


def view_of(path: Path, upscalers: Mapping[int, Upscaler]) -> dict[str, Any]:
    """Choose the region of an example.

    Returns:
        The size of the example, the region, and the gain in dB by scale.
    """
    pairs = [read_pair(path, scale) for scale in upscalers]
    results = [(upscale(pair.lr, pair.scale), upscalers[pair.scale].upscale(pair.lr)) for pair in pairs]
    height, width = (min(pair.hr.shape[axis] for pair in pairs) for axis in (0, 1))
    margin = max(upscalers)  # PSNR leaves this border out
    inner = np.s_[margin : height - margin, margin : width - margin]
    gain = np.mean([gains(pair, *both, inner) for pair, both in zip(pairs, results, strict=True)], axis=0)
    detail = least_detail(pairs[0].hr[inner])
    chosen = np.where(detail >= LEAST * detail.max(), gain, -np.inf)
    top, left = np.unravel_index(int(chosen.argmax()), chosen.shape)
    rect = Rect(int(left) + margin, int(top) + margin, WIDTH, HEIGHT)
    all_height, all_width = read_image(path).rgb.shape[:2]
    return {
        "size": [all_width, all_height],
        "region": [rect.x, rect.y, rect.width, rect.height],
        "gain": {
            str(pair.scale): round(decibels(pair, sr, rect) - decibels(pair, base, rect), 2)
            for pair, (base, sr) in zip(pairs, results, strict=True)
        },
    }


def decibels(pair: Pair, sr: Array, rect: Rect) -> float:
    """Return the PSNR of a region."""
    psnr = score(pair, sr, rect).psnr
    assert psnr is not None
    return psnr


def gains(pair: Pair, base: Array, sr: Array, inner: tuple[slice, slice]) -> Map:
    """Return the gain of ``sr`` over ``base`` for each position of a region in ``inner``, in dB."""
    truth = rgb_to_y(pair.hr[inner])
    before, after = (sums((rgb_to_y(image[inner]) - truth) ** 2, WIDTH, HEIGHT) for image in (base, sr))
    gain: Map = 10 * np.log10(np.maximum(before, 1) / np.maximum(after, 1))
    return gain


def least_detail(rgb: Array) -> Map:
    """Return the least detail of a region's cells, for each position of the region."""
    blurred = cv2.GaussianBlur(rgb.astype(np.float64), (0, 0), BLUR)
    down, across = np.gradient(blurred, axis=(0, 1))
    xx, yy, xy = (
        sums(product.mean(2), CELL, CELL) / CELL**2 for product in (across * across, down * down, across * down)
    )
    smaller = (xx + yy) / 2 - np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    cells = np.sqrt(np.maximum(smaller, 0))
    height, width = rgb.shape[0] - HEIGHT + 1, rgb.shape[1] - WIDTH + 1
    least: Map = np.min(
        [cells[y : y + height, x : x + width] for y in range(0, HEIGHT, CELL) for x in range(0, WIDTH, CELL)], axis=0
    )
    return least


def sums(values: Map, width: int, height: int) -> Map:
    """Return the sum over a rectangle for each position of the rectangle inside ``values``."""
    total = cv2.integral(values)
    inside: Map = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    return inside


if __name__ == "__main__":
    typer.run(main)
