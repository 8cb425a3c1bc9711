"""Learning from a teacher: part of the target is what given weights make of the patches.

Most of the error of a good network is what nobody could know from the LR image; to the gradient that is noise, which
the output of a network, whatever its own errors, does not have. The teacher sees each batch in one of its 8 views at
random, so that what it teaches is, in the mean, its self-ensemble: weights that learn from themselves learn from their
own DRN+.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drn import weights
from drn.files import replace_file
from drn.geometry import ORIENTATIONS

TEACHER = "teacher.safetensors"
VIEW_STREAM = 1
"""Ends the random seed of a view, to keep it apart from that of the patches."""


class Teacher:
    """A network that makes a part of the target.

    Args:
        path: Weights file, or a folder that holds one for each scale.
        scale: The scale of what learns.
        share: Of the target, more than 0, at most 1.
        seed: First part of the random seed of the views; use another on each process.
        device: Where the network runs.

    Raises:
        InputError: If the weights cannot be used, or are for another scale.
    """

    def __init__(self, path: Path, scale: int, share: float, seed: int, device: torch.device) -> None:
        self.path = weights.find(scale, path)
        network = weights.load(self.path, scale).model
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.share = share
        self.seed = seed

    def keep(self, run: Path) -> None:
        """Copy the weights into the folder of a run, which may have to go on when they have been replaced."""
        replace_file(run / TEACHER, lambda temporary: shutil.copyfile(self.path, temporary))

    @torch.no_grad()
    def target(self, lr: Tensor, hr: Tensor, iteration: int) -> Tensor:
        """The truth, moved by ``share`` towards what the teacher makes of a batch.

        Args:
            lr: float32, (B, 3, H, W), RGB in [0, 1].
            hr: float32, (B, 3, H*scale, W*scale).
            iteration: Number of the iteration: the same number gives the same view.

        Returns:
            float32, of the shape of ``hr``.
        """
        view = ORIENTATIONS[np.random.default_rng([self.seed, iteration, VIEW_STREAM]).integers(len(ORIENTATIONS))]
        return torch.lerp(hr, view.undo(self.network(view.of(lr)).float()), self.share)
