"""A residual distilling group for CPUs, in which ReLU and the sums happen inside the convolutions.

Apart from them, ReLU and each sum would read and write all features once more, which takes time because memory is slow.
oneDNN, the library of torch's convolutions on CPUs, can apply both to an output before it is written. The operators for
this are those that torch's compiler uses. They are not public, so ``is_usable`` tests them first.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from drn.fused import FusedDRN, FusedRDG, cut, frozen_conv
from drn.geometry import Margins
from drn.model import DRN


def _settings(conv: nn.Module) -> tuple[Tensor, Tensor | None, list[int], list[int], list[int], int]:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(conv.padding, tuple)
    return conv.weight, conv.bias, list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups


def conv_relu(conv: nn.Module, x: Tensor) -> Tensor:
    """Return ``relu(conv(x))``, for ``x`` (B, C, H, W) on the CPU."""
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, *_settings(conv), "relu", [], "")
    return result


def conv_add(conv: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """Return ``conv(x) + other``, for tensors on the CPU."""
    result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, *_settings(conv), "add", 1.0, None, [], None
    )
    return result


def conv_add_(conv: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """Add ``conv(x)`` to ``other``, which is contiguous in channels_last and on the CPU, and return ``other``."""
    result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        other, x, *_settings(conv), "add", 1.0, None, [], None
    )
    return result


@functools.cache
def is_usable(dtype: torch.dtype) -> bool:
    """Return whether the operators exist and return the right values, on the CPU in this dtype."""
    conv = nn.Conv2d(4, 4, 3, padding=1).to(dtype).requires_grad_(False)
    x, other = torch.linspace(-1, 1, 400).view(2, 2, 100)
    x, other = (
        part.reshape(1, 4, 5, 10).to(dtype).contiguous(memory_format=torch.channels_last) for part in (x, other)
    )
    try:
        expected = conv(x)
        pairs = [
            (conv_relu(conv, x), expected.relu()),
            (conv_add(conv, x, other), expected + other),
            (conv_add_(conv, x, other.clone()), expected + other),
        ]
    except (AttributeError, RuntimeError):
        return False
    return all(torch.allclose(found.float(), right.float(), atol=0.05) for found, right in pairs)


class OneDNNGroup(nn.Module):
    """A ``FusedRDG`` with fewer passes over the features.

    The second convolution of a block becomes two: one adds its output to the residual branch, the other returns the
    distilled features. Both outputs are contiguous, so that they are read faster.

    Args:
        group: The group to rearrange. Its activation must be ReLU.
    """

    def __init__(self, group: FusedRDG) -> None:
        super().__init__()
        self.group = group
        n_feats = group.n_feats
        self.refine = nn.ModuleList(_outputs(conv, 0, n_feats) for conv in group.conv2)
        self.distill = nn.ModuleList(_outputs(conv, n_feats, None) for conv in group.conv2 if group.n_distill)
        del group.conv2

    def forward(self, x: Tensor, margins: Margins, need: int) -> Tensor:
        """Compute the group's output, as ``FusedRDG.forward`` does."""
        start = now = margins.at_most(need)
        residual, distilled = x, list[Tensor]()
        for index, (conv1, refine) in enumerate(zip(self.group.conv1, self.refine, strict=False)):
            hidden = conv_relu(conv1, self.group.joined(residual, distilled))
            refined = conv_add_(refine, hidden, residual) if index else conv_add(refine, hidden, residual)
            need -= 2
            before, now = now, margins.at_most(need)
            residual = _dense(cut(refined, before, now))
            distilled = [cut(old, before, now) for old in distilled]
            if self.distill:
                distilled.append(cut(self.distill[index](hidden), before, now))
        hidden = conv_relu(self.group.conv1[-1], self.group.joined(residual, distilled))
        features = torch.cat([residual, *distilled], 1) if distilled else residual
        fused = conv_add(self.group.fusion, features, _dense(cut(x, start, now)))
        return _dense(cut(conv_add_(self.group.last, hidden, fused), now, margins.at_most(need - 2)))


class OneDNNDRN(FusedDRN):
    """``FusedDRN`` for a CPU on which ``is_usable`` returns True, and for the activation ReLU."""

    def __init__(self, model: DRN) -> None:
        super().__init__(model)
        self.groups = nn.ModuleList(OneDNNGroup(group) for group in self.groups if isinstance(group, FusedRDG))

    def refined(self, fused: Tensor, features: Tensor) -> Tensor:
        """Return the input of the last convolution, in its dtype, see ``FusedDRN.refined``."""
        return conv_add(self.fusion_conv, fused, _dense(features)).to(self.tail.weight.dtype)


def _outputs(conv: nn.Module, first: int, end: int | None) -> nn.Conv2d:
    """Return a convolution that computes the outputs ``first`` to ``end - 1``, or to the last, of ``conv``."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return frozen_conv(conv.weight[first:end], conv.bias[first:end])


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
