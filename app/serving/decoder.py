"""The process that decodes visitors' images: ``python -m app.serving.decoder``, started and killed by ``decoding``.

It imports neither torch nor gradio, so it starts fast and takes little memory. It serves one request after another
from standard input. If the system can fork, a forked process serves each request. The forked process needs no imports
and ends after its request, so no data of an image is left in memory when the next image is decoded.

A request consists of a JSON object (``name``, ``max_pixels``, ``nbytes``) and the file. An answer consists of a JSON
object, the pixels, and the alpha channel. Before each JSON object comes its length, in 4 bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
from pathlib import Path
from typing import Any

from PIL import Image

from drn.errors import InputError
from drn.image import Picture
from drn.reading import read_image

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None  # type: ignore[assignment]

SECONDS = 10
"""Longest time for decoding an image, in seconds."""

MEMORY_BYTES = 1_000_000_000
"""Largest address space of the process, in bytes."""

GRACE = 2
"""The process ends by itself this many seconds after ``SECONDS``, for the case that the server cannot kill it."""

MAX_MESSAGE_BYTES = 16_384
"""Largest JSON object of a request or an answer."""

LENGTH = struct.Struct("!I")


def read_exactly(file: io.RawIOBase, buffer: memoryview) -> None:
    """Fill ``buffer`` from an unbuffered file.

    Raises:
        EOFError: If the file ends too early.
    """
    while buffer:
        count = file.readinto(buffer)
        if not count:
            raise EOFError
        buffer = buffer[count:]


def write_all(file: io.RawIOBase, data: bytes | memoryview) -> None:
    """Write all of ``data`` to an unbuffered file."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[file.write(rest) or 0 :]


def read_message(file: io.RawIOBase) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        EOFError: If the file ends too early.
        ValueError: If it is too long or not a JSON object.
    """
    length = bytearray(LENGTH.size)
    read_exactly(file, memoryview(length))
    (nbytes,) = LENGTH.unpack(length)
    if nbytes > MAX_MESSAGE_BYTES:
        raise ValueError("The message is too long.")
    content = bytearray(nbytes)
    read_exactly(file, memoryview(content))
    message = json.loads(content)
    if not isinstance(message, dict):
        raise ValueError("The message is not a JSON object.")
    return message


def write_message(file: io.RawIOBase, message: dict[str, Any]) -> None:
    """Write a JSON object."""
    content = json.dumps(message).encode()
    write_all(file, LENGTH.pack(len(content)) + content)


def _limit_resources() -> None:
    """Limit the memory, forbid writing to files, and mark this process as the first to end if memory runs out."""
    if resource is not None:
        limits = ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0))
        for kind, most in limits:
            with contextlib.suppress(OSError, ValueError):  # macOS does not limit address space
                resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _set_alarm(seconds: int) -> None:
    """Let the system end this process after ``seconds``; 0 cancels the limit."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _decode(data: bytearray, name: str, max_pixels: int) -> tuple[dict[str, Any], Picture | None]:
    """Decode a file; return the JSON object of the answer, and the picture or, for a refused file, None."""
    try:
        picture = read_image(io.BytesIO(data), max_pixels=max_pixels, name=name)
    except InputError as error:
        return {"refusal": str(error), "memory": isinstance(error.__cause__, MemoryError)}, None
    height, width = picture.rgb.shape[:2]
    has_alpha = picture.alpha is not None
    described = {
        "width": width,
        "height": height,
        "alpha": has_alpha,
        "grey": picture.is_grey,
        "notes": picture.notes,
        "quality": picture.metadata.jpeg_quality,
    }
    return described, picture


def serve_one(requests: io.RawIOBase, answers: io.RawIOBase) -> None:
    """Decode the next file of ``requests``.

    Raises:
        EOFError: If there is no further file.
    """
    request = read_message(requests)
    _set_alarm(SECONDS + GRACE)
    data = bytearray(request["nbytes"])
    read_exactly(requests, memoryview(data))
    answer, picture = _decode(data, request["name"], request["max_pixels"])
    write_message(answers, answer)
    if picture is not None:
        write_all(answers, picture.rgb.data)
        if picture.alpha is not None:
            write_all(answers, picture.alpha.data)
    _set_alarm(0)


def main() -> None:
    """Serve requests from standard input until its end, or until an unexpected error occurs."""
    requests, answers = io.FileIO(0, "r", closefd=False), io.FileIO(1, "w", closefd=False)
    _limit_resources()
    Image.init()  # import the formats here, because otherwise each forked process would import them again
    with contextlib.suppress(EOFError):
        while not hasattr(os, "fork"):
            serve_one(requests, answers)
    while hasattr(os, "fork"):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                serve_one(requests, answers)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            return


if __name__ == "__main__":
    main()
