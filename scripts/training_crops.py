"""Cut training crops from the most detailed parts of pictures.

The crops are JPEG files of quality 95 without chroma subsampling.

python -m scripts.training_crops pictures runs/extra/pictures --most 4
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from PIL import Image

from drn.errors import InputError
from drn.files import replace_file
from drn.folders import find_images
from drn.image import Array, Picture, to_grey
from drn.reading import read_image

SIDE, LEAST_SIDE = 480, 200
"""Side of a crop, and least side of a picture, in pixels."""
STEP = 48
"""Distance between the positions of two candidate crops, in pixels."""
BLOCK = 16
"""Side of the blocks in which noise is measured, in pixels."""
MARGIN = 12
"""Width of the transparent border that is kept around the visible part of a picture, in pixels."""
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Noise filter of Immerkær (1996). It maps slopes, and edges along rows and columns, to 0, and keeps the deviation of
noise."""


def main(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the crops into.")],
    most: Annotated[int, typer.Option(help="Largest number of crops of a picture.", min=1)] = 4,
    factor: Annotated[
        int, typer.Option(help="Divide the sides by this first; 0 chooses 1, 2 or 3 by the longer side.", min=0)
    ] = 0,
    detail: Annotated[float, typer.Option(help="Least mean difference of neighbouring pixels, in 8-bit levels.")] = 3.0,
    noise: Annotated[float, typer.Option(help="Largest noise of the smooth parts, in 8-bit levels.")] = 3.0,
) -> None:
    """Write the crops and print their number. Pictures that are too small or cannot be read are left out."""
    try:
        paths = find_images(pictures)
        counts = [write_crops(path, out / path.relative_to(pictures), most, factor, detail, noise) for path in paths]
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{sum(counts)} crops of {np.count_nonzero(counts)} of {len(paths)} pictures")


def write_crops(path: Path, target: Path, most: int, factor: int, detail: float, noise: float) -> int:
    """Write the crops of one picture as ``target``_0.jpg, ``target``_1.jpg and so on, and return their number.

    If the picture cannot be read, the function prints a line on stderr and returns 0. The other arguments are those of
    ``main``.
    """
    try:
        rgb = reduce(flatten(read_image(path), zlib.crc32(target.name.encode())), factor)
    except InputError as error:
        typer.echo(f"left out: {error}", err=True)
        return 0
    crops = best_crops(rgb, most, detail, noise)
    target.parent.mkdir(parents=True, exist_ok=True)
    for number, crop in enumerate(crops):
        write_jpeg(target.with_name(f"{target.name}_{number}.jpg"), crop)
    return len(crops)


def flatten(picture: Picture, seed: int) -> Array:
    """Trim the transparent border of a picture and fill its transparent pixels with a random muted colour.

    Args:
        picture: The picture.
        seed: Random seed of the colour.

    Returns:
        uint8, (H, W, 3); empty if the picture is wholly transparent.
    """
    if picture.alpha is None:
        return picture.rgb
    if not picture.alpha.any():
        return picture.rgb[:0, :0]
    rows, columns = (np.flatnonzero(picture.alpha.any(axis=axis)) for axis in (1, 0))
    visible = tuple(slice(max(along[0] - MARGIN, 0), along[-1] + 1 + MARGIN) for along in (rows, columns))
    opacity = picture.alpha[visible][..., None].astype(np.float32) / 255
    colour = np.random.default_rng(seed).integers(80, 200) + np.random.default_rng(seed + 1).integers(-30, 31, 3)
    return np.rint(picture.rgb[visible] * opacity + colour * (1 - opacity)).astype(np.uint8)


def reduce(rgb: Array, factor: int) -> Array:
    """Divide the sides of an image (H, W, 3) by ``factor``.

    The factor 0 chooses the factor by the longer side: 1 below 2000 pixels, 2 up to 5000, and 3 above. Photographs of
    cameras then become sharp at single pixels.
    """
    height, width = rgb.shape[:2]
    factor = factor or (3 if max(height, width) > 5000 else 2 if max(height, width) >= 2000 else 1)
    size = width // factor, height // factor
    return rgb if factor == 1 or 0 in size else np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def best_crops(rgb: Array, most: int, detail: float, noise: float) -> list[Array]:
    """Return the most detailed crops that do not overlap, best first.

    Args:
        rgb: uint8, (H, W, 3).
        most: Largest number of crops.
        detail: Least mean difference of neighbouring pixels in a crop, in 8-bit levels.
        noise: Largest noise in a crop, see ``estimate_noise``.

    Returns:
        uint8, (h, w, 3) each. A side of a crop is ``SIDE``, or the side of the image if that is smaller. An image with
        a side below ``LEAST_SIDE`` has no crops.
    """
    if min(rgb.shape[:2]) < LEAST_SIDE:
        return []
    luma = to_grey(rgb).astype(np.float32)
    sums = cv2.integral((np.abs(np.diff(luma, axis=0)[:, 1:]) + np.abs(np.diff(luma, axis=1)[1:])) / 2)
    height, width = min(rgb.shape[0], SIDE), min(rgb.shape[1], SIDE)
    candidates = []
    for y in range(0, rgb.shape[0] - height + 1, STEP):
        for x in range(0, rgb.shape[1] - width + 1, STEP):
            bottom, right = y + height - 1, x + width - 1
            total = sums[bottom, right] - sums[y, right] - sums[bottom, x] + sums[y, x]
            candidates.append((total / ((height - 1) * (width - 1)), y, x))
    taken: list[tuple[int, int]] = []
    for mean, y, x in sorted(candidates, key=lambda candidate: (-candidate[0], *candidate[1:])):
        if mean < detail or len(taken) == most:
            break
        is_apart = all(abs(y - top) >= height or abs(x - left) >= width for top, left in taken)
        if is_apart and estimate_noise(luma[y : y + height, x : x + width]) <= noise:
            taken.append((y, x))
    return [rgb[y : y + height, x : x + width] for y, x in taken]


def estimate_noise(luma: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Estimate the noise of an image from its smoothest blocks.

    Args:
        luma: float32, (H, W), in 8-bit levels.

    Returns:
        Standard deviation in 8-bit levels: the 5 % quantile over the blocks. The value is about 10 % too low for pure
        noise, and 0 if 5 % of the blocks have a single colour, as in drawings.
    """
    filtered = cv2.blur(np.abs(cv2.filter2D(luma, -1, NOISE)), (BLOCK, BLOCK))[::BLOCK, ::BLOCK]
    return float(np.quantile(filtered, 0.05)) * float(np.sqrt(np.pi / 2))


def write_jpeg(path: Path, rgb: Array) -> None:
    """Write a JPEG of quality 95 without chroma subsampling, atomically."""
    image = Image.fromarray(rgb)
    replace_file(path, lambda temporary: image.save(temporary, format="JPEG", quality=95, subsampling=0))


if __name__ == "__main__":
    typer.run(main)
