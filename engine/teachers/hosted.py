"""A teacher behind an HTTP API: what is sent, what of the answer counts, and what its endpoint supports."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.redaction import redact
from engine.values import Purpose, Reply, TeacherSpec, Token, Usage

Structured = Literal["json_schema", "json_object", "text"]
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit", "billing_not_active")
_STREAM = re.compile(r"\bstream(ing|_options)?\b", re.IGNORECASE)
_LOGPROBS = re.compile(r"logprobs", re.IGNORECASE)
_FILTERED = ("content_filter", "content management policy", "content_policy", "invalid_prompt", "moderation")
_TOO_LONG = ("context_length", "maximum context", "context size", "context window", "too long", "too many tokens")
"""What endpoints say of a query that does not fit."""
_SAMPLES = (Purpose.LABEL, Purpose.EVALUATE)
"""What log-probs are asked for with: replies that make samples."""
MAX_ERROR = 500
"""Characters of a provider's error that are shown."""


@dataclass(frozen=True)
class Capabilities:
    """What an endpoint and model support, as probing found.

    `reasoning` names where hidden reasoning arrives: a field of the message, `<think>`, or None. `max_tokens` is the
    name of the parameter that bounds the reply. `logprobs`: whether the log-probs of its tokens come where they are
    asked for.
    """

    structured: Structured = "json_schema"
    temperature: bool = True
    reasoning: str | None = None
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    logprobs: bool = False


def read_capabilities(stored: Mapping[str, Any]) -> Capabilities:
    """What was found out earlier; what an older program asked for besides is left out."""
    names = {field.name for field in fields(Capabilities)}
    return Capabilities(**{name: value for name, value in stored.items() if name in names})


@dataclass(frozen=True)
class ChatRequest:
    """One request in the terms of chat APIs, before a provider's SDK."""

    model: str
    system: str
    user: str
    options: Mapping[str, Any]
    timeout_s: float
    key: str


@dataclass(frozen=True)
class ChatChoice:
    """One choice of a completion. `reasoning_field` names where `reasoning` stood."""

    content: str
    finish_reason: str = "stop"
    reasoning: str = ""
    reasoning_field: str | None = None
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class BatchState:
    """How far a batch is at the provider. `failed` says why it came to nothing."""

    over: bool
    done: int = 0
    failed: str = ""


@dataclass(frozen=True)
class BatchResult:
    """One line of a batch's results: the HTTP status and the body that the request would have got alone."""

    sample_id: str
    status: int
    body: str


