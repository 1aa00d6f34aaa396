"""Requests that never come to their end are ended, and nobody opens connections without end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from app.web.patience import PACE, Patience, be_patient

GRACE_S = 0.15
SOON_S = 3.0
"""Nothing here takes as long; ended without patience it would take for ever."""


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def stay(request: Request) -> StreamingResponse:
    async def words() -> Any:
        yield "begun\n"
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)

    return StreamingResponse(words())


@contextmanager
def serve(most_open: int = 50, most: int = 60) -> Iterator[int]:
    app = Starlette(
        routes=[Route("/read", read, methods=["GET", "POST"]), Route("/stay", stay)],
        middleware=[Middleware(Patience, grace_s=GRACE_S, most_open=most_open)],
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    be_patient(server, GRACE_S, most)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serve() as served:
        yield served


def connect(port: int, text: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=SOON_S)
    made.sendall(text.encode())
    return made


def said(made: socket.socket) -> str:
    """All that is answered until the server closes the connection."""
    parts = []
    try:
        while part := made.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    made.close()
    return b"".join(parts).decode()


def hear(made: socket.socket, word: bytes) -> None:
    """Wait until an answer has got so far."""
    heard = b""
    while word not in heard:
        heard += (part := made.recv(65536))
        assert part, heard


def post(length: int) -> str:
    return f"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"


def test_bodies_that_stay_half_open_are_ended(port: int) -> None:
    opened = [connect(port, post(10) + "half") for _ in range(40)]
    answers = [said(made) for made in opened]
    assert all(answer.startswith("HTTP/1.1 408") for answer in answers)
    assert all("came too slowly: 4 bytes" in answer for answer in answers)


def test_a_body_that_drips_has_no_more_time_than_one_that_stands_still(port: int) -> None:
    made, begun = connect(port, post(1000)), time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - begun < SOON_S:
            made.sendall(b"x")
            time.sleep(0.02)
    made.close()
    assert time.monotonic() - begun < SOON_S


def test_a_body_that_keeps_coming_has_the_time_it_needs(port: int) -> None:
    part = b"x" * int(PACE * GRACE_S)
    made, begun = (
        connect(port, post(4 * len(part)).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")),
        time.monotonic(),
    )
    for _ in range(4):
        made.sendall(part)
        time.sleep(GRACE_S / 2)
    assert f"{4 * len(part)} bytes" in said(made) and time.monotonic() - begun > GRACE_S


@pytest.mark.parametrize("head", ["", "GET /read HT", "GET /read HTTP/1.1\r\nHost: a\r\nX: ", "x"])
def test_heads_that_never_end_are_ended(port: int, head: str) -> None:
    made, begun = connect(port, head), time.monotonic()
    said(made)
    assert time.monotonic() - begun < SOON_S


def test_a_second_head_that_drips_is_ended_too(port: int) -> None:
    made, begun = connect(port, "GET /read HTTP/1.1\r\nHost: a\r\n\r\n"), time.monotonic()
    hear(made, b"0 bytes")
    with pytest.raises(OSError):
        while time.monotonic() - begun < SOON_S:
            made.sendall(b"G")
            time.sleep(0.02)
    made.close()


def test_an_answer_that_streams_is_left_alone(port: int) -> None:
    made = connect(port, "GET /stay HTTP/1.1\r\nHost: a\r\n\r\n")
    hear(made, b"begun")
    made.settimeout(3 * GRACE_S)
    with pytest.raises(TimeoutError):
        while made.recv(65536):
            pass
    made.close()


def test_one_address_has_so_many_requests_open_and_is_told() -> None:
    with serve(most_open=3) as port:
        ask = "GET /stay HTTP/1.1\r\nHost: a\r\n\r\n"
        opened = [connect(port, ask) for _ in range(3)]
        for made in opened:
            hear(made, b"begun")
        answer = said(connect(port, ask))
        assert answer.startswith("HTTP/1.1 429") and "Close some tabs" in answer
        for made in opened:
            made.close()
        end = time.monotonic() + SOON_S
        while "429" in said(connect(port, "GET /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")):
            assert time.monotonic() < end


def test_one_address_has_so_many_connections() -> None:
    with serve(most=5) as port:
        opened = [connect(port, "") for _ in range(5)]
        time.sleep(0.05)
        assert said(connect(port, "")) == ""
        for made in opened:
            made.close()
        end = time.monotonic() + SOON_S
        while "0 bytes" not in said(connect(port, "GET /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")):
            assert time.monotonic() < end
