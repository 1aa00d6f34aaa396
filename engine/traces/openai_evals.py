"""Sets of OpenAI Evals: what is asked and the ideal answer; of the Evals product also items with their sample.

https://github.com/openai/evals/blob/main/docs/build-eval.md and https://platform.openai.com/docs/api-reference/evals
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.choices import plain_text
from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, Turn, share_of
from engine.traces.turns import load_json, read_turn, read_turns
from engine.traces.usage import read_tokens

_GOLD = ("ideal", "expected", "expected_output", "correct_label", "ground_truth", "reference_answer", "answer")
_ASKED = ("input", "messages", "question", "prompt")


def _item(row: Row) -> Mapping[str, Any] | None:
    item = load_json(row.get("item", row.get("datasource_item")))
    return item if isinstance(item, Mapping) else None


def _fits(row: Row) -> bool:
    return ("input" in row and "ideal" in row) or _item(row) is not None


def recognise(rows: Sequence[Row]) -> float:
    """Rows with `input` and `ideal`, or with an `item`."""
    return share_of(rows, _fits)


def read(row: Row) -> Trace:
    """A question with its right answer; a sample beside an item is a model's reply.

    Raises:
        InputError: if it asks nothing.
    """
    item = _item(row) or row
    sample = load_json(row.get("sample"))
    sample = sample if isinstance(sample, Mapping) else {}
    asked = sample.get("input") or next((item[name] for name in _ASKED if item.get(name)), None)
    if asked is None:
        raise InputError("it has neither an input nor an item that asks something")
    return Trace(
        turns=read_turns(asked),
        reply=_read_sample(sample),
        model=str(sample.get("model") or ""),
        usage=read_tokens(sample.get("usage")),
        finish=str(sample.get("finish_reason") or "stop"),
        gold=_read_gold(next((item[name] for name in _GOLD if item.get(name) not in (None, "")), None)),
        key=plain_text(row["id"]) if isinstance(row.get("id"), (str, int)) else None,
    )


def _read_sample(sample: Mapping[str, Any]) -> Turn | None:
    output = sample.get("output")
    if isinstance(output, list) and output:
        return read_turn(output[-1], "assistant")
    text = sample.get("output_text")
    return Turn("assistant", text) if isinstance(text, str) else None


def _read_gold(value: Any) -> str | None:
    """The ideal answer; of several the first."""
    value = load_json(value)
    if isinstance(value, list):
        value = next((part for part in value if isinstance(part, (str, int, float))), None)
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    return plain_text(value)


FORMATS.add(
    "openai-evals",
    TraceFormat("OpenAI Evals set", "Rows of `input` and `ideal`; or of `item`, with a `sample`.", recognise, read),
)
