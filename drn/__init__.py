"""DRN, Distilling with Residual Network: super-resolution networks, their weights, and the tools around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drn.weights import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `import drn` alone must not wait for torch.
    if name == "load_model":
        from drn.weights import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
