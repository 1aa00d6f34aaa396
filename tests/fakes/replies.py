"""A corpus of replies that an endpoint should not give: each a status, headers and a body, whole or as a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from engine.errors import ErrorKind as Kind

GOOD = json.dumps({"rationale": "It must be B.", "label": "B", "scores": {}})


@dataclass(frozen=True)
class Bad:
    """One behaviour. `kinds` are the errors it may be called; None among them: its answer is good and kept."""

    name: str
    body: bytes
    kinds: tuple[Kind | None, ...]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


def _chat(message: Any, finish: Any = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(whole | more).encode()


def _said(content: Any, **more: Any) -> bytes:
    return _chat({"role": "assistant", "content": content}, **more)


def _events(*data: str, end: str = "\n\n") -> bytes:
    return "".join(f"data: {one}{end}" for one in data).encode()


def _delta(content: Any, **more: Any) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None} | more
    return json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


_DEEP = "[" * 3000 + "]" * 3000
_NO_ANSWER = (Kind.NOT_JSON, Kind.UNPARSABLE, Kind.SERVER, Kind.CONNECTION, Kind.TRUNCATED)
_EVENTS = {"content-type": "text/event-stream"}

WHOLE = [
    Bad("no bytes at all", b"", _NO_ANSWER),
    Bad("blanks", b" \n\t " * 1000, _NO_ANSWER),
    Bad("an empty object", b"{}", _NO_ANSWER),
    Bad("null", b"null", _NO_ANSWER),
    Bad("a number", b"17", _NO_ANSWER),
    Bad("a list", b"[1, 2]", _NO_ANSWER),
    Bad("a text", b'"hello"', _NO_ANSWER),
    Bad("not UTF-8", b'{"choices": "\xff\xfe"}', _NO_ANSWER),
    Bad("UTF-16", '{"choices": []}'.encode("utf-16"), _NO_ANSWER),
    Bad("a mark before it", b"\xef\xbb\xbf" + _said(GOOD), (*_NO_ANSWER, None)),
    Bad("two objects", _said(GOOD) + _said(GOOD), (*_NO_ANSWER, None)),
    Bad("NaN", b'{"choices": NaN}', _NO_ANSWER),
    Bad("a million empty choices", b'{"choices": [' + b"{}," * 999_999 + b"{}]}", (Kind.TRUNCATED,)),
    Bad("no choices", json.dumps({"id": "x", "choices": []}).encode(), _NO_ANSWER),
    Bad("choices that are null", json.dumps({"choices": None}).encode(), _NO_ANSWER),
    Bad("a choice that is a text", json.dumps({"choices": ["B"]}).encode(), _NO_ANSWER),
    Bad("a message that is null", _chat(None), _NO_ANSWER),
    Bad("a message that is a list", _chat([1]), _NO_ANSWER),
    Bad("content that is null", _said(None), _NO_ANSWER),
    Bad("content that is a number", _said(5), _NO_ANSWER),
    Bad("content that is true", _said(True), _NO_ANSWER),
    Bad("content that is an object", _said({"label": "B"}), _NO_ANSWER),
    Bad("parts of an unknown type", _said([{"type": "video", "video": "x"}]), _NO_ANSWER),
    Bad("parts that are numbers", _said([1, 2]), _NO_ANSWER),
    Bad("a call of a tool", _chat({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}), _NO_ANSWER),
    Bad("deep JSON as the body", _DEEP.encode(), _NO_ANSWER),
    Bad("deep JSON as the answer", _said(_DEEP), _NO_ANSWER),
    Bad("a thousand braces", _said("{" * 1000), _NO_ANSWER),
    Bad("an unknown reason to end", _said(GOOD, finish="because"), (*_NO_ANSWER, None)),
    Bad("a reason to end that is a list", _said(GOOD, finish=[1]), (*_NO_ANSWER, None)),
    Bad("escape codes", _said(f"\x1b[2J\x1b]0;title\x07{GOOD}"), (*_NO_ANSWER, None)),
    Bad("NULs", _said(f"\x00\x00{GOOD}"), (*_NO_ANSWER, None)),
    Bad("half a surrogate", _said(GOOD).replace(b"must", b"\\ud800"), (*_NO_ANSWER, None)),
    Bad(
        "a label that is a list",
        _said(json.dumps({"rationale": "r", "label": ["B"]})),
        (*_NO_ANSWER, None, Kind.NOT_A_CHOICE),
    ),
    Bad("scores of 1e999", _said('{"rationale": "r", "label": "B", "scores": {"logic": 1e999}}'), (*_NO_ANSWER, None)),
    Bad("a hundred labels", _said(" ".join([GOOD] * 100)), (*_NO_ANSWER, None)),
    Bad("another status", b'{"message": "teapot"}', (Kind.BAD_REQUEST,), 418),
    Bad("an empty 500", b"", (Kind.SERVER,), 500),
    Bad("a 599", b"?", (Kind.SERVER,), 599),
    Bad("a 429 of HTML", b"<html><body>busy</body></html>", (Kind.RATE_LIMIT,), 429, {"content-type": "text/html"}),
    Bad("204 without a body", b"", _NO_ANSWER, 204),
    Bad("a type of its own", _said(GOOD), (*_NO_ANSWER, None), 200, {"content-type": "image/png"}),
    Bad("an unknown packing", _said(GOOD), (*_NO_ANSWER, None), 200, {"content-encoding": "zip"}),
    Bad("an error of 400 KB", json.dumps({"error": {"message": "x" * 400_000}}).encode(), (Kind.BAD_REQUEST,), 400),
    # The last, since the teacher is stopped by it.
    Bad("a 402", b"{}", (Kind.QUOTA,), 402),
]

STREAMED = [
    Bad("no event", b"", _NO_ANSWER, 200, _EVENTS),
    Bad("the end alone", _events("[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("empty objects", _events(*["{}"] * 500, "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("comments alone", b": ping\n\n" * 500, _NO_ANSWER, 200, _EVENTS),
    Bad("an event that is a list", _events("[1]", "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("an event that is null", _events("null", "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("a delta that is null", _events(_delta("B", delta=None), "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("a delta that is a text", _events(_delta("B", delta="B"), "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("content that is a number", _events(_delta(7), "[DONE]"), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("no end", _events(_delta(GOOD)), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("single newlines", _events(_delta(GOOD), "[DONE]", end="\n"), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("carriage returns", _events(_delta(GOOD), "[DONE]", end="\r\n\r\n"), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("not UTF-8", b"data: \xff\xfe\n\n", _NO_ANSWER, 200, _EVENTS),
    Bad("deep JSON", _events(_DEEP, "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("choices that are a text", _events(json.dumps({"choices": "B"}), "[DONE]"), _NO_ANSWER, 200, _EVENTS),
    Bad("an index of 10^9", _events(_delta(GOOD, index=10**9), "[DONE]"), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("one line of 2 MB", _events(_delta("x" * 2_000_000), "[DONE]"), (*_NO_ANSWER, None), 200, _EVENTS),
    Bad("a whole answer as an event", _events(_said(GOOD).decode(), "[DONE]"), (*_NO_ANSWER, None), 200, _EVENTS),
]
