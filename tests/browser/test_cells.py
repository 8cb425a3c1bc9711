"""The places of the panels in the stage's grid, without the application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.browsing import viewer_scripts


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    with viewer_scripts(browser, "cells") as page:
        yield page


def cells(page: Page, kinds: str, most: int) -> Any:
    """Place panels of three scales: s is the small image, m a method, and o the original, which is there once.

    Returns:
        The number of columns, the number of rows, and one text for each row with the panels in their columns, and with
        ``v`` for the overview.
    """
    roles = {"s": "small", "m": "method"}
    panels: list[dict[str, str | int]] = [
        {"role": roles[kind], "scale": scale} for scale in (2, 3, 4) for kind in kinds if kind != "o"
    ]
    if "o" in kinds:
        panels.append({"role": "original", "scale": 4})
    found = page.evaluate("([panels, most]) => scaleCells(panels, most)", [panels, most])
    rows = [["."] * found["columns"] for _ in range(found["rows"])]
    for panel, place in zip(panels, found["places"], strict=True):
        if place is not None:
            assert rows[place["row"]][place["column"]] == "."
            name = "o" if panel["role"] == "original" else f"{str(panel['role'])[0]}{panel['scale']}"
            rows[place["row"]][place["column"]] = name
    if overview := found["overview"]:
        for row in range(overview["row"], overview["row"] + overview["rows"]):
            assert rows[row][overview["column"]] == "."
            rows[row][overview["column"]] = "v"
    return [" ".join(row) for row in rows]


@pytest.mark.parametrize(
    ("kinds", "most", "expected"),
    [
        ("smmo", 5, ["s2 m2 m2 o", "s3 m3 m3 v", "s4 m4 m4 v"]),
        ("smmo", 3, ["o v .", "s2 m2 m2", "s3 m3 m3", "s4 m4 m4"]),
        ("smmo", 2, ["o v", "m2 m2", "m3 m3", "m4 m4"]),
        ("smmmo", 3, ["o v .", "m2 m2 m2", "m3 m3 m3", "m4 m4 m4"]),
        ("mmmo", 2, ["o v", "m2 m2", "m2 .", "m3 m3", "m3 .", "m4 m4", "m4 ."]),
        ("smm", 4, ["s2 m2 m2", "s3 m3 m3", "s4 m4 m4"]),
        ("mo", 1, ["o", "m2", "m3", "m4"]),
        ("so", 2, ["s2 o", "s3 v", "s4 v"]),
        ("o", 4, ["o"]),
    ],
)
def test_each_scale_is_a_row_and_the_original_is_there_once(
    scripts: Page, kinds: str, most: int, expected: list[str]
) -> None:
    assert cells(scripts, kinds, most) == expected


@pytest.mark.parametrize(
    ("count", "most", "columns", "rows"), [(4, 4, 4, 1), (5, 4, 3, 2), (3, 2, 2, 2), (1, 9, 1, 1), (9, 4, 3, 3)]
)
def test_other_panels_fill_as_few_rows_as_possible(
    scripts: Page, count: int, most: int, columns: int, rows: int
) -> None:
    found = scripts.evaluate("([count, most]) => evenCells(count, most)", [count, most])
    assert (found["columns"], found["rows"], found["overview"]) == (columns, rows, None)
    places = [(place["row"], place["column"]) for place in found["places"]]
    assert places == [(index // columns, index % columns) for index in range(count)]
