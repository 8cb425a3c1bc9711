"""The rearranged network for CPUs: ReLU and the residual sums happen inside the convolutions.

As separate steps, ReLU and each sum would read and write all features once more. This takes time, because memory is
slow. oneDNN, the library of torch's convolutions on CPUs, can apply both to an output before it is written. The
operators for this are those that torch's compiler uses. They are not public, so ``is_usable`` tests them first.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from drn.fused import FusedDRN, FusedRDG, cut, frozen_conv
from drn.geometry import Margins
from drn.model import DRN, LEAKY_SLOPE

SLOPES = {"relu": 0.0, "leaky_relu": LEAKY_SLOPE}
"""Activation -> its slope below 0, for the activations that can happen inside a convolution."""


def _settings(conv: nn.Module) -> tuple[Tensor, Tensor | None, list[int], list[int], list[int], int]:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(conv.padding, tuple)
    return conv.weight, conv.bias, list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups


def conv_relu(conv: nn.Module, x: Tensor, slope: float) -> Tensor:
    """Return ``leaky_relu(conv(x))``, on the CPU and in the dtype of ``conv``.

    Args:
        conv: A convolution with O outputs that keeps height and width.
        x: (B, C, H, W).
        slope: Slope of the activation below 0; 0 for ReLU.

    Returns:
        (B, O, H, W).
    """
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, *_settings(conv), "leaky_relu", [slope], "")
    return result


def conv_add(conv: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """Return ``conv(x) + other``, on the CPU and in the dtype of ``conv``.

    Args:
        conv: A convolution with O outputs that keeps height and width.
        x: (B, C, H, W).
        other: (B, O, H, W).
    """
    result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, *_settings(conv), "add", 1.0, None, [], None
    )
    return result


def conv_add_(conv: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """Add ``conv(x)`` to ``other`` in place and return ``other``, which must be contiguous in channels_last.

    Args:
        conv: See ``conv_add``.
        x: See ``conv_add``.
        other: See ``conv_add``.
    """
    result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        other, x, *_settings(conv), "add", 1.0, None, [], None
    )
    return result


@functools.cache
def is_usable(dtype: torch.dtype) -> bool:
    """Return whether the operators exist and return the right values on the CPU in this dtype.

    False with the library for ARM, which has no fused operators.
    """
    n_feats = 16
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    try:
        if torch.ops.mkldnn._is_mkldnn_acl_supported():
            return False
        for size in (1, 3):
            weight = torch.linspace(-0.2, 0.2, n_feats**2 * size**2).view(n_feats, n_feats, size, size).sin()
            conv = frozen_conv(weight, torch.linspace(-1, 1, n_feats)).to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            x, other = (
                _dense(part[None].to(dtype)) for part in torch.linspace(-9, 9, 1600).cos().view(2, n_feats, 5, 10)
            )
            expected = conv(x)
            pairs = [
                (conv_relu(conv, x, 0.0), expected.relu()),
                (conv_relu(conv, x, 0.1), nn.functional.leaky_relu(expected, 0.1)),
                (conv_add(conv, x, other), expected + other),
                (conv_add_(conv, x, other.clone()), expected + other),
            ]
            if not all(torch.allclose(found.float(), right.float(), atol=tolerance) for found, right in pairs):
                return False
    except (AttributeError, RuntimeError):
        return False
    return True


class OneDNNGroup(nn.Module):
    """A ``FusedRDG`` with fewer passes over the features.

    The second convolution of a block becomes two: one adds its output to the residual branch, the other returns the
    distilled features. Both outputs are contiguous, so that they are read faster.

    Args:
        group: The group to rearrange.
        slope: Slope of its activation below 0; the activation is ReLU or leaky ReLU.
    """

    def __init__(self, group: FusedRDG, slope: float) -> None:
        super().__init__()
        self.group, self.slope = group, slope
        n_feats = group.n_feats
        self.refine = nn.ModuleList(_outputs(conv, 0, n_feats) for conv in group.conv2)
        self.distill = nn.ModuleList(_outputs(conv, n_feats, None) for conv in group.conv2 if group.n_distill)
        del group.conv2

    def forward(self, x: Tensor, margins: Margins, need: int) -> Tensor:
        """Compute the group's output, as ``FusedRDG.forward`` does."""
        start = now = margins.at_most(need)
        residual, distilled = x, list[Tensor]()
        for index, (conv1, refine) in enumerate(zip(self.group.conv1, self.refine, strict=False)):
            hidden = conv_relu(conv1, self.group.joined(residual, distilled), self.slope)
            summed = conv_add_(refine, hidden, residual) if index else conv_add(refine, hidden, residual)
            need -= 2
            before, now = now, margins.at_most(need)
            residual = _dense(cut(summed, before, now))
            distilled = [cut(old, before, now) for old in distilled]
            if self.distill:
                distilled.append(cut(self.distill[index](hidden), before, now))
        hidden = conv_relu(self.group.conv1[-1], self.group.joined(residual, distilled), self.slope)
        features = torch.cat([residual, *distilled], 1) if distilled else residual
        fused = conv_add(self.group.fusion, features, _dense(cut(x, start, now)))
        return _dense(cut(conv_add_(self.group.last, hidden, fused), now, margins.at_most(need - 2)))


class OneDNNDRN(FusedDRN):
    """A faster ``FusedDRN``, for CPUs on which ``is_usable`` returns True and for the activations of ``SLOPES``."""

    def __init__(self, model: DRN) -> None:
        super().__init__(model)
        slope = SLOPES[model.config.activation]
        self.groups = nn.ModuleList(OneDNNGroup(group, slope) for group in self.groups if isinstance(group, FusedRDG))

    def last_input(self, fused: Tensor, features: Tensor) -> Tensor:
        """Return the input of the last convolution, see ``FusedDRN.last_input``.

        The sum is computed in the dtype of the layers, with one rounding, and then converted.
        """
        return conv_add(self.fusion_conv, fused, _dense(features)).to(self.tail.weight.dtype)


def _outputs(conv: nn.Module, first: int, end: int | None) -> nn.Conv2d:
    """Return a convolution that computes the outputs ``first`` to ``end - 1``, or to the last, of ``conv``."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return frozen_conv(conv.weight[first:end], conv.bias[first:end])


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
