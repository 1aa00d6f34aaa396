"""A provider on loopback that speaks the OpenAI and the Mistral protocol, and misbehaves by script.

`faults` maps a text that stands in the user's message to the faults that the requests with it meet, one after another;
when they are used up the request is answered.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.teachers.hosted import Chat
from engine.teachers.mistral import MistralChat
from engine.teachers.openai import OpenAIChat
from tests.fakes.batches import BATCH_ROUTES
from tests.fakes.hostile import hostile
from tests.fakes.serving import serve

KEY = "sk-loopback-0123456789"
_IN_STREAM = ("slow", "broken off", "error inside", "garbage inside")
HTML = "<html><body><h1>Bad gateway</h1></body></html>"


@dataclass
class Seen:
    """One request as it came in."""

    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def user(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass
class Provider:
    """What the server does, changeable while it runs. `key` None: no key is asked for."""

    url: str = ""
    key: str | None = KEY
    faults: dict[str, list[str]] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    latency_s: float = 0.0
    style: str = "plain"
    answer: Callable[[str], str] = lambda user: "B"
    reason: Callable[[str], str] = lambda label: f"It must be {label}."
    logprob: Callable[[str], float] | None = None
    """Of the label's token, by the user's message; None: the endpoint knows no log-probs."""
    grade: Callable[[str], str] = lambda user: "Good"
    seen: list[Seen] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    keep: bool = True
    protocol: str = "openai"
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_status: str = "done"
    batch_bodies: list[dict[str, Any]] = field(default_factory=list)
    unreached: tuple[str, ...] = ()
    streams: bool = True
    piece_s: float = 0.0
    streaming: int = 0
    choices: int = 1
    thought: str = "Let me see."
    told: str = "overloaded"
    lose_next_batch: bool = False
    elsewhere: str = ""
    models_elsewhere: bool = False

    @property
    def asked(self) -> list[str]:
        return [seen.user for seen in self.seen]

    def next_fault(self, user: str) -> str | None:
        for text, queue in self.faults.items():
            if text in user and queue:
                return queue.pop(0)
        return None

    def answer_alone(self, body: dict[str, Any]) -> Response:
        """What a request with this body gets, faults included."""
        user = str(body["messages"][-1]["content"])
        fault = self.next_fault(user)
        return _faulty(self, fault, user) if fault else JSONResponse(_answer(self, body))


def _error(status: int, code: str, message: str, **headers: str) -> Response:
    body = {"error": {"message": message, "code": code, "type": code}}
    return JSONResponse(body, status, headers=headers)


def _completion(provider: Provider, user: str, **changes: Any) -> dict[str, Any]:
    label = provider.answer(user)
    scores = {"reasoning": 0.9, "answer": 0.95, "clarity": 0.97}
    content = json.dumps({"rationale": provider.reason(label), "label": label, "scores": scores})
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if provider.style == "think":
        message["content"] = f"<think>{provider.thought}</think>{content}"
    elif provider.style in ("reasoning_content", "reasoning"):
        message[provider.style] = provider.thought
    elif provider.style == "chunks":
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": provider.thought}]}
        message["content"] = [thinking, {"type": "text", "text": content}]
    elif provider.style == "list":
        message["content"] = [{"type": "text", "text": content}]
    finish = changes.pop("finish_reason", "stop")
    message |= changes
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": len(user) // 4 + 1, "completion_tokens": 20, "total_tokens": len(user) // 4 + 21}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [choice],
        "usage": usage,
    }


def _answer(provider: Provider, body: dict[str, Any]) -> dict[str, Any]:
    """The completion that a request asks for: a grade where the prompt wants one, log-probs where they are wanted."""
    user = str(body["messages"][-1]["content"])
    if "grade" in str((body.get("response_format") or {}).get("json_schema")) or "Your answer: " in user:
        return _completion(provider, user, content=json.dumps({"reason": "So.", "grade": provider.grade(user)}))
    whole = _completion(provider, user)
    if body.get("logprobs") and provider.logprob is not None:
        content = whole["choices"][0]["message"]["content"]
        whole["choices"][0]["logprobs"] = {"content": _tokens(provider, user, content)}
    return whole


def _tokens(provider: Provider, user: str, content: str) -> list[dict[str, Any]]:
    """Words and signs as tokens. What the rationale says of the label is unlikely; the label's own is as it is set."""
    assert provider.logprob is not None
    tokens, behind = [], False
    for piece in re.findall(r"\w+|\W", content):
        behind |= piece == "label"
        mine = piece == provider.answer(user)
        value = provider.logprob(user) if mine and behind else -9.0 if mine else -0.25
        raw = list(piece.encode())
        tokens.append({"token": piece, "logprob": value, "bytes": raw, "top_logprobs": [], "token_id": 1})
    return tokens


