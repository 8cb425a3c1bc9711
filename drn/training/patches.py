"""Training data: folders of HR images, held in memory, cut into random LR/HR patch pairs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from drn.errors import InputError
from drn.image import Array, find_images, read_image
from drn.resize import REACH, resample


class PatchSampler:
    """Random patches of a set of images, reproducible from (seed, iteration) alone.

    A patch begins at any HR pixel, and is shrunk there: an image gives scale² sets of LR pixels.

    Args:
        folders: Folders of HR images, searched to any depth.
        scale: Downscaling factor of the LR patches.
        seed: First part of the random seed; use another on each process.
        shrink: Shares of its size, less than 1, at which each image is drawn from too, where it still holds a patch, as
            often as at its own. A smaller image is sharper, and shows less of what JPEG left in it.
        device: Where the images are held, all of them at each of their sizes, and where the patches are made.
        progress: Show a bar while reading.

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
        read = partial(_read, shrink=shrink, margin=self.margin)
        with ThreadPoolExecutor() as pool:
            bar = tqdm(pool.map(read, paths), "reading images", len(paths), leave=False, disable=not progress)
            padded = [image for sizes in bar for image in sizes]
        self.sizes = np.array([image.shape[:2] for image in padded]) - 2 * self.margin
        ends = np.cumsum([image.shape[0] * image.shape[1] for image in padded])
        self.starts = np.concatenate([[0], ends[:-1]])
        pixels = np.empty((ends[-1], 3), np.uint8)
        for start, end in zip(self.starts[::-1], ends[::-1], strict=True):
            pixels[start:end] = padded.pop().reshape(-1, 3)  # so that no image is held twice
        self.pixels = torch.from_numpy(pixels).to(device)

    def batch(self, iteration: int, batch_size: int, patch_size: int) -> tuple[Tensor, Tensor]:
        """The patches of one iteration, each in one of its 8 flips and quarter turns at random.

        Args:
            iteration: Number of the iteration: the same number gives the same patches.
            batch_size: B.
            patch_size: P, in LR pixels; images smaller than that are not used.

        Returns:
            lr (B, 3, P, P) and hr (B, 3, P*scale, P*scale), float32 in [0, 1], channels_last, on the device.

        Raises:
            InputError: If no image holds a patch of this size.
        """
        hr_size = patch_size * self.scale
        fitting = np.flatnonzero(self.sizes.min(1) >= hr_size)
        if not len(fitting):
            raise InputError(f"No training image is at least {hr_size}x{hr_size}: use a smaller patch size.")
        rng = np.random.default_rng([self.seed, iteration])
        images = rng.choice(fitting, batch_size)
        y, x = rng.integers(self.sizes[images] - hr_size + 1).T
        transposed, upside_down, mirrored = rng.integers(2, size=(3, batch_size), dtype=np.bool_)
        # A patch is read with the margin that its LR pixels need, from any corner, by rows or by columns.
        side = hr_size + 2 * self.margin
        row, column = self.sizes[images, 1] + 2 * self.margin, np.ones(batch_size, np.int64)
        corner = self.starts[images] + y * row + x + (side - 1) * (upside_down * row + mirrored)
        row, column = np.where(upside_down, -row, row), np.where(mirrored, -column, column)
        row, column = np.where(transposed, column, row), np.where(transposed, row, column)
        device = self.pixels.device
        steps = torch.from_numpy(np.stack([corner, row, column]))[..., None, None]
        steps = steps.to(device, non_blocking=device.type == "cuda")  # which copies the numbers before it returns
        line = torch.arange(side, device=device)
        places = steps[0] + line[:, None] * steps[1] + line * steps[2]
        around = self.pixels.index_select(0, places.flatten()).view(*places.shape, 3).permute(0, 3, 1, 2).float()
        lr = resample(around, (patch_size + 2 * REACH, patch_size + 2 * REACH))
        return _inside(lr, REACH).div_(255), _inside(around, self.margin).div_(255)


def _read(path: Path, shrink: tuple[float, ...], margin: int) -> list[Array]:
    """An image at its own and smaller sizes, each with a mirrored border."""
    rgb = read_image(path).rgb
    around = (margin, margin), (margin, margin), (0, 0)
    return [np.pad(image, around, mode="symmetric") for image in (rgb, *(_shrunk(rgb, share) for share in shrink))]


def _shrunk(rgb: Array, share: float) -> Array:
    size = max(1, round(rgb.shape[1] * share)), max(1, round(rgb.shape[0] * share))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def _inside(x: Tensor, border: int) -> Tensor:
    """(B, C, H, W) without its border, in channels_last, which is what the network runs in."""
    return x[..., border:-border, border:-border].contiguous(memory_format=torch.channels_last)
