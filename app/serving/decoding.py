"""Decode visitors' images in separate processes, so that a hostile file takes no time or memory of the server.

``pool.decode`` sends a file to a waiting process (``decoder``). It kills the process if decoding takes too long or the
visitor leaves. The process inherits neither the server's files nor its environment.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import cast

import numpy as np

from app.serving.decoder import MEMORY_BYTES, SECONDS, read_exactly, read_message, write_all, write_message
from app.serving.prechecks import check_effort
from drn.errors import InputError
from drn.image import Array, Picture
from drn.metadata import Metadata
from drn.upscaler import Cancelled

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "app.serving.decoder")

KEPT_VARIABLES = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT")
"""The environment variables of the processes. Others are left out, because they may be secrets such as ``HF_TOKEN``."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Variables that prevent numpy's threads. Decoding does not use them, but their memory counts towards the limit."""

MAX_PROCESSES = 2
"""Number of files that are decoded at the same time."""

POLL_SECONDS = 0.02
"""Seconds between two checks of the time limit and of the visitor's connection."""

TAKES_LONG = f"{{name}} takes longer than {SECONDS} seconds to decode: save it again as PNG or JPEG."
NEEDS_MEMORY = f"{{name}} needs more than {MEMORY_BYTES / 1e9:.0f} GB of memory to decode: reduce it first."
FAILS = "{name} cannot be decoded: save it again as PNG or JPEG."


class _FailedError(Exception):
    """Error for a process that ended, or did not send a valid answer."""


class _Process:
    """A decoding process that waits for a file."""

    def __init__(self, command: tuple[str, ...]) -> None:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603
            command,
            cwd=ROOT,
            env=kept | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal must reach only the server
        )
        self._requests = cast("io.RawIOBase", self._process.stdin)
        self._answers = cast("io.RawIOBase", self._process.stdout)
        self._answer: Future[Picture | str] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def start(self, data: bytes, name: str, max_pixels: int) -> Future[Picture | str]:
        """Send a file, and return a future of the picture, of the reason for a refusal, or of a ``_FailedError``."""
        answer: Future[Picture | str] = Future()

        def exchange() -> None:
            try:
                answer.set_result(self._ask(data, name, max_pixels))
            except Exception as error:
                answer.set_exception(_FailedError(type(error).__name__))

        self._answer = answer
        threading.Thread(target=exchange, name="decode", daemon=True).start()
        return answer

    def _ask(self, data: bytes, name: str, max_pixels: int) -> Picture | str:
        """Send a file, then read and check the whole answer."""
        write_message(self._requests, {"name": name, "max_pixels": max_pixels, "nbytes": len(data)})
        write_all(self._requests, data)
        answer = read_message(self._answers)
        if "refusal" in answer:
            return NEEDS_MEMORY.format(name=name) if answer["memory"] else str(answer["refusal"])
        height, width = int(answer["height"]), int(answer["width"])
        if min(height, width) < 1 or height * width > max_pixels:
            raise ValueError("The size is out of bounds.")
        quality = answer["quality"]
        if quality is not None and int(quality) not in range(1, 101):
            raise ValueError("The JPEG quality is out of bounds.")
        metadata = Metadata(jpeg_quality=None if quality is None else int(quality))
        rgb = self._read_pixels((height, width, 3))
        alpha = self._read_pixels((height, width)) if answer["alpha"] else None
        return Picture(rgb, alpha, bool(answer["grey"]), tuple(map(str, answer["notes"])), metadata)

    def _read_pixels(self, shape: tuple[int, ...]) -> Array:
        pixels = np.empty(shape, np.uint8)
        read_exactly(self._answers, pixels.data.cast("B"))
        return pixels

    def close(self) -> None:
        """Kill the process, and the process that it forked for the present file."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._answer is not None:
            wait([self._answer])  # a pipe must not be closed while it is used
        self._requests.close()
        self._answers.close()


class Pool:
    """Decoding processes; one is started before it is needed."""

    def __init__(self) -> None:
        self._waiting: list[_Process] = []
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MAX_PROCESSES)

    def warm(self) -> None:
        """Start a process for the next file unless one waits, and return before the process is ready.

        If the process cannot be started, the next call of ``decode`` tries again and reports the failure.
        """
        with self._lock, contextlib.suppress(OSError):
            if not self._waiting:
                self._waiting.append(_Process(COMMAND))

    def close(self) -> None:
        """Kill the processes that wait."""
        with self._lock:
            while self._waiting:
                self._waiting.pop().close()

    @property
    def waiting(self) -> list[int]:
        """Process ids of the processes that wait for a file."""
        with self._lock:
            return [process.pid for process in self._waiting]

    def decode(self, data: bytes, name: str, max_pixels: int, cancelled: Callable[[], bool]) -> Picture:
        """Decode an image file, as ``drn.reading.read_image`` does, but of the metadata keep only the JPEG quality.

        Args:
            data: The file's content.
            name: The file's name in error messages.
            max_pixels: Largest width times height accepted.
            cancelled: Called repeatedly; if it returns True, the process is killed.

        Returns:
            The picture.

        Raises:
            InputError: If the file cannot be decoded within the limits on time and memory, or is refused.
            Cancelled: If ``cancelled`` returned True.
        """
        check_effort(data, name, max_pixels)
        while not self._free.acquire(timeout=POLL_SECONDS):
            if cancelled():
                raise Cancelled
        try:
            answer = self._decode(data, name, max_pixels, cancelled)
        finally:
            self._free.release()
        if isinstance(answer, str):
            raise InputError(answer)
        return answer

    def _decode(self, data: bytes, name: str, max_pixels: int, cancelled: Callable[[], bool]) -> Picture | str:
        process = self._take()
        try:
            future = process.start(data, name, max_pixels)
            ends = time.monotonic() + SECONDS
            while not wait([future], POLL_SECONDS).done:
                if cancelled():
                    raise Cancelled
                if time.monotonic() > ends:
                    raise InputError(TAKES_LONG.format(name=name))
            answer = future.result()
        except BaseException as error:
            process.close()
            self.warm()
            if isinstance(error, _FailedError):
                logger.error("A decoding process failed with %s.", error)
                raise InputError(FAILS.format(name=name)) from error
            raise
        self._put_back(process)
        return answer

    def _take(self) -> _Process:
        """Return a process that waits, or a new one."""
        with self._lock:
            while self._waiting:
                process = self._waiting.pop()
                if process.is_running:
                    return process
                process.close()
        try:
            return _Process(COMMAND)
        except OSError as error:
            raise InputError("The server cannot decode images just now: try again later.") from error

    def _put_back(self, process: _Process) -> None:
        """Keep the process for the next file, or kill it if another process already waits."""
        with self._lock:
            if not self._waiting:
                self._waiting.append(process)
                return
        process.close()


pool = Pool()
"""The decoding processes of this server."""
