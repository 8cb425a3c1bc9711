"""Settings of the memory allocator of the process, which have an effect with glibc only."""

from __future__ import annotations

import contextlib
import ctypes

# Numbers of the options of glibc's ``mallopt``.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> None:
    """Let the process keep freed memory for its next tensors.

    Otherwise large tensors get new memory from the system each time, and the system fills it with zeros.
    """
    _set(M_MMAP_THRESHOLD, 2**30)
    _set(M_TRIM_THRESHOLD, 2**31 - 1)


def use_few_arenas() -> None:
    """Limit the process to two memory arenas, because each keeps the memory of the largest job that used it."""
    _set(M_ARENA_MAX, 2)


def _set(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").mallopt(option, value)
