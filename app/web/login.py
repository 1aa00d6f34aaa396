"""The login: a page of the studio's own, names and passwords compared in constant time, and wrong ones slowed.

Nobody is told whether it was the name or the password that was wrong, neither in words nor by the time it took.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.notices import login_html
from app.web.proxies import network_of
from engine.wording import counted

LOGIN = "/login"
FREE_TRIES = 5
"""Wrong logins in a row that cost an address no wait."""
LONGEST_WAIT_S = 60.0
_FORGET_S = 900.0
_MOST_ADDRESSES = 10_000
_WRONG = "Wrong name or password."


@dataclass(frozen=True)
class Accounts:
    """Who may log in, as gradio asks it. Only hashes of names and passwords are kept."""

    users: frozenset[tuple[bytes, bytes]]

    @classmethod
    def of(cls, users: Sequence[tuple[str, str]]) -> Accounts:
        """From names and passwords."""
        return cls(frozenset((_hash(name), _hash(password)) for name, password in users))

    def __call__(self, name: str, password: str) -> bool:
        """Whether there is such an account; every one is compared, whole."""
        given = _hash(name) + _hash(password)
        return sum([hmac.compare_digest(given, known[0] + known[1]) for known in self.users]) > 0


@dataclass
class Tries:
    """Wrong logins by address: the first few are free, each further one doubles the wait before the next."""

    clock: Callable[[], float] = time.monotonic
    _wrong: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    """How many in a row, and when the last was."""

    def wait_s(self, address: str) -> float:
        """How long an address has to wait before it may try again."""
        count, last = self._wrong.get(address, (0, 0.0))
        since = self.clock() - last
        if since > _FORGET_S:
            self._wrong.pop(address, None)
            return 0.0
        return max(0.0, _wait_after(count) - since)

    def begin(self, address: str) -> None:
        """A try counts as wrong until it was right, so that many at once are no way around the wait."""
        count, _ = self._wrong.pop(address, (0, 0.0))
        self._wrong[address] = (count + 1, self.clock())
        while len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def forgive(self, address: str) -> None:
        """It was right."""
        self._wrong.pop(address, None)

    def count(self, address: str) -> int:
        """Wrong logins of an address in a row."""
        return self._wrong.get(address, (0, 0.0))[0]


class LoginDoor:
    """Middleware that shows the login's page to whoever is not logged in, and slows who guesses."""

    def __init__(self, app: ASGIApp, pages: frozenset[str] = frozenset(), tries: Tries | None = None) -> None:
        """In front of the pages at these paths."""
        self._app = app
        self._pages = pages
        self._tries = tries or Tries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no login, of whoever is logged in or is no reader of pages."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path, headers = scope["path"].rstrip("/") or "/", Headers(scope=scope)
        reads = "text/html" in headers.get("accept", "")
        if path == LOGIN and scope["method"] == "POST":
            return await self._try(scope, receive, send, reads)
        opens = reads and scope["method"] in ("GET", "HEAD") and (path == LOGIN or path in self._pages)
        if opens and not _is_known(scope, headers):
            query = scope["query_string"].decode("latin-1")
            asked = _asked(query) if path == LOGIN else path + (f"?{query}" if query else "")
            return await HTMLResponse(_page(asked))(scope, receive, send)
        await self._app(scope, receive, send)

    async def _try(self, scope: Scope, receive: Receive, send: Send, reads: bool) -> None:
        address = network_of(scope["client"][0]) if scope.get("client") else ""
        asked = _asked(scope["query_string"].decode("latin-1"))
        if wait := math.ceil(self._tries.wait_s(address)):
            said, more = self._say_wait(address, wait), {"retry-after": str(wait), "connection": "close"}
            answer: Response = JSONResponse({"detail": said}, 429, more)
            return await (HTMLResponse(_page(asked, said), 429, more) if reads else answer)(scope, receive, send)
        self._tries.begin(address)
        messages: list[Message] = []

        async def take(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, take)
        status = messages[0]["status"] if messages else 500
        if status == 200:
            self._tries.forgive(address)
        if not reads:
            for message in messages:
                await send(message)
        elif status == 200:
            await _let_in(asked, messages[0])(scope, receive, send)
        else:
            wait = math.ceil(self._tries.wait_s(address))
            said = f"{_WRONG} {self._say_wait(address, wait)}" if wait else _WRONG
            await HTMLResponse(_page(asked, said), status)(scope, receive, send)

    def _say_wait(self, address: str, wait: int) -> str:
        tries = counted(self._tries.count(address), "wrong login")
        return f"{tries} in a row came from your address: wait {counted(wait, 'second')} before the next try."


def _wait_after(wrong: int) -> float:
    """Seconds."""
    return min(LONGEST_WAIT_S, 2.0 ** min(wrong - FREE_TRIES, 30)) if wrong >= FREE_TRIES else 0.0


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_known(scope: Scope, headers: Headers) -> bool:
    """Whether a request has the cookie of somebody who logged in."""
    app: Any = scope["app"]
    cookies = cookie_parser(headers.get("cookie", ""))
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(app.tokens.get(cookies.get(name)) is not None for name in names)


def _asked(query: str) -> str:
    """The page that somebody wanted to see; the first where that is none of this studio's."""
    asked = parse_qs(query).get("next", ["/"])[0]
    local = asked.startswith("/") and not asked.startswith("//") and "\\" not in asked and asked.isprintable()
    return asked if local else "/"


def _page(asked: str, said: str = "") -> str:
    return login_html(f"{LOGIN}?{urlencode({'next': asked})}", said)


def _let_in(asked: str, start: Message) -> Response:
    """Go to the page, with the cookies that the login gave."""
    answer = RedirectResponse(asked, 303)
    for name, value in start["headers"]:
        if name.lower() == b"set-cookie":
            MutableHeaders(raw=answer.raw_headers).append("set-cookie", value.decode("latin-1"))
    return answer
