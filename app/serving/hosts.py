"""Checks of the host names and origins of requests, and the address of a visitor."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from app.serving.refused import Refused

PRIVATE_NETWORKS = ("127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""The network of this machine, and private networks behind a proxy or router."""

_SHARED = tuple(map(ipaddress.ip_network, (*PRIVATE_NETWORKS, "100.64.0.0/10", "169.254.0.0/16", "fe80::/10")))
"""Networks whose addresses do not identify a visitor. Customers of a provider share 100.64.0.0/10."""

IPV6_BITS = 64
"""Leading bits of an IPv6 address that identify a visitor, because a visitor can choose the other bits."""

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[0-9a-z._-]{1,253})(:\d{1,5})?", re.IGNORECASE)

OTHER_SITE = (
    "This page accepts no requests from other sites: open the page itself. "
    "If this is its own address, its operator can add the host name to DRN_HOSTS."
)


def allowed_hosts() -> frozenset[str]:
    """List the host names under which the page may be requested.

    They are this machine's names, the address that the server is bound to (``GRADIO_SERVER_NAME``), the name of a
    Hugging Face Space (``SPACE_HOST``), the host of ``GRADIO_ROOT_PATH`` if that is a whole address, and those listed
    in ``DRN_HOSTS``, separated by commas.
    """
    listed = os.environ.get("DRN_HOSTS", "").split(",")
    given = [*listed, os.environ.get("SPACE_HOST", ""), os.environ.get("GRADIO_SERVER_NAME", ""), socket.gethostname()]
    given.append(urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).hostname or "")
    names = {"localhost", "127.0.0.1", "::1", *(name.strip().strip("[]").lower() for name in given)}
    return frozenset(names - {""})


def check_host(scope: Scope, allowed: frozenset[str]) -> None:
    """Refuse a request to a host name that is not allowed, because gradio puts this name into addresses in the page.

    Args:
        scope: The request.
        allowed: See ``allowed_hosts``. The address at which the request arrived is allowed too.

    Raises:
        Refused: If ``Host`` is missing, or ``Host`` or ``X-Forwarded-Host`` is not allowed.
    """
    headers = Headers(scope=scope)
    arrived = (scope.get("server") or ("",))[0]
    named = [headers.get("host", ""), *_list(headers.getlist("x-forwarded-host"))]
    if not all(_name(host) in allowed | {arrived} for host in named):
        raise Refused(421, "This server does not accept this host name: its operator can add the name to DRN_HOSTS.")


def check_origin(scope: Scope, allowed: frozenset[str]) -> None:
    """Refuse a request that a browser sends for a page of another site.

    Raises:
        Refused: If ``Origin`` is given and its host is not allowed.
    """
    arrived = (scope.get("server") or ("",))[0]
    for origin in Headers(scope=scope).getlist("origin"):
        if _name(re.sub(r"^https?://", "", origin)) not in allowed | {arrived}:
            raise Refused(403, OTHER_SITE)


def _list(values: list[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",")]


def _name(host: str) -> str | None:
    """Return the host name of ``host[:port]`` in lower case, or None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None


def trusted_proxies() -> str:
    """List the proxies whose ``X-Forwarded-For`` is trusted, in the form of ``FORWARDED_ALLOW_IPS``.

    If that variable is not set, only this machine is trusted. On a Hugging Face Space the private networks are trusted
    too, because the Space's proxy is in one of them.
    """
    own = PRIVATE_NETWORKS if os.environ.get("SPACE_HOST") else ("127.0.0.1", "::1")
    return os.environ.get("FORWARDED_ALLOW_IPS", ",".join(own))


def visitor(scope: Scope) -> str | None:
    """Return the address of the visitor; for IPv6, the network in which the visitor can choose addresses.

    For a request from a trusted proxy, uvicorn has already replaced the proxy's address by that in ``X-Forwarded-For``.

    Returns:
        The address or network. None if it is unknown, or if it is private, because many visitors may then share it.
    """
    try:
        own = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return None
    if isinstance(own, ipaddress.IPv6Address):
        own = own.ipv4_mapped or own
    if any(own in network for network in _SHARED):
        return None
    return str(own) if own.version == 4 else str(ipaddress.ip_network((int(own), IPV6_BITS), strict=False))
