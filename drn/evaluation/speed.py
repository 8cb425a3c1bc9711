"""Measure the speed and memory of the engine, compared with the plain network and with exported runtimes.

The engine is ``Upscaler`` with the network rearranged for inference. All candidates run in turn, so that other load on
the machine slows each of them equally, and their medians are compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from drn.device import cpu_bf16_units
from drn.errors import InputError
from drn.evaluation.methods import DRN_PLUS
from drn.geometry import Rect
from drn.image import Array, Picture, quantize, to_tensor
from drn.metrics import psnr
from drn.model import DRN
from drn.upscaler import Upscaler
from drn.writing import write_image

Run = Callable[[], object]
MEGAPIXELS = (1, 4, 12, 48)
"""Sizes of the outputs in ``sizes_report``."""


@dataclass(frozen=True)
class Line:
    """The measurement of one candidate.

    Attributes:
        name: Name of the candidate.
        seconds: Median time.
        cpu_seconds: Median CPU time, summed over all threads.
        psnr: PSNR in dB of its output against the output of the plain network in float32.
    """

    name: str
    seconds: float
    cpu_seconds: float
    psnr: float | None = None


def race(runs: dict[str, Run], rounds: int) -> dict[str, tuple[float, float]]:
    """Time several runs in turn.

    Args:
        runs: Name -> function to time.
        rounds: Number of measured calls of each function, after one call that is not measured.

    Returns:
        Name -> median of the elapsed seconds and of the CPU seconds.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if number:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (median(t[0] for t in pairs), median(t[1] for t in pairs)) for name, pairs in times.items()}


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
        _wait(upscaler.device)

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
        runs["ONNX Runtime, fp32"] = lambda: session.run(None, {"lr": image})[0]
    if "openvino" in installed:
        import openvino

        core = openvino.Core()
        for precision in ("f32", "bf16"):
            settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
            compiled = core.compile_model(str(path), "CPU", settings)
            runs[f"OpenVINO, {precision}"] = lambda c=compiled: c({"lr": image})[0]  # type: ignore[misc]
    return runs


def compare_engines(model: DRN, upscaler: Upscaler, size: int, rounds: int) -> list[Line]:
    """Time the plain network, the engine, the convolutions and the exported runtimes.

    Args:
        model: The plain network.
        upscaler: The engine.
        size: Side of the square LR image.
        rounds: Number of measured runs of each candidate.

    Returns:
        In this order: the plain network, the engine, the installed runtimes, the convolutions alone.
    """
    lr = to_tensor(_texture(size))
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], Any]] = {
            "plain network: fp32, contiguous, eager": lambda: model(lr),
            f"engine: {_short(upscaler.dtype)}": lambda: upscaler.upscale_tensor(lr),
            **exported(model, lr, Path(folder)),
        }
        alone = "its convolutions alone"
        with torch.inference_mode():
            times = race({**runs, alone: convolutions(upscaler, size)}, rounds)
            pictures = {name: _levels(run()) for name, run in runs.items()}
    reference = next(iter(pictures.values()))
    lines = [Line(name, *times[name], psnr(pictures[name], reference, model.scale)) for name in runs]
    return [*lines, Line(alone, *times[alone])]


