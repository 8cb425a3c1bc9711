from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from drn import load_model, onednn
from drn.fused import FusedDRN
from drn.geometry import NO_MARGINS, Margins, Rect
from drn.image import Array
from drn.onednn import OneDNNDRN, is_usable
from drn.upscaler import Upscaler
from tests.helpers.models import small_model

NETWORKS: list[dict[str, bool | int | str]] = [
    {},
    {"use_rdb": False},
    {"feed_distilled": True},
    {"image_skip": False},
    {"activation": "leaky_relu"},
    {"n_blocks": 1},
    {"n_blocks": 3, "n_groups": 1},
]
RELU: dict[str, bool | int | str] = {"activation": "relu"}
ARRANGED: list[tuple[type[FusedDRN], dict[str, bool | int | str]]] = [
    *((FusedDRN, changes) for changes in [*NETWORKS, RELU]),
    *((OneDNNDRN, {**RELU, **changes}) for changes in NETWORKS if is_usable(torch.float32)),
]
FUSED = pytest.mark.skipif(not is_usable(torch.float32), reason="this CPU cannot compute sums inside convolutions")


@pytest.mark.parametrize(("arrange", "changes"), ARRANGED)
@pytest.mark.parametrize("scale", [2, 3])
@torch.no_grad()
def test_same_function_as_the_network(
    scale: int, arrange: type[FusedDRN], changes: dict[str, bool | int | str]
) -> None:
    model = small_model(scale, **changes)
    for parameter in model.parameters():  # biases start at 0; random values test every term
        parameter.add_(0.05 * torch.randn_like(parameter))
    lr = torch.rand(2, 3, 17, 23)
    expected = model(lr)
    assert (arrange(model)(lr) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("arrange", "changes"), ARRANGED)
@torch.no_grad()
def test_a_crop_with_margins_is_that_part_of_the_whole(
    arrange: type[FusedDRN], changes: dict[str, bool | int | str]
) -> None:
    model = small_model(2, **changes)
    lr = torch.rand(1, 3, 40, 50)
    whole, fast, halo = model(lr), arrange(model), model.halo
    for left, top, right, bottom in [
        (20, 18, 30, 26),
        (0, 0, 9, 9),
        (3, 20, 50, 40),
        (20, 5, 45, 30),
        (49, 39, 50, 40),
    ]:
        margins = Margins(left, top, 50 - right, 40 - bottom).at_most(halo)
        crop = lr[:, :, top - margins.top : bottom + margins.bottom, left - margins.left : right + margins.right]
        part = whole[:, :, 2 * top : 2 * bottom, 2 * left : 2 * right]
        assert (fast(crop, margins) - part).abs().max() <= 1e-5


@FUSED
@torch.no_grad()
def test_the_input_of_a_group_is_not_changed() -> None:
    group = OneDNNDRN(small_model(2, activation="relu")).groups[0]
    for margins in (NO_MARGINS, Margins(3, 2, 1, 5)):
        x = torch.rand(1, 16, 20, 24).contiguous(memory_format=torch.channels_last)
        before = x.clone()
        group(x, margins, 20)
        assert torch.equal(x, before)


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    """Forget before and after the test whether the operators are usable."""
    is_usable.cache_clear()
    yield
    is_usable.cache_clear()


@FUSED
def test_the_sums_are_fused_where_the_operators_are_usable(
    fresh_probe: None, monkeypatch: pytest.MonkeyPatch, photo: Array
) -> None:
    model = small_model(2, activation="relu")
    fused = Upscaler(model, "cpu", "fp32")
    assert isinstance(fused.model, OneDNNDRN)
    assert not isinstance(Upscaler(small_model(2), "cpu", "fp32").model, OneDNNDRN)  # its activation is ELU
    assert not isinstance(Upscaler(model, "cpu", "fp32", compiled=True).model, OneDNNDRN)
    expected = fused.upscale(photo).astype(int)
    monkeypatch.setattr(onednn, "conv_add_", lambda conv, x, other: other)  # a sum that is missing
    is_usable.cache_clear()
    plain = Upscaler(model, "cpu", "fp32")
    assert type(plain.model) is FusedDRN
    assert np.abs(plain.upscale(photo) - expected).max() <= 1


@FUSED
def test_the_released_network_is_as_exact_with_fused_sums_in_bfloat16(photo: Array) -> None:
    model = load_model(scale=2)
    crop = Rect(20, 10, 40, 30)
    exact = Upscaler(model, "cpu", "fp32").upscale(photo, lr_rect=crop)
    fused = Upscaler(model, "cpu", "bf16")
    assert isinstance(fused.model, OneDNNDRN)
    plain = Upscaler(model, "cpu", "bf16")
    plain.model = FusedDRN(model).eval().to(torch.bfloat16)
    plain.model.tail.float()
    errors = [np.abs(engine.upscale(photo, lr_rect=crop).astype(int) - exact) for engine in (fused, plain)]
    assert errors[0].mean() <= errors[1].mean() * 1.1  # fewer roundings
    assert errors[0].max() <= 4


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="other CPUs may lack oneDNN")
def test_the_operators_are_usable_on_common_machines(fresh_probe: None) -> None:
    assert is_usable(torch.float32)


def test_later_training_does_not_change_it() -> None:
    model = small_model(2)
    fast, lr = FusedDRN(model), torch.rand(1, 3, 5, 5)
    before = fast(lr)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(fast(lr), before)
    assert not any(parameter.requires_grad for parameter in fast.parameters())


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_margins_turn_with_the_crop(turns: int, flip: bool) -> None:
    wanted = torch.nn.functional.pad(torch.ones(1, 1, 2, 2), (1, 3, 2, 4))  # left, right, top, bottom
    turned = torch.rot90(wanted.flip(3) if flip else wanted, turns, (2, 3))
    left, top, right, bottom = Margins(1, 2, 3, 4).turned(turns, flip)
    rows, columns = turned.shape[2:]
    assert (turned[:, :, top : rows - bottom, left : columns - right] == 1).all()
    assert (rows - top - bottom, columns - left - right) == (2, 2)
