"""A method made of another project's network: an ONNX file, or weights that the package spandrel can read.

The networks run in float32. Only the command line accepts them, because reading a file of unknown origin is a risk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drn.errors import InputError
from drn.evaluation.methods import Method
from drn.evaluation.network_files import OpenNetwork, Planes, open_network, scale_and_peak
from drn.evaluation.pairs import Pair
from drn.geometry import Rect, split
from drn.image import Array
from drn.metrics import rgb_to_y
from drn.resize import upscale as upscale_bicubic
from drn.upscaler import Cancelled, OnTile

TILE, OVERLAP = 256, 32
"""Side of a tile without its context, and width of the context on each side, in LR pixels."""


def network(name: str, file: Path) -> Method:
    """Return a method that runs a network of another project, in float32 on the CPU.

    An RGB network gets the LR image. A network of one channel gets the luma of the LR image (BT.601 limited range); the
    colours of its result come from bicubic interpolation.

    Args:
        name: Name of the method.
        file: An ONNX file, or ``.safetensors`` or ``.pth`` where the package spandrel is installed.

    Returns:
        A method with the scale of the network. Its notes state the range of the network's values and that the tiles
        are approximate.

    Raises:
        InputError: If the file cannot be read, or is not a super-resolution network for one image.
    """
    loaded = open_network(file)
    scale, peak = scale_and_peak(loaded)

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        if pair.scale != scale:
            raise InputError(f"{file} enlarges by x{scale}, not by x{pair.scale}: choose x{scale}.")
        if loaded.channels == 3:
            levels = _run_tiles(loaded, scale, peak, pair.lr.astype(np.float32), on_tile, cancelled)
            return _to_levels(levels)
        luma = rgb_to_y(pair.lr).astype(np.float32)[:, :, None]
        target = _run_tiles(loaded, scale, peak, luma, on_tile, cancelled)
        colours = upscale_bicubic(pair.lr, scale)
        # Adding the same amount to R, G and B changes only luma, by 219/255 of this amount.
        change = (target - rgb_to_y(colours)[:, :, None]) * (255 / 219)
        return _to_levels(colours + change)

    kind = "RGB" if loaded.channels == 3 else "luma"
    facts = f"{kind} in [0, {peak}]"
    note = (
        f"{name} ({file.name}) enlarges by x{scale} and takes {facts}; tiles have up to {OVERLAP} "
        "pixels of context on each side, so near their edges the result of a large image is approximate."
    )
    return Method(name, f"{file.name}, {facts}", enlarge, scale, (note,))


def _to_levels(values: NDArray[np.floating[Any]]) -> Array:
    return np.asarray(np.rint(values.clip(0, 255)), np.uint8)


def _run_tiles(
    loaded: OpenNetwork,
    scale: int,
    peak: int,
    levels: Planes,
    on_tile: OnTile | None,
    cancelled: Callable[[], bool] | None,
) -> Planes:
    """Enlarge (h, w, C) levels in [0, 255] in overlapping tiles -> (h*scale, w*scale, C) levels, not clamped.

    Raises:
        InputError: If the network fails on a tile.
        Cancelled: If ``cancelled`` returned True.
    """
    height, width = levels.shape[:2]
    side_y, side_x = loaded.size or (TILE + 2 * OVERLAP, TILE + 2 * OVERLAP)
    missing = (max(0, side_y - height), max(0, side_x - width)) if loaded.size else (0, 0)
    levels = np.pad(levels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    tile = min(side_y, side_x)
    tile -= 2 * min(OVERLAP, tile // 4)
    tiles = split(Rect(0, 0, width, height), tile)
    sr = np.empty((height * scale, width * scale, levels.shape[2]), np.float32)
    for done, part in enumerate(tiles, 1):
        if cancelled is not None and cancelled():
            raise Cancelled
        top, rows = _window(part.y, part.height, side_y, levels.shape[0])
        left, columns = _window(part.x, part.width, side_x, levels.shape[1])
        source = levels[top : top + rows, left : left + columns].transpose(2, 0, 1)[None] * np.float32(peak / 255)
        output = loaded.checked(np.ascontiguousarray(source))[0].transpose(1, 2, 0) * np.float32(255 / peak)
        y, x = part.y * scale, part.x * scale
        inner_y, inner_x = (part.y - top) * scale, (part.x - left) * scale
        sr[y : y + part.height * scale, x : x + part.width * scale] = output[
            inner_y : inner_y + part.height * scale, inner_x : inner_x + part.width * scale
        ]
        if on_tile is not None:
            on_tile(done, len(tiles))
    return sr


def _window(start: int, length: int, side: int, extent: int) -> tuple[int, int]:
    """Return start and length of a window of at most ``side`` pixels in ``extent``, centred on the tile if possible."""
    side = min(side, extent)
    return min(max(start - (side - length) // 2, 0), extent - side), side
