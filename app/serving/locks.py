"""A lock on an open file that lasts as long as the process, on every system."""

from __future__ import annotations

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock_file(handle: int) -> None:
    """Lock an open file; the lock ends when the file is closed or the process ends.

    Args:
        handle: File descriptor, open for writing.

    Raises:
        OSError: If another process holds the lock.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
