"""The optimizers: Muon drives the body's convolutions, Adam the rest.

Muon takes matrices. A convolution's weight becomes one by flattening it to (out, height * width * in), which for a
channels_last weight is a view of the same memory: stepping the view moves the weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drn.model import DRN
from drn.training.muon import Muon

MUON_DRIVES = ("body", "all", "none")
"""What of a network's convolutions Muon may drive; ``body`` is those between the first and the last."""


class MatrixView:
    """A convolution weight (O, I, h, w), seen as a parameter (O, h*w*I) over the same memory."""

    def __init__(self, weight: nn.Parameter) -> None:
        self.weight = weight
        self.matrix = nn.Parameter(self._flatten(weight.detach()))
        if self.matrix.data_ptr() != weight.data_ptr():
            raise ValueError("Muon needs channels_last weights: move the model to channels_last first.")

    @staticmethod
    def _flatten(x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    def take_gradient(self) -> None:
        assert self.weight.grad is not None
        assert self.matrix.data_ptr() == self.weight.data_ptr(), "the weight was moved: a step would not reach it"
        self.matrix.grad = self._flatten(self.weight.grad)


class Optimizers:
    """Muon and Adam over one network, stepped together.

    Args:
        model: In channels_last, on its final device.
        learning_rate: Muon's peak rate, matched to Adam's by the size of its updates.
        adam_learning_rate: Adam's peak rate, for all that Muon does not drive.
        weight_decay: Of Muon's matrices, decoupled: each step takes away rate times this. Muon's updates are
            of one size however small the gradient, so without it the weights grow until training diverges.
        muon_drives: Which convolutions Muon drives, one of ``MUON_DRIVES``.

    Attributes:
        named: ``adam`` and, unless it drives nothing, ``muon``.

    Raises:
        ValueError: If ``muon_drives`` is something else.
    """

    def __init__(
        self,
        model: DRN,
        learning_rate: float,
        adam_learning_rate: float,
        weight_decay: float,
        muon_drives: str = "body",
    ) -> None:
        if muon_drives not in MUON_DRIVES:
            raise ValueError(f"What Muon drives must be {' or '.join(MUON_DRIVES)}, not {muon_drives!r}.")
        outer = (model.head.weight, model.tail.weight) if muon_drives == "body" else ()
        left = {id(weight) for weight in outer}
        weights = [p for p in model.parameters() if p.ndim == 4] if muon_drives != "none" else []
        self.views = [MatrixView(weight) for weight in weights if id(weight) not in left]
        driven = {id(view.weight) for view in self.views}
        rest = [p for p in model.parameters() if id(p) not in driven]
        self.named: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(rest, lr=adam_learning_rate, betas=(0.9, 0.99))
        }
        if self.views:
            self.named["muon"] = Muon([view.matrix for view in self.views], learning_rate, weight_decay)
        self.peaks = {"muon": learning_rate, "adam": adam_learning_rate}

    def step(self, factor: float) -> None:
        """One step at ``factor`` (0 to 1) of the peak rates, then clear the gradients."""
        for view in self.views:
            view.take_gradient()
        for name, optimizer in self.named.items():
            for group in optimizer.param_groups:
                group["lr"] = self.peaks[name] * factor
            optimizer.step()
            optimizer.zero_grad()
        for view in self.views:
            view.weight.grad = None
