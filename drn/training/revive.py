"""Hidden units that have gone silent, and their revival.

A ReLU whose input is negative at every pixel passes nothing on and gets no gradient, so it stays silent however long
training goes on. It happened at high rates: the updates of Muon and Adam do not shrink with the gradient, so that they
shake what matters little as much as what matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drn.model import DRN, RDB, ResidualBlock

SILENT_SHARE = 1e-4
"""A unit that fires at a smaller share of the pixels is silent."""

FIRING_SHARE = 0.4
"""Share of the pixels at which a revived unit fires at first."""

QUANTILE_PIXELS = 4096
"""A revived unit's threshold is taken of so many pixels, drawn at random."""


@dataclass(frozen=True)
class Hidden:
    """A block on a batch.

    Attributes:
        block: The block.
        silent: Which of its hidden units fire at less than ``SILENT_SHARE`` of the pixels: bool, (hidden units,).
        x: What it reads, (B, C, H, W); None if no unit is silent.
    """

    block: RDB | ResidualBlock
    silent: Tensor
    x: Tensor | None


@torch.no_grad()
def hidden_units(model: DRN, lr: Tensor) -> list[Hidden]:
    """The blocks of a network with ReLU, first to last, and which of their units are silent on a batch.

    Args:
        lr: (B, 3, H, W), RGB in [0, 1].

    Returns:
        None of a network with another activation, whose units have a gradient wherever they are.
    """
    found: list[Hidden] = []
    if model.config.activation != "relu":
        return found
    hooks = []
    for block in model.modules():
        if isinstance(block, RDB | ResidualBlock):

            def note(_: nn.Module, args: tuple[Tensor], out: Tensor, block: RDB | ResidualBlock = block) -> None:
                silent = (out > 0).float().mean((0, 2, 3)) < SILENT_SHARE
                found.append(Hidden(block, silent, args[0] if silent.any() else None))

            hooks.append(block.conv1.register_forward_hook(note))
    try:
        model(lr)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.no_grad()
def revive(model: DRN, lr: Tensor) -> int:
    """Start silent units anew: random weights, a threshold that lets them fire, and nothing passed on as yet.

    The network's output stays as it is, but for what they let pass at less than ``SILENT_SHARE`` of the pixels. What
    they pass on has a gradient again, and as soon as that is not 0 any more, so have they.

    Args:
        lr: The batch that tells which units are silent: (B, 3, H, W), RGB in [0, 1].

    Returns:
        How many there were.
    """
    blocks = hidden_units(model, lr)
    for hidden in blocks:
        block, silent, x = hidden.block, hidden.silent, hidden.x
        if x is None:
            continue
        weight, bias = block.conv1.weight, block.conv1.bias
        assert bias is not None
        drawn = nn.Conv2d(weight.shape[1], int(silent.sum()), 3).to(weight)
        weight[silent] = drawn.weight
        inputs = nn.functional.conv2d(x, drawn.weight, padding=1).transpose(0, 1).flatten(1)
        some = inputs[:, torch.randint(inputs.shape[1], (QUANTILE_PIXELS,), device=inputs.device)]
        bias[silent] = -some.quantile(1 - FIRING_SHARE, 1)
        block.conv2.weight[:, silent] = 0
    return count_silent(blocks)


def count_silent(blocks: list[Hidden]) -> int:
    return sum(int(hidden.silent.sum()) for hidden in blocks)
