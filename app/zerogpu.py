"""Support for ZeroGPU Spaces, which provide a GPU for the length of one call. Not used elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from gradio.context import LocalContext

from drn.geometry import Rect
from drn.image import Array
from drn.model import DRN
from drn.upscaler import Cancelled, OnTile, Upscaler

try:
    import spaces
except ImportError:
    spaces = None

IS_ZERO_GPU = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def gpu_seconds(lr: Array, lr_rect: Rect | None, self_ensemble: bool) -> int:
    """Estimate the longest time that a call needs the GPU, in seconds. ZeroGPU serves short requests first.

    Args:
        lr: uint8, (H, W, 3).
        lr_rect: The part to upscale, in LR pixels; None for the whole image.
        self_ensemble: Whether DRN+ is used.
    """
    pixels = lr_rect.width * lr_rect.height if lr_rect else lr.shape[0] * lr.shape[1]
    return min(60, math.ceil(5 + pixels / 250_000 * (8 if self_ensemble else 1)))


class ZeroGpuUpscaler(Upscaler):
    """An ``Upscaler`` that requests the GPU for each call of a visitor.

    The constructor places the network on the GPU, and must be called before the page is served. Calls without a
    visitor's request run on the CPU, because ZeroGPU provides no GPU for them.

    Args:
        model: The network.
    """

    def __init__(self, model: DRN) -> None:
        super().__init__(model)
        self._on_cpu = Upscaler(model, "cpu")

        def run(lr: Array, lr_rect: Rect | None, self_ensemble: bool) -> Array:
            return super(ZeroGpuUpscaler, self).upscale(lr, lr_rect=lr_rect, self_ensemble=self_ensemble)

        self._on_gpu = spaces.GPU(duration=gpu_seconds)(run)

    def upscale(
        self,
        lr: Array,
        *,
        lr_rect: Rect | None = None,
        self_ensemble: bool = False,
        on_tile: OnTile | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Array:
        """Upscale like ``Upscaler.upscale``, but report one step only, because GPU work runs in another process."""
        if LocalContext.request.get(None) is None:
            return self._on_cpu.upscale(
                lr, lr_rect=lr_rect, self_ensemble=self_ensemble, on_tile=on_tile, cancelled=cancelled
            )
        if cancelled is not None and cancelled():
            raise Cancelled
        sr: Array = self._on_gpu(lr, lr_rect, self_ensemble)
        if on_tile is not None:
            on_tile(1, 1)
        return sr
