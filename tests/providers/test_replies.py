"""A corpus of hostile replies, both protocols, whole and streamed: each an error by its name, the good rows kept."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import LabelWork, label
from engine.ports import Request
from engine.prompts import load_prompt
from engine.teachers.caller import Caller
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.values import Purpose, make_query
from tests.fakes.provider import open_chat
from tests.fakes.replies import GOOD, STREAMED, WHOLE, Bad, _events, _said
from tests.fakes.serving import serve
from tests.providers.test_faults import CHOICES, PROTOCOLS, TASK, Journal, spec_for

SECONDS = 60.0
GROWN_KB = 150_000


@dataclass
class Endpoint:
    url: str
    bad: Sequence[Bad]

    async def chat(self, request: HttpRequest) -> Response:
        """What the number in the query stands for; the good answer where none does."""
        body = await request.json()
        text = str(body["messages"][-1]["content"])
        found = next((bad for number, bad in enumerate(self.bad) if f"hostile {number}?" in text), None)
        if found is not None:
            return Response(found.body, found.status, found.headers)
        if body.get("stream"):
            return Response(_events(GOOD), headers={"content-type": "text/event-stream"})
        return Response(_said(GOOD), headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint("", WHOLE)
    with serve(Starlette(routes=[Route("/v1/chat/completions", found.chat, methods=["POST"])])) as found.url:
        yield found


@dataclass
class Labelled:
    attempts: dict[int, list[dict[str, Any]]]
    good: int
    seconds: float
    grown_kb: int


@pytest.fixture(scope="module", params=PROTOCOLS)
def labelled(request: pytest.FixtureRequest, endpoint: Endpoint) -> Labelled:
    """All of them asked for once, as many good queries between them."""
    endpoint.bad = WHOLE
    queries = [make_query(f"{kind} {n}?", CHOICES) for n in range(len(WHOLE)) for kind in ("hostile", "good")]
    journal, began = Journal(), time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def run() -> None:
        chat = open_chat(request.param, endpoint.url, None)
        teacher = HostedTeacher(spec_for(request.param, timeout_s=5.0, concurrency=1), chat, Capabilities())
        try:
            work = LabelWork(TASK, load_prompt("teacher", "choice"), queries, [teacher])
            await label(work, journal, Caller(attempts=1))
        finally:
            await chat.close()

    asyncio.run(run())
    by_id = {query.id: number for number, query in enumerate(queries)}
    attempts: dict[int, list[dict[str, Any]]] = {}
    for reply in journal.replies:
        attempts.setdefault(by_id[reply["query_id"]], []).append(reply)
    json.dumps(journal.events)
    good = sum(attempts[number][0]["error"] is None for number in range(1, len(queries), 2) if number in attempts)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Labelled({n // 2: a for n, a in attempts.items() if n % 2 == 0}, good, time.monotonic() - began, grown)


@pytest.mark.parametrize("number", range(len(WHOLE)), ids=[bad.name for bad in WHOLE])
def test_a_hostile_reply_is_one_attempt_with_a_name(labelled: Labelled, number: int) -> None:
    (attempt,) = labelled.attempts[number]
    assert attempt["error"] in WHOLE[number].kinds, attempt
    assert (attempt["error"] is None) == ("sample" in attempt)
    assert attempt["error"] is None or attempt["message"]
    assert "Traceback" not in attempt["message"] and len(attempt["message"]) < 2_000


def test_good_rows_between_them_are_kept_in_time_and_memory(labelled: Labelled) -> None:
    assert labelled.good == len(WHOLE) - 1, "all but the one behind what stops the teacher"
    assert labelled.seconds < SECONDS and labelled.grown_kb < GROWN_KB


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("number", range(len(STREAMED)), ids=[bad.name for bad in STREAMED])
def test_a_hostile_stream_ends_with_a_name(endpoint: Endpoint, protocol: str, number: int) -> None:
    endpoint.bad = STREAMED
    heard: list[str] = []

    async def run() -> ErrorKind | None:
        chat = open_chat(protocol, endpoint.url, None)
        teacher = HostedTeacher(spec_for(protocol, timeout_s=30.0), chat, Capabilities(), hear=heard.append)
        caller = Caller(attempts=1)
        try:
            reply = await caller.call(
                teacher, Request(make_query("q"), Purpose.PLAY, "s", f"hostile {number}?"), lambda outcome: None
            )
            return None if reply.text.strip() else ErrorKind.UNPARSABLE
        except TeacherError as error:
            assert str(error) and "Traceback" not in str(error)
            return error.kind
        finally:
            await chat.close()

    assert asyncio.run(run()) in STREAMED[number].kinds
