"""Answers that are heard as they grow: what is heard, what comes of them, and what happens when they break off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.teachers.hosted import Capabilities, HostedTeacher, redact
from engine.teachers.streaming import MAX_STREAM, Draft, hold_back
from engine.values import Purpose, Reply, Sampling, TeacherSpec, Usage, make_query
from tests.fakes.provider import KEY, Provider, open_chat, run_provider

QUERY = make_query("query 1?")
REQUEST = Request(QUERY, Purpose.PLAY, "system", "query 1?", key="once")
PROTOCOLS = ("openai", "mistral")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider(piece_s=0.02) as running:
        yield running


def ask(protocol: str, provider: Provider, heard: list[str] | None, **spec: Any) -> Reply:
    """One answer; `heard` collects what was heard, None: nobody listens."""

    async def run() -> Reply:
        chat = open_chat(protocol, provider.url)
        made = TeacherSpec("ann", protocol, "m", **{"sampling": Sampling(max_tokens=64), "timeout_s": 5.0, **spec})
        teacher = HostedTeacher(made, chat, Capabilities(), None if heard is None else heard.append)
        try:
            return await teacher.ask(REQUEST)
        finally:
            await chat.close()

    return asyncio.run(run())


@pytest.mark.parametrize("style", ["plain", "think", "reasoning_content", "reasoning", "chunks"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_grows_into_the_answer_that_would_have_come_whole(
    protocol: str, style: str, provider: Provider
) -> None:
    own = {"reasoning_content": "openai", "reasoning": "openai", "chunks": "mistral"}
    if own.get(style, protocol) != protocol:
        style = "plain"
    provider.style = style
    heard: list[str] = []
    streamed = ask(protocol, provider, heard)
    whole = ask(protocol, provider, None)
    assert replace(streamed, latency_s=None) == replace(whole, latency_s=None)
    assert streamed.usage == Usage(3, 20) and streamed.finish_reason == "stop"
    assert len(heard) >= 3 and heard[0] != streamed.text
    assert all(len(longer) > len(shorter) for shorter, longer in pairwise(heard))
    said = provider.seen[0].body
    assert said["stream"] is True and not provider.seen[1].body.get("stream")
    assert provider.seen[0].headers["idempotency-key"] == "once"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_endpoint_that_does_not_stream_answers_whole(protocol: str, provider: Provider) -> None:
    provider.streams = False
    heard: list[str] = []
    assert "It must be B." in ask(protocol, provider, heard).text
    assert len(provider.seen) == 1 and not heard
    provider.streams, provider.refuses = True, ("stream",)
    assert "It must be B." in ask(protocol, provider, heard).text
    assert len(provider.seen) == 3 and not heard


def test_an_endpoint_without_stream_options_answers_whole(provider: Provider) -> None:
    provider.refuses = ("stream_options",)
    assert "It must be B." in ask("openai", provider, []).text


FAILURES = {
    "broken off": ErrorKind.CONNECTION,
    "error inside": ErrorKind.SERVER,
    "html": ErrorKind.NOT_JSON,
    "html 502": ErrorKind.SERVER,
    "429": ErrorKind.RATE_LIMIT,
    "auth": ErrorKind.AUTH,
    "context": ErrorKind.BAD_REQUEST,
    "reset": ErrorKind.CONNECTION,
    "refusal": ErrorKind.REFUSED,
    "filter": ErrorKind.CONTENT_FILTER,
}


@pytest.mark.parametrize(
    ("protocol", "fault"),
    [
        (p, fault) for p in PROTOCOLS for fault in FAILURES if (p, fault) != ("mistral", "refusal")
    ],  # it has no such field
)
def test_a_stream_fails_as_its_cause_says(protocol: str, fault: str, provider: Provider) -> None:
    provider.faults["query 1"] = [fault]
    with pytest.raises(TeacherError) as caught:
        ask(protocol, provider, [])
    assert caught.value.kind is FAILURES[fault]
    assert KEY not in f"{caught.value} {caught.value.raw}"


STYLES = [("openai", "plain"), ("openai", "reasoning_content"), ("openai", "list"), ("mistral", "plain")]
STYLES += [("mistral", "chunks")]


@pytest.mark.parametrize("fault", [None, "broken off", "garbage inside", "error inside"])
@pytest.mark.parametrize(("protocol", "style"), STYLES)
def test_a_key_that_an_endpoint_echoes_is_never_heard_or_kept(
    protocol: str, style: str, fault: str | None, provider: Provider
) -> None:
    provider.style, provider.faults["query 1"] = style, [fault] if fault else []
    provider.reason = lambda label: f"Your key is {KEY}, and once more {KEY}, so I think that it must be {label}."
    provider.thought = f"They asked with {KEY}"
    heard: list[str] = []
    try:
        reply = ask(protocol, provider, heard)
        heard.append(reply.text)
        assert fault is None and "[key]" in reply.text
    except TeacherError as error:
        assert fault is not None and error.raw, "what came is kept"
        heard += [error.raw, str(error)]
    assert len(heard) >= 3
    assert not [text for text in heard if KEY[:6] in text]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_that_takes_too_long_is_timed_out_while_it_grows(protocol: str, provider: Provider) -> None:
    provider.piece_s = 0.2
    with pytest.raises(TeacherError) as caught:
        ask(protocol, provider, [], timeout_s=0.5)
    assert caught.value.kind is ErrorKind.TIMEOUT


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_long_error_inside_a_stream_is_clipped(protocol: str, provider: Provider) -> None:
    provider.faults["query 1"], provider.told = ["error inside"], "x" * 100_000
    with pytest.raises(TeacherError) as caught:
        ask(protocol, provider, [])
    assert caught.value.kind is ErrorKind.SERVER and len(str(caught.value)) < 600


def test_a_stream_without_end_is_cut_and_what_it_cost_is_not_taken_for_nothing() -> None:
    draft = Draft(None, lambda text: None)
    draft.note(usage=Usage(7, None))
    draft.note(usage=Usage())
    with pytest.raises(TeacherError, match="was cut") as caught:
        for _ in range(MAX_STREAM // 1000 + 1):
            draft.add("x" * 1000)
    assert not caught.value.kind.free and not caught.value.kind.may_pass and caught.value.raw.startswith("xxx")
    assert draft.usage == Usage(7, None)


def test_only_the_first_of_several_choices_counts(provider: Provider) -> None:
    provider.choices = 2
    assert ask("openai", provider, []).text == ask("openai", provider, None).text


@given(st.text(alphabet="ab-", max_size=30), st.text(alphabet="ab-", min_size=4, max_size=8), st.data())
def test_what_is_shown_stays_whatever_comes_next(text: str, key: str, data: st.DataObject) -> None:
    shown = hold_back(text, key)
    assert key not in shown
    rest = data.draw(st.sampled_from([key[n:] for n in range(len(key))]) | st.text(alphabet="ab-", max_size=9))
    assert redact(text + rest, key).startswith(shown), "a part of a key that is shown would be taken back"
    assert hold_back(text, None) == text
