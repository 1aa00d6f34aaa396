"""Reads a request for a chat completion: what is asked, and what of it can't be served.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

OWN_MODEL = "tacit"
MOST_QUERY = 32_000
"""Characters of a query."""
_MOST_KIND = 100
_IGNORED = (
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "reasoning_effort", "prediction", "verbosity"),
)
"""Options that other servers obey: here each rung writes as it was trained, or as its teacher is set."""
_REFUSED = {
    "tools": "tools are not called by the rungs of a policy",
    "functions": "functions are not called by the rungs of a policy",
    "logprobs": "log-probs are not given out: the answer may be a teacher's; `tacit.confidence` says how sure it is",
    "top_logprobs": "log-probs are not given out; `tacit.confidence` says how sure the answer is",
    "audio": "only text is answered",
    "web_search_options": "nothing is searched for",
}


class ApiError(Exception):
    """What a caller is told in place of an answer, in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """The type of error that clients tell apart."""
        if self.status == 401:
            return "authentication_error"
        if self.status == 403:
            return "permission_error"
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class ChatAsk:
    """What a caller asks.

    Attributes:
        text: the query as it was typed.
        kind: of the query; None where the caller names none.
        only: the rung that the caller named in the policy's place; "" for the policy.
        model: what the caller called it.
        stream: whether the answer is to come as events, and `include_usage` whether the last of them counts tokens.
        ignored: what was sent and is not used, for the caller to see.
    """

    text: str
    kind: str | None = None
    only: str = ""
    model: str = OWN_MODEL
    stream: bool = False
    include_usage: bool = False
    ignored: tuple[str, ...] = field(default=())


def read_chat(body: bytes, kind: str | None, names: Sequence[str], systems: Sequence[str]) -> ChatAsk:
    """The query of a request's body. `kind` is what the header X-Tacit-Kind holds.

    Args:
        names: what the policy as a whole is called.
        systems: the rungs' names.

    Raises:
        ApiError: if it is no request, or wants what can't be served.
    """
    data = _load(body)
    _refuse(data)
    model = data.get("model", OWN_MODEL)
    if not isinstance(model, str) or model not in (*names, *systems):
        known = ", ".join(dict.fromkeys((*names, *systems)))
        raise ApiError(
            404, f"there is no model {str(model)[:100]!r} here; there are: {known}", "model_not_found", "model"
        )
    text, ignored = _read_messages(data.get("messages"))
    ignored += [name for name in _IGNORED if data.get(name) is not None]
    options = data.get("stream_options")
    return ChatAsk(
        text=text,
        kind=_read_kind(data.get("metadata"), kind),
        only="" if model in names else model,
        model=model,
        stream=_read_flag(data, "stream"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        ignored=tuple(ignored),
    )


def _load(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        _wrong("the body is no JSON")
    if not isinstance(data, dict):
        _wrong("the body must be a JSON object")
    return data


def _wrong(message: str, param: str | None = None, code: str | None = None) -> NoReturn:
    raise ApiError(400, f"{message}. Nothing was asked.", code, param)


def _refuse(data: Mapping[str, Any]) -> None:
    """Refuse what would have to be obeyed and can't be."""
    for name, why in _REFUSED.items():
        if data.get(name):
            _wrong(why, name, "unsupported_parameter")
    n = data.get("n")
    if n not in (None, 1) or isinstance(n, bool):
        _wrong("one answer is given: leave n out, or give 1", "n", "unsupported_value")
    form = data.get("response_format")
    if form is not None and not (isinstance(form, dict) and form.get("type") == "text"):
        _wrong("the answer is plain text: leave response_format out", "response_format", "unsupported_parameter")
    modalities = data.get("modalities")
    if modalities is not None and modalities != ["text"]:
        _wrong("only text is answered", "modalities", "unsupported_value")


def _read_flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        _wrong(f"{name} must be true or false", name)
    return value is True


def _read_kind(metadata: Any, header: str | None) -> str | None:
    value = metadata.get("kind") if isinstance(metadata, dict) else None
    value = header if value is None else value
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MOST_KIND:
        _wrong(f"the kind of a query is a text of at most {_MOST_KIND} characters", "metadata.kind")
    return value


def _read_messages(messages: Any) -> tuple[str, list[str]]:
    """The text of the last message, and what stands before it and is not used."""
    if not isinstance(messages, list) or not messages or not all(isinstance(turn, dict) for turn in messages):
        _wrong("messages must be a list of messages, the last of them the query", "messages")
    *before, last = messages
    if last.get("role") != "user":
        _wrong("the last message must be the user's: it is the query", "messages")
    if any(turn.get("role") == "tool" or turn.get("tool_calls") for turn in before):
        _wrong("calls of tools can't be gone on with", "messages", "unsupported_value")
    text = _read_text(last.get("content")).strip()
    if not text:
        _wrong("the query is empty", "messages")
    if len(text) > MOST_QUERY:
        _wrong(f"the query has {len(text):,} characters, and at most {MOST_QUERY:,} are asked", "messages")
    roles = {turn.get("role") for turn in before}
    system = ["system message"] if roles & {"system", "developer"} else []
    return text, system + (["earlier turns"] if roles - {"system", "developer"} else [])


def _read_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        _wrong("the query must be a text", "messages")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            _wrong(
                f"only text is answered, and a part of the message is {str(kind)[:40]}", "messages", "unsupported_value"
            )
        texts.append(part["text"])
    return "\n".join(texts)
