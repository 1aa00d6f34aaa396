"""Writes what a caller gets back: a completion, or the events of one, in OpenAI's form.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, Literal

from app.gateway.requests import ChatAsk
from app.gateway.rungs import Bill
from engine.ports import Task
from engine.serving.climbing import RungAnswer, Served
from engine.serving.deferral.base import UNKNOWN
from engine.values import Query

Content = Literal["label", "full"]
_PIECE = 48
"""Characters of an event, about; what an answer says is known as a whole before its first word is sent."""
DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": waiting for an answer\n\n"


def write_content(task: Task, query: Query, answer: RungAnswer, rationale: str, content: Content) -> str:
    """What a caller reads: the same form, whichever rung answered."""
    label = answer.label or ""
    return task.complete(rationale, label) if content == "full" else label


def list_taken(served: Served, bills: Sequence[Bill]) -> list[RungAnswer | Bill]:
    """What took tokens and money: attempts where they are billed one by one, of rungs that failed too; else answers."""
    billed = {bill.system for bill in bills}
    return [*(answer for answer in served.asked if answer.system not in billed), *bills]


def add_up(taken: Iterable[RungAnswer | Bill]) -> dict[str, int]:
    """Tokens that all rungs read and wrote; what a rung does not count is left out."""
    usages = [one.usage for one in taken]
    read = sum(usage.input_tokens or 0 for usage in usages)
    wrote = sum(usage.output_tokens or 0 for usage in usages)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def find_dollars(taken: Iterable[RungAnswer | Bill], students: Container[str]) -> float | None:
    """US dollars that providers billed; None where one of them is not known. Students bill nothing."""
    billed = [one.dollars for one in taken if one.system not in students]
    known = [dollars for dollars in billed if dollars is not None]
    return sum(known) if len(known) == len(billed) else None


def describe(served: Served, ask: ChatAsk, by: RungAnswer, dollars: float | None) -> dict[str, Any]:
    """How the answer came about, beside it in the body."""
    return {
        "rung": by.system,
        "confidence": None if by.confidence <= UNKNOWN else round(by.confidence, 6),
        **({} if by.agrees is None else {"draws_agree": by.agrees}),
        "fallback": served.fallback,
        "asked": [answer.system for answer in served.asked],
        "failed": sorted(served.failed),
        "dollars": dollars,
        "ignored": list(ask.ignored),
    }


def describe_in_headers(details: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """The same in short, as headers."""
    confidence = details["confidence"]
    named = {
        "x-tacit-rung": details["rung"],
        "x-tacit-confidence": "unknown" if confidence is None else f"{confidence:.6f}",
        **({"x-tacit-draws-agree": _say(details["draws_agree"])} if "draws_agree" in details else {}),
        "x-tacit-fallback": _say(details["fallback"]),
        **({"x-tacit-ignored": ", ".join(details["ignored"])} if details["ignored"] else {}),
    }
    return [(name.encode(), _as_header(value)) for name, value in named.items()]


def _say(yes: bool) -> str:
    return "true" if yes else "false"


def _as_header(text: str) -> bytes:
    return "".join(c if c.isprintable() else " " for c in text).encode("latin-1", "replace")


def completion(head: dict[str, Any], content: str, usage: dict[str, int], details: dict[str, Any]) -> dict[str, Any]:
    """The whole answer. `head`: id, created and model."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage, "tacit": details}


def events(
    head: dict[str, Any], content: str, usage: dict[str, int] | None, details: dict[str, Any]
) -> Iterator[bytes]:
    """The answer as server-sent events; with the count of tokens in one of its own, where `usage` is given."""
    shared = {**head, "object": "chat.completion.chunk", **({} if usage is None else {"usage": None})}

    def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**shared, "choices": [choice], **more})

    yield piece({"role": "assistant", "content": "", "refusal": None})
    for part in cut(content):
        yield piece({"content": part})
    yield piece({}, "stop", tacit=details)
    if usage is not None:
        yield event({**shared, "choices": [], "usage": usage})
    yield DONE


def cut(text: str) -> Iterator[str]:
    """The text in pieces that end between words, where that can be."""
    while len(text) > _PIECE:
        place = text.rfind(" ", 1, _PIECE)
        place = _PIECE if place < 0 else place
        yield text[:place]
        text = text[place:]
    if text:
        yield text


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
