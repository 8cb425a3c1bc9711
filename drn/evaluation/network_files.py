"""Open the network of another project: an ONNX file, or weights that the package spandrel can read."""

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
from torch import Tensor, nn

from drn.errors import InputError, not_installed

PROBE_SIDE = 64
"""Side in LR pixels of the grey field by which scale and range are found, unless the network has a fixed size."""

GREYS = (0.25, 0.5, 0.75)
"""Levels of the grey fields, as fractions of the range."""

MAX_DEVIATION = 0.05
"""Largest accepted median difference between a grey level and the network's output, relative to the level."""

Planes = NDArray[np.float32]
"""Float32, (1, C, H, W)."""


@dataclass(frozen=True)
class TorchNetwork:
    """A network that runs in PyTorch.

    Attributes:
        module: Holds the weights. It can be moved to another device, dtype and memory format.
        forward: Enlarges (1, C, h, w) to (1, C, h*scale, w*scale), on the device and in the dtype of ``module``.
    """

    module: nn.Module
    forward: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class OpenNetwork:
    """A network that is ready to run, in float32 on the CPU.

    Attributes:
        file: Where it was read.
        run: Enlarges (1, C, h, w) to (1, C, h*scale, w*scale).
        channels: 1 for luma, 3 for RGB.
        size: The only height and width that ``run`` accepts; None if it accepts any.
        in_torch: The same network in PyTorch; None for an ONNX file.
    """

    file: Path
    run: Callable[[Planes], Planes]
    channels: int
    size: tuple[int, int] | None = None
    in_torch: TorchNetwork | None = None

    def checked(self, planes: Planes) -> Planes:
        """Run the network once.

        Args:
            planes: float32, (1, C, h, w).

        Raises:
            InputError: If it fails, or if its output is not an image of finite values.
        """
        height, width = planes.shape[2:]
        try:
            output = self.run(planes)
        except Exception as error:  # the runtimes have no common base class for their errors
            reason = str(error).partition("\n")[0][:200]
            raise InputError(f"{self.file} fails on a {width}x{height} image: {reason}.") from error
        if output.ndim != 4 or not np.isfinite(output).all():
            raise InputError(
                f"{self.file} does not return an image (1, C, H, W) of finite values: give a network that does."
            )
        return output


def open_network(file: Path) -> OpenNetwork:
    """Read a network from a file.

    Args:
        file: An ONNX file, or ``.safetensors`` or ``.pth`` where the package spandrel is installed.

    Raises:
        InputError: If the file cannot be read, or does not hold a network for one image.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}: give an existing .onnx, .safetensors or .pth file.")
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        return _load_onnx(file)
    if suffix in (".safetensors", ".pth"):
        return _load_weights(file)
    raise InputError(f"{file} is not a network that can be read: give .onnx, .safetensors or .pth.")


def _load_onnx(file: Path) -> OpenNetwork:
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
        raise InputError(f"{file} does not take one float32 image (1, C, H, W): export the network with this input.")
    batch, channels, *size = inputs[0].shape
    if batch not in (1, None) and not isinstance(batch, str):
        raise InputError(f"{file} takes {batch} images at a time: export it for one.")
    channels = channels if isinstance(channels, int) else 3
    if channels not in (1, 3):
        raise InputError(f"{file} takes images of {channels} channels: give a network for 1 or 3 channels.")
    fixed = [side for side in size if isinstance(side, int)]
    if len(fixed) == 1:
        raise InputError(f"{file} fixes only one side of its images: export it with both or none fixed.")

    def run(planes: Planes) -> Planes:
        return np.asarray(session.run([outputs[0].name], {inputs[0].name: planes})[0], np.float32)

    return OpenNetwork(file, run, channels, (fixed[0], fixed[1]) if fixed else None)


def _load_weights(file: Path) -> OpenNetwork:
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
        raise InputError(
            f"{file} is damaged or holds more than weights: download it again, or export the network as ONNX."
        ) from error
    try:
        model = spandrel.ModelLoader("cpu").load_from_state_dict(state)
    except Exception as error:  # an unknown architecture, or tensors that do not fit the one that was recognized
        raise InputError(f"{file} is not of an architecture that spandrel knows: export it as ONNX.") from error
    if not isinstance(model, spandrel.ImageModelDescriptor) or model.input_channels not in (1, 3):
        raise InputError(f"{file} does not take one image of 1 or 3 channels: give a network that does.")
    model.eval()

    def run(planes: Planes) -> Planes:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(planes)).numpy(), np.float32)

    return OpenNetwork(file, run, model.input_channels, in_torch=TorchNetwork(model.model, model))


def scale_and_peak(network: OpenNetwork) -> tuple[int, int]:
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
    height, width = network.size or (PROBE_SIDE, PROBE_SIDE)
    for peak in (1, 255):
        deviation = 0.0
        for grey in GREYS:
            output = network.checked(np.full((1, network.channels, height, width), grey * peak, np.float32))
            scale = output.shape[2] // height
            if output.shape != (1, network.channels, height * scale, width * scale) or scale < 1:
                raise InputError(
                    f"{network.file} returns an output of shape {output.shape} for a {width}x{height} image: "
                    "give a network that enlarges it by a whole factor."
                )
            if scale == 1:
                raise InputError(
                    f"{network.file} returns an image of the same size: give a network that enlarges images."
                )
            deviation = max(deviation, float(np.median(np.abs(output / (grey * peak) - 1))))
        if deviation < MAX_DEVIATION:
            return scale, peak
    raise InputError(
        f"{network.file} changes a grey field, both in [0, 1] and in [0, 255]: export it for one of these ranges."
    )
