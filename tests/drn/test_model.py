from __future__ import annotations

import pytest
import torch

from drn.model import DRN, RDB, DRNConfig, count_parameters, drn
from tests.helpers.models import small_model


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_released_network_is_small_and_enlarges_by_its_scale(scale: int) -> None:
    model = drn(scale)
    assert count_parameters(model) <= 1_000_000
    assert model(torch.rand(2, 3, 7, 5)).shape == (2, 3, 7 * scale, 5 * scale)


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (9, 1), (5, 8)])
def test_any_size_works(size: tuple[int, int]) -> None:
    sr = small_model(3)(torch.rand(1, 3, *size))
    assert sr.shape == (1, 3, size[0] * 3, size[1] * 3)
    assert torch.isfinite(sr).all()


@pytest.mark.parametrize(
    "changes", [{}, {"use_rdb": False}, {"feed_distilled": True}, {"image_skip": False}, {"activation": "leaky_relu"}]
)
def test_every_parameter_gets_a_gradient(changes: dict[str, bool]) -> None:
    model = small_model(2, **changes)
    model(torch.rand(1, 3, 12, 12)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("activation", "learns"), [("relu", False), ("leaky_relu", True), ("elu", True)])
def test_a_hidden_unit_that_is_negative_everywhere_learns_unless_it_is_a_relu(activation: str, learns: bool) -> None:
    model = small_model(2, activation=activation)
    block = next(module for module in model.modules() if isinstance(module, RDB))
    assert block.conv1.bias is not None
    with torch.no_grad():
        block.conv1.bias[3] = -5
    model(torch.rand(1, 3, 12, 12)).square().mean().backward()
    gradient = block.conv1.weight.grad
    assert gradient is not None
    assert bool(gradient[3].abs().sum() > 0) == learns
    assert gradient[4].abs().sum() > 0


def test_ablation_has_the_same_size_within_three_percent() -> None:
    plain = count_parameters(DRN(DRNConfig(scale=2, use_rdb=False)))
    assert plain == pytest.approx(count_parameters(DRN(DRNConfig(scale=2))), rel=0.03)


def test_without_learned_detail_the_image_skip_repeats_pixels() -> None:
    model = small_model(3)
    for parameter in model.tail.parameters():
        torch.nn.init.zeros_(parameter)
    lr = torch.rand(1, 3, 4, 5)
    expected = lr.repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert torch.equal(model(lr), expected)


@pytest.mark.parametrize("changes", [{}, {"feed_distilled": True}, {"n_blocks": 3, "n_groups": 1}])
def test_halo_is_the_receptive_radius(changes: dict[str, int]) -> None:
    model = small_model(2, **changes)
    size = 2 * model.halo + 9
    lr = torch.rand(1, 3, size, size)
    lr.requires_grad_()
    centre = size // 2
    model(lr)[0, :, 2 * centre : 2 * centre + 2, 2 * centre : 2 * centre + 2].sum().backward()
    assert lr.grad is not None
    rows = lr.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (int(rows.min()), int(rows.max())) == (centre - model.halo, centre + model.halo)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 0),
        ("scale", 9),
        ("n_feats", 0),
        ("n_feats", 10**9),
        ("n_blocks", "3"),
        ("n_groups", True),
        ("use_rdb", 1),
    ],
)
def test_config_refuses_what_is_out_of_bounds(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        DRNConfig.from_dict({"scale": 2, field: value})


def test_config_refuses_unknown_and_missing_fields() -> None:
    with pytest.raises(ValueError, match="'width'"):
        DRNConfig.from_dict({"scale": 2, "width": 3})
    with pytest.raises(ValueError, match="'scale' is missing"):
        DRNConfig.from_dict({})
    config = DRNConfig(scale=3, n_feats=48)
    assert DRNConfig.from_dict(config.to_dict()) == config
