"""Where visitors' files lie for a while: a folder of this process alone, which is swept, and removed at the end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
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

from drn.errors import InputError

PREFIX = "drn-app-"

MAX_AGE, EVERY = 2700.0, 600.0
"""Seconds after which a file may go, and seconds between two sweeps: none stays for an hour."""

MAX_STORED_BYTES = 2_000_000_000
"""What the folder may hold; older files make room for newer ones."""

LEAST_BYTES = 65_536
"""What a smaller file counts as, with the folder of its own: the folder never holds very many."""

PARTIAL = ".partial"
"""Name of a file that is being uploaded. Its room is reserved, so it is not counted as stored."""

_own: list[Path] = []
_keep: set[Path] = set()
"""The page's own files."""

_room = threading.Lock()
"""Held while the folder is looked through."""

_counting = threading.Lock()
"""Held for a moment, also by the event loop, while ``_reserved`` changes."""

_reserved = 0
"""Bytes that are kept for files under way."""


def use_own_folder() -> None:
    """Let gradio store files in a folder of this process, inside ``GRADIO_TEMP_DIR`` or the system's temporary folder.

    A process holds a lock beside its folder as long as it lives (inside, it would go with a folder that is deleted).
    One that was killed could not remove its folder, so folders without a holder are removed here.

    Raises:
        InputError: If no folder can be made there.
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
        _lock(own)  # before it is there: a server that starts in between would take it for one that was left
        own.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(f"No folder can be made in {root} ({error.strerror}): set GRADIO_TEMP_DIR.") from error
    _own.append(own)
    os.environ["GRADIO_TEMP_DIR"] = str(own)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _lock(folder: Path) -> int:
    """Hold the folder's lock for as long as the process lives; an OSError says that another one does."""
    handle = os.open(_lock_of(folder), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def start_sweeping(is_running: Callable[[], bool]) -> None:
    """From now on remove files from the folder as they grow old, but those that are there now: the page's own.

    Args:
        is_running: Whether the server still runs; asked before each sweep.
    """
    (folder,) = _own
    _keep.update(_below(folder))

    def sweep() -> None:
        time.sleep(EVERY)
        while is_running():
            with contextlib.suppress(OSError):  # the next sweep does what this one cannot
                for path in sorted(set(_below(folder)) - _keep, reverse=True):
                    _remove_if_old(path)
            time.sleep(EVERY)

    threading.Thread(target=sweep, name="sweep", daemon=True).start()


def _below(folder: Path) -> Iterator[Path]:
    """Every file and folder in ``folder``, at any depth; unlike ``rglob`` it goes on where one goes meanwhile."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in [*folders, *files])


def _remove_if_old(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone already, or a folder in use
        if time.time() - path.stat().st_mtime > MAX_AGE:
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def is_own_file(path: Any) -> bool:
    """Whether ``path`` is exactly that of one of the page's own files; no file is looked at."""
    return isinstance(path, str) and Path(path) in _keep


def is_stored(path: str) -> bool:
    """Whether ``path`` leads to a file in the folder, links resolved."""
    with contextlib.suppress(OSError, ValueError):
        resolved = Path(path).resolve(strict=True)
        return resolved.is_file() and any(resolved.is_relative_to(own) for own in _own)
    return False


def make_room(nbytes: int) -> None:
    """Remove visitors' oldest files until ``nbytes`` more fit in, beside what is reserved."""
    with _room:
        _make_room(nbytes)


def reserve(nbytes: int) -> None:
    """Keep room for a file of ``nbytes`` that is about to be written; ``release`` it when it is there, or given up.

    Raises:
        OSError: If there is no room, even without all the files that may go.
    """
    global _reserved
    with _room:
        if _make_room(nbytes) > 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with _counting:
            _reserved += nbytes


def release(nbytes: int) -> None:
    """Give up room that was reserved."""
    global _reserved
    with _counting:
        _reserved -= nbytes


def _make_room(nbytes: int) -> int:
    """Remove visitors' oldest files until ``nbytes`` more fit in; returns the bytes lacking, 0 or less if none are."""
    found = []
    for path in (path for own in _own for path in _below(own) if path.name != PARTIAL):
        with contextlib.suppress(OSError):  # gone meanwhile
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
                with contextlib.suppress(OSError):  # not the last one in its folder
                    path.parent.rmdir()
            excess -= size
    return excess


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make the folder of a file that is written meanwhile; if that fails the folder goes again, unless it is in use.

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
    """Remove this process's files."""
    for own in _own:
        shutil.rmtree(own, ignore_errors=True)
        _lock_of(own).unlink(missing_ok=True)
