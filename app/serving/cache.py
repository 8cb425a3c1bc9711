"""The folder for temporary files: it belongs to this process, old files are removed, and at the end all of it."""

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
"""Seconds after which a file is removed, and seconds between two sweeps; their sum is less than an hour."""

MAX_STORED_BYTES = 2_000_000_000
"""Size of all files in the folder; older files are removed to make room for newer ones."""

LEAST_BYTES = 65_536
"""Size that a smaller file is counted with, because its folder takes space too; it bounds the number of files."""

PARTIAL = ".partial"
"""Name of a file that is being uploaded. Room is reserved for it, so it is not counted as stored."""

_own: list[Path] = []
_keep: set[Path] = set()
"""The files of the page itself, which are not removed."""

_room = threading.Lock()
"""Held while files are counted and removed."""

_counting = threading.Lock()
"""Held while ``_reserved`` changes; the event loop waits for it, so it is held only for a moment."""

_reserved = 0
"""Bytes that are reserved for files that are being written."""


def use_own_folder() -> None:
    """Let gradio store files in a folder of this process, inside ``GRADIO_TEMP_DIR`` or the system's temporary folder.

    A process holds a lock file beside its folder while it runs. Folders whose lock nobody holds were left by a killed
    process, and are removed here. The lock file is not inside the folder, because the folder may be deleted.

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
        _lock(own)  # first: a server that starts now would remove a folder without a lock
        own.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(f"No folder can be made in {root} ({error.strerror}): set GRADIO_TEMP_DIR.") from error
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
    """Start to remove old files from the folder, except those that are there now, which belong to the page.

    Args:
        is_running: Tells whether the server still runs; called before each sweep.
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
    """List all files and folders below ``folder``; unlike ``rglob``, it continues if one is removed meanwhile."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in [*folders, *files])


def _remove_if_old(path: Path) -> None:
    """Remove a file, or an empty folder, that is older than ``MAX_AGE``."""
    with contextlib.suppress(OSError):  # removed meanwhile, or a folder with files
        if time.time() - path.stat().st_mtime > MAX_AGE:
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def is_own_file(path: Any) -> bool:
    """Tell whether ``path`` is exactly the path of a file of the page itself, without access to the file."""
    return isinstance(path, str) and Path(path) in _keep


def is_stored(path: str) -> bool:
    """Tell whether ``path``, with links resolved, is a file in the folder."""
    with contextlib.suppress(OSError, ValueError):
        resolved = Path(path).resolve(strict=True)
        return resolved.is_file() and any(resolved.is_relative_to(own) for own in _own)
    return False


def make_room(nbytes: int) -> None:
    """Remove the oldest files of visitors until ``nbytes`` more fit in, beside the reserved bytes."""
    with _room:
        _make_room(nbytes)


def reserve(nbytes: int) -> None:
    """Reserve room for a file of ``nbytes``; call ``release`` when it has been written or given up.

    Raises:
        OSError: If there is too little room even without all files of visitors.
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
    """Remove the oldest files of visitors until ``nbytes`` more fit in.

    Returns:
        The number of bytes that do not fit in; 0 or less if all do.
    """
    found = []
    for path in (path for own in _own for path in _below(own) if path.name != PARTIAL):
        with contextlib.suppress(OSError):  # removed meanwhile
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
    """Make the folder of a file that is written inside the block; if the block fails, remove the folder if it is empty.

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