def engine_report(model: DRN, upscaler: Upscaler, size: int, rounds: int) -> str:
    """Return the output of ``drn bench``: the table of ``compare_engines`` and the most important ratios."""
    lines = compare_engines(model, upscaler, size, rounds)
    plain, engine, alone = lines[0], lines[1], lines[-1]
    side = size * model.scale
    text = [
        f"x{model.scale}, {size}x{size} -> {side}x{side}, {torch.get_num_threads()} threads, {_cpu()}, "
        f"torch {torch.__version__}, median of {rounds}",
        "",
        f"{'':<40}{'ms':>8}{'CPU ms':>8}{'x plain':>9}{'PSNR to plain':>15}",
    ]
    for line in lines:
        quality = "" if line.psnr is None else f"{line.psnr:.1f}"
        text.append(
            f"{line.name:<40}{1e3 * line.seconds:>8.0f}{1e3 * line.cpu_seconds:>8.0f}"
            f"{plain.seconds / line.seconds:>9.2f}{quality:>15}"
        )
    crop = _texture(3 * 64)
    region = Rect(64, 64, 64, 64)
    times = race(
        {
            "crop": lambda: upscaler.upscale(crop, lr_rect=region),
            "tile": lambda: upscaler.upscale(crop),
            "plus": lambda: upscaler.upscale(crop, self_ensemble=True),
        },
        rounds,
    )
    opencv = "installed, but it cannot run DRN" if hasattr(cv2, "dnn_superres") else "not in this build of OpenCV"
    pairs = {
        "plain network / engine": (plain.seconds / engine.seconds, plain.cpu_seconds / engine.cpu_seconds),
        "engine / convolutions": (engine.seconds / alone.seconds, engine.cpu_seconds / alone.cpu_seconds),
        f"{DRN_PLUS} / one pass": (times["plus"][0] / times["tile"][0], times["plus"][1] / times["tile"][1]),
        "64x64 region, ms": (1e3 * times["crop"][0], 1e3 * times["crop"][1]),
    }
    text += ["", f"{'':<40}{'time':>8}{'CPU':>8}"]
    text += [f"{name:<40}{wall:>8.2f}{cpu:>8.2f}" for name, (wall, cpu) in pairs.items()]
    return "\n".join([*text, f"{'cv2.dnn_superres':<40}  {opencv}"])


def measure_size(upscaler: Upscaler, megapixels: float) -> dict[str, float]:
    """Upscale and write an image with an output of ``megapixels``, in this process.

    Returns:
        ``megapixels`` of the output, ``seconds``, ``cpu_seconds``, ``peak`` (largest resident memory of the process in
        bytes) and ``tile`` (tile side in LR pixels).
    """
    import resource  # not available on Windows

    side = round((megapixels * 1e6) ** 0.5 / upscaler.scale)
    lr = _texture(side)
    upscaler.upscale(lr[:64, :64])
    start, cpu = time.perf_counter(), time.process_time()
    sr = upscaler.upscale(lr)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder) / "sr.png", Picture(sr))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "megapixels": sr.shape[0] * sr.shape[1] / 1e6,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak": float(peak),
        "tile": upscaler.tile,
    }


def sizes_report(arguments: list[str], megapixels: tuple[float, ...] = MEGAPIXELS) -> str:
    """Return the output of ``drn bench --sizes``: memory and time for several output sizes.

    Each size is measured in a new process, by ``drn bench --size-of``.

    Args:
        arguments: Further options for these processes.
        megapixels: Sizes of the outputs.

    Raises:
        InputError: If one of the processes fails. That process has printed the reason.
    """
    text = [f"{'output MP':>9}{'tile':>6}{'s':>8}{'us/pixel':>10}{'CPU us/pixel':>14}{'peak MB':>9}"]
    for size in megapixels:
        command = [sys.executable, "-m", "drn", "bench", "--size-of", str(size), *arguments]
        measured = subprocess.run(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        if measured.returncode:
            raise InputError(f"An output of {size:g} megapixels could not be measured.")
        row = json.loads(measured.stdout)
        per_pixel, cpu = (row[key] / row["megapixels"] for key in ("seconds", "cpu_seconds"))
        text.append(
            f"{row['megapixels']:>9.1f}{row['tile']:>6.0f}{row['seconds']:>8.1f}{per_pixel:>10.3f}"
            f"{cpu:>14.3f}{row['peak'] / 1e6:>9.0f}"
        )
    return "\n".join(text)


def _texture(side: int) -> Array:
    """Return smooth noise that repeats every 64 pixels: uint8, (side, side, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    square = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    return np.tile(square, (side // 64 + 1, side // 64 + 1, 1))[:side, :side]


def _levels(sr: Any) -> Array:
    return quantize(torch.as_tensor(sr))


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cpu() -> str:
    return f"{os.cpu_count()} CPUs ({', '.join(cpu_bf16_units()) or 'no bf16 units'})"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
