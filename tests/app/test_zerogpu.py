"""ZeroGPU with the real ``spaces`` package, its processes and pickling; GPU and scheduler are stubs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spaces

from app.zerogpu import IS_ZERO_GPU, gpu_seconds
from drn.geometry import Rect

pytestmark = pytest.mark.slow

ON_ZERO_GPU = """
import os, sys, types
stub = types.ModuleType("spaces.zero.torch")
for name in ("patch", "unpatch", "init", "move", "enter_mode"):
    setattr(stub, name, lambda *args, **options: None)
stub.pack = stub.size = lambda: 0
stub.is_in_bad_fork = lambda: False
sys.modules["spaces.zero.torch"] = stub

import numpy as np, torch
from gradio.context import LocalContext
from app.engines import ServedWeights
from app.zerogpu import ZeroGpuUpscaler
from drn import load_model
from drn.upscaler import Rect, Upscaler
from drn.weights import photo_files
from spaces.zero import client, decorator

served = ServedWeights()
upscaler = served.upscaler_for(2)
assert isinstance(upscaler, ZeroGpuUpscaler), type(upscaler)
assert len(decorator.decorated_cache) == 2 * (len(served.scales) + len(photo_files()))

seen = []
client.allow = lambda token: seen.append("allowed in the parent")
client.release = lambda token, **options: seen.append("released")
def schedule(task_id, request, duration, gpu_size):
    seen.append(duration.seconds)
    return types.SimpleNamespace(allowToken="a", nvidiaIndex=0, nvidiaUUID="b", idle=True)
client.schedule = schedule

lr = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
expected = Upscaler(load_model(scale=2), "cpu").upscale(lr)
assert np.array_equal(upscaler.upscale(lr), expected)
assert seen == [], "without a visitor no GPU is lent"

LocalContext.request.set(types.SimpleNamespace(headers={}))
ran_here = []
def upscale_tensor(self, *args):
    ran_here.append(True)
    return Upscaler.upscale_tensor(self, *args)
ZeroGpuUpscaler.upscale_tensor = upscale_tensor
steps = []
result = upscaler.upscale(lr, on_tile=lambda *step: steps.append(step))
assert np.abs(result.astype(int) - expected).max() <= 1
assert ran_here == [], "the network ran in this process"
part = upscaler.upscale(lr, lr_rect=Rect(5, 6, 7, 8), self_ensemble=True)
assert part.shape == (16, 14, 3)
assert (seen, steps) == ([6, "released", 6, "released"], [(1, 1)]), (seen, steps)
print("ok")
"""


def test_a_call_of_a_visitor_runs_on_the_gpu_that_is_lent(tmp_path: Path) -> None:
    env = {**os.environ, "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:9"}
    env.pop("DRN_HUB_REPO", None)
    command = [sys.executable, "-c", ON_ZERO_GPU]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert result.stdout.endswith("ok\n"), result.stderr


def test_without_zerogpu_functions_are_not_wrapped() -> None:
    def work() -> None: ...

    assert not IS_ZERO_GPU
    assert spaces.GPU(duration=gpu_seconds)(work) is work


@pytest.mark.parametrize(
    ("size", "region", "plus", "expected"),
    [
        ((8, 8), None, False, 6),
        ((1000, 1000), None, False, 9),
        ((1000, 1000), None, True, 37),
        ((1000, 1000), Rect(0, 0, 10, 10), True, 6),
        ((4000, 4000), None, True, 60),
    ],
)
def test_the_time_on_the_gpu_depends_on_the_size_of_the_image(
    size: tuple[int, int], region: Rect | None, plus: bool, expected: int
) -> None:
    assert gpu_seconds(np.zeros((*size, 3), np.uint8), region, plus) == expected
