"""Time several functions in turn, so that other load on the machine slows each of them equally."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from drn.device import peak_memory, reset_peak_memory, wait_for
from drn.image import Array

Run = Callable[[], Any]


def race(runs: dict[str, Run], rounds: int, device: torch.device) -> dict[str, tuple[float, float]]:
    """Time several runs in turn.

    Args:
        runs: Name -> function to time.
        rounds: Number of measured calls of each function, after one call that is not measured.
        device: The device of the runs. A time ends when the device has finished its work.

    Returns:
        Name -> median of the elapsed seconds and of the CPU seconds.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            wait_for(device)
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            wait_for(device)
            if number:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (median(t[0] for t in pairs), median(t[1] for t in pairs)) for name, pairs in times.items()}


def output_and_peak(run: Run, device: torch.device) -> tuple[Any, int | None]:
    """Return the result of a run, and its peak of the device memory in bytes (None if it is not known)."""
    reset_peak_memory(device)
    output = run()
    wait_for(device)
    return output, peak_memory(device)


def texture(side: int) -> Array:
    """Return smooth noise that repeats every 64 pixels: uint8, (side, side, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    square = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    return np.tile(square, (side // 64 + 1, side // 64 + 1, 1))[:side, :side]