def _faulty(provider: Provider, fault: str, user: str) -> Response:
    cut = '{"rationale": "It must be B, because'
    made: dict[str, Callable[[], Response]] = {
        "429": lambda: _error(429, "rate_limit", "slow down"),
        "429 for long": lambda: _error(429, "rate_limit", "slow down", **{"Retry-After": "540"}),
        "429 after": lambda: _error(429, "rate_limit", "slow down", **{"Retry-After": "0.3"}),
        "quota": lambda: _error(429, "insufficient_quota", "You exceeded your current quota"),
        "500": lambda: _error(500, "server_error", "oops"),
        "html": lambda: HTMLResponse(HTML, 200),
        "html 502": lambda: HTMLResponse(HTML, 502),
        "broken json": lambda: Response('{"choices": [{"mess', 200, media_type="application/json"),
        "truncated": lambda: JSONResponse(_completion(provider, user, content=cut, finish_reason="length")),
        "empty": lambda: JSONResponse(_completion(provider, user, content="")),
        "refusal": lambda: JSONResponse(_completion(provider, user, content="", refusal="I can't help with that.")),
        "filtered": lambda: _error(400, "content_filter", "The prompt was filtered"),
        "filter": lambda: JSONResponse(_completion(provider, user, content="", finish_reason="content_filter")),
        "prose": lambda: JSONResponse(_completion(provider, user, content="I would rather not say.")),
        "context": lambda: _error(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens"),
        "auth": lambda: _error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
    }
    return {**made, **hostile(provider, user, _completion)}[fault]()


def _refused(provider: Provider, body: dict[str, Any]) -> Response | None:
    kind = (body.get("response_format") or {}).get("type")
    for name in provider.refuses:
        if body.get(name, False) is not False or name == kind:
            told = "response_format" if name == kind else name
            return _error(400, "unsupported_parameter", f"Unsupported parameter: '{told}' is not supported")
    return None


async def _chat(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    body = await request.json()
    if provider.keep:
        provider.seen.append(Seen(body, dict(request.headers), time.monotonic()))
    user = str(body["messages"][-1]["content"])
    if provider.key and request.headers.get("authorization") != f"Bearer {provider.key}":
        return _error(401, "invalid_api_key", f"Incorrect API key: {request.headers.get('authorization')}")
    provider.busy += 1
    provider.most_busy = max(provider.most_busy, provider.busy)
    try:
        await asyncio.sleep(provider.latency_s)
        fault = provider.next_fault(user)
        if fault == "slow":
            await asyncio.sleep(30)
        if fault == "reset":
            return _Reset()
        if fault is not None and fault not in _IN_STREAM:
            return _faulty(provider, fault, user)
        refused = _refused(provider, body)
        if refused is None and body.get("stream") and provider.streams:
            return StreamingResponse(_counted(provider, _pieces(provider, body, fault)), media_type="text/event-stream")
        return refused or JSONResponse(_answer(provider, body))
    finally:
        provider.busy -= 1


def _event(data: Any) -> str:
    return f"data: {json.dumps(data)}\n\n"


async def _counted(provider: Provider, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    provider.streaming += 1
    try:
        async for piece in pieces:
            yield piece
    finally:
        provider.streaming -= 1


async def _pieces(provider: Provider, body: dict[str, Any], fault: str | None) -> AsyncIterator[str]:
    """The completion as server-sent events, a few characters each; as OpenAI does, the usage alone at the end."""
    whole = _completion(provider, str(body["messages"][-1]["content"]))
    usage, message = whole.pop("usage"), whole["choices"][0]["message"]
    whole["object"] = "chat.completion.chunk"

    def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"delta": delta, "finish_reason": finish}
        return _event({**whole, "choices": [{"index": n, **choice} for n in range(provider.choices)], **more})

    yield piece({"role": "assistant", "content": ""})
    said = [(name, message[name]) for name in ("reasoning_content", "reasoning", "content") if name in message]
    parts = [part for name, value in said for part in _cut(name, value)]
    for place, delta in enumerate(parts):
        await asyncio.sleep(provider.piece_s)
        if place == len(parts) // 2 and fault == "broken off":
            return
        if place == len(parts) // 2 and fault == "error inside":
            yield _event({"error": {"message": f"{provider.told}, key {provider.key}", "code": 503}})
            return
        if place == len(parts) // 2 and fault == "garbage inside":
            yield "data: {not json\n\n"
            return
        yield piece(delta)
    alone = "stream_options" in body
    yield piece({}, "stop", **({} if alone else {"usage": usage}))
    if alone:
        yield _event({**whole, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _cut(name: str, value: str | list[Any]) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return [{name: value[start : start + 7]} for start in range(0, len(value), 7)]
    parts = []
    for item in value:
        if item["type"] == "text":
            parts += [{name: [{**item, "text": part[name]}]} for part in _cut(name, item["text"])]
        else:
            told = _cut(name, item["thinking"][0]["text"])
            parts += [{name: [{**item, "thinking": [{"type": "text", "text": part[name]}]}]} for part in told]
    return parts


class _Reset(Response):
    """Says that much will come, and hangs up."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"choices"', "more_body": True})
        raise ConnectionResetError("on purpose")


async def _models(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    if provider.key and request.headers.get("authorization") != f"Bearer {provider.key}":
        return _error(401, "invalid_api_key", "Incorrect API key")
    if provider.models_elsewhere:
        return RedirectResponse(f"{provider.elsewhere}/v1/models", 302)
    names = ("fake-small", "fake-large")
    same = {"object": "model", "type": "base", "capabilities": {}}
    return JSONResponse({"object": "list", "data": [{"id": name, **same} for name in names]})


@contextmanager
def run_provider(**settings: Any) -> Iterator[Provider]:
    """Serve on a free loopback port for as long as the block runs."""
    routes = [
        Route("/v1/chat/completions", _chat, methods=["POST"]),
        Route("/v1/models", _models, methods=["GET"]),
        *BATCH_ROUTES,
    ]
    app = Starlette(routes=routes)
    provider = Provider(**settings)
    app.state.provider = provider
    with serve(app) as provider.url:
        yield provider


def query_of(user: str) -> str:
    """The query's text out of a rendered prompt."""
    found = re.search(r"query \d+", user)
    return found[0] if found else user


def open_chat(protocol: str, url: str, key: str | None = KEY) -> Chat:
    """The SDK of a protocol, pointed at a provider."""
    return OpenAIChat(f"{url}/v1", key) if protocol == "openai" else MistralChat(url, key)


if __name__ == "__main__":  # `python -m tests.fakes.provider LATENCY_S`: serve until standard input ends, print the URL
    with run_provider(key=None, latency_s=float(sys.argv[1]), keep=False) as serving:
        print(serving.url, flush=True)
        sys.stdin.read()
