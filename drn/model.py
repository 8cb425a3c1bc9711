"""The network: Distilling with Residual Network (DRN), arXiv 1907.02843.

This module contains only the forward pass. Other modules handle devices, files, clamping and 8-bit images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALES = (2, 3, 4)
"""The scales of the bundled weights. A network can be built for any scale from 1 to 8."""

LEAKY_SLOPE = 0.01
"""Slope of the leaky ReLU below 0. It is small, so that a network with ReLU remains nearly the same with it."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": functools.partial(F.elu, inplace=True),
    "relu": functools.partial(F.relu, inplace=True),
    "leaky_relu": functools.partial(F.leaky_relu, negative_slope=LEAKY_SLOPE, inplace=True),
}


@dataclass(frozen=True)
class DRNConfig:
    """The shape of a network.

    Attributes:
        scale: Upscaling factor, 1 to 8.
        n_feats: Width C of the residual branch, 4 to 256 channels.
        n_distill: Channels d that each block adds to the distilling branch, 1 to 128.
        n_blocks: Blocks B in a group, 1 to 16.
        n_groups: Groups G, 1 to 16.
        use_rdb: Whether the blocks are residual distilling blocks. False builds the ablation of the paper: plain
            residual blocks with the same number of convolution weights and no distilling branch.
        feed_distilled: Whether a block also reads the distilled features of the blocks before it.
        image_skip: Whether the nearest-neighbour enlargement of the input is added to the output, so that the network
            predicts a residual.
        activation: ``elu``, as in the paper, ``relu`` or ``leaky_relu``. ELU is nearly linear for the small features of
            a new network. A hidden unit with ReLU whose input is negative everywhere has no gradient; with leaky ReLU
            it has one.

    Raises:
        ValueError: If a field has the wrong type or lies outside its bounds.
    """

    scale: int
    n_feats: int = 64
    n_distill: int = 16
    n_blocks: int = 3
    n_groups: int = 3
    use_rdb: bool = True
    feed_distilled: bool = False
    image_skip: bool = True
    activation: str = "elu"

    def __post_init__(self) -> None:
        bounds = {
            "scale": (1, 8),
            "n_feats": (4, 256),
            "n_distill": (1, 128),
            "n_blocks": (1, 16),
            "n_groups": (1, 16),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "activation":
                if not isinstance(value, str) or value not in ACTIVATIONS:
                    raise ValueError(f"DRN config: activation must be {' or '.join(ACTIVATIONS)}, not {value!r}.")
            elif field.name not in bounds:
                if type(value) is not bool:
                    raise ValueError(f"DRN config: {field.name} must be true or false, not {value!r}.")
            else:
                low, high = bounds[field.name]
                if type(value) is not int or not low <= value <= high:
                    raise ValueError(
                        f"DRN config: {field.name} must be a whole number from {low} to {high}, not {value!r}."
                    )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DRNConfig:
        """Build a config from a dict, such as parsed JSON.

        Raises:
            ValueError: If a field is unknown, missing, or out of bounds.
        """
        if not isinstance(values, dict):
            raise ValueError("DRN config: expected a JSON object.")
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"DRN config: unknown field {unknown[0]!r}.")
        if "scale" not in values:
            raise ValueError("DRN config: the field 'scale' is missing.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict that ``from_dict`` reads."""
        return asdict(self)


class RDB(nn.Module):
    """Residual distilling block, with a residual and a distilling branch.

    ``u = conv(activation(conv(r)))`` has C + d channels. The first C are added to the residual branch. The last d are
    appended to the distilled features of the group.
    """

    def __init__(self, config: DRNConfig, index: int) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.n_feats, self.n_distill = config.n_feats, config.n_distill
        self.feed_distilled = config.feed_distilled
        n_in = config.n_feats + (index * config.n_distill if config.feed_distilled else 0)
        self.conv1 = nn.Conv2d(n_in, config.n_feats, 3, padding=1)
        self.conv2 = nn.Conv2d(config.n_feats, config.n_feats + config.n_distill, 3, padding=1)

    def forward(self, residual: Tensor, distilled: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the new residual branch and the list of distilled features, extended by one entry.

        Args:
            residual: (B, C, H, W).
            distilled: One tensor (B, d, H, W) for each block before this one.
        """
        x = torch.cat([residual, *distilled], 1) if self.feed_distilled and distilled else residual
        u = self.conv2(self.activation(self.conv1(x)))
        # split, not two slices: the gradient of a slice is a full tensor, zero outside the slice.
        refined, kept = u.split([self.n_feats, self.n_distill], 1)
        return residual + refined, [*distilled, kept]


class ResidualBlock(nn.Module):
    """Residual block of the ablation: no distilling branch, and the same number of convolution weights as an RDB.

    An RDB that reads no distilled features has 9 C (2C + d) weights. A hidden width of C + d/2 gives the same number.
    """

    def __init__(self, config: DRNConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        hidden = config.n_feats + config.n_distill // 2
        self.conv1 = nn.Conv2d(config.n_feats, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, config.n_feats, 3, padding=1)

    def forward(self, residual: Tensor, distilled: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the new residual branch (B, C, H, W) and ``distilled`` unchanged."""
        return residual + self.conv2(self.activation(self.conv1(residual))), distilled


class RDG(nn.Module):
    """Residual distilling group: B blocks, a local feature fusion (1x1) and a skip connection over the group."""

    def __init__(self, config: DRNConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            RDB(config, index) if config.use_rdb else ResidualBlock(config) for index in range(config.n_blocks)
        )
        n_fused = config.n_feats + (config.n_blocks * config.n_distill if config.use_rdb else 0)
        self.fusion = nn.Conv2d(n_fused, config.n_feats, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C, H, W) to features of the same shape."""
        residual = x
        distilled: list[Tensor] = []
        for block in self.blocks:
            residual, distilled = block(residual, distilled)
        fused: Tensor = self.fusion(torch.cat([residual, *distilled], 1) if distilled else residual)
        return x + fused


class DRN(nn.Module):
    """The network: feature extraction (LFE), groups (RDG), global feature fusion and sub-pixel reconstruction (IR)."""

    def __init__(self, config: DRNConfig) -> None:
        super().__init__()
        self.config = config
        n_feats = config.n_feats
        self.head = nn.Conv2d(3, n_feats, 3, padding=1)
        self.groups = nn.ModuleList(RDG(config) for _ in range(config.n_groups))
        self.fusion = nn.Conv2d(config.n_groups * n_feats, n_feats, 1)
        self.fusion_conv = nn.Conv2d(n_feats, n_feats, 3, padding=1)
        self.tail = nn.Conv2d(n_feats, 3 * config.scale**2, 3, padding=1)

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self.config.scale

    @property
    def halo(self) -> int:
        """Receptive radius in LR pixels: the largest distance at which an input pixel changes an output pixel.

        It is the number of 3x3 convolutions on the longest path. A crop with this much context on each side gives the
        same output as the whole image.
        """
        return 2 * self.config.n_blocks * self.config.n_groups + 3

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale a batch.

        Args:
            lr: (B, 3, H, W), RGB in [0, 1], any H, W >= 1.

        Returns:
            (B, 3, H*scale, W*scale) in the dtype of ``lr``. Values may lie outside [0, 1].
        """
        # Mid-grey becomes 0, so that the zero padding of the convolutions is a grey border instead of a black one.
        features = self.head((lr - 0.5).to(self.head.weight.dtype))
        x, outputs = features, []
        for group in self.groups:
            x = group(x)
            outputs.append(x)
        fused = self.fusion_conv(self.fusion(torch.cat(outputs, 1)))
        sub_pixels = self.tail(fused + features).to(lr.dtype)
        if self.config.image_skip:
            sub_pixels = sub_pixels + lr.repeat_interleave(self.scale**2, 1)
        sr: Tensor = F.pixel_shuffle(sub_pixels, self.scale)
        return sr


def drn(scale: int) -> DRN:
    """Build the released network for ``scale``, with random weights and under 1.0 M parameters.

    Args:
        scale: 2, 3 or 4 for the scales of the bundled weights; 1 to 8 can be built.
    """
    return DRN(DRNConfig(scale=scale, n_feats=48, n_distill=16, n_blocks=4, n_groups=4, activation="relu"))


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters of ``model``."""
    return sum(parameter.numel() for parameter in model.parameters())
