"""Formats of traces: each is told from the others by its rows, and read."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, InputError
from engine.traces import Trace
from engine.traces.reading import find_formats
from engine.traces.turns import find_system, read_turns, write_query
from engine.values import Usage
from tests.fakes.traces import (
    ASKED,
    BATCH_IN,
    BATCH_OUT,
    COMPLETION,
    EVALS,
    FINETUNING,
    GEN_AI,
    HTTP,
    LANGFUSE,
    SAID,
    SPANS,
    STORED,
    SYSTEM,
    attributes,
    otlp,
    read,
    span,
    traces,
    write,
)


def check_capital(trace: Trace) -> None:
    assert find_system(trace.turns) == "Answer in one word."
    assert write_query(trace.turns) == "Answer in one word.\n\nCapital of France?"
    assert trace.reply is not None and trace.reply.text == "Paris"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("openai-finetuning", FINETUNING),
        ("openai-completions", STORED),
        ("openai-completions", {"request": {"messages": [SYSTEM, ASKED]}, "response": COMPLETION}),
        ("langfuse", LANGFUSE),
        ("langfuse", {**LANGFUSE, "input": {"messages": [SYSTEM, ASKED]}, "output": "Paris"}),
        ("langfuse", {"id": "t", "sessionId": None, "input": None, "output": None, "observations": [LANGFUSE]}),
        *(("opentelemetry", row) for row in SPANS.values()),
        ("chat-logs", {"model": "m", "messages": [SYSTEM, ASKED, SAID]}),
        ("chat-logs", {"system": "Answer in one word.", "prompt": "Capital of France?", "completion": "Paris"}),
        ("chat-logs", {"system_prompt": "Answer in one word.", "input": "Capital of France?", "output": "Paris"}),
        (
            "chat-logs",
            {
                "conversations": [
                    {"from": "system", "value": "Answer in one word."},
                    {"from": "human", "value": "Capital of France?"},
                    {"from": "gpt", "value": "Paris"},
                ]
            },
        ),
    ],
)
def test_a_row_is_recognised_and_read(name: str, row: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", row, row)
    (found,) = find_formats([file])
    assert found.format == name
    check_capital(traces(read(file))[0])


def test_usage_cost_time_and_models_are_those_that_traces_state(tmp_path: Path) -> None:
    (stored,) = traces(read(write(tmp_path / "a.jsonl", STORED)))
    assert stored.model == "gpt-4o-2024-08-06" and stored.usage == Usage(20, 3, 4) and stored.cost is None
    (generation,) = traces(read(write(tmp_path / "b.jsonl", LANGFUSE)))
    assert generation.cost == Decimal("0.000105") and generation.latency_s == 1.5
    assert generation.usage == Usage(20, 3, None) and generation.model == "claude-3-5-sonnet-20241022"
    (called,) = traces(read(write(tmp_path / "c.jsonl", SPANS["attributes"])))
    assert called.usage == Usage(20, 3, None) and called.latency_s == 1.5
    assert called.reply is not None and called.reply.thought == "France. Paris."


def test_a_list_of_stored_completions_and_a_packed_file_are_read_alike(tmp_path: Path) -> None:
    page = {"object": "list", "data": [STORED, STORED], "first_id": "a", "last_id": "b", "has_more": False}
    (tmp_path / "page.json").write_text(json.dumps(page, indent=1))
    packed = write(tmp_path / "rows.jsonl.gz", STORED, STORED)
    for file in (tmp_path / "page.json", packed):
        assert [trace.key for trace in traces(read(file))] == ["chatcmpl-1"] * 2


def test_a_response_of_the_responses_api_is_read_with_its_reasoning(tmp_path: Path) -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "It is Paris."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Paris"}]},
    ]
    usage = {"input_tokens": 20, "output_tokens": 9}
    row = {"id": "resp", "object": "response", "model": "o4-mini", "output": output, "usage": usage}
    (trace,) = traces(
        read(write(tmp_path / "a.jsonl", {**row, "input": "Capital of France?", "instructions": "Short."}))
    )
    assert write_query(trace.turns) == "Short.\n\nCapital of France?" and trace.usage == Usage(20, 9)
    assert trace.reply is not None and (trace.reply.text, trace.reply.thought) == ("Paris", "It is Paris.")


def test_an_evals_set_gives_right_answers_and_no_reply(tmp_path: Path) -> None:
    (trace,) = traces(read(write(tmp_path / "a.jsonl", EVALS)))
    assert trace.gold == "Paris" and trace.reply is None
    sample = {"model": "gpt-4o", "output": [SAID], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    item = {"item": {"question": "Capital of France?", "correct_label": "Paris"}, "sample": sample}
    (second,) = traces(read(write(tmp_path / "b.jsonl", item)))
    assert second.gold == "Paris" and second.reply is not None and second.model == "gpt-4o"


def test_a_preference_gives_what_was_preferred_and_an_untrained_message_is_no_reply(tmp_path: Path) -> None:
    row = {"input": {"messages": [ASKED]}, "preferred_output": [SAID], "non_preferred_output": [ASKED]}
    left_out = {"messages": [ASKED, {**SAID, "weight": 0}]}
    first, second = traces(read(write(tmp_path / "a.jsonl", row, left_out)))
    assert first.reply is not None and first.reply.text == "Paris" and second.reply is None


def test_a_batch_is_joined_with_its_requests_in_whatever_order_the_files_come(tmp_path: Path) -> None:
    lonely = {**BATCH_IN, "custom_id": "r-9"}
    failed = {"custom_id": "r-2", "response": {"status_code": 429, "body": {"error": "slow down"}}, "error": None}
    strange = {**BATCH_OUT, "custom_id": "r-7"}
    asked = write(tmp_path / "in.jsonl", BATCH_IN, {**BATCH_IN, "custom_id": "r-2"}, lonely, BATCH_IN)
    said = write(tmp_path / "out.jsonl", BATCH_OUT, failed, strange)
    for files in ((asked, said), (said, asked)):
        items = read(*files)
        check_capital(traces(items)[0])
        assert traces(items)[0].key == "r-1"
        errors = {(item.file, item.row): item.error for item in items if item.error}
        assert errors[("in.jsonl", 3)] == "its reply is not in the files"
        assert "same key" in errors[("in.jsonl", 4)] and "status 429" in errors[("out.jsonl", 2)]
        assert "give the batch's input file too" in errors[("out.jsonl", 3)]


def test_a_table_of_langfuse_holds_json_in_its_cells(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "traceId", "type", "input", "output", "providedModelName", "totalCost", "promptTokens"])
        writer.writerow(["1", "t", "GENERATION", json.dumps([SYSTEM, ASKED]), json.dumps(SAID), "gpt-4o", "0.5", "20"])
        writer.writerow(["2", "t", "SPAN", "{}", "{}", "", "", ""])
    items = read(file)
    (trace,) = traces(items)
    check_capital(trace)
    assert trace.cost == Decimal("0.5") and trace.usage.input_tokens == 20 and trace.model == "gpt-4o"
    assert items[1].trace is None and items[1].error == "", "a span that called no model is none, and no error"


def test_spans_that_called_no_model_are_passed_over_and_those_without_content_told(tmp_path: Path) -> None:
    bare = otlp(span(attributes=attributes(GEN_AI)), HTTP)
    first, second = read(write(tmp_path / "a.jsonl", bare))
    assert "recording of content was off" in first.error and second.trace is None and not second.error


def test_what_looks_like_nothing_is_refused_and_a_name_overrides_the_look(tmp_path: Path) -> None:
    strange = write(tmp_path / "a.jsonl", {"a": 1})
    with pytest.raises(InputError, match=r"a\.jsonl: its rows look like no format of traces"):
        find_formats([strange])
    with pytest.raises(ConfigError, match="there is no format of traces 'nonsense'"):
        find_formats([strange], "nonsense")
    (item,) = read(strange, name="openai-completions")
    assert item.error == "it holds no answer"
    with pytest.raises(InputError, match="no file was given"):
        find_formats([])


def test_turns_are_written_with_who_speaks_and_what_tools_were_called() -> None:
    turns = read_turns(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "look", "arguments": '{"at": "Oslo"}'}}],
            },
            {"role": "tool", "content": "rain"},
            {"role": "user", "content": "And now?"},
        ]
    )
    assert write_query(turns) == (
        'Be brief.\n\nUser: Weather?\n\nAssistant: [look({"at": "Oslo"})]\n\nTool: rain\n\nUser: And now?'
    )
    assert write_query(turns, system=False).startswith("User: Weather?")


def test_anthropic_blocks_and_gemini_parts_are_read() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]
    (turn,) = read_turns([{"role": "assistant", "content": blocks}])
    assert (turn.text, turn.thought) == ("Yes.", "Hm.")
    (turn,) = read_turns([{"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"text": "Yes."}]}])
    assert (turn.role, turn.text, turn.thought) == ("assistant", "Yes.", "Hm.")
    (turn,) = read_turns([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, "see"]}])
    assert turn.media == ("image",) and turn.text == "see"
