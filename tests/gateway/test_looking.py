"""The page looks at a gateway's folder every few seconds: what did not change is not read, nor what was read before."""

from __future__ import annotations

import asyncio
import builtins
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.gateway.requests import ChatAsk
from app.usecases.serving.folder import METER, QUERIES, list_gateways
from app.usecases.serving.meter import Tally, read_meter
from app.usecases.serving.queries import count_waiting
from engine.lines import write_atomically
from engine.serving.drift import Drift
from engine.values import make_query
from tests.fakes.rungs import FakeRung, close_all, make_gateway


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened."""
    seen: list[str] = []
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", _told(module.open, seen))
    return seen


def _told(call: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    def told(*given: Any, **more: Any) -> Any:
        seen.append(Path(str(given[0])).name)
        return call(*given, **more)

    return told


def requests(n: int, at: float = 1.0) -> list[dict[str, Any]]:
    asked = [{"system": "stage3", "in": 60, "out": 5, "own": True}]
    one = {"type": "request", "policy": "abc", "asked": asked, "rung": "stage3", "seconds": 0.2}
    return [{**one, "at": at + number} for number in range(n)]


def append(folder: Path, stem: str, *records: dict[str, Any]) -> None:
    with (folder / f"{stem}.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def fill(workspace: Path, at: float = 1.0) -> Path:
    """A folder of a gateway with three requests, a shadowed query, and two queries that wait."""
    folder = workspace / "gateway" / "puzzles"
    folder.mkdir(parents=True)
    write_atomically(folder / "gateway.json", {"name": "puzzles", "project": "puzzles", "policy": "abc"})
    append(folder, f"{METER}-000001", *requests(1, at))
    append(folder, METER, *requests(2, at + 1), {"type": "shadow", "policy": "abc", "out": 5, "agrees": True})
    append(folder, QUERIES, *({"at": at, "query": asdict(make_query(text))} for text in ("one?", "two?", "one?")))
    return folder


def look(workspace: Path) -> tuple[int, int]:
    """Requests and waiting queries, as the page reads them."""
    (folder,) = list_gateways(workspace, "puzzles")
    return read_meter(folder).requests, count_waiting(workspace, "puzzles")


def test_a_folder_that_did_not_change_is_not_read_again(
    tmp_path: Path, opens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path)
    assert look(tmp_path) == (3, 2) and {"gateway.json", "meter.jsonl", "queries.jsonl"} <= set(opens)
    opens.clear()
    monkeypatch.setattr(Drift, "add", lambda self, agrees: pytest.fail("shadows are gone through again"))
    assert look(tmp_path) == (3, 2) and opens == []
    append(folder, METER, *requests(1, 9.0))
    opens.clear()
    assert look(tmp_path) == (4, 2) and set(opens) == {"meter.jsonl"}


def test_of_a_file_that_grew_the_new_lines_alone_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, added = fill(tmp_path), Tally.add
    look(tmp_path)
    taken: list[float] = []
    monkeypatch.setattr(Tally, "add", lambda self, record: (taken.append(record["at"]), added(self, record))[1])
    append(folder, METER, *requests(1, 9.0))
    append(folder, QUERIES, {"query": asdict(make_query("three?"))}, {"query": 3})
    assert look(tmp_path) == (4, 3) and taken == [9.0]
    with (folder / "meter.jsonl").open("ab") as file:
        file.write(b'{"type": "request", "at": 10.0, "pol')
    assert look(tmp_path) == (4, 3)
    with (folder / "meter.jsonl").open("ab") as file:
        file.write(b'icy": "abc"}\n')
    assert look(tmp_path) == (5, 3) and taken == [9.0, 10.0]


def test_what_was_taken_does_not_wait_and_what_comes_behind_does(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    look(tmp_path)
    write_atomically(folder / "taken.json", {"bytes": (folder / "queries.jsonl").stat().st_size})
    assert look(tmp_path) == (3, 0)
    (folder / "queries.jsonl").rename(folder / "queries-000001.jsonl")
    append(folder, QUERIES, {"query": asdict(make_query("one?"))})
    assert look(tmp_path) == (3, 1)


def test_another_folder_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    look(tmp_path)
    shutil.rmtree(folder)
    fill(tmp_path, 500.0)
    append(folder, METER, *requests(4, 600.0))
    append(folder, QUERIES, {"query": asdict(make_query("three?"))})
    assert look(tmp_path) == (7, 3) and read_meter(folder).since == 500.0


def test_a_gateway_goes_on_from_what_it_wrote_itself(tmp_path: Path) -> None:
    for total in (1, 2, 3):
        gateway = make_gateway(tmp_path, FakeRung("stage3"), FakeRung("ann"))
        asyncio.run(gateway.answer(ChatAsk("Who?")))
        assert gateway.recorder.show().requests == total == read_meter(gateway.folder).requests
        close_all()
