"""OpenTelemetry spans of calls to models (`gen_ai.*`): OTLP as JSON, or one span a line.

Messages are read from `gen_ai.input.messages` and `gen_ai.output.messages` (attributes of the span or of an event),
from the older events (`gen_ai.user.message`, `gen_ai.choice`, `gen_ai.content.prompt`), and from attributes that number
their messages (`gen_ai.prompt.0.content`). https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, Turn, share_of
from engine.traces.turns import find_system, load_json, read_turn, read_turns
from engine.traces.usage import read_cost, read_seconds, read_span, read_tokens
from engine.values import Usage

_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(.+)")
_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")
_CALL = re.compile(r"tool_calls\.(\d{1,3})\.(?:function\.)?(name|arguments)")
_USAGE = "gen_ai.usage."
_INSTRUCTIONS = "gen_ai.system_instructions"
_DEEPEST = 12
_Numbered = dict[str, dict[int, dict[str, Any]]]


def parts(row: Row) -> Iterator[Row]:
    """The spans of a row: of an export request, of what one scope or resource sent, or the row itself."""
    for resource in _list(row, "resourceSpans", "resource_spans") or [row]:
        for scope in _list(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans") or [resource]:
            yield from _list(scope, "spans") or [scope]


def _list(value: Any, *names: str) -> list[Mapping[str, Any]]:
    listed: list[Any] = next((value[name] for name in names if isinstance(value.get(name), list)), [])
    return [part for part in listed if isinstance(part, Mapping)]


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes by name: OTLP's list of keys with typed values, or an object, nested or not."""
    given = value.get("attributes", value.get("span_attributes"))
    given = load_json(given)
    if isinstance(given, list):
        pairs = [part for part in given if isinstance(part, Mapping)]
        return {str(part.get("key")): _plain(part.get("value")) for part in pairs}
    flat: dict[str, Any] = {}
    _flatten(given if isinstance(given, Mapping) else {}, "", flat)
    return flat


def _plain(value: Any, depth: int = 0) -> Any:
    """A value of OTLP without its type."""
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return value
    for name in ("stringValue", "intValue", "doubleValue", "boolValue", "string_value", "int_value", "double_value"):
        if name in value:
            return value[name]
    if isinstance(listed := value.get("arrayValue"), Mapping):
        values = listed.get("values")
        return [_plain(part, depth + 1) for part in values] if isinstance(values, list) else []
    if isinstance(listed := value.get("kvlistValue"), Mapping):
        pairs = _list(listed, "values")
        return {str(part.get("key")): _plain(part.get("value"), depth + 1) for part in pairs}
    return value


def _flatten(value: Mapping[str, Any], before: str, into: dict[str, Any], depth: int = 0) -> None:
    for name, part in value.items():
        if isinstance(part, Mapping) and depth < _DEEPEST and (not before or before.startswith("gen_ai")):
            _flatten(part, f"{before}{name}.", into, depth + 1)
        into[f"{before}{name}"] = part


def _calls_model(attributes: Mapping[str, Any]) -> bool:
    return any(name.startswith(("gen_ai.", "llm.")) for name in attributes)


def _fits(row: Row) -> bool:
    if any(name in row for name in ("resourceSpans", "resource_spans", "scopeSpans", "scope_spans")):
        return True
    spanlike = any(name in row for name in ("spanId", "span_id", "traceId", "trace_id", "context", "name"))
    return spanlike and "attributes" in row


def recognise(rows: Sequence[Row]) -> float:
    """Rows of OTLP, or spans with attributes."""
    return share_of(rows, _fits)


