"""The exception for requests that are refused."""

from __future__ import annotations


class Refused(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        sentence: The reason, for the visitor.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
