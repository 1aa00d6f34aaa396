"""The HTTP clients under the SDKs: they follow no redirect, read no more than they should, and no longer.

An error is told by what happened: a connection that broke while the answer was read, an answer that is too large, one
that points elsewhere. https://www.python-httpx.org/advanced/clients/
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from engine.errors import ErrorKind, TeacherError
from engine.teachers.pace import Pace

MAX_BODY = 8 * 2**20
"""Bytes of an answer, unpacked."""
MAX_STREAM_BODY = 64 * 2**20
"""Of an answer that comes as a stream of events, each of which wraps a word or two in a few hundred bytes."""
MAX_NESTED = 100_000
"""Lists and objects of an answer: an SDK makes a kilobyte or two of each, however short it is written."""
MAX_FILE = 512 * 2**20
"""Of a file with the results of a batch, which holds up to 50,000 answers."""


class TooLarge(httpx2.TransportError):
    """An answer was longer than it may be; reading it was given up."""


class BrokeOff(httpx2.TransportError):
    """The connection broke, or the packed bytes were damaged, while an answer was read."""


class Stalled(httpx2.TransportError):
    """The endpoint kept the connection open and sent no answer; reading on was given up."""


class Redirected(httpx2.TransportError):
    """The endpoint pointed elsewhere; nothing was sent there."""


class NotHttp(httpx2.TransportError):
    """What came is no answer that HTTP knows to a request."""


class _Body(httpx2.AsyncByteStream):
    """The unpacked bytes of a response, up to a bound, as long as they get on."""

    def __init__(self, response: httpx2.Response, most: int, events: bool) -> None:
        self._response = response
        self._most = most
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        pace = Pace(self._response.request.extensions.get("timeout", {}).get("read"), self._events)
        try:
            async for part in self._response.aiter_bytes():
                size += len(part)
                if slow := pace.take(part):
                    raise Stalled(f"the answer was given up, since the endpoint only kept the connection open: {slow}")
                if size > self._most:
                    raise TooLarge(f"the answer was given up: it has over {self._most // 2**20} MB unpacked")
                yield part
        except (TooLarge, Stalled, httpx2.TimeoutException):
            raise
        except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            packed = " (its packed bytes are damaged)" if isinstance(error, httpx2.DecodingError) else ""
            raise BrokeOff(f"the connection broke while the answer was read{packed}") from error

    async def aclose(self) -> None:
        with suppress(httpx2.HTTPError, aiohttp.ClientError, OSError):  # what came is what counts
            await self._response.aclose()


async def _send(
    sending: Callable[..., Any], request: httpx2.Request, how: dict[str, Any], reads_all: bool = False
) -> httpx2.Response:
    """Send a request by a client's own `send`; gives a response whose body is bounded.

    `reads_all`: whoever asked for a stream gets what is no stream of events read already.
    """
    stream = how.get("stream", False)
    try:
        response: httpx2.Response = await sending(request, **{**how, "stream": True, "follow_redirects": False})
    except aiohttp.ClientResponseError as error:  # its transport knows no name for this one
        raise NotHttp("what the endpoint sent is no HTTP: is its URL right?") from error
    if 300 <= response.status_code < 400:
        await response.aclose()
        raise Redirected(_tell_redirect(response))
    if not 200 <= response.status_code < 600:
        _hang_up(response)
        await response.aclose()
        raise NotHttp(f"the endpoint answered with HTTP {response.status_code}, which no request can get")
    events = "event-stream" in response.headers.get("content-type", "")
    most = _bound(response, events and stream)
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    bounded = httpx2.Response(
        response.status_code,
        headers=headers,
        stream=_Body(response, most, events),
        request=response.request,
        extensions=response.extensions,
    )
    if not stream or (reads_all and not events):
        try:
            body = await bounded.aread()
        finally:
            await bounded.aclose()
        if most == MAX_BODY and body.count(b"{") + body.count(b"[") > MAX_NESTED:
            raise TooLarge(f"the answer was given up: it holds over {MAX_NESTED:,} lists and objects")
    return bounded


def _hang_up(response: httpx2.Response) -> None:
    """Close the connection itself. aiohttp has given it back already, and the next request would wait on it in vain."""
    stream: Any = response.stream
    while (inner := getattr(stream, "_stream", None)) is not None:
        stream = inner
    protocol = getattr(getattr(stream, "_aiohttp_response", None), "_protocol", None)
    if protocol is not None:
        protocol.close()


def _bound(response: httpx2.Response, streamed: bool) -> int:
    path = response.request.url.path
    if "/files/" in path and path.endswith("/content"):
        return MAX_FILE
    return MAX_STREAM_BODY if streamed else MAX_BODY


def _tell_redirect(response: httpx2.Response) -> str:
    """Where a redirect points: the host alone, since the rest of an address may hold what is secret."""
    try:
        url = urlsplit(str(response.request.url.join(response.headers.get("location", ""))))
        host = url.hostname or ""
        port = f":{url.port}" if url.port else ""
    except (ValueError, httpx2.InvalidURL):
        host, port = "", ""
    where = f"{url.scheme}://{host}{port}" if host else "an address that can't be read"
    return (
        f"the endpoint points elsewhere (HTTP {response.status_code}), to {where}. It was not followed: if the teacher "
        "is there, give that as the endpoint"
    )


def trusted() -> ssl.SSLContext:
    """The certificates that are trusted here, read once: reading them takes longer than many a request."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """By what the environment says of them, which is looked up inside."""
    return httpx2.create_ssl_context()


class AioHttpClient(openai.DefaultAioHttpClient):
    """Half the processor time a request of the default transport."""

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        """Send one request, bounded and unredirected."""
        return await _send(super().send, request, how)


class HttpClient(httpx2.AsyncClient):
    """The default transport. What is no stream of events comes whole: Mistral's SDK looks at its text unread."""

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        """Send one request, bounded and unredirected."""
        return await _send(super().send, request, how, reads_all=True)


def explain_failure(error: BaseException) -> TeacherError | None:
    """What an error of these clients means, also where an SDK has wrapped it; None if it is none of theirs."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Redirected):
            return TeacherError(ErrorKind.REDIRECT, str(seen))
        if isinstance(seen, TooLarge):
            return TeacherError(ErrorKind.TRUNCATED, str(seen))
        if isinstance(seen, Stalled):
            return TeacherError(ErrorKind.STALLED, str(seen))
        if isinstance(seen, (BrokeOff, NotHttp)):
            return TeacherError(ErrorKind.CONNECTION, str(seen))
        if isinstance(seen, (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError)):
            return TeacherError(ErrorKind.CONNECTION, "the endpoint hung up before it answered")
        seen = seen.__cause__ or seen.__context__
    return None