class Chat(Protocol):
    """A provider's SDK, reduced to what is needed."""

    async def complete(self, ask: ChatRequest) -> ChatChoice:
        """Send one request, without retries.

        Raises:
            TeacherError: with its kind; the message holds no key.
        """
        ...

    async def stream(self, ask: ChatRequest, hear: Callable[[str], None]) -> ChatChoice:
        """As `complete`; `hear` is told the whole text so far as it grows. An endpoint may send it whole all the same.

        Raises:
            TeacherError: as `complete`.
        """
        ...

    async def models(self) -> list[str]:
        """Names of the models that the endpoint offers.

        Raises:
            TeacherError: as `complete`.
        """
        ...

    def read(self, body: str) -> ChatChoice:
        """The answer in a response's body.

        Raises:
            TeacherError: not_json if there is none.
        """
        ...

    async def submit_batch(self, file: Path, model: str, name: str) -> str:
        """Hand in a file of requests (JSONL: custom_id, method, url, body) under a name; returns the batch's id.

        Raises:
            TeacherError: as `complete`.
        """
        ...

    async def find_batch(self, name: str) -> str | None:
        """The id of the batch that was handed in under a name, if there is one among the newest hundred."""
        ...

    async def batch_state(self, batch_id: str) -> BatchState:
        """How far a batch is."""
        ...

    async def batch_results(self, batch_id: str) -> list[BatchResult]:
        """What came of a batch that is over; requests that it did not get to are missing."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True)
class HostedTeacher:
    """A teacher of provider `openai` or `mistral`. Where somebody is to `hear` its answers grow, they are streamed."""

    spec: TeacherSpec
    chat: Chat
    capabilities: Capabilities = field(default_factory=Capabilities)
    hear: Callable[[str], None] | None = None

    @property
    def live(self) -> bool:
        """It answers whatever it is asked."""
        return True

    async def ask(self, request: Request) -> Reply:
        """Ask for one completion.

        The reply's text holds hidden reasoning in front, in a `<think>` block: "parse again" needs nothing else.

        Raises:
            TeacherError: where nothing came back that could hold an answer.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                answer = await self._answer(self._ask(request))
        except TimeoutError:
            message = f"no complete answer within {self.spec.timeout_s:g} s"
            raise TeacherError(ErrorKind.TIMEOUT, message) from None
        return as_reply(answer, round(time.perf_counter() - started, 4))

    async def _answer(self, ask: ChatRequest) -> ChatChoice:
        """Streamed where somebody listens, whole where the endpoint does not accept that, and without log-probs where
        it does not give them any more.
        """
        if self.hear is None:
            try:
                return await self.chat.complete(ask)
            except TeacherError as error:
                if error.kind is not ErrorKind.BAD_REQUEST or "logprobs" not in ask.options or not _refuses(error):
                    raise
                return await self.chat.complete(replace(ask, options=_without_logprobs(ask.options)))
        try:
            return await self.chat.stream(ask, self.hear)
        except TeacherError as error:
            if error.kind is not ErrorKind.BAD_REQUEST or not _STREAM.search(f"{error} {error.raw}"):
                raise
            return await self.chat.complete(ask)

    def _ask(self, request: Request) -> ChatRequest:
        options = build_options(self.spec, self.capabilities, request.schema, request.purpose in _SAMPLES)
        return ChatRequest(self.spec.model, request.system, request.user, options, self.spec.timeout_s, request.key)

    def with_capabilities(self, capabilities: Capabilities) -> HostedTeacher:
        """The same teacher, asked as probing found that it can be."""
        return replace(self, capabilities=capabilities)


def _refuses(error: TeacherError) -> bool:
    """Whether an endpoint's words are about log-probs."""
    return _LOGPROBS.search(f"{error} {error.raw}") is not None


def _without_logprobs(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "logprobs"}


def as_reply(answer: ChatChoice, latency_s: float | None = None) -> Reply:
    """What an answer says.

    Raises:
        TeacherError: if the model refused, or the provider filtered what it said.
    """
    text, counted = as_text(answer), count_tokens(answer.usage)
    if answer.refusal:
        raise TeacherError(ErrorKind.REFUSED, "the model refused", answer.refusal, tokens=counted)
    if answer.finish_reason == "content_filter":
        raise TeacherError(ErrorKind.CONTENT_FILTER, "the provider filtered the reply", text, tokens=counted)
    return Reply(text, text, answer.usage, answer.finish_reason, latency_s, answer.tokens)


def chat_messages(system: str, user: str) -> list[Any]:
    """The turns of one request as chat APIs write them."""
    turns = [("system", system), ("user", user)] if system else [("user", user)]
    return [{"role": role, "content": content} for role, content in turns]


def batch_line(sample_id: str, spec: TeacherSpec, capabilities: Capabilities, request: Request) -> dict[str, Any]:
    """One request as it stands in a batch file."""
    body: dict[str, Any] = {"model": spec.model, "messages": chat_messages(request.system, request.user)}
    body |= build_options(spec, capabilities, request.schema, request.purpose in _SAMPLES)
    return {"custom_id": sample_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def read_batch_results(text: str, key: str | None = None) -> list[BatchResult]:
    """The lines of a batch's output or error file, without the key; both providers write the same shape.

    A line that can't be read is left out: its request counts as not answered.
    """
    results = []
    for line in text.splitlines():
        try:
            data = json.loads(line)
            response = data.get("response") or {}
            body = response.get("body") or data.get("error") or {}
            content = redact(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), key)
            results.append(BatchResult(str(data["custom_id"]), int(response.get("status_code") or 500), content))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
            continue
    return results


