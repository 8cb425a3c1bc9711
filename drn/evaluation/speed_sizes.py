"""Measure time and memory of the engine for outputs of several sizes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from drn.device import peak_memory, reset_peak_memory, wait_for
from drn.errors import InputError
from drn.evaluation.timing import texture
from drn.image import Picture
from drn.upscaler import Upscaler
from drn.writing import write_image

MEGAPIXELS = (1.0, 4.0, 12.0, 48.0)
"""Sizes of the outputs."""

Row = dict[str, float]


def measure_size(upscaler: Upscaler, megapixels: float) -> Row:
    """Upscale and write an image with an output of ``megapixels``, in this process.

    Returns:
        ``megapixels`` of the output, ``seconds`` and ``cpu_seconds`` without the file, ``peak`` (largest resident
        memory of the process in bytes), ``tile`` (tile side in LR pixels) and, on CUDA, ``device_peak`` (most bytes of
        tensors on the device).
    """
    import resource  # not available on Windows

    side = round((megapixels * 1e6) ** 0.5 / upscaler.scale)
    lr = texture(side)
    # CUDA chooses its convolutions for each new shape, so it is warmed up with all tiles.
    upscaler.upscale(lr if upscaler.device.type == "cuda" else lr[:64, :64])
    reset_peak_memory(upscaler.device)
    wait_for(upscaler.device)
    start, cpu = time.perf_counter(), time.process_time()
    sr = upscaler.upscale(lr)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    device_peak = peak_memory(upscaler.device)
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder) / "sr.png", Picture(sr))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    row = {
        "megapixels": sr.shape[0] * sr.shape[1] / 1e6,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak": float(peak),
        "tile": upscaler.tile,
    }
    return row if device_peak is None else {**row, "device_peak": float(device_peak)}


def sizes_report(arguments: list[str], megapixels: tuple[float, ...] = MEGAPIXELS) -> str:
    """Return the output of ``drn bench --sizes``: memory and time for several output sizes.

    Each size is measured in a new process, by ``drn bench --size-of``.

    Args:
        arguments: Further options for these processes.
        megapixels: Sizes of the outputs.

    Raises:
        InputError: If one of the processes fails. That process has printed the reason.
    """
    rows = []
    for size in megapixels:
        command = [sys.executable, "-m", "drn", "bench", "--size-of", str(size), *arguments]
        measured = subprocess.run(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        if measured.returncode:
            raise InputError(f"An output of {size:g} megapixels could not be measured.")
        rows.append(json.loads(measured.stdout))
    return sizes_table(rows)


def sizes_table(rows: list[Row]) -> str:
    """Return a table of results of ``measure_size``, with the speed and the memory of the device if it is CUDA."""
    on_device = any("device_peak" in row for row in rows)
    text = [f"{'output MP':>9}{'tile':>6}{'s':>8}{'us/pixel':>10}{'CPU us/pixel':>14}{'peak MB':>9}"]
    text[0] += f"{'MP/s':>8}{'device MB':>11}" if on_device else ""
    for row in rows:
        per_pixel, cpu = (row[key] / row["megapixels"] for key in ("seconds", "cpu_seconds"))
        seconds = f"{row['seconds']:>8.3f}" if on_device else f"{row['seconds']:>8.1f}"
        line = f"{row['megapixels']:>9.1f}{row['tile']:>6.0f}{seconds}{per_pixel:>10.3f}{cpu:>14.3f}"
        line += f"{row['peak'] / 1e6:>9.0f}"
        text.append(line + (f"{1 / per_pixel:>8.1f}{row['device_peak'] / 1e6:>11.0f}" if on_device else ""))
    return "\n".join(text)
