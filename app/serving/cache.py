"""The folder for the temporary files of this process. Old files are removed; at the end the folder is removed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.serving.locks import lock_file
from drn.errors import InputError

PREFIX = "drn-app-"

MAX_AGE, EVERY = 2700.0, 600.0
"""Age in seconds at which a file is removed, and seconds between two sweeps; the sum is less than an hour."""

MAX_STORED_BYTES = 2_000_000_000
"""Largest size of all files in the folder, in bytes; older files are removed to make room for newer ones."""

LEAST_BYTES = 65_536
"""Smallest size that is counted for a file, in bytes. It includes the file's folder, and limits the number of files."""

PARTIAL = ".partial"
"""Name of a file that is being uploaded. Room is reserved for it, so it is not counted as stored."""

_own: list[Path] = []
_keep: set[Path] = set()
"""The files of the page itself, which are not removed."""

_room = threading.Lock()
"""Held while files are counted and removed."""

_counting = threading.Lock()
"""Held while ``_reserved`` changes. It must be held only briefly, because the event loop waits for it."""

_reserved = 0
"""Bytes that are reserved for files that are being written."""


def use_own_folder() -> None:
    """Let gradio store files in a folder of this process, inside ``GRADIO_TEMP_DIR`` or the system's temporary folder.

    A process holds the lock of a file beside its folder while it runs. A folder without a held lock was left behind by
    a killed process and is removed here. The lock file is not inside the folder, because the folder may be deleted.

    Raises:
        InputError: If the folder cannot be made.
    """
    if _own:
        return
    root = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir())).resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                os.close(_lock(left))
                shutil.rmtree(left)
                _lock_of(left).unlink()
        own = root / f"{PREFIX}{secrets.token_hex(8)}"
        _lock(own)  # before the folder: a server that starts now would remove a folder without a lock
        own.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(
            f"No folder can be made in {root} ({error.strerror}): set GRADIO_TEMP_DIR to a folder that is writable."
        ) from error
    _own.append(own)
    os.environ["GRADIO_TEMP_DIR"] = str(own)


def _lock_of(folder: Path) -> Path:
    """Return the path of the folder's lock file."""
    return folder.with_name(f".{folder.name}.lock")


def _lock(folder: Path) -> int:
    """Take the folder's lock, which is released when the process ends.

    Returns:
        The file descriptor of the lock file.

    Raises:
        OSError: If another process holds the lock.
    """
    handle = os.open(_lock_of(folder), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        lock_file(handle)
    except OSError:
        os.close(handle)
        raise
    return handle


def start_sweeping(is_running: Callable[[], bool]) -> None:
    """Start to remove old files from the folder, except the files that exist now, which belong to the page.

    Args:
        is_running: Returns whether the server still runs; called before each sweep.
    """
    (folder,) = _own
    _keep.update(_below(folder))

    def sweep() -> None:
        time.sleep(EVERY)
        while is_running():
            with contextlib.suppress(OSError):  # the next sweep tries again
                for path in sorted(set(_below(folder)) - _keep, reverse=True):
                    _remove_if_old(path)
            time.sleep(EVERY)

    threading.Thread(target=sweep, name="sweep", daemon=True).start()


def _below(folder: Path) -> Iterator[Path]:
    """List all files and folders below ``folder``; unlike ``rglob``, continue if one is removed in the meantime."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in [*folders, *files])


def _remove_if_old(path: Path) -> None:
    """Remove a file, or an empty folder, that is older than ``MAX_AGE``."""
    with contextlib.suppress(OSError):  # removed in the meantime, or a folder with files
        if time.time() - path.stat().st_mtime > MAX_AGE:
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def is_own_file(path: Any) -> bool:
    """Return whether ``path`` is exactly the path of a file of the page itself, without access to the file."""
    return isinstance(path, str) and Path(path) in _keep


def is_stored(path: str) -> bool:
    """Return whether ``path``, with links resolved, is a file in the folder."""
    with contextlib.suppress(OSError, ValueError):
        resolved = Path(path).resolve(strict=True)
        return resolved.is_file() and any(resolved.is_relative_to(own) for own in _own)
    return False


def make_room(nbytes: int) -> None:
    """Remove the oldest files of visitors until there is room for ``nbytes`` more and for the reserved bytes."""
    with _room:
        _make_room(nbytes)


def reserve(nbytes: int) -> None:
    """Reserve room for a file of ``nbytes``; call ``release`` after the file was written or abandoned.

    Raises:
        OSError: If there is too little room even after all files of visitors were removed.
    """
    global _reserved
    with _room:
        if _make_room(nbytes) > 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with _counting:
            _reserved += nbytes


def release(nbytes: int) -> None:
    """Release ``nbytes`` that were reserved."""
    global _reserved
    with _counting:
        _reserved -= nbytes


def _make_room(nbytes: int) -> int:
    """Remove the oldest files of visitors until there is room for ``nbytes`` more.

    Returns:
        The number of bytes for which there is no room; 0 or less if there is enough.
    """
    found = []
    for path in (path for own in _own for path in _below(own) if path.name != PARTIAL):
        with contextlib.suppress(OSError):  # removed in the meantime
            about = path.stat()
            if stat.S_ISREG(about.st_mode):
                found.append((about.st_mtime, max(about.st_size, LEAST_BYTES), path))
    excess = sum(size for _, size, _ in found) + _reserved + nbytes - MAX_STORED_BYTES
    for _, size, path in sorted(found):
        if excess <= 0:
            break
        if path not in _keep:
            path.unlink(missing_ok=True)
            if path.parent not in _own:
                with contextlib.suppress(OSError):  # the folder has other files
                    path.parent.rmdir()
            excess -= size
    return excess


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make a folder for a file that the block writes; if the block fails and the folder is empty, remove it.

    Raises:
        OSError: If the folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        raise


def remove_own_folder() -> None:
    """Remove this process's folder."""
    for own in _own:
        shutil.rmtree(own, ignore_errors=True)
        _lock_of(own).unlink(missing_ok=True)
