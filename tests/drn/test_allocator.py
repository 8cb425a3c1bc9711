"""The settings of the memory allocator."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from drn import allocator
from drn.allocator import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory
from drn.commands.main import app


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (2**31, [(M_MMAP_THRESHOLD, 2**30), (M_TRIM_THRESHOLD, 2**31 - 1)]),
        (2**25, [(M_MMAP_THRESHOLD, 2**30), (M_MMAP_THRESHOLD, 2**25), (M_TRIM_THRESHOLD, 2**31 - 1)]),
        (0, [(M_MMAP_THRESHOLD, 2**30), (M_MMAP_THRESHOLD, 2**25)]),
    ],
)
def test_memory_is_kept_up_to_the_largest_accepted_size(
    monkeypatch: pytest.MonkeyPatch, largest: int, expected: list[tuple[int, int]]
) -> None:
    tried: list[tuple[int, int]] = []

    def accept(option: int, value: int) -> bool:
        tried.append((option, value))
        return option != M_MMAP_THRESHOLD or value <= largest

    monkeypatch.setattr(allocator, "_set", accept)
    keep_freed_memory()
    assert tried == expected


def test_commands_keep_freed_memory_and_the_page_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("drn.commands.main.keep_freed_memory", lambda: calls.append("kept"))
    CliRunner().invoke(app, ["info", "--weights", "nowhere"])
    assert calls == ["kept"]
    CliRunner().invoke(app, ["app", "--weights", "nowhere"])
    assert calls == ["kept"]
