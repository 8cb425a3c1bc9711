from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from drn import load_model
from drn.errors import InputError
from drn.evaluation.speed import compare_engines, engine_report
from drn.evaluation.speed_sizes import measure_size, sizes_table
from drn.evaluation.start import start_report
from drn.evaluation.timing import race
from drn.upscaler import Upscaler
from tests.helpers.models import small_model

CPU = torch.device("cpu")


def test_candidates_run_in_turn_and_the_first_round_is_not_measured() -> None:
    calls: list[str] = []
    times = race({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2, device=CPU)  # type: ignore[misc]
    assert calls == ["a", "b"] * 3
    assert set(times) == {"a", "b"}


def test_all_candidates_compute_the_same_image() -> None:
    model = small_model(2)
    lines = compare_engines(model, Upscaler(model, "cpu", "fp32"), size=24, rounds=1)
    names = [line.name for line in lines]
    assert names[0].startswith("plain network")
    assert names[1] == "engine: float32"
    assert names[-1] == "convolutions of the plain network alone"
    assert ("OpenVINO, float32" in names) == all(importlib.util.find_spec(name) for name in ("onnx", "openvino"))
    for line in lines[1:-1]:
        assert line.psnr is not None
        assert line.psnr > 45, line.name


def test_another_network_has_rows_beside_the_engine_in_both_precisions(tmp_path: Path) -> None:
    own, other = small_model(2), load_model(scale=2)
    file = tmp_path / "other.onnx"
    torch.onnx.export(other, (torch.rand(1, 3, 24, 24),), str(file), dynamo=False)
    lines = compare_engines(own, Upscaler(own, "cpu", "bf16"), 24, 1, networks={"other": file})
    psnrs = {line.name: line.psnr for line in lines}
    assert psnrs["engine: float32"] is not None
    assert psnrs["engine: bfloat16"] is not None
    assert psnrs["engine: float32"] > psnrs["engine: bfloat16"] > 45
    assert psnrs["other: ONNX Runtime, float32"] is None  # it computes another image
    assert [line.name for line in lines][-2:] == [
        "other: ONNX Runtime, float32",
        "convolutions of the plain network alone",
    ]


def test_a_size_is_measured_in_output_pixels() -> None:
    row = measure_size(Upscaler(small_model(2), "cpu", "fp32", tile=50), 0.04)
    assert row["megapixels"] == pytest.approx(0.04)
    assert row["tile"] == 50
    assert row["peak"] > 50e6
    assert "device_peak" not in row


def test_a_time_ends_when_the_device_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr("drn.evaluation.timing.wait_for", lambda device: events.append(f"wait for {device}"))
    race({"a": lambda: events.append("run")}, rounds=1, device=torch.device("cuda"))
    assert events == ["wait for cuda", "run", "wait for cuda"] * 2


def test_the_report_of_a_gpu_has_the_compiled_engine_and_the_device_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drn.evaluation.timing.peak_memory", lambda device: 12_345_678)
    monkeypatch.setattr("drn.evaluation.speed.exported", lambda *_: {})  # as on a GPU
    model = small_model(2)
    engine = Upscaler(model, "cpu", "fp32")
    lines = compare_engines(model, engine, 24, 1, compiled=Upscaler(model, "cpu", "fp32"))
    report = engine_report(lines, engine, 24, 1)
    rows = {line[:40].strip(): line[40:].split() for line in report.splitlines()}
    assert rows["engine: float32"][-1] == rows["engine: float32, compiled"][-1] == "12"
    assert rows["engine: float32, compiled"][-2] == rows["engine: float32"][-2]  # the same PSNR
    assert len(rows["convolutions of the plain network alone"]) == 3
    assert {"DRN+ / one pass", "64x64 region, ms"} <= rows.keys()


def test_a_network_that_cannot_be_compiled_gets_one_sentence() -> None:
    class Failing(nn.Module):
        def forward(self, *inputs: object) -> torch.Tensor:
            raise RuntimeError("no Triton\nmore of it")

    model = small_model(2)
    failing = Upscaler(model, "cpu", "fp32")
    failing.model = Failing()
    with pytest.raises(InputError, match=r"cannot be compiled on cpu \(no Triton\): add --no-compile") as caught:
        compare_engines(model, Upscaler(model, "cpu", "fp32"), 24, 1, failing)
    assert "\n" not in str(caught.value)


def test_the_table_of_sizes_gains_two_columns_on_a_gpu() -> None:
    row = {"megapixels": 4.0, "seconds": 0.05, "cpu_seconds": 0.04, "peak": 9e8, "tile": 408}
    plain = sizes_table([row]).splitlines()
    assert plain[1].split() == ["4.0", "408", "0.1", "0.013", "0.010", "900"]
    head, on_gpu = sizes_table([{**row, "device_peak": 5e8}]).splitlines()
    assert head.split()[-4:] == ["MB", "MP/s", "device", "MB"]
    assert on_gpu.split() == ["4.0", "408", "0.050", "0.013", "0.010", "900", "80.0", "500"]


def test_the_start_is_measured_in_new_processes() -> None:
    rows = {line[:40].strip(): float(line[40:]) for line in start_report(1).splitlines()[2:]}
    assert list(rows) == [
        "import drn",
        "from drn import Upscaler",
        "import of the command line",
        "drn upscale, 64x64 pixels",
    ]
    assert 0 <= rows["import drn"] < 0.3
    assert rows["drn upscale, 64x64 pixels"] > rows["import of the command line"] * 0.9
