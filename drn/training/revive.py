"""Detection and reinitialization of silent hidden units, the problem known as dying ReLU.

A ReLU whose input is negative at every pixel outputs 0 everywhere and gets no gradient, so further training does not
change it. We saw this at high learning rates: the size of the updates of Muon and Adam does not depend on the size of
the gradient, so units with a small effect receive updates as large as all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drn.model import DRN, RDB, ResidualBlock

SILENT_SHARE = 1e-4
"""A unit is silent if the share of pixels at which its output is above 0 is smaller than this."""

FIRING_SHARE = 0.4
"""Share of the pixels at which the output of a reinitialized unit is above 0 at first."""

QUANTILE_PIXELS = 4096
"""Number of random pixels from which the bias of a reinitialized unit is computed."""


@dataclass(frozen=True)
class HiddenUnits:
    """The hidden units of one block, observed on a batch.

    Attributes:
        block: The block.
        silent: Whether each unit is silent, see ``SILENT_SHARE``: bool, (units,).
        x: Input of the block, (B, C, H, W); None if no unit is silent.
    """

    block: RDB | ResidualBlock
    silent: Tensor
    x: Tensor | None


@torch.no_grad()
def hidden_units(model: DRN, lr: Tensor) -> list[HiddenUnits]:
    """Observe the hidden units of every block on a batch.

    Args:
        model: The network.
        lr: (B, 3, H, W), RGB in [0, 1].

    Returns:
        One entry for each block, first to last; no entries if the activation is not ReLU, because the units of other
        activations always have a gradient.
    """
    observed: list[HiddenUnits] = []
    if model.config.activation != "relu":
        return observed
    hooks = []
    for block in model.modules():
        if isinstance(block, RDB | ResidualBlock):

            def observe(_: nn.Module, args: tuple[Tensor], out: Tensor, block: RDB | ResidualBlock = block) -> None:
                silent = (out > 0).float().mean((0, 2, 3)) < SILENT_SHARE
                observed.append(HiddenUnits(block, silent, args[0] if silent.any() else None))

            hooks.append(block.conv1.register_forward_hook(observe))
    try:
        model(lr)
    finally:
        for hook in hooks:
            hook.remove()
    return observed


@torch.no_grad()
def revive(model: DRN, lr: Tensor) -> int:
    """Reinitialize the silent units: random input weights, a bias with which they fire, and output weights of 0.

    The network's output changes only at the pixels where these units fired, which are fewer than ``SILENT_SHARE`` of
    all pixels. Afterwards the output weights of the units have a gradient again. When the output weights differ from 0,
    the input weights have a gradient too.

    Args:
        model: The network, changed in place.
        lr: Batch on which the units are observed: (B, 3, H, W), RGB in [0, 1].

    Returns:
        The number of reinitialized units.
    """
    blocks = hidden_units(model, lr)
    for units in blocks:
        block, silent, x = units.block, units.silent, units.x
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


def count_silent(blocks: list[HiddenUnits]) -> int:
    """Return the number of silent units in all blocks."""
    return sum(int(units.silent.sum()) for units in blocks)
