from __future__ import annotations

import pytest
import torch

from drn.fused import FusedDRN
from drn.geometry import Margins
from tests.helpers.models import small_model

NETWORKS: list[dict[str, bool | int | str]] = [
    {},
    {"use_rdb": False},
    {"feed_distilled": True},
    {"image_skip": False},
    {"activation": "relu"},
    {"n_blocks": 1},
    {"n_blocks": 3, "n_groups": 1},
]


@pytest.mark.parametrize("changes", NETWORKS)
@pytest.mark.parametrize("scale", [2, 3])
@torch.no_grad()
def test_same_function_as_the_network(scale: int, changes: dict[str, bool | int | str]) -> None:
    model = small_model(scale, **changes)
    for parameter in model.parameters():  # biases start at 0; random values test every term
        parameter.add_(0.05 * torch.randn_like(parameter))
    lr = torch.rand(2, 3, 17, 23)
    expected = model(lr)
    assert (FusedDRN(model)(lr) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("changes", NETWORKS)
@torch.no_grad()
def test_a_crop_with_margins_is_that_part_of_the_whole(changes: dict[str, bool | int | str]) -> None:
    model = small_model(2, **changes)
    lr = torch.rand(1, 3, 40, 50)
    whole, fast, halo = model(lr), FusedDRN(model), model.halo
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
