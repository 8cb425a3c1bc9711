"""The choices that visitors make in the Compare tab, and which choice of each visitor is the newest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from drn.degrade import CLEAN, Degradation

MAX_VISITORS = 2000
"""Number of visitors whose newest choice is stored; the oldest choices are deleted first."""


@dataclass(frozen=True)
class Choice:
    """A visitor's choice of image and options.

    Attributes:
        image: The name of an example or the path of an uploaded file; None keeps the present image.
        scale: Upscaling factor.
        self_ensemble: Whether DRN+ is shown too.
        moment: The time of the choice, in ms on the clock of the visitor's page.
        degradation: Degradation of the LR image.
        every_scale: Whether the other scales are compared too.
    """

    image: str | Path | None
    scale: int
    self_ensemble: bool
    moment: float
    degradation: Degradation = CLEAN
    every_scale: bool = False


class NewestChoices:
    """The time of each visitor's newest choice.

    gradio passes the inputs to an event when the event starts. A running event uses this class to detect that its
    inputs are out of date.
    """

    def __init__(self) -> None:
        self._moments: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # time of the newest choice, and of the newest choice of an image
        self._lock = threading.Lock()

    def note(self, visitor: str, choice: Choice) -> None:
        """Store the time of a choice; choices may arrive in any order.

        Args:
            visitor: The session hash of the visitor's page.
            choice: The choice.
        """
        with self._lock:
            newest, newest_image = self._moments.pop(visitor, (0.0, 0.0))
            newest = max(newest, choice.moment)
            if choice.image is not None:
                newest_image = max(newest_image, choice.moment)
            self._moments[visitor] = newest, newest_image
            if len(self._moments) > MAX_VISITORS:
                self._moments.popitem(last=False)

    def has_newer(self, visitor: str, moment: float) -> bool:
        """Whether ``visitor`` chose something after ``moment``."""
        return self._moments_of(visitor)[0] > moment

    def has_newer_image(self, visitor: str, moment: float) -> bool:
        """Whether ``visitor`` chose another image after ``moment``."""
        return self._moments_of(visitor)[1] > moment

    def _moments_of(self, visitor: str) -> tuple[float, float]:
        with self._lock:
            return self._moments.get(visitor, (0.0, 0.0))
