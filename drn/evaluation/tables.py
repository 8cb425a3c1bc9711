"""Benchmark tables as text and as JSON data."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from drn.degrade import CLEAN, Degradation
from drn.device import dtype_name
from drn.evaluation.benchmark import ImageRow, Row
from drn.files import replace_file
from drn.metrics import Luma
from drn.model import count_parameters
from drn.upscaler import Upscaler
from drn.weights import Weights

LUMA_NOTES: Mapping[Luma, str] = {
    "rounded": "Y rounded to 8 bits; a greyscale file is measured on its own levels",
    "float": "Y not rounded; a greyscale file is measured as RGB",
}
"""Convention for luma -> description."""


def report(
    rows: list[Row],
    used: list[Weights],
    upscaler: Upscaler,
    options: Sequence[str] = (),
    luma: Luma = "rounded",
    degradation: Degradation = CLEAN,
    photo: Sequence[Weights] = (),
) -> dict[str, Any]:
    """Return the rows with all facts needed to repeat the measurement: the output of ``drn evaluate --json``.

    Args:
        rows: The rows of the table.
        used: The weights that were measured, one for each scale.
        upscaler: One of the upscalers used, for its device and dtype.
        options: Options of the command line other than the test sets and scales.
        luma: The convention that was used.
        degradation: The degradation of the LR images.
        photo: The photo weights that were measured, one for each scale.

    Returns:
        Data that JSON can represent. An infinite PSNR becomes None.
    """
    label = "" if degradation == CLEAN else f" {degradation}"
    names = dict.fromkeys(row.data.removesuffix(label) for row in rows)
    scales = dict.fromkeys(str(row.scale) for row in rows)
    return {
        "command": shlex.join(
            ["python", "-m", "drn", "evaluate", "--data", *names, "--scale", *scales, *options, "--json"]
        ),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "luma": luma,
        "device": f"{upscaler.device.type} {dtype_name(upscaler.dtype)}",
        "weights": describe_weights(used, photo),
        **({} if degradation == CLEAN else {"protocol": outside_protocol(degradation)}),
        # Equal images have an infinite PSNR, which JSON cannot represent.
        "rows": [asdict(row) | ({} if math.isfinite(row.psnr) else {"psnr": None}) for row in rows],
    }


def describe_weights(used: Sequence[Weights], photo: Sequence[Weights] = ()) -> dict[str, dict[str, Any]]:
    """Return the file, digest, size and notes of the weights that were measured, as data for JSON.

    Args:
        used: The weights of DRN; their keys are ``x2`` and so on.
        photo: The weights of DRN photo; their keys are ``x2 photo`` and so on.
    """
    named = [(f"x{part.model.scale}", part) for part in used]
    named += [(f"x{part.model.scale} photo", part) for part in photo]
    return {
        name: {
            "file": part.path.name,
            "sha256": part.sha256,
            "parameters": count_parameters(part.model),
            **part.notes,
        }
        for name, part in named
    }


def outside_protocol(degradation: Degradation) -> str:
    """Return the sentence that marks numbers of degraded LR images, which do not compare with published ones."""
    return f"Outside the benchmark protocol: the LR images were degraded ({degradation})."


def lead(own: float, other: float) -> float:
    """Return the difference of two PSNRs in dB, each rounded to the two digits that tables show."""
    return round(round(own, 2) - round(other, 2), 2)


def psnr_text(psnr: float | None) -> str:
    """Return a PSNR in dB with two digits; None is the infinite PSNR of equal images."""
    return "∞" if psnr is None else f"{psnr:.2f}"


def pivot(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Arrange the rows of ``report`` as a table with a column for each method.

    Returns:
        The names of the methods, and one row for each test set and scale: a label, then "PSNR / SSIM" of each method.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: (row["data"] != "Set5", row["data"], row["scale"])):
        at = cells.setdefault(f"{row['data']} x{row['scale']}", {})
        at[row["method"]] = f"{psnr_text(row['psnr'])} / {row['ssim']:.4f}"
    return methods, [[name, *(found.get(method, "–") for method in methods)] for name, found in cells.items()]


def format_table(rows: list[Row], luma: Luma = "rounded") -> str:
    """Return the rows as a text table with aligned columns, and a line that states the convention for luma."""
    wide = max([9, *(len(row.method) + 1 for row in rows)])
    lines = [f"{'data':<12}{'scale':>6}  {'method':<{wide}}{'images':>7}{'PSNR':>9}{'SSIM':>9}{'s/image':>10}"]
    for row in rows:
        value = "inf" if math.isinf(row.psnr) else f"{row.psnr:.3f}"
        seconds = "–" if row.seconds is None else f"{row.seconds:.3f}"
        lines.append(
            f"{row.data:<12}{'x' + str(row.scale):>6}  {row.method:<{wide}}{row.images:>7}"
            f"{value:>9}{row.ssim:>9.4f}{seconds:>10}"
        )
    return "\n".join([*lines, f"PSNR and SSIM on {LUMA_NOTES[luma]} (--luma {luma})."])


def write_images(path: Path, images: Sequence[ImageRow]) -> None:
    """Write a CSV file with one line for each image and method, atomically.

    Raises:
        OSError: If the folder does not exist or the disk is full.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["set", "image", "scale", "method", "PSNR", "SSIM", "seconds"])
            for row in images:
                seconds = "" if row.seconds is None else f"{row.seconds:.4f}"
                values = [f"{row.psnr:.4f}", f"{row.ssim:.6f}", seconds]
                writer.writerow([row.data, row.image, row.scale, row.method, *values])

    replace_file(path, write)
