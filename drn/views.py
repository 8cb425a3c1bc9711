"""The 8 views of an image: mirrored or not, in each of its quarter turns."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class View(NamedTuple):
    """Mirrored left to right (``flip``), then turned anticlockwise by so many quarters (``turns``)."""

    turns: int
    flip: bool

    def of(self, x: Tensor) -> Tensor:
        """(B, C, H, W) as it looks in this view, in channels_last."""
        turned = torch.rot90(x.flip(3) if self.flip else x, self.turns, (2, 3))
        return turned.contiguous(memory_format=torch.channels_last)

    def undo(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of this view, turned and mirrored back."""
        turned = torch.rot90(x, -self.turns, (2, 3))
        return turned.flip(3) if self.flip else turned


VIEWS = tuple(View(turns, flip) for turns in range(4) for flip in (False, True))
"""The first is the image itself."""
