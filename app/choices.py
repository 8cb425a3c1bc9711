"""The choices that visitors make in the Compare tab, and the newest choices of each visitor."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

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
        moment: The time of the choice, in ms on the clock of the visitor's page. If an image is shown with options that
            were chosen later, this is the time of the options.
        degradation: Degradation of the LR image.
        every_scale: Whether the other scales are compared too.
    """

    image: str | Path | None
    scale: int
    self_ensemble: bool
    moment: float
    degradation: Degradation = CLEAN
    every_scale: bool = False


class _Newest(NamedTuple):
    """The newest choices of one visitor: the newest with an image, and the newest that keeps the present image."""

    image: Choice | None = None
    options: Choice | None = None


class NewestChoices:
    """The newest choices of each visitor.

    The choices of a visitor may arrive in another order than they were made, and gradio may start the work for a choice
    when there is already a newer one. The work therefore takes the newest choice from here, and a running job uses this
    class to detect that its choice is out of date.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, _Newest] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, visitor: str, choice: Choice) -> None:
        """Store a choice, unless a newer one of the same kind is stored.

        Args:
            visitor: The session hash of the visitor's page.
            choice: The choice.
        """
        kind = "options" if choice.image is None else "image"
        with self._lock:
            newest = self._newest.pop(visitor, _Newest())
            former: Choice | None = getattr(newest, kind)
            if former is None or former.moment <= choice.moment:
                newest = newest._replace(**{kind: choice})
            self._newest[visitor] = newest
            if len(self._newest) > MAX_VISITORS:
                self._newest.popitem(last=False)

    def options_of(self, visitor: str) -> Choice | None:
        """Return the visitor's newest choice of options for the present image; None if there is none."""
        return self._choices_of(visitor).options

    def image_of(self, visitor: str) -> Choice | None:
        """Return the visitor's newest choice of an image, with the options chosen since then; None if there is none."""
        image, options = self._choices_of(visitor)
        if image is None or options is None or options.moment < image.moment:
            return image
        return replace(options, image=image.image)

    def has_newer(self, visitor: str, moment: float) -> bool:
        """Whether ``visitor`` chose something after ``moment``."""
        return any(choice is not None and choice.moment > moment for choice in self._choices_of(visitor))

    def has_newer_image(self, visitor: str, moment: float) -> bool:
        """Whether ``visitor`` chose another image after ``moment``."""
        image = self._choices_of(visitor).image
        return image is not None and image.moment > moment

    def _choices_of(self, visitor: str) -> _Newest:
        with self._lock:
            return self._newest.get(visitor, _Newest())
