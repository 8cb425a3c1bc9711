"""Who asks, and under which name: the hosts and origins that the page answers to, and the address of a visitor."""

from __future__ import annotations

import ipaddress
import os
import re
import socket

from starlette.datastructures import Headers
from starlette.types import Scope

from app.refused import Refused

PRIVATE_NETWORKS = ("127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Networks whose addresses name no visitor: this machine, and those behind a proxy or a router."""

_SHARED = tuple(map(ipaddress.ip_network, PRIVATE_NETWORKS))

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[0-9a-z._-]{1,253})(:\d{1,5})?", re.IGNORECASE)


def allowed_hosts() -> frozenset[str]:
    """Host names under which the page may be asked for.

    They are this machine's names, the address that the server is bound to (``GRADIO_SERVER_NAME``), the name of a
    Hugging Face Space (``SPACE_HOST``), and those listed in ``DRN_HOSTS``, separated by commas.
    """
    listed = os.environ.get("DRN_HOSTS", "").split(",")
    given = [*listed, os.environ.get("SPACE_HOST", ""), os.environ.get("GRADIO_SERVER_NAME", ""), socket.gethostname()]
    names = {"localhost", "127.0.0.1", "::1", *(name.strip().strip("[]").lower() for name in given)}
    return frozenset(names - {""})


def check_host(scope: Scope, allowed: frozenset[str]) -> None:
    """Refuse a request that names the page by a host that is not allowed: gradio makes addresses in the page of it.

    Args:
        allowed: See ``allowed_hosts``. The address at which the request arrived is allowed too.

    Raises:
        Refused: If ``Host`` is missing, or ``Host`` or ``X-Forwarded-Host`` is not allowed.
    """
    headers = Headers(scope=scope)
    arrived = (scope.get("server") or ("",))[0]
    named = [headers.get("host", ""), *_list(headers.getlist("x-forwarded-host"))]
    if not all(_name(host) in allowed | {arrived} for host in named):
        raise Refused(421, "This server does not answer to this host name: its operator can list it in DRN_HOSTS.")


def check_origin(scope: Scope, allowed: frozenset[str]) -> None:
    """Refuse a request that a page of another site makes a browser send.

    Raises:
        Refused: If ``Origin`` is given and its host is not allowed.
    """
    arrived = (scope.get("server") or ("",))[0]
    for origin in Headers(scope=scope).getlist("origin"):
        if _name(re.sub(r"^https?://", "", origin)) not in allowed | {arrived}:
            raise Refused(403, "This page takes no requests from other sites.")


def _list(values: list[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",")]


def _name(host: str) -> str | None:
    """The host name of ``host[:port]``, in lower case; None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None


def trusted_proxies() -> str:
    """Addresses of proxies whose ``X-Forwarded-For`` is believed, for uvicorn: ``FORWARDED_ALLOW_IPS``, if it is set.

    Else they are this machine, and on a Hugging Face Space the private network in which its proxy is.
    """
    own = PRIVATE_NETWORKS if os.environ.get("SPACE_HOST") else ("127.0.0.1", "::1")
    return os.environ.get("FORWARDED_ALLOW_IPS", ",".join(own))


def visitor(scope: Scope) -> str | None:
    """The address of the visitor, or None where many may share it: that of a proxy in a private network.

    uvicorn has put the address of ``X-Forwarded-For`` here where the request comes from a proxy that it trusts.
    """
    address = (scope.get("client") or ("",))[0]
    try:
        own = ipaddress.ip_address(address)
    except ValueError:
        return None
    return None if any(own in network for network in _SHARED) else address
