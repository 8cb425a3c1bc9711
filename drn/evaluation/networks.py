"""A method made of another project's network: an ONNX file, or weights that the package spandrel can read.

The networks run in float32. Only the command line can name them, because reading a file of unknown origin is a risk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from drn.errors import InputError, not_installed
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair
from drn.geometry import Rect, split
from drn.image import Array
from drn.metrics import rgb_to_y
from drn.resize import upscale as upscale_bicubic
from drn.upscaler import Cancelled, OnTile

TILE, OVERLAP = 256, 32
"""Side of a tile without its context, and width of the context on each side, in LR pixels."""

PROBE_SIDE = 64
"""Side in LR pixels of the grey field by which scale and range are found, unless the network has a fixed size."""

GREYS = (0.25, 0.5, 0.75)
"""Levels of the grey fields, as fractions of the range."""

MAX_DEVIATION = 0.05
"""Largest accepted median difference between a grey level and the network's output, relative to the level."""

Planes = NDArray[np.float32]
"""Float32, (1, C, H, W)."""


@dataclass(frozen=True)
class _Network:
    """A network that is ready to run.

    Attributes:
        run: Enlarges (1, C, h, w) to (1, C, h*scale, w*scale).
        channels: 1 for luma, 3 for RGB.
        size: The only height and width that ``run`` accepts; None if it accepts any.
    """

    run: Callable[[Planes], Planes]
    channels: int
    size: tuple[int, int] | None


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
    if not file.is_file():
        raise InputError(f"There is no file {file}: give an ONNX file.")
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        loaded = _load_onnx(file)
    elif suffix in (".safetensors", ".pth"):
        loaded = _load_weights(file)
    else:
        raise InputError(f"{file} is not a network that can be read: give .onnx, .safetensors or .pth.")
    scale, peak = _scale_and_peak(loaded, file)

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        if pair.scale != scale:
            raise InputError(f"{file} enlarges by x{scale}, not by x{pair.scale}: choose that scale.")
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
        f"{name} ({file.name}) enlarges by x{scale} and takes {facts}; tiles overlap by {OVERLAP} pixels, "
        "so near their edges the result of a large image is approximate."
    )
    return Method(name, f"{file.name}, {facts}", enlarge, scale, (note,))


def _to_levels(values: NDArray[np.floating[Any]]) -> Array:
    return np.asarray(np.rint(values.clip(0, 255)), np.uint8)


def _load_onnx(file: Path) -> _Network:
    """Open an ONNX file with ONNX Runtime.

    Raises:
        InputError: If ONNX Runtime is missing or cannot read the file, or if the network does not take one image.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise not_installed("A network in an ONNX file", error, "networks") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as exceptions
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base class for its errors
        raise InputError(f"{file} cannot be read as an ONNX network: export it again.") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        raise InputError(f"{file} does not take one float32 image (1, C, H, W): export such a network.")
    batch, channels, *size = inputs[0].shape
    if batch not in (1, None) and not isinstance(batch, str):
        raise InputError(f"{file} takes {batch} images at a time: export it for one.")
    channels = channels if isinstance(channels, int) else 3
    if channels not in (1, 3):
        raise InputError(f"{file} takes images of {channels} channels: a network of 1 or 3 can be compared.")
    fixed = [side for side in size if isinstance(side, int)]
    if len(fixed) == 1:
        raise InputError(f"{file} fixes only one side of its images: export it with both or none fixed.")

    def run(planes: Planes) -> Planes:
        return np.asarray(session.run([outputs[0].name], {inputs[0].name: planes})[0], np.float32)

    return _Network(run, channels, (fixed[0], fixed[1]) if fixed else None)


def _load_weights(file: Path) -> _Network:
    """Read weights and let spandrel build the network that they belong to.

    Raises:
        InputError: If spandrel is missing, the file is damaged, or it contains another kind of network.
    """
    try:
        import spandrel
    except ModuleNotFoundError as error:
        raise InputError(
            f"{file} needs the package {error.name}: pip install spandrel, or export the network as ONNX."
        ) from error
    try:
        if file.suffix.lower() == ".pth":
            state = torch.load(file, map_location="cpu", weights_only=True)
        else:
            state = load_file(file)
        state = spandrel.canonicalize_state_dict(state)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} is damaged: download it again.") from error
    except Exception as error:  # damaged pickles raise many kinds of exceptions
        raise InputError(f"{file} does not hold weights alone: convert it to .safetensors, or export ONNX.") from error
    try:
        model = spandrel.ModelLoader("cpu").load_from_state_dict(state)
    except Exception as error:  # an unknown architecture, or tensors that do not fit the one that was recognized
        raise InputError(f"{file} is not of an architecture that spandrel knows: export it as ONNX.") from error
    if not isinstance(model, spandrel.ImageModelDescriptor) or model.input_channels not in (1, 3):
        raise InputError(f"{file} does not take one image of 1 or 3 channels, so it cannot be compared.")
    model.eval()

    def run(planes: Planes) -> Planes:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(planes)).numpy(), np.float32)

    return _Network(run, model.input_channels, None)


def _scale_and_peak(loaded: _Network, file: Path) -> tuple[int, int]:
    """Run grey fields through a network to find its scale and the range of its values.

    A network returns a grey field nearly unchanged if the values have the right range. The order matters: [0, 1] is
    tried first. A network for [0, 255] changes such small values by more than ``MAX_DEVIATION``, but a network for
    [0, 1] may change values up to 255 by less, relative to the values.

    Returns:
        The scale, and the upper end of the range: 1 or 255.

    Raises:
        InputError: If the network fails on the field, does not enlarge it by a whole factor above 1, or does
            not return the same grey.
    """
    height, width = loaded.size or (PROBE_SIDE, PROBE_SIDE)
    for peak in (1, 255):
        deviation = 0.0
        for grey in GREYS:
            output = _checked(loaded, np.full((1, loaded.channels, height, width), grey * peak, np.float32), file)
            scale = output.shape[2] // height
            if output.shape != (1, loaded.channels, height * scale, width * scale) or scale < 1:
                raise InputError(
                    f"{file} makes {output.shape} of a {width}x{height} image: "
                    "give a network that enlarges it by a whole factor."
                )
            if scale == 1:
                raise InputError(
                    f"{file} does not enlarge: it restores an image of the same size, so it cannot be compared."
                )
            deviation = max(deviation, float(np.median(np.abs(output / (grey * peak) - 1))))
        if deviation < MAX_DEVIATION:
            return scale, peak
    raise InputError(f"{file} does not return a grey field unchanged, neither for [0, 1] nor for [0, 255].")


def _checked(loaded: _Network, planes: Planes, file: Path | None = None) -> Planes:
    """Run the network once.

    Raises:
        InputError: If it fails, or if its output is not an image of finite values.
    """
    height, width = planes.shape[2:]
    try:
        output = loaded.run(planes)
    except Exception as error:  # the runtimes have no common base class for their errors
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"{file or 'The network'} fails on a {width}x{height} image: {reason}.") from error
    if output.ndim != 4 or not np.isfinite(output).all():
        raise InputError(f"{file or 'The network'} does not return an image of finite values (1, C, H, W).")
    return output


def _run_tiles(
    loaded: _Network,
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
        output = _checked(loaded, np.ascontiguousarray(source))[0].transpose(1, 2, 0) * np.float32(255 / peak)
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
