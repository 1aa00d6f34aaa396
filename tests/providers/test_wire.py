"""Endpoints that break HTTP, or stream without an end: named in words, tried again where that helps, good rows kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import ErrorKind
from engine.labelling.online import LabelWork, label
from engine.prompts import load_prompt
from engine.teachers.caller import Caller
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.teachers.pace import MAX_COMMENTS
from engine.values import make_query
from tests.fakes.provider import open_chat
from tests.fakes.replies import GOOD, _delta, _events, _said
from tests.fakes.serving import serve
from tests.fakes.wire import BROKEN, ENDLESS, ODD, with_wire
from tests.providers.test_faults import CHOICES, PROTOCOLS, TASK, Journal, spec_for

ALL = {**BROKEN, **ENDLESS, **ODD}
GIVEN_UP = {
    ("openai", "braces"): (ErrorKind.STALLED, "in a row without data"),
    ("mistral", "braces"): (ErrorKind.SERVER, "in the middle of its answer"),
    ("openai", "braces one by one"): (ErrorKind.STALLED, "in a row without data"),
    ("mistral", "braces one by one"): (ErrorKind.SERVER, "in the middle of its answer"),
    ("openai", "empty pieces"): (ErrorKind.TRUNCATED, "in a row held no text"),
    ("mistral", "empty pieces"): (ErrorKind.TRUNCATED, "in a row held no text"),
}
STREAMS = {False: "whole", True: "streamed"}


async def _chat(request: HttpRequest) -> Response:
    body = await request.json()
    text = str(body["messages"][-1]["content"])
    for name, answer in ALL.items():
        if f"hostile {name}?" in text:
            return answer()
    if body.get("stream"):
        stream = _events(_delta(GOOD), _delta("", finish_reason="stop"), "[DONE]")
        return Response(stream, headers={"content-type": "text/event-stream"})
    return Response(_said(GOOD), headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(with_wire(Starlette(routes=[Route("/v1/chat/completions", _chat, methods=["POST"])]))) as found:
        yield found


def meet(url: str, protocol: str, streamed: bool, name: str, attempts: int = 1) -> list[dict[str, Any]]:
    """The attempts at a query that meets a fault, one request at a time; the three behind it are answered."""
    journal, began = Journal(), time.monotonic()

    async def run() -> int:
        chat = open_chat(protocol, url, None)
        hear = (lambda text: None) if streamed else None
        spec = spec_for(protocol, timeout_s=60.0, concurrency=1)
        teacher = HostedTeacher(spec, chat, Capabilities(), hear=hear)
        queries = [make_query(f"{what}?", CHOICES) for what in (f"hostile {name}", "good 1", "good 2", "good 3")]
        work = LabelWork(TASK, load_prompt("teacher", "choice"), queries, [teacher])
        try:
            return (await label(work, journal, Caller(attempts=attempts, first_wait_s=0.001))).samples
        finally:
            await chat.close()

    assert asyncio.run(run()) == 3 and time.monotonic() - began < 50, "nobody waits on a broken connection"
    return [reply for reply in journal.replies if reply["error"] is not None]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", STREAMS, ids=STREAMS.values())
@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_http_is_a_broken_connection_and_tried_again(
    url: str, protocol: str, streamed: bool, name: str
) -> None:
    met = meet(url, protocol, streamed, name, attempts=2)
    assert [reply["error"] for reply in met] == [ErrorKind.CONNECTION] * 2
    told = met[-1]["message"]
    assert any(words in told for words in ("no HTTP", "no request can get", "hung up", "connection broke"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ENDLESS)
def test_a_stream_without_an_end_is_given_up(
    url: str, protocol: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hollow events are given up by their bytes, before an SDK reads them: so the other bound must lie behind that."""
    monkeypatch.setattr("engine.teachers.streaming.MAX_STILL", 3 * MAX_COMMENTS)
    (met,) = meet(url, protocol, True, name)
    kind, said = GIVEN_UP[protocol, name]
    assert met["error"] == kind and said in met["message"] and len(met["message"]) < 600


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_answer_inside_a_stream_is_said_in_words(url: str, protocol: str, name: str) -> None:
    (met,) = meet(url, protocol, True, name)
    assert met["error"] == ErrorKind.NOT_JSON and "no JSON in the middle of its answer" in met["message"]


def test_hidden_thought_in_events_without_text_is_no_endless_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some endpoints send an event for each token that they don't show."""
    monkeypatch.setattr("engine.teachers.streaming.MAX_EMPTY", 10)
    thinking = _events(*[_delta("")] * 200, _delta(GOOD), _delta("", finish_reason="stop"), "[DONE]")

    async def think(request: HttpRequest) -> Response:
        return Response(thinking, headers={"content-type": "text/event-stream"})

    with serve(Starlette(routes=[Route("/v1/chat/completions", think, methods=["POST"])])) as url:
        for protocol in PROTOCOLS:
            meet_nothing(url, protocol)


def meet_nothing(url: str, protocol: str) -> None:
    journal = Journal()

    async def run() -> None:
        chat = open_chat(protocol, url, None)
        teacher = HostedTeacher(spec_for(protocol), chat, Capabilities(), hear=lambda text: None)
        try:
            work = LabelWork(TASK, load_prompt("teacher", "choice"), [make_query("q?", CHOICES)], [teacher])
            await label(work, journal, Caller(attempts=1))
        finally:
            await chat.close()

    asyncio.run(run())
    assert [reply["error"] for reply in journal.replies] == [None]
