"""Answers that were cut off are written beside the same prompts again, so that they become the same texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.config import StudentConfig
from engine.inference.writer import WriteRequest
from engine.jobs import student
from engine.jobs.spec import StudentJob, WorkerStep
from engine.lines import write_lines
from engine.values import Event, Generation


class Writer:
    """Its texts say what was written beside them, as rounding does. Memory holds three prompts at first, then one."""

    holds = 3

    def __init__(self, *given: object) -> None:
        self.until, self.batch = "", 0
        self.checked: set[str] = set()
        self.repeated: dict[str, bool] = {}

    def fit(self, asks: Sequence[WriteRequest]) -> int:
        fits, Writer.holds = Writer.holds, 1
        return fits

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        beside = " ".join(sorted(ask.query_id for ask in asks))
        for ask in sorted(asks, key=lambda ask: ask.query_id[::-1]):
            self.repeated |= {ask.query_id: ask.query_id != "q020"} if ask.query_id in self.checked else {}
            yield Generation(ask.query_id, f"{ask.query_id} of {beside}", 1, True, 0.1)


class Sink:
    def __init__(self, journal: Sequence[Event] = ()) -> None:
        self.events = list(journal)

    def emit(self, type_: str, **data: Any) -> None:
        self.events.append(Event(len(self.events) + 1, type_, 0.0, data))

    @property
    def texts(self) -> list[tuple[str, str]]:
        return sorted((e.data["query_id"], e.data["text"]) for e in self.events if e.type == "answer")


def test_an_answer_is_the_same_wherever_the_writing_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str | None] = []
    monkeypatch.setattr(student, "open_writer", lambda order, asks, name: (opened.append(name), ("one", Writer()))[1])
    monkeypatch.setattr(Writer, "holds", 3)
    asks = [{"query_id": f"q{n:03}", "system": "s", "prompt": [["user", "?"]]} for n in range(40)]
    step = WorkerStep(kind="write", name="answers", file=write_lines(tmp_path / "a.jsonl", asks))
    job = StudentJob(student=StudentConfig(generate_batch=48), steps=(step,))
    whole = Sink()
    assert student.run_steps(job, [], whole, lambda: False)
    assert len(whole.texts) == 40
    assert len({text.partition(" of ")[2] for _, text in whole.texts}) == 2, "parts of 24 and of 16"
    for kept in (5, 17, 33):
        answers = [event for event in whole.events if event.type == "answer"][:kept]
        cut = [*(event for event in whole.events if event.type == "writes"), *answers]
        resumed = Sink(cut)
        assert student.run_steps(job, cut, resumed, lambda: False)
        assert resumed.texts == whole.texts, "none lost, none doubled, none another"
        assert resumed.events[-1].data["result"]["alone"] == {"same": 39, "of": 40}
    assert opened == [None, "one", "one", "one"], "what began it goes on with it"
