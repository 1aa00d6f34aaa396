"""The gateway under load: its queue has a bound, whoever is refused hears when to come again, and is on the meter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.gateway.ladder import LiveLadder
from app.gateway.requests import ApiError, ChatAsk
from app.gateway.server import build_server
from app.gateway.service import Gateway
from app.usecases.serving.meter import read_meter
from app.web.parts.meters import meters_html
from engine.errors import CapReached, WorkerFailed
from tests.fakes.rungs import FakeRung, close_all, make_gateway, make_policy


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def one_by_one(folder: Path, seconds: float = 0.0, **settings: Any) -> Gateway:
    """A student that answers one request at a time, and a teacher that nobody asks."""
    return make_gateway(folder, FakeRung("stage3", seconds=seconds, width=1), FakeRung("ann"), **settings)


async def burst(gateway: Gateway, requests: int) -> list[httpx2.Response]:
    """Requests that all come at once."""
    app = httpx2.ASGITransport(app=build_server(gateway))
    body = {"messages": [{"role": "user", "content": "Who?"}]}
    async with httpx2.AsyncClient(transport=app, base_url="http://127.0.0.1:8800") as client:
        calls = (client.post("/v1/chat/completions", json=body) for _ in range(requests))
        return list(await asyncio.gather(*calls))


def test_a_burst_does_not_get_past_the_queue(tmp_path: Path) -> None:
    gateway = one_by_one(tmp_path, 0.01, queue=3)
    got = asyncio.run(burst(gateway, 50))
    refused = [one for one in got if one.status_code == 429]
    assert len(refused) == 46 and sum(one.status_code == 200 for one in got) == 4, "one is answered, and three wait"
    assert all(one.headers["retry-after"] and one.json()["error"]["code"] == "overloaded" for one in refused)
    assert gateway.recorder.show().requests == 4


def test_waiting_for_a_turn_is_not_taken_for_the_pace_of_a_rung(tmp_path: Path) -> None:
    gateway, started = one_by_one(tmp_path, 0.05, queue=64), time.perf_counter()

    async def ask_all() -> None:
        await asyncio.gather(*(gateway.answer(ChatAsk("Who?")) for _ in range(20)))

    asyncio.run(ask_all())
    assert 0.05 <= gateway.ladder.pace["stage3"] < 2 * (time.perf_counter() - started) / 20


def test_when_to_come_again_goes_by_the_slowest_of_those_that_are_waited_for() -> None:
    ports = {"stage3": FakeRung("stage3", width=1), "ann": FakeRung("ann", width=4)}
    ladder = LiveLadder(make_policy(), ports, queue=3, pace={"stage3": 2.0, "ann": 50.0})
    ladder.open["stage3"] = 4
    with pytest.raises(ApiError) as refused:
        ladder.admit()
    assert refused.value.retry_after_s == 8, "three wait, and one more would: nobody waits for ann"
    ladder.open["ann"] = 5
    with pytest.raises(ApiError) as refused:
        ladder.admit()
    assert refused.value.retry_after_s == 25, "one waits for ann, and one more may"


def test_all_who_were_turned_away_are_on_the_meter_at_once(tmp_path: Path) -> None:
    gateway = one_by_one(tmp_path, 0.01, queue=0)
    assert sum(one.status_code == 429 for one in asyncio.run(burst(gateway, 10))) == 9
    assert read_meter(gateway.folder).refused == 9, "the one that was answered wrote them down too"
    gateway.recorder.refuse()
    gateway.recorder.refuse()
    assert gateway.recorder.show().refused == 11 == read_meter(gateway.folder).refused
    assert "Turned away, since too many waited: 11 requests" in meters_html([read_meter(gateway.folder)])


def test_turned_away_ones_alone_are_written_once_a_second_at_most(tmp_path: Path) -> None:
    recorder = one_by_one(tmp_path).recorder
    for _ in range(1000):
        recorder.refuse()
    lines = recorder.journal.path.read_text().splitlines()
    assert 1 <= len(lines) < 10 and recorder.show().refused == 1000


@pytest.mark.parametrize("when", ["answer", "refuse"])
def test_a_cap_that_is_reached_is_no_passing_failure(tmp_path: Path, when: str) -> None:
    tom = FakeRung("stage3", confidence=0.3, label=lambda query: "A" if when == "refuse" else None)
    ann = FakeRung("ann", fails=CapReached("the next request could pass the cap of $1"))
    gateway = make_gateway(tmp_path, tom, ann, when_teacher_fails=when)
    (got,) = asyncio.run(burst(gateway, 1))
    error = got.json()["error"]
    assert got.status_code == 503 and error["code"] == "cap_reached" and "retry-after" not in got.headers
    assert "cap on money is reached" in error["message"] and "--max-cost" in error["message"]
    assert gateway.recorder.show().errors == {"cap reached": 1}


def test_a_student_that_failed_may_answer_later_though_the_cap_is_reached(tmp_path: Path) -> None:
    tom = FakeRung("stage3", fails=WorkerFailed("its process died"))
    ann = FakeRung("ann", fails=CapReached("the next request could pass the cap of $1"))
    (got,) = asyncio.run(burst(make_gateway(tmp_path, tom, ann), 1))
    assert got.headers["retry-after"] and "stage3 failed too: try again" in got.json()["error"]["message"]
    assert "--max-cost" in got.json()["error"]["message"]
