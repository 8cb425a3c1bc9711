"""The curve of a training run: a CSV with a row for each validation.

A run with several validation folders has a column for each of them after ``COLUMNS``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from drn.files import replace_file

COLUMNS = ("iteration", "hours", "learning_rate", "loss", "valid_psnr")


def read_curve(path: Path) -> list[dict[str, float]]:
    """Its rows by column; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{column: float(value) for column, value in row.items() if value} for row in csv.DictReader(file)]


def write_curve(path: Path, rows: list[dict[str, float]]) -> None:
    """Write ``rows`` in place of what is there, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)])))
            table.writeheader()
            table.writerows({**row, "iteration": int(row["iteration"])} for row in rows)

    replace_file(path, write)
