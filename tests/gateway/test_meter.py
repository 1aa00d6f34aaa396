"""The meter goes on after a restart and is read by whoever looks; shadows find a drop; queries are taken once."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.gateway.journal import Journal
from app.gateway.requests import ChatAsk
from app.gateway.service import Gateway
from app.services import open_services
from app.usecases.serving.folder import METER, journal_files, make_name, read_journal
from app.usecases.serving.meter import Tally, find_saved, read_meter
from app.usecases.serving.queries import count_waiting
from engine.config import ProjectConfig
from engine.errors import CapReached, NotFound
from engine.serving.policy import Expected
from engine.values import Split, make_query
from tests.fakes.rungs import FakeRung, close_all, make_gateway, make_policy


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


EXPECTED = Expected(
    n=100,
    score=0.9,
    reference_score=0.92,
    shares={"stage3": 0.8, "ann": 0.2},
    tokens=20,
    reference_tokens=80,
    dollars=0.0,
    reference_dollars=0.5,
    agreement=0.95,
)


def run(gateway: Gateway, *texts: str, only: str = "") -> None:
    async def ask_all() -> None:
        for text in texts:
            ask = ChatAsk(text, only=only)
            gateway.compare(await gateway.answer(ask), ask)
        await asyncio.gather(*gateway.shadows.open)

    asyncio.run(ask_all())


def rungs(**teacher: Any) -> tuple[FakeRung, FakeRung]:
    return FakeRung("stage3"), FakeRung("ann", confidence=0.0, **{"dollars": 0.5, **teacher})


def test_the_meter_of_a_closed_gateway_is_read_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    policy = make_policy(expected=EXPECTED)
    gateway = make_gateway(tmp_path, *rungs(), policy=policy)
    run(gateway, "one?", "two?", "three?")
    run(gateway, "four?", only="ann")
    before = gateway.recorder.show()
    close_all()
    with (gateway.folder / "meter.jsonl").open("ab") as file:
        file.write(b'{"type": "request", "torn')
    meter = read_meter(gateway.folder)
    assert meter == before and meter.requests == 4 and meter.by_rung == {"stage3": 3, "ann": 1} and meter.forced == 1
    assert meter.read == {"stage3": 30, "ann": 10} and meter.written == {"stage3": 15, "ann": 5}
    assert meter.dollars == 0.5 and meter.project == "puzzles" and meter.since is not None
    assert meter.tokens_saved is not None and meter.tokens_saved.source == "policy"
    assert (meter.tokens_saved.mean, meter.tokens_saved.total, meter.tokens_saved.n) == (75, 225, 3)
    assert meter.dollars_saved is not None and meter.dollars_saved.total == 1.5
    again = make_gateway(tmp_path, *rungs(), policy=policy)
    run(again, "five?")
    close_all()
    meter = read_meter(gateway.folder)
    assert meter.requests == 5 and meter.damaged == 1, "the torn line is told, and nothing else is lost by it"
    other = make_gateway(tmp_path, *rungs(), policy=make_policy(run="another"))
    assert other.recorder.show().requests == 0 and other.recorder.show().earlier == 5


def test_a_folder_where_no_gateway_ran_has_no_meter(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="tacit gateway POLICY"):
        read_meter(tmp_path)


def test_a_journal_is_rotated_and_read_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path, METER, most_bytes=100)
    for number in range(30):
        journal.write({"number": number})
    journal.close()
    files = journal_files(tmp_path, METER)
    assert len(files) > 3 and all(path.stat().st_size <= 100 for path in files)
    assert [record["number"] for path in files for record, _ in read_journal(path) if record] == list(range(30))


def test_shadows_are_drawn_and_compared_after_the_answer(tmp_path: Path) -> None:
    tom, ann = rungs(label=lambda query: "B" if "4" in query.text else " a. ")
    gateway = make_gateway(tmp_path, tom, ann, shadow=50, policy=make_policy(expected=EXPECTED))
    gateway.shadows.draw = random.Random(1)
    run(gateway, *(f"query {n}?" for n in range(40)))
    meter = gateway.recorder.show()
    assert meter.by_rung == {"stage3": 40} and 10 < meter.shadows == len(ann.asked) < 30
    differ = sum("4" in text for text in ann.asked)
    assert (meter.drift.n, meter.drift.agreed) == (meter.shadows, meter.shadows - differ)
    assert meter.shadow_dollars == 0.5 * meter.shadows and meter.dollars == 0
    run(gateway, *(f"more {n}?" for n in range(40)))
    saved = gateway.recorder.tally
    found = find_saved(saved, "tokens", 80)
    assert found is not None and found.source == "shadows" and found.mean == 0, "the teacher writes five tokens too"


def test_an_operator_is_told_where_nothing_says_what_agreement_to_expect(tmp_path: Path) -> None:
    silent = make_gateway(tmp_path, *rungs(), shadow=5, name="silent")
    (note,) = asyncio.run(silent.start())
    assert "first 100 shadowed queries" in note
    assert asyncio.run(make_gateway(tmp_path, *rungs(), shadow=5, policy=make_policy(expected=EXPECTED)).start()) == []


def test_named_rungs_and_fallbacks_are_not_shadowed(tmp_path: Path) -> None:
    tom, ann = rungs()
    gateway = make_gateway(tmp_path, tom, ann, shadow=100)
    run(gateway, "one?", only="stage3")
    tom.confidence, ann.fails = 0.1, CapReached("the cap of $1 is reached")
    run(gateway, "two?")
    assert gateway.recorder.show().shadows == 0 and gateway.recorder.show().fallbacks == 1


def test_the_cap_of_shadowing_ends_it_and_nothing_else(tmp_path: Path) -> None:
    tom, ann = rungs(fails=CapReached("the cap of $1 is reached"))
    gateway = make_gateway(tmp_path, tom, ann, shadow=100)
    run(gateway, "one?")
    run(gateway, "two?", "three?")
    assert len(ann.asked) == 1 and gateway.recorder.show().by_rung == {"stage3": 3}


def test_a_drop_of_agreement_is_told_once_by_log_meter_and_webhook(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    policy = make_policy(expected=EXPECTED)
    gateway = make_gateway(tmp_path, *rungs(label=lambda query: "B"), shadow=100, policy=policy)
    monkeypatch.setattr(type(gateway.recorder.webhook), "tell", lambda self, message: told.append(message))
    run(gateway, *(f"query {n}?" for n in range(20)))
    alarm = gateway.recorder.show().drift.alarm
    assert alarm is not None and alarm < 10 and [message["status"] for message in told] == ["agreement dropped"]
    assert told[0]["gateway"] == "puzzles" and "agree with ann less often" in caplog.text
    close_all()
    assert read_meter(gateway.folder).drift.alarm == alarm
    again = make_gateway(tmp_path, *rungs(label=lambda query: "B"), shadow=100, policy=policy)
    run(again, "one more?")
    assert len(told) == 1, "a restart does not tell it again"


def test_savings_against_shadows_are_right_where_requests_are_told_apart() -> None:
    draws = random.Random(3)
    covered = 0
    for _ in range(60):
        tally, truth = Tally(), 0.0
        for _ in range(200):
            alone, hard = draws.gauss(100, 20), draws.random() < 0.3
            parts = [{"system": "s", "out": 5, "own": True}]
            parts += [{"system": "t", "out": int(alone), "usd": 0.1}] if hard else []
            rung = "t" if hard else "s"
            tally.add({"type": "request", "rung": rung, "last": hard, "asked": parts, "seconds": 0.1, "at": 1.0})
            truth += 0 if hard else 100 - 5
            truth -= 5 if hard else 0
            if not hard and draws.random() < 0.4:
                tally.add({"type": "shadow", "out": draws.gauss(100, 20), "usd": 0.1, "agrees": True})
        saved = find_saved(tally, "tokens", None)
        assert saved is not None and saved.source == "shadows" and saved.n == 200
        assert math.isclose(saved.total, saved.mean * 200)
        covered += saved.low <= 0.7 * 95 - 0.3 * 5 <= saved.high
    assert covered / 60 > 0.85


def test_nothing_is_said_of_savings_without_anything_to_compare_with() -> None:
    tally = Tally()
    for _ in range(5):
        tally.add({"type": "request", "rung": "s", "asked": [{"system": "s", "out": 5, "own": True}]})
    assert find_saved(tally, "tokens", None) is None
    tally.add({"type": "request", "rung": "t", "last": True, "asked": [{"system": "t", "out": 5, "usd": None}]})
    assert find_saved(tally, "dollars", 1.0) is None, "a price that is not known is not zero"


@pytest.mark.parametrize(
    "junk",
    [
        b"[]",
        b"nonsense",
        b'{"type": "request", "policy": "POLICY", "asked": 3}',
        b'{"type": "shadow", "policy": "POLICY", "out": []}',
    ],
)
def test_a_damaged_meter_is_read_all_the_same(tmp_path: Path, junk: bytes) -> None:
    gateway = make_gateway(tmp_path, *rungs())
    run(gateway, "one?")
    close_all()
    with (gateway.folder / "meter.jsonl").open("ab") as file:
        file.write(junk.replace(b"POLICY", gateway.recorder.about["policy"].encode()) + b"\n")
    assert read_meter(gateway.folder).by_rung == {"stage3": 1}


def test_logged_queries_become_queries_of_the_project_each_once(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path, *rungs(), log_queries=True)
    run(gateway, "one?", "two?", "one?", "held?")
    with open_services(tmp_path) as services:
        project = services.data.create_project(ProjectConfig(name="puzzles", task="custom", embedder="packaged"))
        services.data.add_queries(project.id, [make_query("held?", split=Split.HELDOUT)], {})
        assert count_waiting(tmp_path, "puzzles") == 3 and count_waiting(tmp_path, "other") == 0
        taken = services.gateway.take_queries("puzzles")
        assert (taken.new, taken.had, taken.damaged) == (2, 1, 0)
        assert services.gateway.take_queries("puzzles").new == 0
        with gateway.queries.path.open("ab") as file:  # type: ignore[union-attr]
            file.write(b'{"query": {"text": 3}}\n')
        run(gateway, "three?")
        taken = services.gateway.take_queries("puzzles")
        assert (taken.new, taken.had, taken.damaged) == (1, 0, 1) and count_waiting(tmp_path, "puzzles") == 0
        stored = {query.text: query.split for query in services.data.queries_of(project.id)}
    assert stored == {"held?": Split.HELDOUT, "one?": Split.DISTILL, "two?": Split.DISTILL, "three?": Split.DISTILL}


def test_no_query_is_written_down_unless_it_is_asked_for(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path, *rungs(), shadow=100)
    run(gateway, "a secret question?")
    close_all()
    texts = [path.read_text("utf-8") for path in gateway.folder.iterdir()]
    assert texts and not any("secret" in text or "Answer: A" in text for text in texts)
    assert json.loads((gateway.folder / "gateway.json").read_text())["project"] == "puzzles"


def test_a_project_of_any_name_has_a_folder() -> None:
    assert make_name("Größe & Co.") == "Gr-e-Co" and make_name("///") == "tacit" and make_name("puzzles") == "puzzles"
