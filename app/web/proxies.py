"""Where a request comes from: the connection's own end, or what a stated number of trusted proxies say.

Each proxy appends to X-Forwarded-For the address that it was asked from, so only as many entries as there are trusted
proxies can be believed, counted from the right; what stands to the left of them the visitor wrote
(https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For). The edge of a Hugging Face Space
appends one and keeps what it was sent.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_UVICORN = "FORWARDED_ALLOW_IPS"
_LOG = logging.getLogger(__name__)


def count_proxies(stated: int | None) -> int:
    """How many proxies are trusted: the number stated, else one on a Hugging Face Space, none elsewhere."""
    if stated is not None:
        return stated
    return 1 if os.environ.get("SPACE_ID") else 0


class Forwarded:
    """Middleware that says who asks: `client` of a request is then the visitor, as far as that can be known."""

    def __init__(self, app: ASGIApp, proxies: int = 0) -> None:
        """Behind so many trusted proxies."""
        self._app = app
        self._proxies = proxies
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on. A header that nobody vouches for is told of in the log, once."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            named = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",")]
            if named and not self._proxies and not self._warned:
                self._warned = True
                _LOG.warning(
                    "requests come through a proxy (they have X-Forwarded-For), but none is trusted: all its visitors "
                    "count as one address, for quotas and wrong logins. State how many proxies stand in front: "
                    "tacit serve --proxies 1, or TACIT_PROXIES=1 in its environment."
                )
            if named and self._proxies:
                scope = {**scope, **_seen_by(self._proxies, named, headers.getlist("x-forwarded-proto"), scope)}
        await self._app(scope, receive, send)


def _seen_by(proxies: int, named: list[str], schemes: list[str], scope: Scope) -> Scope:
    """What the outermost trusted proxy saw, where it can be read."""
    seen: Scope = {}
    address = read_address(named[max(0, len(named) - proxies)])
    if address is not None:
        seen["client"] = (str(address), 0)
    parts = [part.strip() for line in schemes for part in line.split(",")]
    scheme = parts[max(0, len(parts) - proxies)] if parts else ""
    if scheme in ("http", "https"):
        seen["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")
    return seen


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, maybe with a port, as proxies write it; None if it is none."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def network_of(host: str) -> str:
    """What counts as one visitor's address: of IPv6, the network that one household has (RFC 6177)."""
    address = read_address(host)
    if address is None:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def visitor_of(request: gr.Request) -> str:
    """What a visitor counts as, by the address that the server saw."""
    return network_of(request.client.host) if request.client else ""


@contextmanager
def unforged() -> Iterator[None]:
    """While a server is set up in this block, it reads no forwarding headers by itself: `Forwarded` does."""
    before = os.environ.get(_UVICORN)
    os.environ[_UVICORN] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[_UVICORN]
        else:
            os.environ[_UVICORN] = before
