"""The upload route: it stores one file per request and remembers its path. No other path from a visitor is opened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from gradio_client.utils import strip_invalid_filename_characters
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.serving.cache import LEAST_BYTES, MAX_STORED_BYTES, PARTIAL, release, reserve
from app.serving.gradio_patches import end_progress, note_progress
from app.serving.refused import Refused
from drn.errors import InputError

logger = logging.getLogger(__name__)

MAX_AT_ONCE, MAX_AT_ONCE_EACH = 64, 8
"""Largest number of simultaneous uploads, in all and from one address. Their reserved room is below the folder's limit.
"""

MAX_REMEMBERED = MAX_STORED_BYTES // LEAST_BYTES
"""Number of uploads whose paths are stored: the largest number of files in the folder."""

MAX_STORED_EACH = 400_000_000
"""Largest size of all uploads from one address, in bytes; its oldest uploads are removed to make room."""

WRITE_BYTES = 256 * 1024
"""Number of bytes that are collected before they are written to disk."""

NO_UPLOAD = "The server has no such upload: choose the image again."
"""The answer for every path that is not an upload. It does not reveal whether the file exists."""

NO_ROOM = "The server cannot store files just now: try again later."

_uploads: OrderedDict[str, tuple[str | None, int]] = OrderedDict()
"""The uploads by path, oldest first: the visitor's address, and the size that the folder counts."""

_under_way: Counter[str | None] = Counter()
"""The number of uploads that are being received, by address."""


def is_upload(path: Any) -> bool:
    """Return whether the upload route has returned exactly this ``path``, without access to the file."""
    return isinstance(path, str) and path in _uploads


def find_upload(path: str) -> Path:
    """Return the uploaded file at ``path``.

    Raises:
        InputError: If the upload route did not store the file, or the file was removed or replaced.
    """
    if is_upload(path):
        folder = Path(get_upload_folder()).resolve()
        with contextlib.suppress(OSError):
            found = Path(path).resolve(strict=True)
            if str(found) == path and found.is_relative_to(folder) and found.is_file():
                return found
    raise InputError(NO_UPLOAD)


async def store_upload(
    receive: Receive, content_type: str, length: int, address: str | None, upload_id: str | None
) -> str:
    """Receive a form with one file and store the file.

    Args:
        receive: The ASGI function that returns the body of the request.
        content_type: The request's ``Content-Type``.
        length: The request's ``Content-Length``.
        address: The visitor's address; None if it is not known.
        upload_id: The name under which the page requests the progress of this upload, or None.

    Returns:
        The path of the file.

    Raises:
        Refused: If the form does not hold exactly one file, or the file cannot be stored.
        ClientDisconnect: If the visitor disconnects before the end of the request.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(400, "The request is not a form with a file: send it as multipart/form-data.")
    if _under_way.total() >= MAX_AT_ONCE or (address and _under_way[address] >= MAX_AT_ONCE_EACH):
        raise Refused(503, "The server already receives as many files as it can: try again in a minute.")
    _under_way[address] += 1
    try:
        stored = await _store(receive, _Form(options[b"boundary"]), length, upload_id)
        _remember(stored, address)
        return str(stored)
    except FormParserError as error:
        raise Refused(400, "The form is damaged: send the file again.") from error
    except OSError as error:
        logger.error("Files cannot be stored: %s", error.strerror)
        raise Refused(503, NO_ROOM) from error
    finally:
        _under_way[address] -= 1
        if not _under_way[address]:
            del _under_way[address]
        if upload_id:
            end_progress(upload_id)


async def _store(receive: Receive, form: _Form, length: int, upload_id: str | None) -> Path:
    """Write the file of a form to a new folder while it arrives; a failure leaves no file behind."""
    folder = Path(get_upload_folder()).resolve() / secrets.token_hex(16)
    await asyncio.to_thread(reserve, length)
    try:
        folder.mkdir(parents=True)
        with (folder / PARTIAL).open("wb") as file:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                more = message.get("more_body", False)
                form.feed(message.get("body", b""))
                if upload_id:
                    note_progress(upload_id, form.name, message.get("body", b""))
                if not more or len(form.data) >= WRITE_BYTES:
                    await asyncio.to_thread(file.write, form.take())
        if not form.is_whole:
            raise Refused(400, "The form is not complete: send the file again.")
        return (folder / PARTIAL).rename(folder / form.name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        release(length)


def _remember(path: Path, address: str | None) -> None:
    """Record an upload, and remove the oldest uploads from its address if they take too much space."""
    _uploads[str(path)] = address, max(path.stat().st_size, LEAST_BYTES)
    if len(_uploads) > MAX_REMEMBERED:
        _uploads.popitem(last=False)
    if address is None:
        return
    own = {path: size for path, (owner, size) in _uploads.items() if owner == address}
    excess = sum(own.values()) - MAX_STORED_EACH
    for oldest, size in own.items():
        if excess <= 0:
            break
        shutil.rmtree(Path(oldest).parent, ignore_errors=True)
        del _uploads[oldest]
        excess -= size


class _Form:
    """Reads a multipart form that holds one file.

    Attributes:
        name: The file's name, made safe for the file system.
        data: Bytes of the file that ``take`` has not returned yet.
        is_whole: Whether the end of the form has arrived.
    """

    def __init__(self, boundary: bytes) -> None:
        self.name, self.data, self.is_whole = "file", bytearray(), False
        self._parts = 0
        self._header, self._value = b"", b""
        self._options: dict[bytes, bytes] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_header,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the request.

        Raises:
            Refused: If there is more than one part, or the part is not a file.
            FormParserError: If the bytes are not a form.
        """
        self._parser.write(data)

    def take(self) -> bytes:
        """Return the bytes of the file that arrived since the last call."""
        data = bytes(self.data)
        self.data.clear()
        return data

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Refused(400, "The form holds several files: send one file in each request.")

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._options = parse_options_header(self._value)
        self._header, self._value = b"", b""

    def _end_headers(self) -> None:
        if b"filename" not in self._options:
            raise Refused(400, "The form holds no file: send one.")
        self.name = safe_name(self._options[b"filename"].decode(errors="replace"))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]

    def _end(self) -> None:
        self.is_whole = True


def safe_name(given: str) -> str:
    """Return a visitor's file name without folders, leading dots and control characters, at most 200 bytes long."""
    name = strip_invalid_filename_characters(given.replace("\\", "/").rpartition("/")[2]).lstrip(".")
    return name or "file"
