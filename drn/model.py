"""The network: Distilling with Residual Network (DRN), arXiv 1907.02843.

Forward pass only. The model knows no device, no file, no clamping and no 8-bit images.
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
"""The scales we train and ship. The network itself can be built for any scale from 1 to 8."""


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": functools.partial(F.elu, inplace=True),
    "relu": functools.partial(F.relu, inplace=True),
}


@dataclass(frozen=True)
class DRNConfig:
    """Everything that fixes the network's shape.

    Attributes:
        scale: Upscaling factor, 1 to 8.
        n_feats: Width C of the residual branch, 4 to 256 channels.
        n_distill: Channels d that each block adds to the distilling branch, 1 to 128.
        n_blocks: Blocks B in a group, 1 to 16.
        n_groups: Groups G, 1 to 16.
        use_rdb: False builds the paper's ablation: plain residual blocks with as many
            convolution weights, and no distilling branch.
        feed_distilled: Whether a block also reads what the blocks before it distilled.
        image_skip: Whether the nearest-neighbour enlargement of the input is added to the output,
            so that the network predicts a residual.
        activation: ``elu``, the paper's, or ``relu``. Features start small, where ELU is nearly linear.

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
        """Build a config from a plain dict, such as parsed JSON.

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
        return asdict(self)


class RDB(nn.Module):
    """Residual distilling block: one residual branch, one distilling branch.

    ``u = conv(activation(conv(r)))`` has C + d channels. The first C are added to the residual branch,
    the last d are appended to the distilled features of the group.
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
        """Map ``residual`` (B,C,H,W) and a list of (B,d,H,W) to the same, one entry longer."""
        x = torch.cat([residual, *distilled], 1) if self.feed_distilled and distilled else residual
        u = self.conv2(self.activation(self.conv1(x)))
        # Not two slices: the gradient of a slice is a whole tensor of zeros with one part filled in.
        refined, kept = u.split([self.n_feats, self.n_distill], 1)
        return residual + refined, [*distilled, kept]


class ResidualBlock(nn.Module):
    """The ablation's block: residual branch only, with the convolution weights of an RDB.

    An RDB that is not fed has 9 C (2C + d) of them; a hidden width of C + d/2 gives as many here.
    """

    def __init__(self, config: DRNConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        hidden = config.n_feats + config.n_distill // 2
        self.conv1 = nn.Conv2d(config.n_feats, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, config.n_feats, 3, padding=1)

    def forward(self, residual: Tensor, distilled: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Map ``residual`` (B,C,H,W) to the same shape; ``distilled`` passes through, empty."""
        return residual + self.conv2(self.activation(self.conv1(residual))), distilled


class RDG(nn.Module):
    """Residual distilling group: B blocks, local feature fusion (1x1) and a long skip."""

    def __init__(self, config: DRNConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            RDB(config, index) if config.use_rdb else ResidualBlock(config) for index in range(config.n_blocks)
        )
        n_fused = config.n_feats + (config.n_blocks * config.n_distill if config.use_rdb else 0)
        self.fusion = nn.Conv2d(n_fused, config.n_feats, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,H,W) to (B,C,H,W)."""
        residual = x
        distilled: list[Tensor] = []
        for block in self.blocks:
            residual, distilled = block(residual, distilled)
        fused: Tensor = self.fusion(torch.cat([residual, *distilled], 1) if distilled else residual)
        return x + fused


class DRN(nn.Module):
    """The whole network: features (LFE), groups (RDG), global fusion, sub-pixel reconstruction (IR)."""

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
        return self.config.scale

    @property
    def halo(self) -> int:
        """Receptive radius in LR pixels: how far an input pixel can reach.

        One for each 3x3 convolution on the longest path. A crop with this margin of true
        neighbours gives the same output as the whole image.
        """
        return 2 * self.config.n_blocks * self.config.n_groups + 3

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale a batch.

        Args:
            lr: (B, 3, H, W), RGB in [0, 1], any H, W >= 1.

        Returns:
            (B, 3, H*scale, W*scale) in the dtype of ``lr``. Values may leave [0, 1].
        """
        # Mid-grey becomes 0, so the zero padding of the convolutions is a grey border, not a black one.
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
    """The released network for ``scale`` (2, 3 or 4; x8 can be built): under 1.0 M parameters."""
    return DRN(DRNConfig(scale=scale, n_feats=48, n_distill=16, n_blocks=4, n_groups=4, activation="relu"))


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
