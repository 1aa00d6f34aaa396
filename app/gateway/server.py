"""The gateway as a web server: OpenAI's chat completions and models, its health, its meter."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.gateway.answers import HEARTBEAT, completion, describe_in_headers, event, events
from app.gateway.doors import GatewayDoors, KeyRing, error_response
from app.gateway.requests import ApiError, ChatAsk, read_chat
from app.gateway.service import Answered, Gateway
from app.hosts import is_own, read_names
from app.usecases.serving.folder import ABOUT
from app.usecases.serving.keys import read_keys
from engine.errors import InputError, TacitError, where_it_failed
from engine.lines import write_atomically

MOST_BODY = 1_000_000
"""Bytes of a request."""
_BODY_S = 30.0
_HEARTBEAT_S = 10.0
_STOPPING_S, _ENDING_S = 30, 10
_BACKLOG = 2048
_INPUT = 0
_LOG = logging.getLogger(__name__)


class ChatEndpoint:
    """POST /v1/chat/completions. A caller who hangs up is noticed at once, and so is whoever worked for it."""

    def __init__(self, gateway: Gateway, heartbeat_s: float = _HEARTBEAT_S) -> None:
        self._gateway, self._heartbeat_s = gateway, heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = self._gateway
        try:
            body = await _read_body(receive)
            kind = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-tacit-kind"), None)
            ask = read_chat(body, kind, gateway.names, gateway.policy.systems)
        except _Gone:
            return
        except ApiError as error:
            return await error_response(error)(scope, receive, send)
        work = asyncio.ensure_future(gateway.answer(ask))
        left = asyncio.ensure_future(_wait_gone(receive))
        try:
            begun = await self._wait(work, left, ask, send)
            if not work.done():
                return
            answered = _find_outcome(work)
            if not isinstance(answered, ApiError):
                await self._give(answered, begun, ask, send)
            elif begun:
                await send({"type": "http.response.body", "body": event(answered.body), "more_body": False})
            else:
                await error_response(answered)(scope, receive, send)
        finally:
            left.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
        if not isinstance(answered, ApiError):
            gateway.compare(answered, ask)

    async def _wait(self, work: asyncio.Future[Answered], left: asyncio.Future[None], ask: ChatAsk, send: Send) -> bool:
        """Wait for the answer, or until the caller hangs up; whether events were begun, to say that it still comes."""
        begun = False
        while True:
            patience = self._heartbeat_s if ask.stream else None
            both: list[asyncio.Future[Any]] = [work, left]
            done, _ = await asyncio.wait(both, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return begun
            if not begun:
                await send(_start(200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]))
                begun = True
            await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})

    async def _give(self, answered: Answered, begun: bool, ask: ChatAsk, send: Send) -> None:
        head = {"id": answered.request, "created": self._gateway.began, "model": ask.model}
        marks = describe_in_headers(answered.details)
        if not ask.stream:
            data = completion(head, answered.content, answered.usage, answered.details)
            return await _send_whole(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"), marks, send)
        if not begun:
            kind = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
            await send(_start(200, [*kind, *marks]))
        usage = answered.usage if ask.include_usage else None
        for piece in events(head, answered.content, usage, answered.details):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _find_outcome(work: asyncio.Future[Answered]) -> Answered | ApiError:
    """The answer, or what the caller is told in its place."""
    error = work.exception()
    if error is None:
        return work.result()
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TacitError):
        return ApiError(400, str(error))
    _LOG.error("a request failed unforeseen: %s", where_it_failed(error))
    return ApiError(500, "the gateway failed; its log says where", "unforeseen")


class _Gone(Exception):
    """The caller hung up."""


async def _read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        ApiError: if it is too large, or does not come.
        _Gone: if the caller hung up in its middle.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MOST_BODY:
                    raise ApiError(413, f"a request has at most {MOST_BODY:,} bytes. Nothing was asked", "too_large")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise ApiError(408, f"the request did not come whole within {_BODY_S:.0f} s", "timeout") from None


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _send_whole(body: bytes, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    shared = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(_start(200, [*shared, *headers]))
    await send({"type": "http.response.body", "body": body})


def build_server(gateway: Gateway, heartbeat_s: float = _HEARTBEAT_S) -> Starlette:
    """The gateway as an ASGI application.

    Raises:
        InputError: if callers from elsewhere could reach it without a key, or nobody has one.
    """
    settings = gateway.settings
    if settings.no_key and not is_own(settings.host):
        raise InputError(
            f"{settings.host} can be reached from other machines: leave --no-key out, and give callers a key. Nothing "
            "was started."
        )
    if not settings.no_key and not read_keys(gateway.folder):
        raise InputError(
            f"callers need a key, and there is none: make one with --new-key, or by `tacit gateway-key "
            f"{gateway.folder.name}`; on this machine alone, --no-key does without"
        )

    async def models(request: Request) -> Response:
        names = dict.fromkeys((*gateway.names, *gateway.policy.systems))
        data = [{"id": name, "object": "model", "created": gateway.began, "owned_by": "tacit"} for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": sum(gateway.ladder.count_waiting().values())})

    async def meter(request: Request) -> Response:
        return JSONResponse(asdict(gateway.recorder.show()))

    ring = None if settings.no_key else KeyRing(gateway.folder)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", ChatEndpoint(gateway, heartbeat_s), methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/tacit/meter", meter, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
        ],
        middleware=[Middleware(GatewayDoors, names=read_names(settings.host, settings.allow_host), keys=ring)],
        exception_handlers={HTTPException: _tell_http},
    )


async def _tell_http(request: Request, error: Exception) -> Response:
    """What is not there, or not by this method, as OpenAI's API tells it."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    refusal = ApiError(status, f"{request.method} {request.url.path[:200]} is not served here", "not_found")
    return error_response(refusal)


