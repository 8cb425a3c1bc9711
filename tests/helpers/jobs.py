"""A function that runs a job of the page without the page."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from app.serving.jobs import Job

Result = TypeVar("Result")


def result_of(steps: Generator[tuple[int, int], None, Result]) -> Result:
    """Run a job to its end and return its result."""
    job = Job(steps)
    list(job)
    return job.result
