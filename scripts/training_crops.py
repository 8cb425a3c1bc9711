"""Cut training crops, JPEG quality 95 without chroma subsampling, from a folder of pictures, where their detail is.

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
from drn.image import Array, Picture, find_images, read_image, to_grey

SIDE, LEAST_SIDE, STEP, BLOCK, MARGIN = 480, 200, 48, 16, 12
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Immerkær's mask (1996): blind to slopes, and to edges along rows and columns; what it leaves is noise, in levels."""


def main(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the crops into.")],
    most: Annotated[int, typer.Option(help="Crops of a picture, at most.", min=1)] = 4,
    factor: Annotated[
        int, typer.Option(help="Divide the sides by this; 0: by 1, 2 or 3, as they are long.", min=0)
    ] = 0,
    detail: Annotated[float, typer.Option(help="Mean step between neighbouring pixels, in levels, at least.")] = 3.0,
    noise: Annotated[float, typer.Option(help="Noise of the calm parts, in levels, at most.")] = 3.0,
) -> None:
    """Write the crops and say how many there are; pictures that are small, or cannot be read, are left out."""
    try:
        paths = find_images(pictures)
        counts = [cut(path, out / path.relative_to(pictures), most, factor, detail, noise) for path in paths]
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{sum(counts)} crops of {np.count_nonzero(counts)} of {len(paths)} pictures")


def cut(path: Path, target: Path, most: int, factor: int, detail: float, noise: float) -> int:
    """Write the crops of one picture as ``target``_0.jpg and so on, and return how many there are."""
    try:
        rgb = reduced(flattened(read_image(path), zlib.crc32(target.name.encode())), factor)
    except InputError as error:
        typer.echo(f"left out: {error}", err=True)
        return 0
    crops = best_crops(rgb, most, detail, noise)
    target.parent.mkdir(parents=True, exist_ok=True)
    for number, crop in enumerate(crops):
        write_jpeg(target.with_name(f"{target.name}_{number}.jpg"), crop)
    return len(crops)


def flattened(picture: Picture, seed: int) -> Array:
    """The colours (H, W, 3), what is clear trimmed off or filled with a plain soft colour drawn from ``seed``."""
    if picture.alpha is None:
        return picture.rgb
    if not picture.alpha.any():
        return picture.rgb[:0, :0]
    rows, columns = (np.flatnonzero(picture.alpha.any(axis=axis)) for axis in (1, 0))
    seen = tuple(slice(max(along[0] - MARGIN, 0), along[-1] + 1 + MARGIN) for along in (rows, columns))
    share = picture.alpha[seen][..., None].astype(np.float32) / 255
    ground = np.random.default_rng(seed).integers(80, 200) + np.random.default_rng(seed + 1).integers(-30, 31, 3)
    return np.rint(picture.rgb[seen] * share + ground * (1 - share)).astype(np.uint8)


def reduced(rgb: Array, factor: int) -> Array:
    """Shrunk by ``factor``, or for 0 by what makes an image of a camera sharp at its pixels."""
    height, width = rgb.shape[:2]
    factor = factor or (3 if max(height, width) > 5000 else 2 if max(height, width) >= 2000 else 1)
    size = width // factor, height // factor
    return rgb if factor == 1 or 0 in size else np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def best_crops(rgb: Array, most: int, detail: float, noise: float) -> list[Array]:
    """The crops of a grid with the most detail, best first, none over another; none of an image that is too small."""
    if min(rgb.shape[:2]) < LEAST_SIDE:
        return []
    luma = to_grey(rgb).astype(np.float32)
    steps = cv2.integral((np.abs(np.diff(luma, axis=0)[:, 1:]) + np.abs(np.diff(luma, axis=1)[1:])) / 2)
    height, width = min(rgb.shape[0], SIDE), min(rgb.shape[1], SIDE)
    corners = []
    for y in range(0, rgb.shape[0] - height + 1, STEP):
        for x in range(0, rgb.shape[1] - width + 1, STEP):
            bottom, right = y + height - 1, x + width - 1
            total = steps[bottom, right] - steps[y, right] - steps[bottom, x] + steps[y, x]
            corners.append((total / ((height - 1) * (width - 1)), y, x))
    taken: list[tuple[int, int]] = []
    for mean, y, x in sorted(corners, key=lambda corner: (-corner[0], *corner[1:])):
        if mean < detail or len(taken) == most:
            break
        clear = all(abs(y - top) >= height or abs(x - left) >= width for top, left in taken)
        if clear and noise_of(luma[y : y + height, x : x + width]) <= noise:
            taken.append((y, x))
    return [rgb[y : y + height, x : x + width] for y, x in taken]


def noise_of(luma: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """What the calmest twentieth of the blocks holds of noise, as a standard deviation in levels.

    Low by a tenth on noise alone; nothing where so many blocks are flat, as with a drawing's ground.
    """
    left = cv2.blur(np.abs(cv2.filter2D(luma, -1, NOISE)), (BLOCK, BLOCK))[::BLOCK, ::BLOCK]
    return float(np.quantile(left, 0.05)) * float(np.sqrt(np.pi / 2))


def write_jpeg(path: Path, rgb: Array) -> None:
    """Write quality 95 and 4:4:4, whole or not at all."""
    image = Image.fromarray(rgb)
    replace_file(path, lambda temporary: image.save(temporary, format="JPEG", quality=95, subsampling=0))


if __name__ == "__main__":
    typer.run(main)
