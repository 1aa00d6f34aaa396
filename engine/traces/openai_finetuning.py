"""OpenAI's fine-tuning files: a conversation a row, the last message being what the model is to answer.

https://platform.openai.com/docs/guides/supervised-fine-tuning and .../direct-preference-optimization
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, share_of
from engine.traces.turns import read_turns, split_reply

_BESIDE = {
    *("messages", "tools", "parallel_tool_calls", "functions", "weight"),
    *("input", "preferred_output", "non_preferred_output"),
}


def _fits(row: Row) -> bool:
    if not set(row) <= _BESIDE:
        return False
    asked = row.get("input")
    preference = "preferred_output" in row and isinstance(asked, Mapping) and isinstance(asked.get("messages"), list)
    return preference or isinstance(row.get("messages"), list)


def recognise(rows: Sequence[Row]) -> float:
    """Rows of messages and nothing that a log would hold beside them."""
    return share_of(rows, _fits)


def read(row: Row) -> Trace:
    """The conversation up to the last message, and that message; of a preference what was preferred.

    Raises:
        InputError: if the row holds no messages.
    """
    asked = row.get("input")
    if isinstance(asked, Mapping) and "preferred_output" in row:
        turns = read_turns(asked.get("messages"))
        _, reply = split_reply(read_turns(row["preferred_output"]))
        return Trace(turns, reply)
    messages = row.get("messages")
    if not isinstance(messages, list):
        raise InputError("it has no list `messages`")
    asked_turns, reply = split_reply(read_turns(messages))
    return Trace(asked_turns, None if _is_left_out(messages[-1:]) else reply)


def _is_left_out(last: Sequence[Any]) -> bool:
    """Whether the last message is one that is not trained on."""
    return bool(last) and isinstance(last[0], Mapping) and last[0].get("weight") == 0


FORMATS.add(
    "openai-finetuning",
    TraceFormat("OpenAI fine-tuning file", "Rows of `messages`, the last one being the answer.", recognise, read),
)