def build_options(
    spec: TeacherSpec, capabilities: Capabilities, schema: Mapping[str, Any], logprobs: bool = False
) -> dict[str, Any]:
    """The sampling and format parameters that the endpoint accepts; with `logprobs`, that for the tokens' log-probs."""
    options: dict[str, Any] = {capabilities.max_tokens: spec.sampling.max_tokens}
    if capabilities.temperature:
        options |= {"temperature": spec.sampling.temperature, "top_p": spec.sampling.top_p}
    if schema and capabilities.structured == "json_schema":
        named = {"name": "reply", "schema": dict(schema), "strict": True}
        options["response_format"] = {"type": "json_schema", "json_schema": named}
    elif schema and capabilities.structured == "json_object":
        options["response_format"] = {"type": "json_object"}
    if logprobs and capabilities.logprobs:
        options["logprobs"] = True
    return options


def as_text(answer: ChatChoice) -> str:
    """Content with its hidden reasoning in front, as models without a field for it write it themselves."""
    return f"<think>{answer.reasoning}</think>\n{answer.content}" if answer.reasoning else answer.content


def count_tokens(usage: Usage) -> tuple[int, int] | None:
    """Input and output tokens where both are known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens, usage.output_tokens


def explain(status: int, body: str, retry_after: str | None = None) -> TeacherError:
    """The error that an HTTP status and body mean."""
    excerpt = _clip(body)
    lowered = body[:20_000].lower()
    after = read_retry_after(retry_after)
    if status in (401, 403):
        return TeacherError(ErrorKind.AUTH, f"the key was not accepted (HTTP {status}): {excerpt}", body)
    if status == 429 and any(code in lowered for code in _NO_CREDIT):
        return TeacherError(ErrorKind.QUOTA, f"the account has no credit left: {excerpt}", body)
    if status == 402:
        return TeacherError(ErrorKind.QUOTA, f"the provider wants payment (HTTP 402): {excerpt}", body)
    if status == 429:
        return TeacherError(ErrorKind.RATE_LIMIT, f"too many requests: {excerpt}", body, after)
    if status == 408 or status == 504:
        return TeacherError(ErrorKind.TIMEOUT, f"the provider took too long (HTTP {status})", body, after)
    if status >= 500:
        return TeacherError(ErrorKind.SERVER, f"the provider failed (HTTP {status}): {excerpt}", body, after)
    if any(word in lowered for word in _FILTERED):
        return TeacherError(ErrorKind.CONTENT_FILTER, f"the provider filtered the request: {excerpt}", body)
    if status == 413 or any(word in lowered for word in _TOO_LONG):
        error = TeacherError(ErrorKind.BAD_REQUEST, f"the query does not fit into the model's context: {excerpt}", body)
        error.of_query = True
        return error
    return TeacherError(
        ErrorKind.BAD_REQUEST, f"the provider does not accept the request (HTTP {status}): {excerpt}", body
    )


def not_json(body: str) -> TeacherError:
    """What came with a status of success is no answer, as the page of a proxy or a login."""
    kind = "an HTML page" if "<html" in body[:2000].lower() else "no JSON"
    return TeacherError(
        ErrorKind.NOT_JSON, f"the endpoint sent {kind} where an answer was due; is its URL right?", body
    )


def read_retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait, as a number or a date (RFC 9110, 10.2.3); they may be infinite.

    None where it asks for none: there is no header, it can't be read, or its moment is over.
    """
    if not value:
        return None
    try:
        asked = float(value)
    except ValueError:
        try:
            asked = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return asked if asked > 0 else None


def _clip(body: str) -> str:
    text = " ".join(body.split())
    if "<html" in text[:2000].lower():
        return "an HTML page"
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]} ..."
