"""Folders of test sets and fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TEST_SETS = Path(os.environ.get("DRN_TEST_SETS", Path(__file__).resolve().parents[3] / "shared" / "data" / "test"))

FIXTURES = Path(__file__).parents[1] / "fixtures"

EXAMPLES = Path(__file__).parents[2] / "app" / "examples"


def benchmark_folder(name: str) -> Path:
    """Return the folder of a test set; skip the test if it is absent, because we may not distribute test sets."""
    folder = TEST_SETS / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in {folder}: set DRN_TEST_SETS to the folder of the test sets")
    return folder
