"""The network rearranged for inference: the same function as ``drn.model.DRN`` with less arithmetic and fewer copies.

Three exact changes:

- The first convolution reads 8-bit levels around mid-grey, -127.5 to 127.5, which bfloat16 represents exactly.
- The output of the last convolution in a group is used only by the group's 1x1 fusion, so both become one 3x3
  convolution.
- Each 3x3 convolution reduces the halo that later layers need by one pixel. Pixels outside this halo are cut off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drn.geometry import NO_MARGINS, Margins
from drn.model import ACTIVATIONS, DRN, RDG, DRNConfig

LEVELS = 255
"""The difference between white and black in 8-bit levels."""


def cut(x: Tensor, before: Margins, after: Margins) -> Tensor:
    """Return a view of ``x`` (B, C, H, W) with its margins reduced from ``before`` to ``after``."""
    height, width = x.shape[2:]
    top, left = before.top - after.top, before.left - after.left
    bottom, right = height - before.bottom + after.bottom, width - before.right + after.right
    return x[:, :, top:bottom, left:right]


def frozen_conv(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a convolution with a copy of ``weight`` (O, I, K, K) and ``bias`` (O,), of stride 1 and padding K // 2."""
    n_out, n_in, size = weight.shape[:3]
    with torch.device("meta"):
        conv = nn.Conv2d(n_in, n_out, size, padding=size // 2)
    conv.weight, conv.bias = (nn.Parameter(tensor.clone(), requires_grad=False) for tensor in (weight, bias))
    return conv


class FusedRDG(nn.Module):
    """A residual distilling group whose last convolution is merged with its fusion."""

    def __init__(self, group: RDG, config: DRNConfig) -> None:
        super().__init__()
        self.feed_distilled = config.feed_distilled
        self.activation = ACTIVATIONS[config.activation]
        state = group.state_dict()

        def conv(name: str) -> nn.Conv2d:
            return frozen_conv(state[f"{name}.weight"], state[f"{name}.bias"])

        last = len(group.blocks) - 1
        self.conv1 = nn.ModuleList(conv(f"blocks.{index}.conv1") for index in range(last + 1))
        self.conv2 = nn.ModuleList(conv(f"blocks.{index}.conv2") for index in range(last))
        fusion = state["fusion.weight"]
        weight, bias = state[f"blocks.{last}.conv2.weight"], state[f"blocks.{last}.conv2.bias"]
        self.n_feats = len(fusion)
        self.n_distill = len(weight) - self.n_feats
        n_before = fusion.shape[1] - self.n_distill
        self.fusion = frozen_conv(fusion[:, :n_before], state["fusion.bias"])
        merge = torch.cat([fusion[:, : self.n_feats], fusion[:, n_before:]], 1)[:, :, 0, 0]
        self.last = frozen_conv(torch.einsum("om,mikl->oikl", merge, weight), merge @ bias)

    def forward(self, x: Tensor, margins: Margins, need: int) -> Tensor:
        """Compute the group's output.

        Args:
            x: (B, C, H, W), the crop with ``margins`` reduced to ``need``.
            margins: The margins of the crop.
            need: Width of the context that later layers still need, in pixels.

        Returns:
            (B, C, h, w) with the margins reduced by one pixel for each 3x3 convolution of the group.
        """
        now = margins.at_most(need)
        residual, distilled = x, list[Tensor]()
        for conv1, conv2 in zip(self.conv1, self.conv2, strict=False):
            u = conv2(self._hidden(conv1, residual, distilled))
            need -= 2
            before, now = now, margins.at_most(need)
            u = cut(u, before, now)
            residual = cut(residual, before, now) + u[:, : self.n_feats]
            distilled = [*(cut(old, before, now) for old in distilled), u[:, self.n_feats :]]
        last = self.last(self._hidden(self.conv1[-1], residual, distilled))
        after = margins.at_most(need - 2)
        kept = [cut(features, now, after) for features in (residual, *distilled)]
        fused: Tensor = self.fusion(torch.cat(kept, 1) if distilled else kept[0])
        return fused.add_(cut(last, now, after)).add_(cut(x, margins.at_most(need + 2 * len(self.conv2)), after))

    def joined(self, residual: Tensor, distilled: list[Tensor]) -> Tensor:
        """Return the input of a block: the residual branch, with the distilled features if the blocks read them.

        Args:
            residual: (B, C, H, W).
            distilled: One tensor (B, d, H, W) for each block before this one.
        """
        return torch.cat([residual, *distilled], 1) if self.feed_distilled and distilled else residual

    def _hidden(self, conv: nn.Module, residual: Tensor, distilled: list[Tensor]) -> Tensor:
        return self.activation(conv(self.joined(residual, distilled)))


class FusedDRN(nn.Module):
    """The network for inference, with a copy of the weights of ``model``."""

    def __init__(self, model: DRN) -> None:
        super().__init__()
        self.config = model.config
        self.halo = model.halo
        self.groups = nn.ModuleList(FusedRDG(group, model.config) for group in model.groups if isinstance(group, RDG))
        state = model.state_dict()
        self.head, self.fusion, self.fusion_conv = (
            frozen_conv(state[f"{name}.weight"], state[f"{name}.bias"]) for name in ("head", "fusion", "fusion_conv")
        )
        self.head.weight.div_(LEVELS)
        # (3, scale, scale) -> (scale, scale, 3), the order of the pixels in memory.
        order = torch.arange(len(state["tail.bias"])).view(3, -1).T.flatten()
        self.tail = frozen_conv(state["tail.weight"][order], state["tail.bias"][order])

    def forward(self, lr: Tensor, margins: Margins = NO_MARGINS) -> Tensor:
        """Upscale a batch of crops.

        Args:
            lr: float32, (B, 3, H, W), RGB in [0, 1].
            margins: Width of the context on each side: the halo, or less at the edge of the image.

        Returns:
            float32, (B, 3, h*scale, w*scale), channels_last, where (h, w) is the size of the crop without the margins.
        """
        scale, need = self.config.scale, self.halo - 1
        features = self.head(((lr - 0.5) * LEVELS).to(self.head.weight.dtype))
        start = margins.at_most(need)
        features = cut(features, margins, start)
        x, outputs, sizes = features, [], []
        for group in self.groups:
            x = group(x, margins, need)
            need -= 2 * self.config.n_blocks
            outputs.append(x)
            sizes.append(margins.at_most(need))
        now = sizes[-1]
        outputs = [cut(output, size, now) for output, size in zip(outputs, sizes, strict=True)]
        fused = self.last_input(self.fusion(torch.cat(outputs, 1)), cut(features, start, now))
        after = margins.at_most(need - 1)
        # (B, H, W, scale, scale*3): for each LR pixel, the rows of its square of HR pixels, RGB interleaved.
        sub_pixels = cut(self.tail(cut(fused, now, after)), after, NO_MARGINS).permute(0, 2, 3, 1)
        rows = sub_pixels.view(*sub_pixels.shape[:3], scale, -1).transpose(2, 3)
        if self.config.image_skip:
            inner = cut(lr, margins, NO_MARGINS).permute(0, 2, 3, 1).repeat(1, 1, 1, scale)[:, :, None]
            sr = torch.add(rows, inner, out=lr.new_empty(rows.shape))
        else:
            sr = rows.float().contiguous()
        batch, height, _, width, _ = sr.shape
        return sr.view(batch, height * scale, width * scale, 3).permute(0, 3, 1, 2)

    def last_input(self, fused: Tensor, features: Tensor) -> Tensor:
        """Return the input of the last convolution, in its dtype, which may be more precise than that of the layers.

        Args:
            fused: Output of the global fusion, (B, C, H, W).
            features: Output of the first convolution, (B, C, H, W).
        """
        result: Tensor = self.fusion_conv(fused).to(self.tail.weight.dtype) + features
        return result
