"""Settings of the memory allocator of the process, which have an effect with glibc only."""

from __future__ import annotations

import ctypes

# Numbers of the options of glibc's ``mallopt``.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8

MMAP_THRESHOLDS = 2**30, 2**25
"""Sizes in bytes up to which freed memory is kept, in order of preference. Older versions of glibc refuse the first."""


def keep_freed_memory() -> None:
    """Let the process keep freed memory for its next tensors.

    Otherwise large tensors get new memory from the system each time, and the system fills it with zeros.
    """
    # M_TRIM_THRESHOLD stops glibc from adapting M_MMAP_THRESHOLD, so it is set only if glibc accepted the latter.
    if any(_set(M_MMAP_THRESHOLD, size) for size in MMAP_THRESHOLDS):
        _set(M_TRIM_THRESHOLD, 2**31 - 1)


def use_few_arenas() -> None:
    """Limit the process to two memory arenas, because each keeps the memory of the largest job that used it."""
    _set(M_ARENA_MAX, 2)


def _set(option: int, value: int) -> bool:
    """Set an option of the allocator, and return whether it was accepted."""
    try:
        return bool(ctypes.CDLL("libc.so.6").mallopt(option, value))
    except (OSError, AttributeError):  # not glibc
        return False
