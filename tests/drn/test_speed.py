from __future__ import annotations

import importlib.util

import pytest

from drn.evaluation.speed import compare_engines, measure_size, race
from drn.upscaler import Upscaler
from tests.helpers.models import small_model


def test_candidates_run_in_turn_and_the_first_round_is_not_measured() -> None:
    calls: list[str] = []
    times = race({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert calls == ["a", "b"] * 3
    assert set(times) == {"a", "b"}


def test_all_candidates_compute_the_same_image() -> None:
    model = small_model(2)
    lines = compare_engines(model, Upscaler(model, "cpu", "fp32"), size=24, rounds=1)
    names = [line.name for line in lines]
    assert names[0].startswith("plain network")
    assert names[1] == "engine: float32"
    assert names[-1] == "its convolutions alone"
    assert ("OpenVINO, f32" in names) == all(importlib.util.find_spec(name) for name in ("onnx", "openvino"))
    for line in lines[1:-1]:
        assert line.psnr is not None
        assert line.psnr > 45, line.name


def test_a_size_is_measured_in_output_pixels() -> None:
    row = measure_size(Upscaler(small_model(2), "cpu", "fp32", tile=50), 0.04)
    assert row["megapixels"] == pytest.approx(0.04)
    assert row["tile"] == 50
    assert row["peak"] > 50e6
