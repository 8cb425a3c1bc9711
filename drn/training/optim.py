"""The optimizers of a network: Muon for the convolutions of the body, Adam for the remaining parameters.

Muon updates matrices. The weight of a convolution is flattened to a matrix, (out, height * width * in). If the weight
is in channels_last, the matrix shares its memory, so that an update of the matrix changes the weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drn.model import DRN
from drn.training.muon import Muon

MUON_LAYERS = ("body", "all", "none")
"""Choices of the convolutions that Muon optimizes. ``body`` means all between the first and the last."""


class ConvMatrix:
    """The weight of a convolution, (O, I, h, w), as a matrix parameter, (O, h*w*I), in the same memory.

    Args:
        weight: Weight of a convolution, in channels_last.

    Attributes:
        weight: The weight of the convolution.
        matrix: The matrix parameter.

    Raises:
        ValueError: If the weight is not in channels_last.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        self.weight = weight
        self.matrix = nn.Parameter(self._flatten(weight.detach()))
        if self.matrix.data_ptr() != weight.data_ptr():
            raise ValueError("Muon needs channels_last weights: move the model to channels_last first.")

    @staticmethod
    def _flatten(x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    def take_gradient(self) -> None:
        """Set the gradient of the matrix to the gradient of the weight."""
        assert self.weight.grad is not None
        assert self.matrix.data_ptr() == self.weight.data_ptr(), (
            "the weight has other memory than its matrix, so a step would not change it"
        )
        self.matrix.grad = self._flatten(self.weight.grad)


class Optimizers:
    """Muon and Adam on one network, stepped together.

    Args:
        model: The network, in channels_last, on its final device.
        learning_rate: Peak learning rate of Muon. Its updates have the size of Adam's at the same learning rate.
        adam_learning_rate: Peak learning rate of Adam, for all parameters that Muon does not optimize.
        weight_decay: Decoupled weight decay of Muon's matrices. The size of Muon's updates does not depend on the size
            of the gradient. Without decay, the weights therefore grow until training diverges.
        muon_layers: The convolutions that Muon optimizes, one of ``MUON_LAYERS``.

    Attributes:
        named: The optimizers by name: ``adam`` and, unless ``muon_layers`` is ``none``, ``muon``.

    Raises:
        ValueError: If ``muon_layers`` is not in ``MUON_LAYERS``.
    """

    def __init__(
        self,
        model: DRN,
        learning_rate: float,
        adam_learning_rate: float,
        weight_decay: float,
        muon_layers: str = "body",
    ) -> None:
        if muon_layers not in MUON_LAYERS:
            raise ValueError(f"muon_layers must be {' or '.join(MUON_LAYERS)}, not {muon_layers!r}.")
        outer = {id(model.head.weight), id(model.tail.weight)} if muon_layers == "body" else set()
        weights = [p for p in model.parameters() if p.ndim == 4] if muon_layers != "none" else []
        self.conv_matrices = [ConvMatrix(weight) for weight in weights if id(weight) not in outer]
        by_muon = {id(conv.weight) for conv in self.conv_matrices}
        rest = [p for p in model.parameters() if id(p) not in by_muon]
        self.named: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(rest, lr=adam_learning_rate, betas=(0.9, 0.99))
        }
        if self.conv_matrices:
            self.named["muon"] = Muon([conv.matrix for conv in self.conv_matrices], learning_rate, weight_decay)
        self.peaks = {"muon": learning_rate, "adam": adam_learning_rate}

    def step(self, factor: float) -> None:
        """Update all parameters, then clear the gradients.

        Args:
            factor: Learning rate as a share of its peak, 0 to 1.
        """
        for conv in self.conv_matrices:
            conv.take_gradient()
        for name, optimizer in self.named.items():
            for group in optimizer.param_groups:
                group["lr"] = self.peaks[name] * factor
            optimizer.step()
            optimizer.zero_grad()
        for conv in self.conv_matrices:
            conv.weight.grad = None
