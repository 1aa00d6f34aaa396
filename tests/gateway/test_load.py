"""The gateway under load: its queue has a bound, whoever is refused hears when to come again, and is on the meter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.gateway.server import build_server
from app.gateway.service import Gateway
from tests.fakes.rungs import FakeRung, close_all, make_gateway


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
