"""Distillation: the target of the loss contains the output of given weights, the teacher.

Most of the error of a good network is detail that cannot be known from the LR image. In the gradient this detail acts
as noise. The teacher's output does not contain this noise, although it has errors of its own. Each batch is given to
the teacher in a random one of the 8 orientations, so the mean of its output is its self-ensemble (DRN+). Weights that
are their own teacher therefore learn from their own DRN+.
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
"""Name of the copy of the teacher's weights in the folder of a run."""

ORIENTATION_STREAM = 1
"""Last part of the random seed of an orientation. It makes the random numbers differ from those of the patches."""


class Teacher:
    """A network whose output is part of the target.

    Args:
        path: Weights file, or a folder with one file for each scale.
        scale: Upscaling factor of the network in training.
        share: Share of the teacher's output in the target, above 0, at most 1.
        seed: First part of the random seed of the orientations. Each process needs its own.
        device: Device of the teacher's network.

    Raises:
        InputError: If the weights cannot be used, or are for another scale.
    """

    def __init__(self, path: Path, scale: int, share: float, seed: int, device: torch.device) -> None:
        self.path = weights.find(scale, path)
        network = weights.load(self.path, scale).model
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.share = share
        self.seed = seed

    def copy_weights(self, run: Path) -> None:
        """Copy the weights into the folder of a run, so that the run can be resumed after the original is replaced."""
        replace_file(run / TEACHER, lambda temporary: shutil.copyfile(self.path, temporary))

    @torch.no_grad()
    def target(self, lr: Tensor, hr: Tensor, iteration: int) -> Tensor:
        """Return the target ``share * teacher(lr) + (1 - share) * hr``.

        Args:
            lr: float32, (B, 3, H, W), RGB in [0, 1].
            hr: float32, (B, 3, H*scale, W*scale).
            iteration: Number of the iteration. The same number gives the same orientation.

        Returns:
            float32, (B, 3, H*scale, W*scale).
        """
        rng = np.random.default_rng([self.seed, iteration, ORIENTATION_STREAM])
        orientation = ORIENTATIONS[rng.integers(len(ORIENTATIONS))]
        return torch.lerp(hr, orientation.undo(self.network(orientation.of(lr)).float()), self.share)
