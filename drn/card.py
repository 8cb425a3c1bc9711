"""The model card: its front matter, made from the measured results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from drn.errors import InputError
from drn.evaluation.methods import BICUBIC

LICENSE_NAME = "research-and-non-commercial-training-data"


def complete_card(text: str, rows: list[dict[str, Any]]) -> str:
    """``text`` with the front matter that the Hub reads: library, task, tags, licence, measured results.

    Fields that the text has already and that are not ours stay.

    Args:
        rows: Rows of ``python -m drn evaluate --json``.
    """
    card = ModelCard(text, ignore_metadata_errors=True)
    ours = ModelCardData(
        model_name="DRN",
        library_name="drn",
        pipeline_tag="image-to-image",
        license="other",
        license_name=LICENSE_NAME,
        license_link="README.md",
        tags=["super-resolution", "image-super-resolution", "drn", "arxiv:1907.02843"],
        metrics=["psnr", "ssim"],
        eval_results=_eval_results(rows) or None,
    )
    front = card.data.to_dict() | ours.to_dict()  # type: ignore[no-untyped-call]
    return f"---\n{ModelCardData(**front, ignore_metadata_errors=True).to_yaml()}\n---\n\n{card.text.lstrip()}"


def _eval_results(rows: list[dict[str, Any]]) -> list[EvalResult]:
    """PSNR and SSIM of each row; an infinite PSNR, which is null there, has no place on the Hub."""
    return [_result(row, metric) for row in rows for metric in ("psnr", "ssim") if row[metric] is not None]


def _result(row: dict[str, Any], metric: str) -> EvalResult:
    config = f"x{row['scale']}, {row['method']}"
    return EvalResult(
        task_type="image-to-image",
        task_name="Super-resolution",
        dataset_type=str(row["data"]).lower(),
        dataset_name=f"{row['data']} {config}",
        dataset_config=config,  # the Hub's client puts results of one type and config together
        metric_type=metric,
        metric_name=f"{metric.upper()} (Y channel)",
        metric_value=round(float(row[metric]), 4),
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of ``results.json`` that are a network's.

    Raises:
        InputError: If it is not what ``python -m drn evaluate --json`` prints.
    """
    with _as_evaluate_prints(path) as results:
        rows = [row for row in results["rows"] if row["method"] != BICUBIC]
        _eval_results(rows)
        return rows


def read_digests(path: Path) -> dict[str, str]:
    """The sha256 of each weights file that ``results.json`` was measured with.

    Raises:
        InputError: If it is not what ``python -m drn evaluate --json`` prints.
    """
    with _as_evaluate_prints(path) as results:
        return {entry["file"]: entry["sha256"] for entry in results["weights"].values()}


@contextmanager
def _as_evaluate_prints(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} is not what `drn evaluate --json` prints: measure again.") from error
