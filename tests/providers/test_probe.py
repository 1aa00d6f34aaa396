"""What probing finds out, and that it takes at most four requests."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import ErrorKind, TeacherError
from engine.teachers.caller import Caller, CallOutcome
from engine.teachers.capabilities import MOST_REQUESTS, probe
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.values import TeacherSpec
from tests.fakes.provider import Provider, open_chat, run_provider


def find(provider: Provider, protocol: str = "openai", told: list[CallOutcome] | None = None) -> Capabilities:
    async def run() -> Capabilities:
        chat = open_chat(protocol, provider.url)
        teacher = HostedTeacher(TeacherSpec("ann", protocol, "m", endpoint=provider.url), chat)
        try:
            return await probe(teacher, Caller(attempts=1), (told if told is not None else []).append)
        finally:
            await chat.close()

    return asyncio.run(run())


@pytest.mark.parametrize("protocol", ["openai", "mistral"])
def test_a_good_endpoint_takes_one_request(protocol: str) -> None:
    told: list[CallOutcome] = []
    with run_provider() as provider:
        found = find(provider, protocol, told)
        assert len(provider.seen) == len(told) == 1
    assert (found.structured, found.temperature, found.reasoning) == ("json_schema", True, None)
    assert told[0].usage.output_tokens == 20


@pytest.mark.parametrize(
    ("refuses", "expected"),
    [
        (("json_schema",), Capabilities("json_object")),
        (("response_format",), Capabilities("text")),
        (("temperature",), Capabilities("json_schema", temperature=False)),
        (("max_tokens",), Capabilities("json_schema", max_tokens="max_completion_tokens")),
    ],
)
def test_what_is_refused_is_found_and_left_out(refuses: tuple[str, ...], expected: Capabilities) -> None:
    with run_provider(refuses=refuses) as provider:
        assert find(provider) == expected
        assert len(provider.seen) <= MOST_REQUESTS


@pytest.mark.parametrize("protocol", ["openai", "mistral"])
def test_whether_log_probs_come_is_seen_in_the_first_answer(protocol: str) -> None:
    with run_provider(logprob=lambda user: -0.5) as provider:
        assert find(provider, protocol).logprobs and len(provider.seen) == 1
    with run_provider() as provider:
        assert not find(provider, protocol).logprobs and len(provider.seen) == 1, "accepted and ignored"


def test_refused_log_probs_cost_nothing_else() -> None:
    refuses = ("logprobs", "temperature", "json_schema")
    with run_provider(refuses=refuses, logprob=lambda user: -0.5) as provider:
        assert find(provider) == Capabilities("json_object", temperature=False)
        assert len(provider.seen) == MOST_REQUESTS


@pytest.mark.parametrize(("style", "where"), [("think", "<think>"), ("reasoning", "reasoning"), ("plain", None)])
def test_where_the_reasoning_arrives(style: str, where: str | None) -> None:
    with run_provider(style=style) as provider:
        assert find(provider).reasoning == where


def test_a_format_that_is_accepted_and_ignored_is_none() -> None:
    with run_provider() as provider:
        provider.faults["legs"] = ["prose"]
        assert find(provider).structured == "text"


def test_an_endpoint_that_refuses_everything_is_given_up_after_four() -> None:
    with run_provider(refuses=("model",)) as provider:
        with pytest.raises(TeacherError) as caught:
            find(provider)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert len(provider.seen) == MOST_REQUESTS


def test_a_login_page_says_so() -> None:
    with run_provider() as provider:
        provider.faults["legs"] = ["html"]
        with pytest.raises(TeacherError, match="HTML page"):
            find(provider)
