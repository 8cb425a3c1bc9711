"""The networks of other projects as candidates of ``drn bench``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from drn.device import dtype_name
from drn.errors import InputError
from drn.evaluation.network_files import OpenNetwork, open_network, scale_and_peak
from drn.evaluation.timing import Run


def network_runs(files: Mapping[str, Path], scale: int, lr: Tensor, dtype: torch.dtype) -> dict[str, Run]:
    """Return functions that enlarge an image with other networks.

    A network in PyTorch runs as its authors run it, in float32 and contiguous, and a second time in the dtype of the
    engine with channels_last. A network in an ONNX file runs in float32 in ONNX Runtime. A network of one channel gets
    the mean of R, G and B, because only the time matters.

    Args:
        files: Name -> file of each network, see ``drn.evaluation.network_files.open_network``.
        scale: Scale that the networks must have.
        lr: float32, (1, 3, H, W), RGB in [0, 1], on the device of the measurement.
        dtype: Dtype of the engine.

    Returns:
        Name and kind of execution -> function.

    Raises:
        InputError: If a file cannot be used, or its network has another scale, cannot run on the device, or fails on
            an image of this size.
    """
    runs: dict[str, Run] = {}
    for name, file in files.items():
        network = open_network(file)
        own_scale, peak = scale_and_peak(network)
        if own_scale != scale:
            raise InputError(f"{file} enlarges by x{own_scale}: measure it with --scale {own_scale}.")
        image = peak * (lr if network.channels == 3 else lr.mean(1, keepdim=True))
        height, width = image.shape[2:]
        if network.size not in (None, (height, width)):
            raise InputError(
                f"{file} accepts only images of {network.size[1]}x{network.size[0]} pixels: give this --size, or "
                "export the network for any size."
            )
        if network.in_torch is None:
            runs[f"{name}: ONNX Runtime, float32"] = _in_onnx_runtime(network, image)
            continue
        runs[f"{name}: float32"] = _in_torch(network, image, torch.float32, torch.contiguous_format)
        if dtype != torch.float32:
            kind = f"{name}: {dtype_name(dtype)}, channels_last"
            runs[kind] = _in_torch(network, image, dtype, torch.channels_last)
    return runs


def _in_onnx_runtime(network: OpenNetwork, image: Tensor) -> Run:
    if image.device.type != "cpu":
        raise InputError(f"{network.file} runs on the CPU only: measure it with --device cpu.")
    planes = image.numpy()
    network.checked(planes)
    return lambda: network.run(planes)


def _in_torch(network: OpenNetwork, image: Tensor, dtype: torch.dtype, memory_format: torch.memory_format) -> Run:
    moved = deepcopy(network.in_torch)
    assert moved is not None
    forward = moved.forward
    moved.module.to(image.device, dtype, memory_format=memory_format)  # type: ignore[call-overload]
    x = image.to(dtype).contiguous(memory_format=memory_format)
    try:
        with torch.inference_mode():
            forward(x)
    except Exception as error:  # whatever the code of another project raises
        reason = str(error).partition("\n")[0][:200]
        height, width = image.shape[2:]
        advice = "" if dtype == torch.float32 else ": use --dtype fp32"
        raise InputError(
            f"{network.file} fails on a {width}x{height} image in {dtype_name(dtype)} ({reason}){advice}."
        ) from error
    return lambda: forward(x)
