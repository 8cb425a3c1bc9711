"""The methods that can be compared: each has a name, a description, and a function that enlarges an LR image.

Only this module contains the names of the built-in methods. Training, the benchmark, the figure and the page treat
every ``Method`` alike. ``drn.evaluation.results_folder`` and ``drn.evaluation.networks`` make further methods from
files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from drn.evaluation.pairs import Pair
from drn.image import Array
from drn.resize import upscale as upscale_bicubic
from drn.upscaler import OnTile, Upscaler

BICUBIC = "bicubic"
DRN = "DRN"
DRN_PLUS = "DRN+"
DRN_PHOTO = "DRN photo"

DESCRIPTIONS = {BICUBIC: "the baseline", DRN: "one pass", DRN_PLUS: "mean of 8 passes"}
"""The built-in methods in the order of display: name -> one-line description."""


class Enlarge(Protocol):
    """A function that enlarges the LR image of a pair."""

    def __call__(self, pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        """Enlarge ``pair.lr`` by ``pair.scale``.

        Args:
            pair: Contains the LR image. A method that only looks up a finished result may use the size of ``pair.hr``.
            on_tile: Called after each tile, as in ``Upscaler.upscale``; a method without tiles does not call it.
            cancelled: Called before each tile; if it returns True, the work stops.

        Returns:
            uint8, (H*scale, W*scale, 3), the size of ``pair.hr``.

        Raises:
            InputError: If the method fails on this image.
            Cancelled: If ``cancelled`` returned True.
        """
        ...


@dataclass(frozen=True)
class Method:
    """A way to enlarge an image.

    Attributes:
        name: Label in tables, in figures and on the page; it is unique among the methods that are compared.
        description: A few words that explain the name.
        enlarge: The function; see ``Enlarge``.
        scale: The only scale that the method supports; None if it supports all.
        notes: One sentence for each fact that a reader of the results should know.
        is_finished: Whether the method looks up finished results. Its time is then not reported.
    """

    name: str
    description: str
    enlarge: Enlarge
    scale: int | None = None
    notes: tuple[str, ...] = ()
    is_finished: bool = False


def bicubic() -> Method:
    """Return the baseline: MATLAB's bicubic interpolation."""

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        return upscale_bicubic(pair.lr, pair.scale)

    return Method(BICUBIC, DESCRIPTIONS[BICUBIC], enlarge)


def drn(upscaler: Upscaler, self_ensemble: bool = False) -> Method:
    """Return DRN, or DRN+ with ``self_ensemble``, run by ``upscaler``; pairs must have the scale of ``upscaler``."""

    def enlarge(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        return upscaler.upscale(pair.lr, self_ensemble=self_ensemble, on_tile=on_tile, cancelled=cancelled)

    name = DRN_PLUS if self_ensemble else DRN
    return Method(name, DESCRIPTIONS[name], enlarge, upscaler.scale)


def drn_photo(upscaler: Upscaler) -> Method:
    """Return DRN with weights tuned for JPEG files; pairs must have the scale of ``upscaler``."""
    return replace(drn(upscaler), name=DRN_PHOTO, description="one pass, tuned for JPEG files")


def builtin_names(self_ensemble: bool) -> list[str]:
    """Return the names of ``builtin_methods``, in the same order."""
    return [name for name in DESCRIPTIONS if self_ensemble or name != DRN_PLUS]


def builtin_methods(upscaler: Upscaler, self_ensemble: bool) -> list[Method]:
    """Return bicubic, DRN and, with ``self_ensemble``, DRN+, in the order of display."""
    return [bicubic(), drn(upscaler), *([drn(upscaler, self_ensemble=True)] if self_ensemble else [])]
