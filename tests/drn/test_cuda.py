"""The engine on a CUDA device."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from drn import load_model
from drn.commands.main import app
from drn.image import Array, mod_crop, to_tensor
from drn.metrics import psnr
from drn.reading import read_image
from drn.resize import downscale
from drn.upscaler import Upscaler
from tests.helpers.data import EXAMPLES
from tests.helpers.models import small_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def test_cuda_agrees_with_the_cpu(photo: Array) -> None:
    model = small_model(2)
    cpu, gpu = Upscaler(model, "cpu", "fp32").upscale(photo), Upscaler(model, "cuda").upscale(photo)
    assert np.abs(cpu.astype(int) - gpu).max() <= 2


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_cuda_tiles_and_ensembles_agree_with_the_cpu(photo: Array, dtype: str, compiled: bool) -> None:
    model = small_model(3)
    cpu = Upscaler(model, "cpu", "fp32").upscale(photo, self_ensemble=True)
    gpu = Upscaler(model, "cuda", dtype, tile=25, compiled=compiled).upscale(photo, self_ensemble=True)
    assert np.abs(cpu.astype(int) - gpu).max() <= (1 if dtype == "fp32" else 2)


def test_cuda_out_of_memory_is_survived(photo: Array, caplog: pytest.LogCaptureFixture) -> None:
    upscaler = Upscaler(small_model(4), "cuda", tile=10_000)
    lr = np.tile(photo, (40, 30, 1))
    torch.cuda.set_per_process_memory_fraction(1 * 2**30 / torch.cuda.get_device_properties(0).total_memory)
    try:
        result = upscaler.upscale(lr)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "ran out of memory" in caplog.text
    assert np.abs(result.astype(int) - Upscaler(small_model(4), "cuda", tile=300).upscale(lr)).max() <= 1


def test_cuda_tiles_are_parts_of_the_whole(photo: Array) -> None:
    model = small_model(2)
    for dtype in ("fp32", "bf16", "fp16"):
        whole = Upscaler(model, "cuda", dtype, tile=200).upscale(photo)
        tiled = Upscaler(model, "cuda", dtype, tile=17).upscale(photo)
        assert np.abs(whole.astype(int) - tiled).max() <= 1, dtype


@pytest.mark.parametrize("scale", [2, 4])
def test_half_precision_on_cuda_is_as_good_as_fp32(scale: int) -> None:
    model = load_model(scale=scale)
    engines = {dtype: Upscaler(model, "cuda", dtype) for dtype in ("fp32", "bf16", "fp16")}
    engines["cpu"] = Upscaler(model, "cpu", "fp32")
    scores: dict[str, list[float]] = {name: [] for name in engines}
    for name in ("bricks", "cat", "flower"):
        hr = mod_crop(read_image(EXAMPLES / f"{name}.png").rgb, scale)
        lr = downscale(hr, scale)
        for engine, values in scores.items():
            values.append(psnr(engines[engine].upscale(lr), hr, scale))
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    assert means == pytest.approx(dict.fromkeys(means, means["cpu"]), abs=0.003)


def test_threads_that_share_an_engine_on_cuda_get_their_own_results(photo: Array) -> None:
    upscaler = Upscaler(small_model(3), "cuda", tile=20)
    images = [np.roll(photo, 7 * i, axis=1) for i in range(4)]
    alone = [upscaler.upscale(image) for image in images]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(upscaler.upscale, images))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_compiled_engine_on_cuda_agrees_with_the_eager_one(photo: Array, dtype: str) -> None:
    model = small_model(2)
    lr = to_tensor(photo, "cuda")
    eager = Upscaler(model, "cuda", dtype).upscale_tensor(lr)
    compiled = Upscaler(model, "cuda", dtype, compiled=True).upscale_tensor(lr)
    torch.testing.assert_close(compiled, eager, rtol=0, atol=(1 if dtype == "fp32" else 2) / 255)


def test_bench_reports_the_memory_of_the_device() -> None:
    runner = CliRunner()
    report = runner.invoke(app, ["bench", "--device", "cuda", "--size", "64", "--rounds", "1", "--no-compile"])
    assert report.exit_code == 0, report.output
    assert "device MB" in report.output
    assert torch.cuda.get_device_name() in report.output
    row = runner.invoke(app, ["bench", "--device", "cuda", "--size-of", "0.5"])
    assert json.loads(row.output)["device_peak"] > 1e6
