"""Test sets and fixtures on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TEST_SETS = Path(os.environ.get("DRN_TEST_SETS", Path(__file__).resolve().parents[3] / "shared" / "data" / "test"))


FIXTURES = Path(__file__).parents[1] / "fixtures"


def benchmark_folder(name: str) -> Path:
    """Folder of a benchmark's HR images; skips the test where it is absent, as it is not ours to ship."""
    folder = TEST_SETS / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here ({folder}): DRN_TEST_SETS names another place")
    return folder
