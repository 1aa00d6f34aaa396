"""Reads the body of a completion, of whichever protocol: what it says, what it thought, what it counts.

Nothing a provider writes is trusted: numbers are bounded, fields may be missing, keys are taken out of decoded texts.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

from engine.errors import ErrorKind, TeacherError
from engine.redaction import redact
from engine.teachers.hosted import ChatChoice, explain, not_json
from engine.values import MOST_TOKENS, Token, Usage

_REASONING_FIELDS = ("reasoning_content", "reasoning")
_DIGITS = 30
_LEAST_LOGPROB = -1000.0
"""Below it stands a mark for "unlikely" (-9999 in OpenAI's protocol), and no probability."""
_STATUS_OF = {
    "insufficient_quota": 429,
    "billing": 402,
    "rate_limit": 429,
    "invalid_api_key": 401,
    "authentication": 401,
    "context_length": 400,
    "invalid_request": 400,
}
"""HTTP statuses that providers send with such codes, for those who send 200 with all."""


def load_body(text: str) -> Any:
    """The JSON value of a body. An integer too long to be anything that is counted is None.

    Raises:
        ValueError: if it is no JSON.
        RecursionError: if it is nested too deeply.
    """
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= _DIGITS else None)


def read_completion(body: str, key: str | None) -> ChatChoice:
    """The answer in a response's body, without the key.

    Raises:
        TeacherError: not_json if there is none; what an error object means that came in its place.
    """
    try:
        data = load_body(body)
        if isinstance(data, dict) and not data.get("choices"):
            raise_error_object(data, key)
        choice = data["choices"][0]
        message = choice["message"]
        content, thought = split_content(message.get("content"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise not_json(redact(body, key)) from None
    field = find_reasoning(message)
    return ChatChoice(
        content=redact(content, key),
        finish_reason=redact(str(choice.get("finish_reason") or "stop"), key)[:100],
        reasoning=redact(message[field] if field else thought, key),
        reasoning_field=field or ("thinking" if thought else None),
        refusal=redact(str(message.get("refusal") or ""), key),
        usage=read_usage(data.get("usage")),
        tokens=read_tokens(choice.get("logprobs")),
    )


def raise_error_object(data: Mapping[str, Any], key: str | None) -> None:
    """Raise what an error object means that came with a status of success; nothing where there is none.

    Raises:
        TeacherError: by the code that the object names, with the provider's own words.
    """
    error = data.get("error") or (data if data.get("object") == "error" else None)
    if not error:
        return
    parts = error if isinstance(error, Mapping) else {"message": error}
    message = redact(str(parts.get("message") or json.dumps(parts, ensure_ascii=False)), key)
    raw = redact(json.dumps(data, ensure_ascii=False), key)
    codes = " ".join(str(parts.get(name)) for name in ("code", "type")).lower()
    status = _read_status(parts.get("code")) or next((s for code, s in _STATUS_OF.items() if code in codes), None)
    if status is not None:
        meant = explain(status, raw)
        error = TeacherError(meant.kind, str(explain(status, message)), raw)
        error.of_query = meant.of_query
        raise error
    short = message if len(message) <= 500 else f"{message[:500]} ..."
    raise TeacherError(ErrorKind.SERVER, f"the provider sent an error in place of an answer: {short}", raw)


def _read_status(code: object) -> int | None:
    number = int(code) if isinstance(code, (int, str)) and str(code).isdecimal() and len(str(code)) == 3 else 0
    return number if 400 <= number < 600 else None


def split_content(content: Any) -> tuple[str, str]:
    """What a message says, and what it thought: content is text, or a list of parts of text and thought."""
    if isinstance(content, str):
        return content, ""
    said: list[str] = []
    thought: list[str] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, Mapping) and part.get("type") == "thinking":
            thought.append(_join(part.get("thinking")))
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            said.append(part["text"])
    return "".join(said), "".join(thought)


def _join(parts: Any) -> str:
    return parts if isinstance(parts, str) else split_content(parts)[0]


def find_reasoning(message: Mapping[str, Any]) -> str | None:
    """The field of a message, or of a piece of one, where hidden reasoning stands."""
    return next((name for name in _REASONING_FIELDS if isinstance(message.get(name), str) and message[name]), None)


def read_tokens(logprobs: Any) -> tuple[Token, ...]:
    """The tokens of a choice with their log-probs; none where one of them has none that can be.

    A character may be spread over several tokens' bytes; it is the last one's, and the others complete none.
    """
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tokens: list[Token] = []
    for item in content if isinstance(content, list) else []:
        value = item.get("logprob") if isinstance(item, Mapping) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not _LEAST_LOGPROB < value <= 0:
            return ()
        try:
            raw = item.get("bytes")
            data = bytes(raw) if isinstance(raw, list) else str(item.get("token", "")).encode("utf-8", "replace")
        except (ValueError, TypeError):
            return ()
        tokens.append(Token(decoder.decode(data), float(value)))
    return tuple(tokens)


def read_usage(usage: Any) -> Usage:
    """Token counts as they are billed; None where the endpoint tells none, or none that can be."""
    if not isinstance(usage, Mapping):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)
    return Usage(*(read_count(number) for number in counts))


def read_count(number: object) -> int | None:
    """A count of tokens; None if it is none, or more than there can be."""
    if isinstance(number, str) and number.isdecimal() and len(number) <= _DIGITS:
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    return int(number) if 0 <= number <= MOST_TOKENS else None
