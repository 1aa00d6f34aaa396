"""Langfuse: observations or traces, exported from the page, by the API or to blob storage, as JSON, JSONL or CSV.

https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, Turn, share_of
from engine.traces.openai_completions import read_replies, read_request
from engine.traces.turns import load_json, read_turn, read_turns, split_reply
from engine.traces.usage import pick, plain_name, read_cost, read_row_tokens, read_seconds, read_span, read_tokens
from engine.values import Usage

_MARKS = {
    *("traceid", "parentobservationid", "observationid", "sessionid", "userid", "promptname", "providedmodelname"),
    *("usagedetails", "costdetails", "calculatedtotalcost", "modelparameters", "tracename", "htmlpath", "observations"),
}
_MODELS = ("providedmodelname", "model", "internalmodelname", "modelname")


def _fits(row: Row) -> bool:
    names = {plain_name(name) for name in row}
    return "input" in names and "output" in names and bool(names & _MARKS)


def recognise(rows: Sequence[Row]) -> float:
    """Rows with input and output, and with a field that Langfuse's tables have."""
    return share_of(rows, _fits)


def parts(row: Row) -> Iterator[Row]:
    """The observations of a trace that has any of its own; else the row."""
    inner = load_json(pick(row, "observations"))
    observations = [part for part in inner if isinstance(part, Mapping)] if isinstance(inner, list) else []
    calls = [part for part in observations if _is_call(part)]
    yield from calls or [row]


def _is_call(row: Row) -> bool:
    return str(pick(row, "type") or "").upper() == "GENERATION" and pick(row, "input", "output") is not None


def read(row: Row) -> Trace | None:
    """A generation; None for an observation that called no model.

    Raises:
        InputError: if it holds no input.
    """
    kind = str(pick(row, "type") or "").upper()
    if kind and kind != "GENERATION":
        return None
    asked, answer = load_json(pick(row, "input")), load_json(pick(row, "output"))
    if asked is None:
        raise InputError("it has no input")
    turns, reply = _read_asked(asked), _read_answer(answer)
    key = pick(row, "id")
    usage = read_tokens(pick(row, "usagedetails", "usage"))
    return Trace(
        turns=turns,
        reply=reply,
        model=str(pick(row, *_MODELS) or ""),
        usage=usage if usage != Usage() else read_row_tokens(row),
        cost=read_cost(pick(row, "totalcost", "calculatedtotalcost")) or read_cost(pick(row, "costdetails")),
        latency_s=read_span(pick(row, "starttime"), pick(row, "endtime")) or read_seconds(pick(row, "latency")),
        key=str(key) if isinstance(key, (str, int)) else None,
    )


def _read_asked(asked: Any) -> tuple[Turn, ...]:
    if isinstance(asked, Mapping) and "role" not in asked:
        known = any(asked.get(name) for name in ("messages", "input_messages", "input", "prompt"))
        if known:
            return read_request(asked)
        texts = [value for value in asked.values() if isinstance(value, str) and value.strip()]
        if len(texts) == 1:
            return (Turn("user", texts[0]),)
        raise InputError("its input has several fields, of which none is named messages, input or prompt")
    return read_turns(asked)


def _read_answer(answer: Any) -> Turn | None:
    """The reply, however it is written: a text, a message, a list that ends in one, or a whole completion."""
    if answer is None or isinstance(answer, str):
        return None if answer is None else Turn("assistant", answer)
    if isinstance(answer, list):
        turns = read_turns(answer)
        return split_reply(turns)[1] or (turns[-1] if turns else None)
    if not isinstance(answer, Mapping):
        return Turn("assistant", str(answer))
    if answer.get("choices") or isinstance(answer.get("output"), list):
        return read_replies(answer)[0][0]
    if "content" in answer or "parts" in answer or "tool_calls" in answer:
        return read_turn(answer, "assistant")
    text = next((answer[k] for k in ("completion", "output", "text", "answer") if isinstance(answer.get(k), str)), None)
    if text is None:
        raise InputError("its output is an object that holds no message")
    return Turn("assistant", text)


FORMATS.add(
    "langfuse",
    TraceFormat("Langfuse export", "Observations or traces as JSON, JSONL or CSV.", recognise, read, parts=parts),
)
