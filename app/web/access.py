"""Who is let in: requests for this studio by one of its names, and what its own pages send.

A stranger's page can let its name resolve to this machine (DNS rebinding), so that a browser takes the studio for a
part of that page; the Host header still holds the stranger's name. And any page can send requests here; Origin and
Sec-Fetch-Site then say where it is from (https://www.w3.org/TR/fetch-metadata/). Programs send neither.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.hosts import Names, read_place
from app.web.notices import notice_html

API = "/gradio_api"
"""What pages and programs call stands below this path; the rest are pages and their parts."""


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
