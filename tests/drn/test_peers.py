"""Other networks beside our own results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from drn.commands.main import app
from drn.evaluation.benchmark import Row
from drn.evaluation.peers import SAME_SET, read_peers, text_table
from drn.model import SCALES
from tests.helpers.data import benchmark_folder

PEERS = read_peers()


def rows_of(data: str, scale: int, bicubic: float, drn: float) -> list[Row]:
    row = Row(data, scale, "bicubic", 5, bicubic, 0.9, 0.1)
    return [row, replace(row, method="DRN", psnr=drn), replace(row, method="IMDN", psnr=99.0)]


def cells(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}


@pytest.mark.parametrize("luma", ["rounded", "float"])
def test_networks_are_shown_for_the_sets_on_which_they_were_measured(luma: Any) -> None:
    known = PEERS["bicubic"]["Set5"]
    rows = rows_of("Set5", 4, known["x4"][luma], 32.0) + rows_of("Set5", 3, known["x3"][luma] - SAME_SET / 2, 34.0)
    text = text_table([*rows, *rows_of("photos", 4, known["x4"][luma], 30.0)], luma)
    assert text.splitlines()[0].split() == ["Set5", "x4", "Set5", "x3"]
    found = cells(text)
    assert found.pop("DRN") == ["32.000", "34.000"]
    for entry in PEERS["networks"]:
        values = [entry.get(f"x{scale}", {}).get("Set5") for scale in (4, 3)]
        assert found.pop(entry["name"]) == ["–" if value is None else f"{value[luma][0]:.3f}" for value in values]
    assert not found  # the row of the given method IMDN is in the table above


def test_another_set_of_the_same_name_is_not_compared() -> None:
    known = PEERS["bicubic"]["valid"]["x2"]
    assert text_table(rows_of("valid", 2, known["rounded"] + 2 * SAME_SET, 35.0), "rounded") == ""
    assert text_table(rows_of("valid", 2, known["rounded"], 35.0), "float") == ""  # the other convention
    assert "IMDN" in text_table(rows_of("valid", 2, known["rounded"], 35.0), "rounded")
    assert text_table(rows_of("valid", 2, known["rounded"], 35.0)[1:], "rounded") == ""  # bicubic is not known


def test_each_set_with_networks_has_the_psnr_of_bicubic() -> None:
    for entry in PEERS["networks"]:
        for scale in SCALES:
            measured = entry.get(f"x{scale}", {})
            for data in measured.keys() - {"parameters", "weights_sha256"}:
                for luma in PEERS["protocols"]:
                    assert measured[data][luma][0] > PEERS["bicubic"][data][f"x{scale}"][luma] + 1.5


def test_evaluate_prints_the_networks_below_its_table() -> None:
    words = ["evaluate", "--scale", "2", "--no-self-ensemble", "--data", str(benchmark_folder("Set5"))]
    text = CliRunner().invoke(app, words).stdout
    found = cells(text[text.index("PSNR of DRN") :].split("\n", 1)[1])
    assert found["IMDN"] == ["37.921"]
    assert 37.5 < float(found["DRN"][0]) < 38.5
    assert "IMDN" not in CliRunner().invoke(app, [*words, "--jpeg", "75"]).stdout
