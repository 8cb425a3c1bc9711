"""Run the network on images: device, dtype, tiles, self-ensemble (DRN+), progress and cancelling.

The app, the command line, training and evaluation all use ``Upscaler``.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from drn.borders import correct_flat_borders
from drn.device import choose_device, choose_dtype, lacks_memory
from drn.errors import InputError
from drn.fused import FusedDRN
from drn.geometry import NO_MARGINS, ORIENTATIONS, Margins, Rect, split
from drn.image import Array, Picture, fill_clear, quantize, to_tensor
from drn.model import DRN
from drn.onednn import SLOPES, OneDNNDRN, is_usable
from drn.resize import upscale as bicubic
from drn.variants import Variant
from drn.weights import load_model

TILE_BUDGET = 384 * 2**20
"""Bytes of activations for one tile when the tile size is chosen automatically."""

MIN_TILE = 16
"""Smallest tile side, in LR pixels, that is tried when the memory runs out."""

OnTile = Callable[[int, int], None]
"""Called after each tile with the number of finished tiles and the number of all tiles.

The second number grows if memory runs out, because the remaining tiles are then split into smaller ones.
"""

logger = logging.getLogger(__name__)


class Cancelled(Exception):
    """The caller has cancelled the work, so there is no result."""


class Upscaler:
    """A network ready to run.

    Calls keep no state, so any number of threads may share one upscaler.

    Attributes:
        config: The shape of the network.
        halo: Context in LR pixels that each tile needs on each side.
        device: The device of the network.
        dtype: The dtype of the computation.
        tile: Largest tile side in LR pixels, without the halo.

    Args:
        model: The network. The upscaler uses a copy, so ``model`` stays unchanged.
        device: ``auto``, or a torch device name.
        dtype: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        tile: Largest tile side in LR pixels, without the halo; 0 chooses it automatically.
        compiled: Whether to use ``torch.compile``. The first tiles then take minutes, and a C++ compiler (CPU) or
            Triton (CUDA) is required.

    Raises:
        InputError: If the device, dtype or tile size cannot be used.
    """

    def __init__(
        self, model: DRN, device: str = "auto", dtype: str = "auto", tile: int = 0, compiled: bool = False
    ) -> None:
        if tile < 0:
            raise InputError(f"The tile size must be at least 0 (0 chooses it automatically), not {tile}.")
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.config, self.halo = model.config, model.halo
        in_onednn = self.device.type == "cpu" and not compiled and is_usable(self.dtype)
        arrange = OneDNNDRN if in_onednn and model.config.activation in SLOPES else FusedDRN
        placed = arrange(model).eval().to(self.device, self.dtype)
        placed.tail.float()  # a small convolution, whose rounding would be visible
        # On CPUs, half precision and channels_last gain speed only together.
        self.model: nn.Module = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.compiled = compiled
        if compiled:
            self.model.compile(dynamic=True)
        self.tile = tile or self._choose_tile()

    @classmethod
    def load(
        cls,
        location: str | Path | None = None,
        *,
        scale: int,
        variant: Variant = "clean",
        device: str = "auto",
        dtype: str = "auto",
        tile: int = 0,
        compiled: bool = False,
    ) -> Self:
        """Load the weights for ``scale`` and return an upscaler that uses them.

        Args:
            location: A weights file, a folder, or a Hub repo; omit it to use the bundled weights
                (see ``drn.weights.load_scales``).
            scale: 2, 3 or 4 for the bundled weights.
            variant: ``photo`` for weights tuned for JPEG files (see ``drn.weights.load_model``).
            device: See the class.
            dtype: See the class.
            tile: See the class.
            compiled: See the class.

        Raises:
            InputError: If the weights, device, dtype or tile size cannot be used.
        """
        return cls(load_model(location, scale=scale, variant=variant), device, dtype, tile, compiled)

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self.config.scale

    def upscale(
        self,
        lr: Array,
        *,
        lr_rect: Rect | None = None,
        self_ensemble: bool = False,
        on_tile: OnTile | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Array:
        """Upscale an image or a part of it.

        The result does not depend on the tile size, except for rounding. Flat areas along the border of the image are
        corrected (see ``drn.borders``); elsewhere the result is the output of the network.

        Args:
            lr: uint8, (H, W, 3) RGB, any H, W >= 1.
            lr_rect: The part to upscale; None is the whole image. Only this part and its halo are computed.
            self_ensemble: Whether to average over the 8 flips and rotations (DRN+). This takes about 8 times as long.
            on_tile: Called after each tile.
            cancelled: Called before each tile and between the passes of DRN+; True stops the work.

        Returns:
            uint8, (H*scale, W*scale, 3), or only the part for ``lr_rect``.

        Raises:
            ValueError: If ``lr`` is not uint8 RGB, or ``lr_rect`` is empty or not inside it.
            InputError: If a tile fails. When the memory of the device runs out, smaller tiles are tried first, with a
                warning in the log.
            Cancelled: If ``cancelled`` returned True.
        """
        if lr.dtype != "uint8" or lr.ndim != 3 or lr.shape[2] != 3 or 0 in lr.shape:
            raise ValueError(f"Expected a uint8 (H, W, 3) image, not {lr.dtype} {lr.shape}.")
        height, width = lr.shape[:2]
        area = lr_rect or Rect(0, 0, width, height)
        if not (0 <= area.x < area.x + area.width <= width and 0 <= area.y < area.y + area.height <= height):
            raise ValueError(f"The rectangle {area} is not inside the {width}x{height} image.")
        scale = self.scale
        try:
            sr = np.empty((area.height * scale, area.width * scale, 3), np.uint8)
        except MemoryError as error:
            raise InputError(
                f"The result of {area.width * scale}x{area.height * scale} does not fit in the memory of this machine: "
                "use a lower scale or a smaller image."
            ) from error
        waiting, done = deque(split(area, self.tile)), 0
        while waiting:
            if cancelled is not None and cancelled():
                raise Cancelled
            tile = waiting.popleft()
            pixels = self._upscale_tile(lr, tile, self_ensemble, cancelled)
            if pixels is None:
                waiting = deque(part for whole in (tile, *waiting) for part in split(whole, self._halved(tile)))
                continue
            y, x = (tile.y - area.y) * scale, (tile.x - area.x) * scale
            sr[y : y + tile.height * scale, x : x + tile.width * scale] = pixels
            done += 1
            if on_tile is not None:
                on_tile(done, done + len(waiting))
        correct_flat_borders(sr, lr, area)
        return sr

    def upscale_picture(
        self,
        picture: Picture,
        *,
        self_ensemble: bool = False,
        on_tile: OnTile | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Picture:
        """Upscale a decoded file: the colours by the network, alpha by bicubic interpolation.

        Transparent pixels first take the nearest visible colour. Otherwise their stored colours, which are arbitrary,
        would appear as a fringe around the visible part.

        Args:
            picture: The file. A grey picture stays grey.
            self_ensemble: See ``upscale``.
            on_tile: See ``upscale``.
            cancelled: See ``upscale``.

        Raises:
            InputError: If a tile fails.
            Cancelled: If ``cancelled`` returned True.
        """
        lr = fill_clear(picture)
        rgb = self.upscale(lr, self_ensemble=self_ensemble, on_tile=on_tile, cancelled=cancelled)
        alpha = None if picture.alpha is None else bicubic(picture.alpha, self.scale)
        return replace(picture, rgb=rgb, alpha=alpha)

    @torch.inference_mode()
    def upscale_tensor(
        self,
        lr: torch.Tensor,
        self_ensemble: bool = False,
        margins: Margins = NO_MARGINS,
        cancelled: Callable[[], bool] | None = None,
    ) -> torch.Tensor:
        """Upscale a batch without tiles.

        Args:
            lr: float32, (B, 3, H, W) in [0, 1].
            self_ensemble: Whether to average over the 8 flips and rotations (DRN+).
            margins: Width of the context on each side (see ``FusedDRN``).
            cancelled: Called between the passes of DRN+; True stops the work.

        Returns:
            float32, (B, 3, h*scale, w*scale), not clamped, where (h, w) is the size of the crop without the margins.

        Raises:
            Cancelled: If ``cancelled`` returned True.
        """
        lr = lr.to(self.device).contiguous(memory_format=torch.channels_last)
        sr: torch.Tensor = self.model(lr, margins)
        if not self_ensemble:
            return sr
        for orientation in ORIENTATIONS[1:]:
            if cancelled is not None and cancelled():
                raise Cancelled
            turned_margins = margins.turned(orientation.turns, orientation.flip)
            sr += orientation.undo(self.model(orientation.of(lr), turned_margins))
        return sr.div_(len(ORIENTATIONS))

    def _upscale_tile(
        self, lr: Array, tile: Rect, self_ensemble: bool, cancelled: Callable[[], bool] | None
    ) -> Array | None:
        """Return the HR pixels of one tile, or None if the tile does not fit in the memory of the device."""
        height, width = lr.shape[:2]
        right, bottom = tile.x + tile.width, tile.y + tile.height
        sides = (tile.x, tile.y, width - right, height - bottom)
        margins = Margins(*sides).at_most(self.halo)
        source = lr[tile.y - margins.top : bottom + margins.bottom, tile.x - margins.left : right + margins.right]
        try:
            output = self.upscale_tensor(to_tensor(source, self.device), self_ensemble, margins, cancelled)
            if not output.sum().isfinite():
                advice = "its weights cannot be used" if self.dtype == torch.float32 else "use --dtype fp32"
                raise InputError(f"The network's output is not an image, because its values are not finite: {advice}.")
            return quantize(output)
        except RuntimeError as error:
            if lacks_memory(error):
                return None
            reason = str(error).partition("\n")[0]
            advice = "leave out --compile" if self.compiled else "try --device cpu, or --dtype fp32"
            raise InputError(
                f"The {tile.width}x{tile.height} tile at {tile.x}, {tile.y} failed on {self.device} ({reason}): "
                f"{advice}."
            ) from error

    def _halved(self, tile: Rect) -> int:
        """Return the tile side to use after ``tile`` did not fit in memory."""
        edge = max(tile.width, tile.height) // 2
        if edge < MIN_TILE:
            raise InputError(
                f"Even a tile of {2 * edge} pixels does not fit in the memory of {self.device}: free some memory, or "
                "use another device."
            )
        logger.warning("%s ran out of memory: continuing with tiles of %d pixels.", self.device, edge)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return edge

    def _choose_tile(self) -> int:
        config = self.config
        channels = config.n_feats * (config.n_groups + 5) + config.n_distill * config.n_blocks
        per_pixel = channels * self.dtype.itemsize + 3 * config.scale**2 * 16
        return max(64, int(math.sqrt(TILE_BUDGET / per_pixel)) - 2 * self.halo)
