"""DRN, Distilling with Residual Network: super-resolution networks, their weights, and the tools around them.

The public names are those in ``__all__``:

    from drn import Upscaler

    sr = Upscaler.load(scale=4).upscale(rgb)  # rgb: uint8 (H, W, 3) -> sr: uint8 (4*H, 4*W, 3)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drn.errors import InputError
    from drn.metrics import psnr, ssim
    from drn.resize import downscale
    from drn.upscaler import Upscaler
    from drn.weights import load_model

__all__ = ["InputError", "Upscaler", "__version__", "downscale", "load_model", "psnr", "ssim"]

__version__ = "0.1.0"

_MODULES = {
    "InputError": "drn.errors",
    "Upscaler": "drn.upscaler",
    "downscale": "drn.resize",
    "load_model": "drn.weights",
    "psnr": "drn.metrics",
    "ssim": "drn.metrics",
}
"""Public name -> the module that defines it. The module is imported on first use, so ``import drn`` is fast."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
