"""Benchmark tables: bicubic, DRN and DRN+ on folders of HR images, by the published protocol."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from drn.data import validation_set
from drn.image import Array, mod_crop, to_grey
from drn.inference import Upscaler
from drn.metrics import psnr, ssim
from drn.model import SCALES, count_parameters
from drn.resize import downscale, upscale
from drn.weights import Weights

Enlarge = Callable[[Array], Array]
"""lr, uint8 (H, W, 3) -> sr, uint8 (H*scale, W*scale, 3)."""


@dataclass(frozen=True)
class Row:
    """One line of a benchmark table.

    Attributes:
        data: Name of the test set.
        scale: Upscaling factor.
        method: bicubic, DRN or DRN+.
        images: How many images were averaged.
        psnr: Mean PSNR in dB (Y channel, crop_border = scale).
        ssim: Mean SSIM.
        seconds: Mean time for one image.
    """

    data: str
    scale: int
    method: str
    images: int
    psnr: float
    ssim: float
    seconds: float


def as_rgb(image: Array) -> Array:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def measure(data: str, method: str, images: Iterable[Array], scale: int, enlarge: Enlarge) -> Row:
    """Average one method over HR images.

    Args:
        images: uint8, (H, W, 3), or (H, W) for greyscale files, which are measured as they are.
        enlarge: The method.
    """
    results = []
    for image in images:
        hr = mod_crop(image, scale)
        lr = as_rgb(downscale(hr, scale))
        start = time.perf_counter()
        sr = enlarge(lr)
        seconds = time.perf_counter() - start
        sr = sr if hr.ndim == 3 else to_grey(sr)
        results.append((psnr(sr, hr, scale), ssim(sr, hr, scale), seconds))
    psnrs, ssims, times = zip(*results, strict=True)
    return Row(data, scale, method, len(results), mean(psnrs), mean(ssims), mean(times))


def evaluate(
    folder: Path, upscaler: Upscaler, self_ensemble: bool = True, on_row: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Measure bicubic, DRN and (with ``self_ensemble``) DRN+ on the images of ``folder``.

    Args:
        on_row: Called with each row as soon as it is known.

    Raises:
        InputError: If the folder is missing, holds no images, or one is damaged or too small.
    """
    scale = upscaler.scale
    methods: dict[str, Enlarge] = {
        "bicubic": lambda lr: upscale(lr, scale),
        "DRN": lambda lr: upscaler.upscale(lr),
    }
    if self_ensemble:
        methods["DRN+"] = lambda lr: upscaler.upscale(lr, self_ensemble=True)
    images = validation_set(folder, scale)
    first = as_rgb(downscale(mod_crop(images[0], scale), scale))
    rows = []
    for name, enlarge in methods.items():
        enlarge(first)  # a size that is new costs its first call time
        rows.append(measure(folder.resolve().name, name, images, scale, enlarge))
        on_row(rows[-1])
    return rows


def report(rows: list[Row], used: list[Weights], upscaler: Upscaler, options: Sequence[str] = ()) -> dict[str, Any]:
    """Everything a reader needs to repeat the numbers, as plain data: what ``evaluate --json`` prints.

    Args:
        used: The weights that were measured, one for each scale.
        upscaler: Tells the device and the dtype.
        options: Of the command line, beside the test sets and scales.
    """
    names = dict.fromkeys(row.data for row in rows)
    scales = dict.fromkeys(str(row.scale) for row in rows)
    return {
        "command": shlex.join(
            ["python", "-m", "drn", "evaluate", "--data", *names, "--scale", *scales, *options, "--json"]
        ),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "device": f"{upscaler.device.type} {str(upscaler.dtype).removeprefix('torch.')}",
        "weights": {
            f"x{part.model.scale}": {
                "file": part.path.name,
                "sha256": part.sha256,
                "parameters": count_parameters(part.model),
                **part.notes,
            }
            for part in used
        },
        # JSON has no infinity: no number, where the images are equal.
        "rows": [asdict(row) | ({} if math.isfinite(row.psnr) else {"psnr": None}) for row in rows],
    }


def _psnr_text(psnr: float | None) -> str:
    return "∞" if psnr is None else f"{psnr:.2f}"


def pivot(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Rows of ``report`` as a table: the methods, and for each test set and scale a row of "PSNR / SSIM" by method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: (row["data"] != "Set5", row["data"], row["scale"])):
        at = cells.setdefault(f"{row['data']} x{row['scale']}", {})
        at[row["method"]] = f"{_psnr_text(row['psnr'])} / {row['ssim']:.4f}"
    return methods, [[name, *(found.get(method, "–") for method in methods)] for name, found in cells.items()]


def beside_published(published: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """PSNR on Set5 of other networks, as published, and of what ``report`` holds: the head and rows of a table."""
    head = ["network", "parameters", *(f"x{scale}" for scale in SCALES), "source"]
    sizes = sorted(entry["parameters"] for entry in results["weights"].values())
    size = " to ".join(dict.fromkeys(f"{count / 1e6:.2f}" for count in sizes[:1] + sizes[-1:]))
    ours: dict[str, dict[int, str]] = {}
    for row in results["rows"]:
        if row["data"] == "Set5":
            ours.setdefault(row["method"], {})[row["scale"]] = _psnr_text(row["psnr"])
    rows = [
        [
            entry["name"],
            f"{entry['parameters'] / 1e6:.2f} M",
            *(f"{entry['psnr'][str(scale)]:.2f}" for scale in SCALES),
            entry["source"],
        ]
        for entry in published["networks"]
    ]
    for method, found in ours.items():
        line = [method, f"{size} M", *(found.get(scale, "–") for scale in SCALES), "measured here"]
        if method == "bicubic":
            rows.insert(0, [method, "–", *line[2:]])
        else:
            rows.append(line)
    return head, rows


def format_table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'data':<12}{'scale':>6}  {'method':<9}{'images':>7}{'PSNR':>9}{'SSIM':>9}{'s/image':>10}"]
    for row in rows:
        value = "inf" if math.isinf(row.psnr) else f"{row.psnr:.3f}"
        lines.append(
            f"{row.data:<12}{'x' + str(row.scale):>6}  {row.method:<9}{row.images:>7}"
            f"{value:>9}{row.ssim:>9.4f}{row.seconds:>10.3f}"
        )
    return "\n".join(lines)
