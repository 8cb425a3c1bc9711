"""The answer to a request that the page does not take."""

from __future__ import annotations


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        sentence: What the visitor is told.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
