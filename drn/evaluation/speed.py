"""Measure the speed and memory of the engine, the plain network, exported runtimes and other networks.

The engine is ``Upscaler`` with the network rearranged for inference. All candidates run in turn, so that other load on
the machine slows each of them equally, and their medians are compared.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn

from drn.device import describe_device, dtype_name
from drn.errors import InputError
from drn.evaluation.methods import DRN_PLUS
from drn.evaluation.speed_networks import network_runs
from drn.evaluation.timing import Run, output_and_peak, race, texture
from drn.geometry import Rect
from drn.image import Array, quantize, to_tensor
from drn.metrics import psnr
from drn.model import DRN
from drn.upscaler import Upscaler


@dataclass(frozen=True)
class Line:
    """The measurement of one candidate.

    Attributes:
        name: Name of the candidate.
        seconds: Median time.
        cpu_seconds: Median CPU time, summed over all threads.
        psnr: PSNR in dB of its output against the output of the plain network in float32.
        peak: Peak of the memory of a CUDA device, in bytes.
    """

    name: str
    seconds: float
    cpu_seconds: float
    psnr: float | None = None
    peak: int | None = None


def convolutions(upscaler: Upscaler, size: int) -> Run:
    """Return a function that runs only the convolutions of the plain network.

    Args:
        upscaler: Gives the shape of the network, the device and the dtype.
        size: Side of the square input.
    """
    model = DRN(upscaler.config).to(upscaler.device, upscaler.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    inputs = {
        n: torch.rand(1, n, size, size, device=upscaler.device, dtype=upscaler.dtype).contiguous(
            memory_format=torch.channels_last
        )
        for n in {layer.in_channels for layer in layers}
    }

    @torch.inference_mode()
    def run() -> None:
        for layer in layers:
            layer(inputs[layer.in_channels])

    return run


def exported(model: DRN, lr: Tensor, folder: Path) -> dict[str, Callable[[], Any]]:
    """Export the network to ONNX Runtime and OpenVINO.

    Args:
        model: The network.
        lr: float32, (1, 3, H, W), the input that the functions use.
        folder: For temporary files.

    Returns:
        Name -> function that enlarges ``lr``, for each runtime that is installed (the extra ``bench``).
    """
    installed = {name for name in ("onnx", "onnxruntime", "openvino") if importlib.util.find_spec(name)}
    if "onnx" not in installed or len(installed) < 2:
        return {}
    path, image = folder / "drn.onnx", lr.numpy()
    axes = {"lr": {2: "height", 3: "width"}}
    torch.onnx.export(model, (lr,), str(path), dynamo=False, input_names=["lr"], dynamic_axes=axes)
    threads = torch.get_num_threads()
    runs: dict[str, Callable[[], Any]] = {}
    if "onnxruntime" in installed:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        runs["ONNX Runtime, float32"] = lambda: session.run(None, {"lr": image})[0]
    if "openvino" in installed:
        import openvino

        core = openvino.Core()
        for precision, hint in (("float32", "f32"), ("bfloat16", "bf16")):
            settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
            compiled = core.compile_model(str(path), "CPU", settings)
            runs[f"OpenVINO, {precision}"] = lambda c=compiled: c({"lr": image})[0]  # type: ignore[misc]
    return runs


def warm_up_compiled(compiled: Upscaler, lr: Tensor) -> None:
    """Run an engine that uses ``torch.compile`` once, so that it is compiled.

    Raises:
        InputError: If the network cannot be compiled here.
    """
    try:
        compiled.upscale_tensor(lr)
    except Exception as error:  # the compilers have no common base class for their errors
        reason = str(error).partition("\n")[0][:200]
        raise InputError(
            f"The network cannot be compiled on {compiled.device} ({reason}): add --no-compile."
        ) from error


def compare_engines(
    model: DRN,
    upscaler: Upscaler,
    size: int,
    rounds: int,
    compiled: Upscaler | None = None,
    networks: Mapping[str, Path] | None = None,
) -> list[Line]:
    """Time the plain network, the engine, the convolutions and other runtimes and networks, on the engine's device.

    The input is already on the device, and the outputs stay there.

    Args:
        model: The plain network, on the CPU.
        upscaler: The engine.
        size: Side of the square LR image.
        rounds: Number of measured runs of each candidate.
        compiled: The same engine under ``torch.compile``; None leaves it out.
        networks: Name -> file of networks of other projects. With them the engine is timed in float32 too.

    Returns:
        In this order: the plain network, the engine, the compiled engine, the engine in float32, on a CPU the installed
        runtimes, the other networks, the convolutions alone.

    Raises:
        InputError: If the network cannot be compiled here, or another network cannot be used.
    """
    device = upscaler.device
    lr = to_tensor(texture(size), device)
    plain = deepcopy(model).eval().to(device)
    engine = f"engine: {dtype_name(upscaler.dtype)}"
    runs: dict[str, Run] = {
        "plain network: float32, contiguous, eager": lambda: plain(lr),
        engine: lambda: upscaler.upscale_tensor(lr),
    }
    if compiled is not None:
        warm_up_compiled(compiled, lr)
        runs[f"{engine}, compiled"] = lambda: compiled.upscale_tensor(lr)
    if networks and upscaler.dtype != torch.float32:
        in_float32 = Upscaler(model, str(device), "fp32", upscaler.tile)
        runs["engine: float32"] = lambda: in_float32.upscale_tensor(lr)
    other_runs = network_runs(networks or {}, model.scale, lr, upscaler.dtype)
    alone = "convolutions of the plain network alone"
    with tempfile.TemporaryDirectory() as folder:
        if device.type == "cpu":
            runs |= exported(model, lr, Path(folder))
        with torch.inference_mode():
            times = race({**runs, **other_runs, alone: convolutions(upscaler, size)}, rounds, device)
            measured = {name: _picture_and_peak(run, device) for name, run in runs.items()}
            peaks = {name: output_and_peak(run, device)[1] for name, run in other_runs.items()}
    reference = next(iter(measured.values()))[0]
    lines = [
        Line(name, *times[name], psnr(picture, reference, model.scale), peak)
        for name, (picture, peak) in measured.items()
    ]
    lines += [Line(name, *times[name], peak=peak) for name, peak in peaks.items()]
    return [*lines, Line(alone, *times[alone])]


def _picture_and_peak(run: Run, device: torch.device) -> tuple[Array, int | None]:
    output, peak = output_and_peak(run, device)
    return quantize(torch.as_tensor(output)), peak


def engine_report(lines: list[Line], upscaler: Upscaler, size: int, rounds: int) -> str:
    """Return the output of ``drn bench``: a table and the most important ratios.

    Args:
        lines: The output of ``compare_engines``.
        upscaler: The engine.
        size: Side of the square LR image.
        rounds: Number of measured runs of each candidate.
    """
    scale = upscaler.scale
    side = size * scale
    text = [
        f"x{scale}, {size}x{size} -> {side}x{side}, {describe_device(upscaler.device)}, "
        f"torch {torch.__version__}, median of {rounds}",
        "",
        *_table(lines),
        "",
        *_ratios(lines, upscaler, rounds),
    ]
    if upscaler.device.type == "cpu":
        opencv = "installed, but it cannot run DRN" if hasattr(cv2, "dnn_superres") else "not in this build of OpenCV"
        text.append(f"{'cv2.dnn_superres':<40}  {opencv}")
    return "\n".join(text)


def _table(lines: list[Line]) -> list[str]:
    digits = 2 if min(line.seconds for line in lines) < 0.01 else 0
    with_peak = any(line.peak is not None for line in lines)
    head = f"{'':<40}{'ms':>8}{'CPU ms':>8}{'x plain':>9}{'PSNR to plain':>15}"
    text = [head + (f"{'device MB':>11}" if with_peak else "")]
    for line in lines:
        quality = "" if line.psnr is None else f"{line.psnr:.1f}"
        row = (
            f"{line.name:<40}{1e3 * line.seconds:>8.{digits}f}{1e3 * line.cpu_seconds:>8.{digits}f}"
            f"{lines[0].seconds / line.seconds:>9.2f}{quality:>15}"
        )
        text.append(row + ("" if line.peak is None else f"{line.peak / 1e6:>11.0f}"))
    return text


def _ratios(lines: list[Line], upscaler: Upscaler, rounds: int) -> list[str]:
    plain, engine, alone = lines[0], lines[1], lines[-1]
    crop = texture(3 * 64)
    region = Rect(64, 64, 64, 64)
    times = race(
        {
            "crop": lambda: upscaler.upscale(crop, lr_rect=region),
            "tile": lambda: upscaler.upscale(crop),
            "plus": lambda: upscaler.upscale(crop, self_ensemble=True),
        },
        rounds,
        upscaler.device,
    )
    pairs = {
        "plain network / engine": (plain.seconds / engine.seconds, plain.cpu_seconds / engine.cpu_seconds),
        "engine / convolutions": (engine.seconds / alone.seconds, engine.cpu_seconds / alone.cpu_seconds),
        f"{DRN_PLUS} / one pass": (times["plus"][0] / times["tile"][0], times["plus"][1] / times["tile"][1]),
        "64x64 region, ms": (1e3 * times["crop"][0], 1e3 * times["crop"][1]),
    }
    return [
        f"{'':<40}{'time':>8}{'CPU':>8}",
        *(f"{name:<40}{wall:>8.2f}{cpu:>8.2f}" for name, (wall, cpu) in pairs.items()),
    ]
