"""Endpoints that keep a connection open and send no answer: a fault of its own, long before the time limit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.usecases.labelling.answers import say_failure
from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.teachers.caller import Caller, CallOutcome, Tell
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.teachers.pace import LEAST_RATE, MAX_COMMENTS, Pace
from engine.values import Purpose, make_query
from tests.fakes.clock import FakeTime
from tests.fakes.provider import open_chat
from tests.fakes.replies import GOOD, _delta, _events, _said
from tests.fakes.serving import serve
from tests.providers.test_faults import PROTOCOLS, spec_for

EVENTS, WHOLE = "text/event-stream", "application/json"


async def _drip(part: bytes, every_s: float, once: bytes = b"") -> AsyncIterator[bytes]:
    if once:
        yield once
    while True:
        yield part
        await asyncio.sleep(every_s)


async def _late(part: bytes) -> AsyncIterator[bytes]:
    for _ in range(30):
        yield b": keep-alive\n\n"
        await asyncio.sleep(0)
    yield part


DRIPS: dict[str, tuple[tuple[bytes, float, bytes], str]] = {
    "a flood of comments": ((b": keep-alive\n\n" * 50, 0.0, b""), EVENTS),
    "a comment now and then": ((b": keep-alive\n\n", 0.02, b""), EVENTS),
    "comments behind a word": ((b": keep-alive\n\n", 0.02, _events(_delta("I think"))), EVENTS),
    "blank lines": ((b"\n" * 40, 0.01, b""), EVENTS),
    "an event letter by letter": ((b"x", 0.02, b"data: "), EVENTS),
    "an answer letter by letter": ((b" ", 0.1, b""), WHOLE),
}
SLOW_OBJECTS = {"events of empty objects": ((b"data: {}\n\n", 0.02, b""), EVENTS)}
"""Mistral's SDK knows at the first of them that it is no answer."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def chat(request: HttpRequest) -> Response:
        body = await request.json()
        text = str(body["messages"][-1]["content"])
        for name, (drip, kind) in {**DRIPS, **SLOW_OBJECTS}.items():
            if name in text:
                return StreamingResponse(_drip(*drip), media_type=kind)
        if body.get("stream"):
            answer = _events(_delta(GOOD), _delta("", finish_reason="stop"), "[DONE]")
            return StreamingResponse(_late(answer), media_type=EVENTS)
        return Response(b"\n" * 300 + _said(GOOD), media_type=WHOLE)

    with serve(Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])) as found:
        yield found


def ask(url: str, protocol: str, streamed: bool, text: str, caller: Caller, tell: Tell = lambda _: None) -> Any:
    async def run() -> Any:
        chat = open_chat(protocol, url, None)
        spec = spec_for(protocol, timeout_s=0.8)
        teacher = HostedTeacher(spec, chat, Capabilities(), hear=(lambda heard: None) if streamed else None)
        try:
            request = Request(make_query("q"), Purpose.PLAY, "s", text)
            return await caller.call(teacher, request, tell)
        finally:
            await chat.close()

    return asyncio.run(run())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", DRIPS)
def test_an_endpoint_that_only_keeps_the_connection_open_is_given_up(url: str, protocol: str, name: str) -> None:
    with pytest.raises(TeacherError, match="only kept the connection open") as caught:
        ask(url, protocol, DRIPS[name][1] == EVENTS, name, Caller(attempts=1))
    assert caught.value.kind is ErrorKind.STALLED, "before the time limit"
    assert caught.value.raw == ("I think" if "word" in name else "")
    assert not caught.value.kind.free and caught.value.kind.may_pass
    assert say_failure(caught.value.kind) == "Stalled"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
def test_comments_and_blanks_before_an_answer_are_no_fault(url: str, protocol: str, streamed: bool) -> None:
    assert "It must be B." in ask(url, protocol, streamed, "good", Caller(attempts=1)).text


def test_whoever_looks_on_does_not_wait_for_it_twice(url: str) -> None:
    told: list[CallOutcome] = []
    caller = Caller(most_wait_s=10.0, first_wait_s=0.001)
    with pytest.raises(TeacherError, match="only kept the connection open"):
        ask(url, "openai", True, "events of empty objects", caller, told.append)
    assert len(told) == 1


def fed(pace: Pace, clock: FakeTime, parts: Iterator[bytes], every_s: float) -> float:
    """Seconds until something is wrong."""
    began = clock.at
    for part in parts:
        clock.at += every_s
        if pace.take(part):
            return clock.at - began
    return float("inf")


def pace_of(limit_s: float | None, events: bool) -> tuple[Pace, FakeTime]:
    clock = FakeTime()
    return Pace(limit_s, events, lambda: clock.at), clock


@pytest.mark.parametrize(("limit_s", "most_s"), [(120.0, 60.0), (3600.0, 1800.0), (None, 60.0)])
def test_half_of_the_time_limit_may_pass_without_an_event(limit_s: float | None, most_s: float) -> None:
    pace, clock = pace_of(limit_s, events=True)
    assert most_s < fed(pace, clock, itertools.repeat(b": keep-alive\n\n"), 15.0) <= most_s + 15
    pace, clock = pace_of(limit_s, events=True)
    events = itertools.islice(itertools.cycle([b": wait\n\n", b'data: {"a', b'": 1}\r\n', b"\r\n"]), 4000)
    assert fed(pace, clock, events, 5.0) == float("inf"), "a slow model is none that stalls"


def test_comments_between_events_never_add_up() -> None:
    pace, clock = pace_of(120.0, events=True)
    parts = [b": c\n\n" * (MAX_COMMENTS - 1), b'data: {"choices": []}\n\n']
    assert fed(pace, clock, itertools.islice(itertools.cycle(parts), 20), 0.0) == float("inf")
    assert pace.take(b": c\n\n" * MAX_COMMENTS) == "" and "without data" in pace.take(b": c\n\n")


def test_a_large_answer_over_a_slow_line_is_waited_for() -> None:
    pace, clock = pace_of(120.0, events=False)
    assert fed(pace, clock, itertools.repeat(b"x" * 2 * LEAST_RATE, 5000), 1.0) == float("inf")
    pace, clock = pace_of(120.0, events=False)
    assert 60 < fed(pace, clock, itertools.repeat(b"x"), 1.0) < 62
