"""A gateway that is killed while teachers are asked: its ledger says so, and caps count it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.gateway.requests import ApiError, ChatAsk
from app.usecases.serving.ledger import read_ledger
from app.usecases.serving.meter import read_meter
from app.web.parts.meters import meters_html
from tests.fakes.provider import KEY, Provider, run_provider
from tests.gateway.test_rungs import hosted, ledger_of, opened


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


def test_requests_in_flight_at_a_kill_have_an_unknown_end_and_count_against_the_cap(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stood nowhere: 74 of 5,370 at 35 kills."""
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    provider.faults["Is it B?"] = ["slow"]
    killed = tmp_path / "killed"

    async def ask_and_copy() -> None:
        gateway = opened(hosted(provider.url), tmp_path)
        try:
            await gateway.start()
            await gateway.answer(ChatAsk("Another?"))
            asking = asyncio.ensure_future(gateway.answer(ChatAsk("Is it B?")))
            while len(provider.seen) < 3:
                await asyncio.sleep(0.01)
            shutil.copytree(tmp_path / "gateway", killed / "gateway")
            assert not read_meter(tmp_path / "gateway/puzzles").cut_off, "it runs: their end is awaited"
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        finally:
            await gateway.close()

    asyncio.run(ask_and_copy())
    assert not read_meter(tmp_path / "gateway/puzzles").cut_off, "who hangs up is told on the ledger"
    assert all(line["intent"] for line in ledger_of(tmp_path)) and len(ledger_of(tmp_path, ended=False)) == 3
    meter = read_meter(killed / "gateway/puzzles")
    assert meter.cut_off == 1 and 0.01 < meter.cut_off_most < 0.02 and not meter.cut_off_unpriced
    assert "1 request with an unknown end, at most $0.01" in meters_html([meter])
    spent = sum(read_ledger(killed / "gateway/puzzles").bounds.values())

    async def start_again() -> list[str]:
        gateway = opened(hosted(provider.url), killed, max_cost=float(spent) + 0.001)
        try:
            notes = await gateway.start()
            assert gateway.recorder.show().cut_off == 1
            with pytest.raises(ApiError, match="cap on money"):
                await gateway.answer(ChatAsk("One more?"))
            return notes
        finally:
            await gateway.close()

    (note,) = asyncio.run(start_again())
    assert "1 request with an unknown end" in note
