"""Plain logs: a list of messages, or what was asked and what came back in two fields. It reads what no other does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, Turn, share_of
from engine.traces.turns import find_system, load_json, read_turn, read_turns, split_reply
from engine.traces.usage import pick, read_cost, read_row_tokens, read_seconds, read_tokens

_TALKS = ("messages", "conversation", "conversations", "chat", "dialog", "turns")
_ASKED = ("prompt", "input", "question", "query", "instruction", "user", "request", "human")
_SAID = ("completion", "output", "response", "answer", "reply", "assistant", "chosen", "generation")


def _fits(row: Row) -> bool:
    talk = load_json(pick(row, *_TALKS))
    return (isinstance(talk, list) and bool(talk)) or (pick(row, *_ASKED) is not None and pick(row, *_SAID) is not None)


def recognise(rows: Sequence[Row]) -> float:
    """Half of the share of rows that it can read, since it can read those of most formats in part."""
    return 0.5 * share_of(rows, _fits)


def read(row: Row) -> Trace:
    """A conversation that ends in a reply, or a request and a reply.

    Raises:
        InputError: if the row holds neither.
    """
    talk = load_json(pick(row, *_TALKS))
    said = load_json(pick(row, *_SAID))
    if isinstance(talk, list) and talk:
        turns, reply = split_reply(read_turns(talk))
        if reply is None and said is not None:
            reply = _read_said(said)
    else:
        asked = load_json(pick(row, *_ASKED))
        if asked is None:
            raise InputError("it has neither messages nor a prompt")
        turns, reply = read_turns(_unwrap(asked)), None if said is None else _read_said(said)
    system = pick(row, "system", "systemprompt")
    if isinstance(system, str) and not find_system(turns):
        turns = (Turn("system", system), *turns)
    thought = pick(row, "reasoning", "reasoningcontent", "rationale", "thinking")
    if reply is not None and not reply.thought and isinstance(thought, str):
        reply = Turn(reply.role, reply.text, thought, reply.calls, reply.media, reply.refusal)
    key, usage = pick(row, "id", "requestid", "conversationid"), pick(row, "usage", "tokenusage")
    return Trace(
        turns=turns,
        reply=reply,
        model=str(pick(row, "model", "modelname", "engine") or ""),
        usage=read_tokens(usage) if usage is not None else read_row_tokens(row),
        cost=read_cost(pick(row, "cost", "costusd", "totalcost")),
        latency_s=read_seconds(pick(row, "latencys", "latencyseconds", "durations")),
        finish=str(pick(row, "finishreason", "stopreason") or "stop"),
        key=str(key) if isinstance(key, (str, int)) else None,
    )


def _unwrap(asked: Any) -> Any:
    return asked["messages"] if isinstance(asked, Mapping) and "messages" in asked else asked


def _read_said(said: Any) -> Turn:
    if isinstance(said, list) and said:
        said = said[-1]
    return read_turn(said, "assistant")


FORMATS.add(
    "chat-logs",
    TraceFormat(
        "Plain chat logs", "Lists of messages, or rows of prompt and completion, or input and output.", recognise, read
    ),
)
