"""Bytes on a connection that no web framework would send: a server that breaks HTTP, or streams without an end."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from starlette.responses import Response, StreamingResponse

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def with_wire(app: Any) -> Any:
    """The app, whose answers can reach the connection under them."""

    async def wired(scope: Any, receive: Any, send: Any) -> None:
        scope["wire"] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return wired


class Wire(Response):
    """Writes bytes as they are, and closes the connection or, if it is to `stay`, lets the other side do so."""

    def __init__(self, data: bytes, stay: bool = False) -> None:
        super().__init__()
        self._data, self._stay = data, stay

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        wire = scope["wire"]
        wire.write(self._data)
        while self._stay and not wire.is_closing():
            await asyncio.sleep(0.01)
        wire.close()
        await asyncio.sleep(0.01)


BROKEN: dict[str, Callable[[], Response]] = {
    "no HTTP": lambda: Wire(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "status 0": lambda: Wire(b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n"),
    "status 999": lambda: Wire(b"HTTP/1.1 999 Much\r\ncontent-length: 0\r\n\r\n"),
    "status 101": lambda: Wire(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n", stay=True),
    "a negative length": lambda: Wire(_OK + b"content-length: -7\r\n\r\n{}"),
    "chunks that lie": lambda: Wire(_OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}"),
    "nothing": lambda: Wire(b""),
}


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _piece(**delta: Any) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
    return _event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def _stream(parts: Iterable[bytes]) -> Callable[[], Response]:
    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
            await asyncio.sleep(0)

    return lambda: StreamingResponse(pieces(), media_type="text/event-stream")


ENDLESS: dict[str, Callable[[], Response]] = {
    "braces": _stream(itertools.repeat(b"data: {}\n\n" * 100)),
    "braces one by one": _stream(itertools.repeat(b"data: {}\n\n")),
    "empty pieces": _stream(itertools.repeat(_piece(content="") * 100)),
}
ODD: dict[str, Callable[[], Response]] = {
    "deep JSON": _stream([b"data: " + b"[" * 50_000 + b"\n\n"]),
    "bytes that are no text": _stream([_piece(content=""), b"data: \xff\xfe\xff\n\n"]),
}