def read(row: Row) -> Trace | None:
    """A span that called a model; None for any other.

    Raises:
        InputError: if it called one and holds no message, as where content is not recorded.
    """
    attributes = _attributes(row)
    events = [(str(event.get("name") or ""), _attributes(event)) for event in _list(row, "events")]
    if not _calls_model(attributes) or attributes.get("gen_ai.operation.name") in ("embeddings", "execute_tool"):
        return None
    asked, answers, finish = _read_messages(attributes, events)
    if not asked:
        raise InputError("the span holds no messages: recording of content was off when it was made")
    sources = (attributes, *(attrs for _, attrs in events))
    instructions = next((attrs[_INSTRUCTIONS] for attrs in sources if attrs.get(_INSTRUCTIONS)), None)
    if instructions and not find_system(asked):
        instructions = load_json(instructions)
        content = [instructions] if isinstance(instructions, Mapping) else instructions
        asked = [read_turn({"role": "system", "content": content}), *asked]
    usage = {name.removeprefix(_USAGE): value for name, value in attributes.items() if name.startswith(_USAGE)}
    key = next((row[name] for name in ("spanId", "span_id") if isinstance(row.get(name), str)), None)
    cost = next(
        (attributes[k] for k in ("gen_ai.usage.cost", "gen_ai.cost", "operation.cost") if k in attributes), None
    )
    return Trace(
        turns=tuple(asked),
        reply=answers[0] if answers else None,
        model=str(attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model") or ""),
        usage=read_tokens(usage) if usage else Usage(),
        cost=read_cost(cost),
        latency_s=_read_latency(row),
        finish=finish or _first_text(attributes.get("gen_ai.response.finish_reasons")) or "stop",
        key=key,
        others=max(0, len(answers) - 1),
    )


def _read_messages(
    attributes: Mapping[str, Any], events: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[list[Turn], list[Turn], str]:
    """What was asked, the answers, and why the first of them ended."""
    for source in (attributes, *(attrs for _, attrs in events)):
        if "gen_ai.input.messages" in source or "gen_ai.output.messages" in source:
            answers = load_json(source.get("gen_ai.output.messages")) or []
            finish = answers[0].get("finish_reason") if _is_messages(answers) else ""
            asked = source.get("gen_ai.input.messages") or []
            return list(read_turns(asked)), list(read_turns(answers)), str(finish or "")
    numbered = _read_numbered(attributes)
    if numbered["prompt"] or numbered["completion"]:
        finish = next(iter(numbered["completion"].values()), {}).get("finish_reason")
        return (
            _number_turns(numbered["prompt"], "user"),
            _number_turns(numbered["completion"], "assistant"),
            str(finish or ""),
        )
    asked = load_json(attributes.get("gen_ai.prompt"))
    if asked:
        answer = attributes.get("gen_ai.completion")
        return list(read_turns(asked)), [read_turn(_last(load_json(answer)), "assistant")] if answer else [], ""
    return _read_events(events)


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else value


def _first_text(value: Any) -> str:
    value = load_json(value)
    return str(value[0] if isinstance(value, list) and value else value or "")


def _read_numbered(attributes: Mapping[str, Any]) -> _Numbered:
    """Messages whose attributes carry their number, by number."""
    numbered: _Numbered = {"prompt": {}, "completion": {}}
    for name, value in attributes.items():
        if match := _NUMBERED.fullmatch(name):
            message = numbered[match[1]].setdefault(int(match[2]), {})
            if call := _CALL.fullmatch(match[3]):
                message.setdefault("calls", {}).setdefault(int(call[1]), {})[call[2]] = value
            else:
                message[match[3]] = value
    return {kind: dict(sorted(messages.items())) for kind, messages in numbered.items()}


def _number_turns(messages: Mapping[int, dict[str, Any]], role: str) -> list[Turn]:
    turns = []
    for message in messages.values():
        calls = [call for _, call in sorted(message.get("calls", {}).items())]
        content = load_json(message.get("content"))
        content = content if _is_messages(content) or isinstance(content, str) else message.get("content")
        thought = next((message[name] for name in ("reasoning", "reasoning_content") if message.get(name)), None)
        whole = {"role": message.get("role") or role, "content": content, "tool_calls": calls, "reasoning": thought}
        turns.append(read_turn(whole, role))
    return turns


def _read_events(events: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[Turn], list[Turn], str]:
    """Messages of the older events, one an event."""
    asked: list[Turn] = []
    answers: list[Turn] = []
    finish = ""
    for name, attributes in events:
        body = {key.removeprefix("gen_ai.event."): load_json(value) for key, value in attributes.items()}
        inner = body.get("content")
        if isinstance(inner, Mapping):
            body = {**body, **inner}
        if match := _EVENT.fullmatch(name):
            asked.append(read_turn({"role": match[1], **body}, match[1]))
        elif name == "gen_ai.choice":
            message = body.get("message")
            answers.append(read_turn(message if message is not None else body, "assistant"))
            finish = finish or str(body.get("finish_reason") or "")
        elif name == "gen_ai.content.prompt" and "gen_ai.prompt" in attributes:
            asked += read_turns(attributes["gen_ai.prompt"])
        elif name == "gen_ai.content.completion" and "gen_ai.completion" in attributes:
            answers.append(read_turn(_last(load_json(attributes["gen_ai.completion"])), "assistant"))
    return asked, answers, finish


def _read_latency(row: Row) -> float | None:
    """Seconds between the times of a span: nanoseconds of OTLP, or ISO 8601."""
    names = (("startTimeUnixNano", "endTimeUnixNano"), ("start_time_unix_nano", "end_time_unix_nano"))
    for begin, end in names:
        if begin in row and end in row:
            first, last = (str(row[name]) for name in (begin, end))
            if first.isdecimal() and last.isdecimal() and max(len(first), len(last)) < 25:
                return read_seconds((int(last) - int(first)) / 1e9)
    return read_span(row.get("start_time"), row.get("end_time"))


FORMATS.add(
    "opentelemetry",
    TraceFormat(
        "OpenTelemetry spans", "`gen_ai` spans: OTLP as JSON, or one span a line.", recognise, read, parts=parts
    ),
)
