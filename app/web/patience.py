"""How long a request may take to arrive, and how many of one address are open at a time.

Whoever sends a request's head or body byte by byte, or opens connections without end, costs nobody but himself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.proxies import network_of

GRACE_S = 10.0
"""So long a head may take, and a body of no length."""
PACE = 10_000
"""Bytes a second of a body, at the least, behind its grace."""
MOST_OPEN = 100
"""Requests of one address at a time: an open tab has two, which it hears news by."""
MOST_CONNECTIONS = 256
"""Connections of one address at a time, where no proxy stands in front."""
_LOG = logging.getLogger(__name__)


class Patience:
    """Middleware that ends a body that comes too slowly, and turns away who has too many requests open."""

    def __init__(self, app: ASGIApp, grace_s: float = GRACE_S, most_open: int = MOST_OPEN) -> None:
        """In front of `app`."""
        self._app = app
        self._grace = grace_s
        self._most = most_open
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, as long as the body keeps coming."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        address = network_of(scope["client"][0]) if scope.get("client") else ""
        if self._open[address] >= self._most:
            return await _turn_away(scope, receive, send, self._most)
        self._open[address] += 1
        try:
            await (self._hurry(scope, receive, send) if scope["type"] == "http" else self._app(scope, receive, send))
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _hurry(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, begun = _Body(receive, self._grace), False

        async def sending(message: Message) -> None:
            nonlocal begun
            if not body.late:
                begun = True
                await send(message)

        try:
            await self._app(scope, body.receive, sending)
        except ClientDisconnect:
            if not body.late:
                raise
        if body.late and not begun:
            said = f"The request's body came too slowly: {body.got:,} bytes until its time was over.\n"
            await PlainTextResponse(said, 408, {"connection": "close"})(scope, receive, send)


class _Body:
    """A request's body as it comes; once it is late, its sender counts as gone."""

    def __init__(self, receive: Receive, grace_s: float) -> None:
        self._receive = receive
        self._end = asyncio.get_running_loop().time() + grace_s
        self._whole = False
        self.got = 0
        self.late = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end + self.got / PACE):
                message = await self._receive()
        except TimeoutError:
            self.late = self._whole = True
            return {"type": "http.disconnect"}
        self.got += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message


async def _turn_away(scope: Scope, receive: Receive, send: Send, most: int) -> None:
    said = f"Too many requests of your address are open at this moment ({most}). Close some tabs, and try again.\n"
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1013, "reason": said.strip()})
    await PlainTextResponse(said, 429, {"connection": "close", "retry-after": "5"})(scope, receive, send)


class _Patient:
    """What a protocol of uvicorn gets: a connection without a request is ended, and those of an address are counted.

    The server reads no timeout for heads by itself, and middleware is asked behind them.
    """

    grace_s = GRACE_S
    most = MOST_CONNECTIONS
    counted: Counter[str]
    """Open connections by address; shared by all connections of a server."""
    warned: set[str]
    _timer: asyncio.TimerHandle | None = None
    _network = ""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        peer = transport.get_extra_info("peername")
        self._network = network_of(str(peer[0])) if isinstance(peer, tuple) else ""
        self.counted[self._network] += 1
        if self.counted[self._network] > self.most:
            if self._network not in self.warned:
                self.warned.add(self._network)
                _LOG.warning("%s has %d connections open; further ones are closed", self._network, self.most)
            transport.abort()
        else:
            self._look()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)  # type: ignore[misc]
        self.counted[self._network] -= 1
        if not self.counted[self._network]:
            del self.counted[self._network]
        self._forget()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        self._look()

    def _look(self) -> None:
        """Wait for a request where none is being answered."""
        cycle: Any = getattr(self, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            self._forget()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.grace_s, self._give_up)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        transport: asyncio.Transport = self.transport  # type: ignore[attr-defined]
        transport.close()


def be_patient(server: Any, grace_s: float = GRACE_S, most: int = MOST_CONNECTIONS) -> None:
    """Let a uvicorn server that serves already do so for all further connections."""
    kind = server.config.http_protocol_class
    own = {"grace_s": grace_s, "most": most, "counted": Counter(), "warned": set()}
    server.config.http_protocol_class = type("PatientProtocol", (_Patient, kind), own)