def run_gateway(gateway: Gateway, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; answers that are under way are given out first.

    Raises:
        TacitError: if it can't be started.
    """
    app = build_server(gateway)
    settings = gateway.settings
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_STOPPING_S,
        timeout_keep_alive=75,
    )
    listener = listen(settings.host, settings.port)
    address = f"http://{_in_address(settings.host)}:{listener.getsockname()[1]}"
    server = uvicorn.Server(config)

    async def serve() -> None:
        try:
            for note in await _until_stopped(gateway.start()):
                say(note)
            gateway.recorder.about["address"] = address
            write_atomically(gateway.folder / ABOUT, gateway.recorder.about)
            say(f"The gateway is open at {address}/v1, by the models {', '.join(gateway.names)}")
            gc.collect()
            gc.freeze()  # what stays until the end is not gone through again in the middle of requests
            await server.serve([listener])
        finally:
            gc.unfreeze()
            await gateway.close()
            listener.close()

    before = signal.getsignal(signal.SIGTERM)
    try:
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(serve())
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_input() -> None:
    """End this process once its standard input is closed: whoever started it is gone, or wants it no longer.

    Answers under way are given out first, as with SIGTERM; what does not end by that is ended.
    """

    def watch() -> None:
        with suppress(OSError):
            while os.read(_INPUT, 1 << 16):  # not by its reader, whose lock an exit would find taken
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_STOPPING_S + _ENDING_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


async def _until_stopped(starting: Coroutine[Any, Any, list[str]]) -> list[str]:
    """What it comes to, unless SIGTERM ends it; later ones are the server's, which raises them again at its end."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(starting)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: None)


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0: any free one.

    It names its protocol: only then does asyncio send small parts of an answer without waiting for the caller's word
    on those before (TCP_NODELAY), which takes 40 ms.

    Raises:
        InputError: if the address can't be had.
    """
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = addresses[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)  # whoever comes before the server accepts is kept waiting, not refused
    except OSError as error:
        raise InputError(
            f"{host}:{port} can't be listened on: {error.strerror or error}. Is another server there?"
        ) from None
    return listener


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
