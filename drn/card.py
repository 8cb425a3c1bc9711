"""The front matter of the model card, made from the measured results."""

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
    """Return a model card with new front matter: library, task, tags, licence and results.

    Other fields of the front matter stay unchanged.

    Args:
        text: The card, with or without front matter.
        rows: Rows of the output of ``drn evaluate --json``.
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
    """Return PSNR and SSIM of each row, without infinite values, which are null in JSON."""
    return [_result(row, metric) for row in rows for metric in ("psnr", "ssim") if row[metric] is not None]


def _result(row: dict[str, Any], metric: str) -> EvalResult:
    config = f"x{row['scale']}, {row['method']}"
    return EvalResult(
        task_type="image-to-image",
        task_name="Super-resolution",
        dataset_type=str(row["data"]).lower(),
        dataset_name=f"{row['data']} {config}",
        dataset_config=config,  # the Hub's client joins results of one type and config
        metric_type=metric,
        metric_name=f"{metric.upper()} (Y channel)",
        metric_value=round(float(row[metric]), 4),
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return all rows of ``results.json`` except those of bicubic.

    Raises:
        InputError: If the file is not the output of ``drn evaluate --json``.
    """
    with _reading_results(path) as results:
        rows = [row for row in results["rows"] if row["method"] != BICUBIC]
        _eval_results(rows)
        return rows


def read_digests(path: Path) -> dict[str, set[str]]:
    """Return the sha256 of each weights file that was measured for ``results.json``, in one or several measurements.

    Raises:
        InputError: If the file is not the output of ``drn evaluate --json``.
    """
    with _reading_results(path) as results:
        digests: dict[str, set[str]] = {}
        for part in (results, *([results["jpeg"]] if "jpeg" in results else [])):
            for entry in part["weights"].values():
                digests.setdefault(entry["file"], set()).add(entry["sha256"])
        return digests


@contextmanager
def _reading_results(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} is not the output of `drn evaluate --json`: measure again.") from error
