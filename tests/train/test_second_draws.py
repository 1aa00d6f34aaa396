"""The worker that draws answers a second time: compared by label, in parts that are the same at every start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.config import StudentConfig
from engine.inference.writer import WriteRequest
from engine.jobs import second_draws
from engine.jobs.context import JobContext
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.spec import DrawStep, SecondDrawsJob
from engine.lines import write_lines
from engine.second_draws import as_line
from engine.values import Generation, make_query

PROMPT = (("system", "You answer."), ("user", "?"))


class Writer:
    """States what the query says, but for every other one; its texts say what was written beside them too."""

    made: ClassVar[list[Writer]] = []

    def __init__(self, *given: Any) -> None:
        self.given, self.until, self.seeded, self.batch = given, "", False, given[3]
        self.made.append(self)

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        beside = " ".join(sorted(ask.query_id for ask in asks))
        for ask in asks:
            answer = "Tom" if int(ask.query_id, 16) % 2 else "Ann"
            yield Generation(ask.query_id, f"{beside}. Answer: {answer}", 7, True, 0.1)


def test_draws_are_compared_and_the_same_wherever_they_were_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pick_device", "load_student", "load_tokenizer"):
        monkeypatch.setattr(second_draws, name, lambda *given: None)
    monkeypatch.setattr(second_draws, "Writer", Writer)
    queries = [make_query(f"Who is it, {n}?") for n in range(40)]
    file = write_lines(tmp_path / "asks.jsonl", [as_line(query, PROMPT, "Answer: tom") for query in queries])
    step = DrawStep(name="evaluate-s", system="s", file=file, start=tmp_path / "adapter", max_new_tokens=9, until="\n")
    job = SecondDrawsJob(task="custom", student=StudentConfig(generate_batch=2), temperature=0.5, steps=(step,))

    def draw(folder: Path, stop_behind: int) -> list[dict[str, Any]]:
        folder.mkdir(exist_ok=True)
        log = EventLog(folder / EVENTS_FILE)
        asked = iter(range(99))
        over = second_draws.run(job, JobContext(folder, log, lambda: next(asked) >= stop_behind))
        found = [e.data for e in JobContext(folder, log, lambda: False).journal if e.type == "second_draw"]
        assert over is (len(found) == 40)
        return sorted(found, key=lambda data: data["query_id"])

    whole = draw(tmp_path / "whole", 99)
    assert [data["agrees"] for data in whole] == [int(data["query_id"], 16) % 2 == 1 for data in whole]
    assert {(d["step"], d["system"], d["temperature"], d["tokens"]) for d in whole} == {("evaluate-s", "s", 0.5, 7)}
    assert Writer.made[-1].seeded and Writer.made[-1].until == "\n" and Writer.made[-1].given[-1] == 0.5
    assert len(draw(tmp_path / "cut", 1)) == 32 and draw(tmp_path / "cut", 99) == whole
