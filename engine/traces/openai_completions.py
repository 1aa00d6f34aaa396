"""OpenAI's completions as its API returns them: stored ones with their request, listed or one a row; Responses too.

https://platform.openai.com/docs/api-reference/chat/list and .../responses/object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.traces.base import FORMATS, Row, Trace, TraceFormat, Turn, share_of
from engine.traces.turns import find_system, read_turn, read_turns, split_reply
from engine.traces.usage import read_cost, read_tokens


def _fits(row: Row) -> bool:
    return _is_completion(row) or (isinstance(row.get("response"), Mapping) and _is_completion(row["response"]))


def _is_completion(value: Mapping[str, Any]) -> bool:
    if isinstance(value.get("choices"), list) and value["choices"]:
        return True
    return value.get("object") == "response" and isinstance(value.get("output"), list)


def recognise(rows: Sequence[Row]) -> float:
    """Rows with choices, or with the output of a response, by themselves or under `response`."""
    return share_of(rows, _fits)


def read(row: Row) -> Trace:
    """A completion with the messages of its request, which stand beside it or under `request`.

    Raises:
        InputError: if it holds no request, or no answer.
    """
    response = row["response"] if isinstance(row.get("response"), Mapping) else row
    request = next((row[name] for name in ("request", "body", "input") if isinstance(row.get(name), Mapping)), row)
    return read_exchange(request, response, row)


def read_exchange(request: Mapping[str, Any], response: Mapping[str, Any], beside: Mapping[str, Any]) -> Trace:
    """A request's body and the completion that came back; `beside` is where a cost may stand.

    Raises:
        InputError: if it holds no request, or no answer.
    """
    replies, finish = read_replies(response)
    own = str(response.get("model") or request.get("model") or "")
    key = response.get("id") or beside.get("id")
    return Trace(
        turns=read_request(request if request is not response else {**response, **beside}),
        reply=replies[0],
        model=own,
        usage=read_tokens(response.get("usage") or beside.get("usage")),
        cost=read_cost(next((beside[name] for name in ("cost", "cost_usd", "total_cost") if name in beside), None)),
        finish=finish,
        key=str(key) if isinstance(key, (str, int)) else None,
        others=len(replies) - 1,
    )


def read_request(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    """What a request's body asks: its messages, the input of a response, or the prompt of a plain completion.

    Raises:
        InputError: if it asks nothing.
    """
    asked = next((body[name] for name in ("messages", "input_messages", "input", "prompt") if body.get(name)), None)
    if asked is None:
        raise InputError("the messages of its request are not in the file")
    turns = read_turns(asked)
    instructions = body.get("instructions") or body.get("system")
    if instructions and not find_system(turns):
        return (Turn("system", read_turn({"role": "system", "content": instructions}).text), *turns)
    return turns


def read_replies(response: Mapping[str, Any]) -> tuple[list[Turn], str]:
    """The replies that came back, and why the first of them ended.

    Raises:
        InputError: if there is none.
    """
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        replies = [_read_choice(choice) for choice in choices if isinstance(choice, Mapping)]
        return replies, str(choices[0].get("finish_reason") or "stop")
    if isinstance(response.get("output"), list):
        _, reply = split_reply(_merge(read_turns(response["output"])))
        if reply is not None:
            cut = isinstance(response.get("incomplete_details"), Mapping)
            return [reply], "length" if cut else "stop"
    raise InputError("it holds no answer")


def _read_choice(choice: Mapping[str, Any]) -> Turn:
    if isinstance(choice.get("text"), str):
        return Turn("assistant", choice["text"])
    return read_turn(choice.get("message") or {}, "assistant")


def _merge(turns: Sequence[Turn]) -> list[Turn]:
    """The items of a response's output as one turn: its reasoning, its calls and its message."""
    own = [turn for turn in turns if turn.role == "assistant"]
    if not own:
        return []
    return [
        Turn(
            "assistant",
            "".join(turn.text for turn in own),
            "\n".join(turn.thought for turn in own if turn.thought),
            tuple(call for turn in own for call in turn.calls),
            tuple(kind for turn in own for kind in turn.media),
            "".join(turn.refusal for turn in own),
        )
    ]


FORMATS.add(
    "openai-completions",
    TraceFormat(
        "OpenAI stored completions",
        "Completions with `choices` and the messages of their request, in a list or one a row.",
        recognise,
        read,
    ),
)
