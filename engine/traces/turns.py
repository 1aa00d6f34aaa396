"""Messages as providers and tracing tools write them, read as turns; and turns written as the text of a query.

The shapes that are known: OpenAI's chat messages and Responses items, Anthropic's content blocks, the parts of
OpenTelemetry's `gen_ai` messages and of Gemini, LangChain's `type`, ShareGPT's `from` and `value`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import InputError
from engine.traces.base import Turn

_ROLES = {
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function": "tool",
    "ipython": "tool",
}
_KNOWN = ("system", "user", "assistant", "tool")
_NAMES = {"user": "User", "assistant": "Assistant", "tool": "Tool"}
_TEXTS = ("text", "input_text", "output_text", "")
_THOUGHTS = ("thinking", "reasoning", "thought", "redacted_thinking", "summary_text")
_CALLS = ("tool_use", "tool_call", "function_call", "server_tool_use", "server_tool_call")
_RESULTS = ("tool_result", "tool_call_response", "function_call_output", "server_tool_call_response")
_MEDIA = ("image", "audio", "video", "file", "document")
_MOST_TURNS = 2_000


@dataclass
class _Said:
    """What the parts of a message come to."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    results: bool = False


def load_json(value: Any) -> Any:
    """A value that may be JSON in a text, as tables and attributes of spans hold it; any other text as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def read_turns(messages: Any) -> tuple[Turn, ...]:
    """The turns of a list of messages, or of a text, which is the user's.

    Raises:
        InputError: if it is neither, or a message is none.
    """
    messages = load_json(messages)
    if isinstance(messages, str):
        return (Turn("user", messages),)
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, Sequence):
        raise InputError("the messages are no list")
    if len(messages) > _MOST_TURNS:
        raise InputError(f"{len(messages):,} messages; a trace has at most {_MOST_TURNS:,}")
    return tuple(read_turn(message) for message in messages)


def read_turn(message: Any, role: str = "user") -> Turn:
    """One message; `role` where it names none.

    Raises:
        InputError: if it is none.
    """
    message = load_json(message)
    if isinstance(message, str):
        return Turn(role, message)
    if not isinstance(message, Mapping):
        raise InputError("a message is neither a text nor an object")
    named = message.get("role") or message.get("from") or _type_as_role(message.get("type")) or role
    if not isinstance(named, str):
        raise InputError("the role of a message is no text")
    name = _ROLES.get(named.lower(), named.lower())
    said = _Said()
    _read_content(next((message[key] for key in ("content", "parts", "value") if key in message), None), said)
    if message.get("type") in (*_CALLS, *_RESULTS, "reasoning"):
        name = "tool" if message["type"] in _RESULTS else "assistant"
        _read_part(message, said)
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str) and message[key].strip():
            said.thoughts.append(message[key])
            break
    _read_calls(message, said)
    if isinstance(message.get("refusal"), str) and message["refusal"].strip():
        said.refusals.append(message["refusal"])
    if said.results and name == "user" and not said.texts[1:]:
        name = "tool"
    return Turn(
        role=name if name in _KNOWN else "user",
        text="".join(said.texts),
        thought="\n".join(said.thoughts).strip(),
        calls=tuple(said.calls),
        media=tuple(said.media),
        refusal="\n".join(said.refusals),
    )


def _type_as_role(kind: Any) -> str:
    return kind if isinstance(kind, str) and _ROLES.get(kind, kind) in _KNOWN else ""


def _read_content(content: Any, said: _Said) -> None:
    if content is None:
        return
    if isinstance(content, str):
        said.texts.append(content)
        return
    for part in content if isinstance(content, list) else [content]:
        _read_part(part, said)


def _read_part(part: Any, said: _Said) -> None:
    """Add what one part of a message's content says.

    Raises:
        InputError: if it is none.
    """
    if isinstance(part, str):
        said.texts.append(part)
        return
    if not isinstance(part, Mapping):
        raise InputError("a part of a message is neither a text nor an object")
    kind = str(part.get("type") or "")
    if kind in _TEXTS and isinstance(_first(part, "text", "content"), str):
        said.thoughts.append(part["text"]) if part.get("thought") is True else said.texts.append(
            str(_first(part, "text", "content"))
        )
    elif kind in _THOUGHTS:
        said.thoughts.append(_join(_first(part, "thinking", "content", "text", "reasoning", "summary")))
    elif kind in _CALLS or "functionCall" in part:
        said.calls.append(_say_call(part.get("functionCall") or part))
    elif kind in _RESULTS or "functionResponse" in part:
        said.results = True
        said.texts.append(_join(_first(part, "content", "response", "result", "output", "functionResponse")))
    elif kind == "refusal":
        said.refusals.append(_join(part.get("refusal")))
    else:
        said.media.append(_say_medium(part, kind))


def _say_medium(part: Mapping[str, Any], kind: str) -> str:
    """What a part is that no text stands for: by its modality, its type, or the name of its field."""
    names = " ".join([str(part.get("modality") or ""), kind, *map(str, part)]).lower()
    return next((name for name in _MEDIA if name in names), "other")


def _read_calls(message: Mapping[str, Any], said: _Said) -> None:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, Mapping):
            function = call.get("function")
            said.calls.append(_say_call(function if isinstance(function, Mapping) else call))
    if isinstance(message.get("function_call"), Mapping):
        said.calls.append(_say_call(message["function_call"]))


def _say_call(call: Mapping[str, Any]) -> str:
    arguments = _first(call, "arguments", "input", "args")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return f"{call.get('name') or 'tool'}({text if arguments is not None else ''})"


def _first(part: Mapping[str, Any], *names: str) -> Any:
    return next((part[name] for name in names if part.get(name) is not None), None)


def _join(value: Any) -> str:
    """A text, or texts in a list of parts; anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (_first(part, "text", "content") if isinstance(part, Mapping) else part for part in value)
        return "\n".join(map(_join, parts))
    return json.dumps(value, ensure_ascii=False, default=str)


def split_reply(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], Turn | None]:
    """What was asked, and the assistant's last turn where the conversation ends in one."""
    if turns and turns[-1].role == "assistant":
        return tuple(turns[:-1]), turns[-1]
    return tuple(turns), None


def find_system(turns: Sequence[Turn]) -> str:
    """The system prompt: all turns of that role, a blank line between them."""
    return "\n\n".join(text for turn in turns if turn.role == "system" and (text := turn.text.strip()))


def write_query(turns: Sequence[Turn], system: bool = True) -> str:
    """What was asked as one text.

    A single turn is its text. Of several each begins with who speaks ("User: ..."), and tools that the assistant called
    stand in brackets. The system prompt comes first, as it is, unless `system` says that it is left out; a blank line
    stands between all parts.
    """
    spoken = [turn for turn in turns if turn.role != "system"]
    if len(spoken) == 1 and spoken[0].role == "user":
        parts = [spoken[0].text.strip()]
    else:
        parts = [f"{_NAMES.get(turn.role, 'User')}: {_say(turn)}" for turn in spoken]
    head = find_system(turns) if system else ""
    return "\n\n".join([head, *parts] if head else parts)


def _say(turn: Turn) -> str:
    return "\n".join([turn.text.strip(), *(f"[{call}]" for call in turn.calls)]).strip()
