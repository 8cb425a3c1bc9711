"""ZeroGPU: on such a Space a GPU is lent for the length of one call; elsewhere nothing here matters."""

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


def seconds(lr: Array, lr_rect: Rect | None, self_ensemble: bool) -> int:
    """How long to ask for the GPU: an upper bound, as short requests are served first."""
    pixels = lr_rect.width * lr_rect.height if lr_rect else lr.shape[0] * lr.shape[1]
    return min(60, math.ceil(5 + pixels / 250_000 * (8 if self_ensemble else 1)))


class ZeroGpuUpscaler(Upscaler):
    """An ``Upscaler`` that borrows the GPU for each visitor's call.

    Its network is placed on the GPU when it is made, which has to be before the page is served.
    Without a visitor nothing is lent: what is computed for the page itself runs on the CPU.
    """

    def __init__(self, model: DRN) -> None:
        super().__init__(model)
        self._on_cpu = Upscaler(model, "cpu")

        def run(lr: Array, lr_rect: Rect | None, self_ensemble: bool) -> Array:
            return super(ZeroGpuUpscaler, self).upscale(lr, lr_rect=lr_rect, self_ensemble=self_ensemble)

        self._on_gpu = spaces.GPU(duration=seconds)(run)

    def upscale(
        self,
        lr: Array,
        *,
        lr_rect: Rect | None = None,
        self_ensemble: bool = False,
        on_tile: OnTile | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Array:
        """See ``Upscaler.upscale``; the call runs in another process, so it is one step for both callbacks."""
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
