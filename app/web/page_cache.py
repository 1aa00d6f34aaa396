"""Pages are written out once for everybody: gradio does so for every request, though they are the same for all.

DECISIONS.md has the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_FRESH_S = 60.0
_MOST_PAGES = 40
"""Each some hundred kilobytes: of one address by which the studio is reached, all of them."""
_OURS = {"project", "__theme", "tour"}
"""Parts of an address that only the browser reads: the page's text is the same whatever they say."""
_ADDRESSED = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
"""Headers that the addresses inside a page follow."""
_UNKEPT = (b"x-gradio-server", b"x-forwarded-prefix", b"x-direct-url", b"cookie", b"authorization")
"""A page for a request with one of these is made for that request alone."""


class PageCache:
    """Middleware that keeps the text of pages for a minute. Only where nobody logs in: it is the same for all then."""

    def __init__(self, app: Callable[..., Awaitable[None]], paths: frozenset[str] = frozenset()) -> None:
        """Of the pages at these paths."""
        self._app = app
        self._paths = paths
        self._kept: dict[tuple[object, ...], tuple[float, list[Message]]] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or pass on and keep what comes back whole."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self._paths:
            return await self._app(scope, receive, send)
        query = {name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)}
        if not query <= _OURS:
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        if any(name in headers for name in _UNKEPT):
            return await self._app(scope, receive, send)
        key = (scope["path"], scope.get("root_path"), scope["scheme"], *(headers.get(name) for name in _ADDRESSED))
        kept = self._kept.get(key)
        if kept is None or time.monotonic() - kept[0] > _FRESH_S:
            kept = await self._ask(scope, receive, key)
        for message in kept[1]:
            await send(dict(message))

    async def _ask(self, scope: Message, receive: Receive, key: tuple[object, ...]) -> tuple[float, list[Message]]:
        messages: list[Message] = []

        async def take(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, take)
        kept = (time.monotonic(), messages)
        whole = messages and messages[0].get("status") == 200 and not messages[-1].get("more_body")
        if whole and not any(name == b"set-cookie" for name, _ in messages[0]["headers"]):
            if len(self._kept) >= _MOST_PAGES:
                self._kept.clear()
            self._kept[key] = kept
        return kept


class Gate:
    """Middleware of the hosted demo: no uploads, and no bodies larger than any page sends."""

    def __init__(self, app: Callable[..., Awaitable[None]], most_bytes: int = 1_000_000) -> None:
        """`most_bytes` of a request's body, which must say its length."""
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what is small."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = dict(scope["headers"]).get(b"content-length", b"")
            small = length.isdigit() and int(length) <= self._most
            if not small or "/upload" in scope["path"]:
                await send({"type": "http.response.start", "status": 413, "headers": []})
                await send({"type": "http.response.body", "body": b"the demo takes no uploads"})
                return
        await self._app(scope, receive, send)
