"""Checks of environment variables before gradio is imported, because gradio would end with a traceback."""

from __future__ import annotations

import os
import socket

import httpx

from drn.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def prepare_environment() -> None:
    """Check the server's address and the proxies, and exclude this machine from the use of proxies.

    Raises:
        InputError: If the page cannot be served with these settings.
    """
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    own = [name for name in (*LOOPBACK, host) if name not in ("0.0.0.0", "::", "")]  # noqa: S104
    for variable in ("NO_PROXY", "no_proxy"):
        # gradio sends a request to the page at its start. A proxy cannot reach the loopback address of this machine.
        listed = [name for name in os.environ.get(variable, "").split(",") if name]
        os.environ[variable] = ",".join(dict.fromkeys([*listed, *own]))
    try:
        httpx.Client().close()
    except (ValueError, ImportError) as error:
        raise InputError(
            f"The proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used ({error}): change or unset it."
        ) from error
    _check_address(host, os.environ.get("GRADIO_SERVER_PORT"))


def _check_address(host: str, port: str | None) -> None:
    """Check that the page can be served at ``host`` and ``port``; without a port, gradio searches for a free one.

    Raises:
        InputError: If the page cannot be served there.
    """
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise InputError(f"GRADIO_SERVER_PORT is {port[:20]!r}: give a number from 1 to 65535.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port or 0), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"The host name {host[:80]!r} in GRADIO_SERVER_NAME is unknown: give 127.0.0.1 or 0.0.0.0."
        ) from error
    family, kind, protocol, _, address = found[0]
    try:
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise InputError(
            f"The page cannot be served at {host[:80]}:{port or 'any port'} ({error.strerror}): "
            "choose another GRADIO_SERVER_NAME or GRADIO_SERVER_PORT."
        ) from error
