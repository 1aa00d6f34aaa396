"""Finds out in at most four small requests what an endpoint and model support."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from engine.errors import ErrorKind, TeacherError
from engine.tasks.reply import read_reply
from engine.teachers.caller import Announce, Caller, Tell, tell_nobody
from engine.teachers.hosted import (
    Capabilities,
    ChatChoice,
    ChatRequest,
    HostedTeacher,
    Structured,
    as_text,
    build_options,
)
from engine.values import Reply, TeacherSpec

MOST_REQUESTS = 4
_SYSTEM = 'Reply with one JSON object: {"rationale": one short sentence, "label": the answer}.'
_USER = "How many legs has a horse?"
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"rationale": {"type": "string"}, "label": {"type": "string"}},
    "required": ["rationale", "label"],
    "additionalProperties": False,
}
_REPLY_TOKENS = 512
_LADDER: Mapping[Structured, Structured] = {"json_schema": "json_object", "json_object": "text", "text": "text"}


def plainest(spec: TeacherSpec) -> Capabilities:
    """What may be asked of an endpoint of which nothing is known."""
    return Capabilities("text", max_tokens=_name_bound(spec))


def _name_bound(spec: TeacherSpec) -> Literal["max_tokens", "max_completion_tokens"]:
    official = spec.provider == "openai" and not spec.endpoint
    return "max_completion_tokens" if official else "max_tokens"


async def probe(teacher: HostedTeacher, caller: Caller, tell: Tell, announce: Announce = tell_nobody) -> Capabilities:
    """Ask a small question with everything switched on, and with less where the endpoint does not accept it.

    A refused parameter is dropped by name where the error names it. Whether log-probs come is seen in the answer.

    Raises:
        TeacherError: if no request got an answer: the last one's error.
    """
    capabilities = Capabilities(max_tokens=_name_bound(teacher.spec), logprobs=True)
    for left in range(MOST_REQUESTS, 0, -1):
        try:
            concluded = _conclude(capabilities, await _send(teacher, capabilities, caller, tell, announce))
            caller.row(teacher.spec).answered()
            return concluded
        except TeacherError as error:
            if error.kind is not ErrorKind.BAD_REQUEST or left == 1:
                raise
            capabilities = _weaken(capabilities, f"{error} {error.raw}".lower(), last=left == 2)
    raise AssertionError("unreachable")


async def _send(
    teacher: HostedTeacher, capabilities: Capabilities, caller: Caller, tell: Tell, announce: Announce
) -> ChatChoice:
    answers: list[ChatChoice] = []
    spec = replace(teacher.spec, sampling=replace(teacher.spec.sampling, max_tokens=_REPLY_TOKENS))

    async def ask() -> Reply:
        try:
            async with asyncio.timeout(spec.timeout_s):
                answer = await teacher.chat.complete(_request(spec, capabilities))
        except TimeoutError:
            raise TeacherError(ErrorKind.TIMEOUT, f"no complete answer within {spec.timeout_s:g} s") from None
        answers.append(answer)
        return Reply(as_text(answer), as_text(answer), answer.usage, answer.finish_reason)

    await caller.send(spec, f"{_SYSTEM}\n{_USER}", ask, tell, announce)
    return answers[-1]


def _request(spec: TeacherSpec, capabilities: Capabilities) -> ChatRequest:
    options = build_options(spec, capabilities, _SCHEMA, logprobs=True)
    return ChatRequest(spec.model, _SYSTEM, _USER, options, spec.timeout_s, "")


def _weaken(capabilities: Capabilities, message: str, last: bool) -> Capabilities:
    """Less of what the error names; where it names nothing, less of everything, and nothing optional at last."""
    weaker = replace(capabilities, logprobs=False) if "logprobs" in message else capabilities
    if "max_completion_tokens" in message or "max_tokens" in message:
        other = capabilities.max_tokens == "max_tokens"
        weaker = replace(weaker, max_tokens="max_completion_tokens" if other else "max_tokens")
    if "temperature" in message or "top_p" in message:
        weaker = replace(weaker, temperature=False)
    if "response_format" in message or "schema" in message or "json_object" in message:
        weaker = replace(weaker, structured=_LADDER[capabilities.structured])
    if weaker == capabilities:
        structured: Structured = "text" if last else _LADDER[capabilities.structured]
        temperature = capabilities.temperature and not last
        weaker = replace(capabilities, structured=structured, temperature=temperature, logprobs=False)
    return replace(weaker, logprobs=weaker.logprobs and not last)


def _conclude(capabilities: Capabilities, answer: ChatChoice) -> Capabilities:
    """What the answer shows: a format that was accepted and ignored is none, and so are log-probs."""
    reasoning = answer.reasoning_field or ("<think>" if "<think>" in answer.content else None)
    content = answer.content.rpartition("</think>")[2].strip()
    followed = content.startswith("{") and read_reply(content) is not None
    structured = capabilities.structured if followed or answer.finish_reason == "length" else "text"
    logprobs = capabilities.logprobs and bool(answer.tokens)
    return replace(capabilities, structured=structured, reasoning=reasoning, logprobs=logprobs)
