"""Training data: folders of HR images, held in memory, cut into random LR/HR patch pairs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from drn.errors import InputError
from drn.image import Array, find_images, read_image
from drn.metrics import SSIM_WINDOW
from drn.resize import REACH, downscale


class PatchSampler:
    """Random patches of a set of images, reproducible from (seed, iteration) alone.

    A patch begins at any HR pixel, and is shrunk there: an image gives scale² sets of LR pixels.

    Args:
        folders: Folders of HR images, searched to any depth.
        scale: Downscaling factor of the LR patches.
        seed: First part of the random seed; use another on each process.
        shrink: Shares of its size, less than 1, at which each image is drawn from too, where it still holds a patch, as
            often as at its own. A smaller image is sharper, and shows less of what JPEG left in it. All are held in
            memory.
        progress: Show a bar while reading.

    Raises:
        InputError: If a folder is missing or empty, or an image is damaged.
    """

    def __init__(
        self, folders: list[Path], scale: int, seed: int, shrink: tuple[float, ...] = (), progress: bool = False
    ) -> None:
        paths = [path for folder in folders for path in find_images(folder)]
        self.scale = scale
        self.seed = seed
        self.images: list[Array] = []
        for path in tqdm(paths, desc="reading images", disable=not progress, leave=False):
            rgb = read_image(path).rgb
            self.images += [rgb, *(_shrunk(rgb, share) for share in shrink)]
        self.sides = np.array([min(image.shape[:2]) for image in self.images])

    def batch(self, iteration: int, batch_size: int, patch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The patches of one iteration, each flipped and rotated at random.

        Args:
            iteration: Number of the iteration: the same number gives the same patches.
            batch_size: B.
            patch_size: P, in LR pixels; images smaller than that are not used.

        Returns:
            lr (B, 3, P, P) and hr (B, 3, P*scale, P*scale), float32 in [0, 1].

        Raises:
            InputError: If no image holds a patch of this size.
        """
        hr_size = patch_size * self.scale
        fitting = np.flatnonzero(self.sides >= hr_size)
        if not len(fitting):
            raise InputError(f"No training image is at least {hr_size}x{hr_size}: use a smaller patch size.")
        rng = np.random.default_rng([self.seed, iteration])
        lr_batch = np.empty((batch_size, patch_size, patch_size, 3), np.uint8)
        hr_batch = np.empty((batch_size, hr_size, hr_size, 3), np.uint8)
        for i in range(batch_size):
            image = self.images[rng.choice(fitting)]
            y = int(rng.integers(image.shape[0] - hr_size + 1))
            x = int(rng.integers(image.shape[1] - hr_size + 1))
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            lr, hr = _cut(image, y, x, patch_size, self.scale)
            lr_batch[i], hr_batch[i] = augment(lr, turns, flip), augment(hr, turns, flip)
        return _to_float(lr_batch), _to_float(hr_batch)


def _cut(image: Array, y: int, x: int, patch_size: int, scale: int) -> tuple[Array, Array]:
    """The LR and HR patch at HR pixel (y, x), shrunk with what counts of the image around it, in whole LR pixels."""
    spans, inner = [], []
    for start, length in zip((y, x), image.shape[:2], strict=True):
        before = min(REACH, start // scale)
        after = min(REACH, (length - start) // scale - patch_size)
        spans.append(slice(start - before * scale, start + (patch_size + after) * scale))
        inner.append(slice(before, before + patch_size))
    lr = downscale(image[spans[0], spans[1]], scale)[inner[0], inner[1]]
    return lr, image[y : y + patch_size * scale, x : x + patch_size * scale]


def augment(patch: Array, turns: int, flip: bool) -> Array:
    """One of the 8 flips and quarter turns of a square (P, P, 3) patch."""
    turned = np.rot90(patch, turns)
    return turned[:, ::-1] if flip else turned


def _shrunk(rgb: Array, share: float) -> Array:
    size = max(1, round(rgb.shape[1] * share)), max(1, round(rgb.shape[0] * share))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def _to_float(batch: Array) -> torch.Tensor:
    # The permuted view is channels_last already, which is what the network runs in.
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(255)


def read_truth(path: Path, scale: int) -> Array:
    """An HR image to measure against: uint8, (H, W, 3), or (H, W) of a greyscale file.

    Raises:
        InputError: If it cannot be read, or is too small for SSIM inside the border of ``scale`` pixels.
    """
    image = read_image(path).measured
    least = scale * math.ceil((2 * scale + SSIM_WINDOW) / scale)
    if min(image.shape[:2]) < least:
        raise InputError(f"{path} is too small to measure at x{scale}: it needs {least} pixels a side.")
    return image


def validation_set(folder: Path, scale: int) -> list[Array]:
    """Every image of ``folder``, as ``read_truth`` gives them."""
    return [read_truth(path, scale) for path in find_images(folder)]
