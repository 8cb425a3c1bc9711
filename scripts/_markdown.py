"""Markdown tables, and Markdown pages with generated sections."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from drn.files import replace_file

ROOT = Path(__file__).resolve().parent.parent
"""Folder of the repository."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table.

    Args:
        head: Titles of the columns.
        rows: Cells of each row, one for each title.
    """
    lines = [head, ["---" for _ in head], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fill(text: str, name: str, content: str) -> str:
    """Return ``text`` with ``content`` between the markers ``<!-- name -->`` and ``<!-- /name -->``."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def store(path: Path, content: str) -> None:
    """Replace the text file ``path``, atomically.

    Raises:
        OSError: If the file cannot be written.
    """
    replace_file(path, functools.partial(Path.write_text, data=content, encoding="utf-8"))
