"""Who is let in: requests for this studio by one of its names, and what its own pages send.

A stranger's page can let its name resolve to this machine (DNS rebinding), so that a browser takes the studio for a
part of that page; the Host header still holds the stranger's name. And any page can send requests here; Origin and
Sec-Fetch-Site then say where it is from (https://www.w3.org/TR/fetch-metadata/). Programs send neither.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.notices import notice_html
from engine.errors import InputError

API = "/gradio_api"
"""What pages and programs call stands below this path; the rest are pages and their parts."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)\.?(?::(\d{1,5}))?")
_PORTS = {"http": 80, "https": 443}
_LOCAL = "localhost"


@dataclass(frozen=True)
class Place:
    """A host with its port, None where none is given. Hosts are lower case, IPv6 without brackets."""

    host: str
    port: int | None = None


@dataclass(frozen=True)
class Names:
    """The names that a studio answers to.

    `given` are the operator's, `own` the machine's; with `addresses` any address in digits is one too: a stranger can
    aim a name of his own at this machine, but not an address.
    """

    own: frozenset[str] = frozenset()
    given: tuple[Place, ...] = ()
    addresses: bool = False

    def know(self, place: Place) -> bool:
        """Whether a request for this place is for the studio."""
        if place.host in self.own or any(place.host == known.host for known in self.given):
            return True
        address = _address(place.host)
        return place.host == _LOCAL or (address is not None and (self.addresses or address.is_loopback))

    def same(self, origin: str, place: Place) -> bool:
        """Whether pages of an origin are the studio's own: they come from the place asked, or from a name given."""
        try:
            url = urlsplit(origin)
            port = url.port or _PORTS[url.scheme]
        except (ValueError, KeyError):
            return False
        usual = _PORTS[url.scheme]
        return any(url.hostname == own.host and port == (own.port or usual) for own in (place, *self.given))


def read_names(host: str, given: Sequence[str]) -> Names:
    """The names of a studio that is bound to `host`, those given with --allow-host, and a Space's own.

    Raises:
        InputError: if one can't be a name.
    """
    words = [word for one in given for word in re.split(r"[,\s]+", one) if word]
    words += [word for word in os.environ.get("SPACE_HOST", "").split(",") if word.strip()]
    places = []
    for word in words:
        place = read_place(word.strip())
        if place is None:
            raise InputError(
                f"--allow-host {word}: give a name as studio.example, or studio.example:8443. Nothing was started."
            )
        places.append(place)
    bound = host.strip("[]").lower()
    address = _address(bound)
    if bound == _LOCAL or (address is not None and address.is_loopback):
        return Names(frozenset(), tuple(places))
    name = socket.gethostname().lower()
    return Names(frozenset({bound, name, f"{name}.local"}), tuple(places), addresses=True)


def read_place(host: str) -> Place | None:
    """The place that a Host header names; None if it names none."""
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return None
    name, port = match[1].strip("[]"), match[2]
    if match[1].startswith("[") and _address(name) is None:
        return None
    return Place(name, int(port) if port else None)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Doors:
    """Middleware that lets in what is meant for this studio and comes from its own pages, or from no page."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        """In front of `app`, which answers to `names`."""
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or say why not. Where a page sends its reader, the reader's address stays here."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refused = self._refuse(scope)
        if refused is None:
            return await self._app(scope, receive, _keep_address(send))
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
        return await _say(Headers(scope=scope), *refused)(scope, receive, send)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        place = read_place(headers.get("host", ""))
        if place is None or not self._names.know(place):
            asked = "a request without a name" if place is None else f"the name {place.host[:100]}"
            return 421, (
                f"This studio does not answer to {asked}. Open it by the address that it printed when it started, or "
                "let the name in: tacit serve --allow-host NAME, or TACIT_ALLOWED_HOSTS in its environment."
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and not self._names.same(origin, place)
        if foreign or (site in ("cross-site", "same-site") and not _is_visit(scope, headers)):
            return 403, (
                "A page from elsewhere asked for this. Only the studio's own pages may; open it in a tab of its own. "
                "Behind a proxy, name its public address with --allow-host."
            )
        return None


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether somebody follows a link to a page, which shows nothing to the page that the link stands on."""
    reads = scope.get("method") in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    return reads and not scope["path"].startswith((API, "/logout"))


def _keep_address(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("referrer-policy", "same-origin")
        await send(message)

    return sending


def _say(headers: Headers, status: int, message: str) -> Response:
    if "text/html" in headers.get("accept", ""):
        return HTMLResponse(notice_html("Not let in", message), status)
    return PlainTextResponse(f"{message}\n", status)


async def tell_missing(request: Request, error: HTTPException) -> Response:
    """What is not there: a page for whoever reads pages, JSON for programs, as they had it before."""
    reads = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(API)
    if reads and request.method in ("GET", "HEAD"):
        message = "There is no page at this address. The steps of your work are on the first page."
        return HTMLResponse(notice_html("Not found", message, way="Go to the first page"), 404)
    return JSONResponse({"detail": error.detail}, 404, error.headers)
