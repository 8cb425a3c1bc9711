"""Training data: random LR and HR patches from folders of HR images. The images are held in memory."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from drn.errors import InputError
from drn.folders import find_images
from drn.image import Array
from drn.reading import read_image
from drn.resize import REACH, resample


class PatchSampler:
    """Draws random patches of a set of images. The patches depend on (seed, iteration) alone.

    A patch may begin at any HR pixel, and the grid of its LR pixels begins there too. An image therefore yields scale²
    different grids of LR pixels.

    Args:
        folders: Folders of HR images, searched to any depth.
        scale: Downscaling factor of the LR patches.
        seed: First part of the random seed. Each process needs its own.
        shrink: Additional sizes of each image, as factors below 1. All sizes that are at least as large as a patch are
            drawn equally often. A shrunk image is sharper and has weaker JPEG artefacts.
        device: Device that holds all images at all sizes, and on which the patches are made.
        progress: Whether to show a progress bar while reading.

    Raises:
        InputError: If a folder is missing or empty, or an image is damaged.
    """

    def __init__(
        self,
        folders: list[Path],
        scale: int,
        seed: int,
        shrink: tuple[float, ...] = (),
        device: torch.device | str = "cpu",
        progress: bool = False,
    ) -> None:
        paths = [path for folder in folders for path in find_images(folder)]
        self.scale = scale
        self.seed = seed
        self.margin = REACH * scale
        self._versions = 1 + len(shrink)
        read = partial(_read_sizes, shrink=shrink, margin=self.margin)
        with ThreadPoolExecutor() as pool:
            bar = tqdm(pool.map(read, paths), "reading images", len(paths), leave=False, disable=not progress)
            padded = [image for sizes in bar for image in sizes]
        self.sizes = np.array([image.shape[:2] for image in padded]) - 2 * self.margin
        ends = np.cumsum([image.shape[0] * image.shape[1] for image in padded])
        self.starts = np.concatenate([[0], ends[:-1]])
        pixels = np.empty((ends[-1], 3), np.uint8)
        for start, end in zip(self.starts[::-1], ends[::-1], strict=True):
            pixels[start:end] = padded.pop().reshape(-1, 3)  # pop frees each image once it is copied
        self.pixels = torch.from_numpy(pixels).to(device)

    def count_small(self, patch_size: int) -> tuple[int, int]:
        """Return the number of images smaller than a patch, and of all images; shrunk versions are not counted."""
        small = self.sizes[:: self._versions].min(1) < patch_size * self.scale
        return int(small.sum()), len(small)

    def batch(self, iteration: int, batch_size: int, patch_size: int) -> tuple[Tensor, Tensor]:
        """Draw the patches of one iteration, each in one of its 8 orientations at random.

        Args:
            iteration: Number of the iteration. The same number gives the same patches.
            batch_size: Number of patches B.
            patch_size: Side P of a patch in LR pixels. Images that are smaller than a patch are not used.

        Returns:
            lr (B, 3, P, P) and hr (B, 3, P*scale, P*scale), float32 in [0, 1], channels_last, on the device.

        Raises:
            InputError: If no image is as large as a patch.
        """
        hr_size = patch_size * self.scale
        fitting = np.flatnonzero(self.sizes.min(1) >= hr_size)
        if not len(fitting):
            raise InputError(f"No training image is at least {hr_size}x{hr_size}: use a smaller patch size.")
        rng = np.random.default_rng([self.seed, iteration])
        images = rng.choice(fitting, batch_size)
        y, x = rng.integers(self.sizes[images] - hr_size + 1).T
        transposed, upside_down, mirrored = rng.integers(2, size=(3, batch_size), dtype=np.bool_)
        # A patch is read with a margin for the LR pixels at its border. The orientation decides at which corner the
        # reading begins, and how far apart in memory two rows (``row``) and two columns (``column``) are.
        side = hr_size + 2 * self.margin
        row, column = self.sizes[images, 1] + 2 * self.margin, np.ones(batch_size, np.int64)
        corner = self.starts[images] + y * row + x + (side - 1) * (upside_down * row + mirrored)
        row, column = np.where(upside_down, -row, row), np.where(mirrored, -column, column)
        row, column = np.where(transposed, column, row), np.where(transposed, row, column)
        device = self.pixels.device
        steps = torch.from_numpy(np.stack([corner, row, column]))[..., None, None]
        steps = steps.to(
            device, non_blocking=device.type == "cuda"
        )  # safe without waiting: pageable memory is copied before the call returns
        line = torch.arange(side, device=device)
        indices = steps[0] + line[:, None] * steps[1] + line * steps[2]
        padded_hr = self.pixels.index_select(0, indices.flatten()).view(*indices.shape, 3).permute(0, 3, 1, 2).float()
        padded_lr = resample(padded_hr, (patch_size + 2 * REACH, patch_size + 2 * REACH))
        return _crop(padded_lr, REACH).div_(255), _crop(padded_hr, self.margin).div_(255)


def fingerprint(data: tuple[Path, ...], valid: tuple[Path, ...]) -> str:
    """Return a text that identifies the training and validation images, independently of where the folders are.

    The text depends on the paths within the folders and on the sizes in bytes. It also depends on the names of the
    validation folders, because the curve has a column for each of them.

    Raises:
        InputError: If a folder is missing or has no images.
    """
    described = [
        [folder.resolve().name if folder in valid else "", path.relative_to(folder).as_posix(), path.stat().st_size]
        for folder in (*data, *valid)
        for path in find_images(folder)
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _read_sizes(path: Path, shrink: tuple[float, ...], margin: int) -> list[Array]:
    """Read an image, shrink it to each further size, and pad each by mirroring: uint8, (H, W, 3)."""
    rgb = read_image(path, name=str(path)).rgb
    border = (margin, margin), (margin, margin), (0, 0)
    return [np.pad(image, border, mode="symmetric") for image in (rgb, *(_shrink(rgb, factor) for factor in shrink))]


def _shrink(rgb: Array, factor: float) -> Array:
    """Resize (H, W, 3) to ``factor`` of its size, which is below 1, by antialiased bicubic interpolation."""
    size = max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def _crop(x: Tensor, border: int) -> Tensor:
    """Remove ``border`` pixels from each side of (B, C, H, W) and return channels_last, the network's format."""
    return x[..., border:-border, border:-border].contiguous(memory_format=torch.channels_last)
