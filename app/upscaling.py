"""Upscaling of an uploaded image without an original."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from app.engines import Chosen
from app.photographs import read_upload
from app.scene import SMALL, display_name
from app.serving.jobs import deadline, run_in_steps, store_result
from app.serving.limits import MAX_OUTPUT_PIXELS
from app.session import new_token
from app.viewer.component import Layer, Scene, first_view
from drn.evaluation.methods import BICUBIC, DESCRIPTIONS, DRN, DRN_PLUS
from drn.image import Picture, fill_clear, on_checkers
from drn.resize import upscale
from drn.upscaler import OnTile
from drn.writing import write_image

CHECKER = 4
"""Side of the checkers behind transparent pixels, in LR pixels."""

MAX_FITTED = 400
"""Longest side of a result that is shown whole at first, in pixels."""

LONG = 4
"""Width divided by height from which a result is a panorama."""

NO_ORIGINAL = "There is no original to compare with, so there is no PSNR or SSIM: judge by eye."


@dataclass(frozen=True)
class Enlarged:
    """An upscaled image.

    Attributes:
        lr: The image that was read.
        sr: The result.
        scale: Upscaling factor.
        method: Name of the method, DRN or DRN+.
        file: The stored result.
        reason: A sentence about the choice of the weights, or empty.
    """

    lr: Picture
    sr: Picture
    scale: int
    method: str
    file: Path
    reason: str = ""

    @property
    def description(self) -> str:
        """The size of the result, the notes on reading the image, and the choice of the weights."""
        height, width = self.sr.rgb.shape[:2]
        alpha = ["Transparency was kept."] if self.sr.alpha is not None else []
        reason = [self.reason] if self.reason else []
        return " ".join([f"{width}×{height} pixels.", *alpha, *self.lr.notes, *reason])

    @property
    def scene(self) -> Scene:
        """The LR image, its bicubic enlargement and the result, for the viewer."""
        height, width = self.sr.rgb.shape[:2]
        bicubic = replace(self.sr, rgb=upscale(fill_clear(self.lr), self.scale))
        token = new_token()
        layers = (
            Layer("lr", "small", self.scale, SMALL, "your image", on_checkers(self.lr, CHECKER)),
            self._layer("bicubic", BICUBIC, bicubic),
            self._layer("sr", self.method, self.sr),
        )
        start = first_view(width / 2, height / 2)
        start["fit"] = max(width, height) <= MAX_FITTED
        if width < LONG * height:
            columns = None
        else:  # stack the images, so that each shows a part as wide as the stage
            columns, start["zoom"] = 1, 1.0
        return Scene(token, token, width, height, layers, start, columns=columns, hint=NO_ORIGINAL, owner=token)

    def _layer(self, key: str, method: str, sr: Picture) -> Layer:
        pixels = on_checkers(sr, CHECKER * self.scale)
        return Layer(key, "method", self.scale, display_name(method), DESCRIPTIONS[method], pixels, method=method)


def enlarge(
    path: str, scale: int, self_ensemble: bool, choose: Callable[[int | None], Chosen]
) -> Generator[tuple[int, int], None, Enlarged]:
    """Upscale an uploaded image and store the result; closing the generator cancels the work.

    Args:
        path: The path that the visitor sent.
        scale: Upscaling factor.
        self_ensemble: Whether to use DRN+.
        choose: Returns the network for an image with this ``Metadata.jpeg_quality``.

    Yields:
        (number of finished tiles, number of all tiles).

    Returns:
        The result (the generator's value).

    Raises:
        InputError: If the file cannot be read, the result would be too large, or the work takes too long.
    """
    ends = deadline()
    lr = yield from read_upload(path, MAX_OUTPUT_PIXELS // scale**2, ends)

    def work(on_tile: OnTile, cancelled: Callable[[], bool]) -> tuple[Picture, str]:
        chosen = choose(lr.metadata.jpeg_quality)
        sr = chosen.upscaler.upscale_picture(lr, self_ensemble=self_ensemble, on_tile=on_tile, cancelled=cancelled)
        return sr, chosen.reason

    sr, reason = yield from run_in_steps(work, ends)
    file = store_result(f"{Path(path).stem}_DRN_x{scale}.png", functools.partial(write_image, picture=sr))
    return Enlarged(lr, sr, scale, DRN_PLUS if self_ensemble else DRN, file, reason)
