"""The choices that visitors make in the Compare tab, and which choice of each visitor is the newest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

MAX_VISITORS = 2000
"""Visitors whose newest choice is remembered; those who chose longest ago are forgotten first."""


@dataclass(frozen=True)
class Choice:
    """What a visitor asked for.

    Attributes:
        image: The name of an example or the path of an uploaded file; None keeps the image that is shown.
        scale: Upscaling factor.
        self_ensemble: Whether DRN+ is shown too.
        moment: When it was chosen, in ms on the clock of the visitor's page.
    """

    image: str | Path | None
    scale: int
    self_ensemble: bool
    moment: float


class NewestChoices:
    """When each visitor last chose something.

    gradio hands an event its inputs when it starts. A running event learns here that it is out of date.
    """

    def __init__(self) -> None:
        self._moments: OrderedDict[str, tuple[float, float]] = OrderedDict()  # of any choice, of a choice of an image
        self._lock = threading.Lock()

    def note(self, visitor: str, choice: Choice) -> None:
        """Remember when a choice was made; choices may arrive in any order.

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
