"""The gain over bicubic for LR images stored as JPEG, by quality: DRN with clean and with photo weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from drn.degrade import only_jpeg
from drn.device import dtype_name
from drn.errors import InputError
from drn.evaluation.benchmark import measure_set
from drn.evaluation.methods import DRN, DRN_PHOTO, Method, bicubic, drn, drn_photo
from drn.evaluation.pairs import Pair, degrade_pairs, read_pairs
from drn.evaluation.sets import set_name
from drn.evaluation.tables import describe_weights
from drn.upscaler import Upscaler
from drn.weights import Weights

QUALITIES = (30, 40, 50, 60, 70, 80, 90, 95, 98, 100)
"""JPEG qualities that are measured, besides clean images."""


@dataclass(frozen=True)
class Gain:
    """The gain of one method on one test set.

    Attributes:
        data: Name of the test set.
        scale: Upscaling factor.
        jpeg: JPEG quality of the LR images; None for clean images.
        method: Name of the method.
        psnr: Mean PSNR in dB.
        gain: Difference to the mean PSNR of bicubic on the same LR images, in dB.
    """

    data: str
    scale: int
    jpeg: int | None
    method: str
    psnr: float
    gain: float


def measure_curve(
    folders: Sequence[Path],
    clean: Sequence[Weights],
    photo: Sequence[Weights],
    qualities: Sequence[int] = QUALITIES,
    on_measured: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Measure DRN with both variants of the weights on test sets whose LR images are stored as 4:2:0 JPEG.

    Args:
        folders: The folders of the test sets.
        clean: The clean weights, one for each scale.
        photo: The photo weights for the same scales, in the same order.
        qualities: The JPEG qualities, besides clean images.
        on_measured: Called after each scale, test set and quality.

    Returns:
        Data for JSON: the gains (see ``Gain``), and all facts needed to repeat the measurement.

    Raises:
        InputError: If the weights are not of these variants, or if an image or a setting cannot be used.
    """
    if [part.variant for part in (*clean, *photo)] != ["clean"] * len(clean) + ["photo"] * len(photo):
        raise InputError("The curve needs clean and photo weights for every scale: train and export them first.")
    degradations = [(quality, only_jpeg(quality)) for quality in (*sorted(qualities), None)]
    rows: list[Gain] = []
    for ours, tuned in zip(clean, photo, strict=True):
        upscaler = Upscaler(ours.model)
        methods = [drn(upscaler), drn_photo(Upscaler(tuned.model))]
        for folder in folders:
            pairs = read_pairs(folder, upscaler.scale)
            for quality, degradation in degradations:
                degraded = degrade_pairs(pairs, [degradation])
                rows += _gains(set_name(folder), degraded, methods, quality)
                on_measured()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "device": f"{upscaler.device.type} {dtype_name(upscaler.dtype)}",
        "weights": describe_weights(clean, photo),
        "rows": [asdict(row) for row in rows],
    }


def _gains(data: str, pairs: Sequence[Pair], methods: Sequence[Method], quality: int | None) -> list[Gain]:
    """Measure methods and bicubic on pairs, and return a gain for each method."""
    baseline = measure_set(data, pairs, bicubic()).psnr
    rows = [measure_set(data, pairs, method) for method in methods]
    return [
        Gain(data, row.scale, quality, row.method, round(row.psnr, 4), round(row.psnr - baseline, 4)) for row in rows
    ]


def gains_table(curve: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table of the gains.

    Args:
        curve: The result of ``measure_curve``.

    Returns:
        The head and one row for each quality, the lowest first and clean images last. A column is for one scale and
        method, and a cell has the gain on each test set.
    """
    cells = _cells(curve)
    sets = list(dict.fromkeys(row["data"] for row in curve["rows"]))
    columns = list(dict.fromkeys((scale, method) for _, scale, method in cells))
    head = [f"gain over bicubic in dB, {' / '.join(sets)}", *(f"x{scale} {method}" for scale, method in columns)]
    rows = []
    for quality in dict.fromkeys(quality for quality, _, _ in cells):
        gains = [cells[quality, scale, method] for scale, method in columns]
        rows.append([_label(quality), *(" / ".join(f"{gain[name]:+.2f}" for name in sets) for gain in gains)])
    return head, rows


def short_table(curve: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table of the mean gains over the test sets, with a row for each scale and a column for each quality."""
    cells = _cells(curve)
    qualities = list(dict.fromkeys(quality for quality, _, _ in cells))
    rows = []
    for scale in dict.fromkeys(scale for _, scale, _ in cells):
        means = [[mean(cells[quality, scale, method].values()) for method in (DRN, DRN_PHOTO)] for quality in qualities]
        rows.append([f"x{scale}", *(" / ".join(f"{gain:+.2f}" for gain in gains) for gains in means)])
    return [f"{DRN} / {DRN_PHOTO}", *map(_label, qualities)], rows


def summary(curve: Mapping[str, Any]) -> list[str]:
    """Compare DRN photo with DRN in one sentence for each scale, by the mean over the test sets.

    Args:
        curve: The result of ``measure_curve``.
    """
    cells = _cells(curve)
    qualities = list(dict.fromkeys(quality for quality, _, _ in cells))
    sentences = []
    for scale in dict.fromkeys(scale for _, scale, _ in cells):
        leads = {
            quality: mean(cells[quality, scale, DRN_PHOTO].values()) - mean(cells[quality, scale, DRN].values())
            for quality in qualities
        }
        clean = leads.pop(None)
        least = next(iter(leads))
        better = [quality for quality, _ in itertools.takewhile(lambda item: item[1] > 0, leads.items())]
        found = f"better than {DRN} up to JPEG quality {better[-1]}" if better else f"not better than {DRN}"
        change = f"{leads[least]:+.2f} dB at quality {least}, {clean:+.2f} dB on clean images"
        sentences.append(f"x{scale}: {DRN_PHOTO} is {found} ({change}).")
    return sentences


Cells = dict[tuple[int | None, int, str], dict[str, float]]
"""(JPEG quality or None for clean images, scale, method) -> name of the test set -> gain in dB."""


def _cells(curve: Mapping[str, Any]) -> Cells:
    """Return the gains, sorted by quality."""
    cells: Cells = {}
    for row in sorted(curve["rows"], key=lambda row: row["jpeg"] or 101):
        cells.setdefault((row["jpeg"], row["scale"], row["method"]), {})[row["data"]] = row["gain"]
    return cells


def _label(quality: int | None) -> str:
    return "clean" if quality is None else f"JPEG {quality}"
