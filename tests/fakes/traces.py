"""Rows of every format of traces, small as they are documented, and files of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from engine.traces import Trace
from engine.traces.reading import TraceItem, find_formats, read_traces

SYSTEM = {"role": "system", "content": "Answer in one word."}
ASKED = {"role": "user", "content": "Capital of France?"}
SAID = {"role": "assistant", "content": "Paris"}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 3,
        "total_tokens": 23,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}
FINETUNING = {"messages": [SYSTEM, ASKED, SAID]}
STORED = {**COMPLETION, "messages": [SYSTEM, ASKED], "metadata": {"team": "maps"}}
EVALS = {"input": [SYSTEM, ASKED], "ideal": ["Paris", "paris"]}
BATCH_IN = {
    "custom_id": "r-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o", "messages": [SYSTEM, ASKED]},
}
BATCH_OUT = {
    "id": "batch_req_1",
    "custom_id": "r-1",
    "response": {"status_code": 200, "request_id": "q", "body": COMPLETION},
    "error": None,
}
LANGFUSE = {
    "id": "obs-1",
    "traceId": "t-1",
    "type": "GENERATION",
    "startTime": "2026-11-01T10:00:00.000Z",
    "endTime": "2026-11-01T10:00:01.500Z",
    "model": "claude-3-5-sonnet-20241022",
    "input": [SYSTEM, ASKED],
    "output": {"role": "assistant", "content": "Paris"},
    "usageDetails": {"input": 20, "output": 3, "total": 23},
    "costDetails": {"input": 0.00006, "output": 0.000045, "total": 0.000105},
}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """As OTLP writes them."""
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value}}
        for key, value in values.items()
    ]


GEN_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 20,
    "gen_ai.usage.output_tokens": 3,
}
NEW_MESSAGES = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Answer in one word."}]),
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "Capital of France?"}]}]
    ),
    "gen_ai.output.messages": json.dumps(
        [
            {
                "role": "assistant",
                "parts": [{"type": "reasoning", "content": "France. Paris."}, {"type": "text", "content": "Paris"}],
                "finish_reason": "stop",
            }
        ]
    ),
}
NUMBERED = {
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Answer in one word.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Capital of France?",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Paris",
    "gen_ai.completion.0.finish_reason": "stop",
}


def span(**more: Any) -> dict[str, Any]:
    return {
        "traceId": "0af7",
        "spanId": "b7ad",
        "name": "chat gpt-4o",
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000001500000000",
        **more,
    }


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": attributes({"service.name": "maps"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


OLD_EVENTS = [
    {"name": "gen_ai.system.message", "attributes": attributes({"content": "Answer in one word."})},
    {"name": "gen_ai.user.message", "attributes": attributes({"content": "Capital of France?"})},
    {"name": "gen_ai.choice", "attributes": attributes({"finish_reason": "stop", "message": json.dumps(SAID)})},
]
DETAILS = [{"name": "gen_ai.client.inference.operation.details", "attributes": attributes(NEW_MESSAGES)}]
HTTP = span(name="GET /", attributes=attributes({"http.method": "GET"}))
SPANS = {
    "attributes": otlp(span(attributes=attributes(GEN_AI | NEW_MESSAGES)), HTTP),
    "an event": otlp(span(attributes=attributes(GEN_AI), events=DETAILS), HTTP),
    "older events": otlp(span(attributes=attributes(GEN_AI), events=OLD_EVENTS), HTTP),
    "numbered": otlp(span(attributes=attributes(GEN_AI | NUMBERED)), HTTP),
    "a span a line": span(attributes=GEN_AI | NEW_MESSAGES),
    "a span a line, nested": span(
        attributes={"gen_ai": {"request": {"model": "gpt-4o"}, "usage": {"input_tokens": 20, "output_tokens": 3}}}
        | NUMBERED
    ),
}


def write(path: Path, *rows: Any) -> Path:
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(*paths: Path, name: str = "") -> list[TraceItem]:
    return list(read_traces(find_formats(paths, name)))


def traces(items: list[TraceItem]) -> list[Trace]:
    return [item.trace for item in items if item.trace is not None]
