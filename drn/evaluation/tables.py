"""Benchmark tables as text and as JSON data."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from drn.evaluation.benchmark import Row
from drn.evaluation.methods import BICUBIC
from drn.model import SCALES, count_parameters
from drn.upscaler import Upscaler
from drn.weights import Weights


def report(rows: list[Row], used: list[Weights], upscaler: Upscaler, options: Sequence[str] = ()) -> dict[str, Any]:
    """Return the rows with all facts needed to repeat the measurement: the output of ``drn evaluate --json``.

    Args:
        rows: The rows of the table.
        used: The weights that were measured, one for each scale.
        upscaler: One of the upscalers used, for its device and dtype.
        options: Options of the command line other than the test sets and scales.

    Returns:
        Data that JSON can represent. An infinite PSNR becomes None.
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
        # Equal images have an infinite PSNR, which JSON cannot represent.
        "rows": [asdict(row) | ({} if math.isfinite(row.psnr) else {"psnr": None}) for row in rows],
    }


def _psnr_text(psnr: float | None) -> str:
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
        at[row["method"]] = f"{_psnr_text(row['psnr'])} / {row['ssim']:.4f}"
    return methods, [[name, *(found.get(method, "–") for method in methods)] for name, found in cells.items()]


def beside_published(published: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table of PSNR on Set5: the published values of other networks, and our own results.

    Args:
        published: The content of ``app/published.json``.
        results: The output of ``report``.

    Returns:
        The head and the rows of the table.
    """
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
        if method == BICUBIC:
            rows.insert(0, [method, "–", *line[2:]])
        else:
            rows.append(line)
    return head, rows


def format_table(rows: list[Row]) -> str:
    """Return the rows as a text table with aligned columns."""
    lines = [f"{'data':<12}{'scale':>6}  {'method':<9}{'images':>7}{'PSNR':>9}{'SSIM':>9}{'s/image':>10}"]
    for row in rows:
        value = "inf" if math.isinf(row.psnr) else f"{row.psnr:.3f}"
        lines.append(
            f"{row.data:<12}{'x' + str(row.scale):>6}  {row.method:<9}{row.images:>7}"
            f"{value:>9}{row.ssim:>9.4f}{row.seconds:>10.3f}"
        )
    return "\n".join(lines)
