"""The curve of a training run: a CSV file with one row for each validation.

A run with several validation folders has a further column for each of them after ``COLUMNS``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from drn.files import replace_file

CURVE = "curve.csv"
"""Name of the file in the folder of a run."""

COLUMNS = ("iteration", "hours", "learning_rate", "loss", "valid_psnr")


def read_curve(path: Path) -> list[dict[str, float]]:
    """Return the rows of a curve, each as a dict from column to value; no rows if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{column: float(value) for column, value in row.items() if value} for row in csv.DictReader(file)]


def write_curve(path: Path, rows: list[dict[str, float]]) -> None:
    """Replace the curve at ``path`` by ``rows``, atomically.

    Args:
        path: The CSV file.
        rows: For each row, a dict from column to value. The file has the columns of ``COLUMNS`` first, then any other
            columns in the order of their first occurrence.

    Raises:
        OSError: If the file cannot be written.
    """
    columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows({**row, "iteration": int(row["iteration"])} for row in rows)

    replace_file(path, write)
