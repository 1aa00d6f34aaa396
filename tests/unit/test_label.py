from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import LabelCounts, LabelWork, Unread, label, read_sample, reply_schema
from engine.ports import Request, Teacher
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.teachers.caller import MAX_RAW, Caller
from engine.values import Choice, Purpose, Reply, Sampling, Split, TeacherSpec, Usage, make_query

TASK = get_task("choice")
CHOICES = (Choice("A", "x"), Choice("B", "y"))
QUERIES = [make_query(f"query {n}", CHOICES) for n in range(5)]
GOOD = json.dumps({"rationale": "r", "label": "(B)", "scores": {"answer": 0.5, "mood": 1, "clarity": 9}})

COLD = Sampling()


class Journal:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.stopped: list[str] = []
        self.told: list[str] = []

    def emit(self, type_: str, **data: Any) -> None:
        json.dumps(data)
        if type_ == "teacher_stopped":
            self.stopped.append(data["teacher"])
            return
        if type_ in ("sent", "waits"):
            self.told.append(type_)
            return
        assert type_ == "reply"
        self.events.append(data)
        self.times.append(time.perf_counter())

    def of(self, teacher: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["teacher"] == teacher]


@dataclass
class FakeTeacher:
    name: str = "ann"
    reply: Callable[[Request], Reply | TeacherError] = lambda request: Reply(GOOD, GOOD)
    wait_s: float = 0.0
    concurrency: int = 2
    live: bool = True
    sampling: Sampling = COLD
    draws: int = 1
    asked: list[Request] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    @property
    def spec(self) -> TeacherSpec:
        spec = TeacherSpec(self.name, "fake", f"m-{self.name}", sampling=self.sampling)
        return replace(spec, concurrency=self.concurrency, draws=self.draws)

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(self.wait_s)
        self.busy -= 1
        found = self.reply(request)
        if isinstance(found, TeacherError):
            raise found
        return found


def work(*teachers: Teacher, **changes: Any) -> LabelWork:
    return replace(LabelWork(TASK, load_prompt("teacher", "choice"), QUERIES, teachers), **changes)


def run(todo: LabelWork, journal: Journal, stop: Callable[[], bool] = lambda: False) -> LabelCounts:
    return asyncio.run(label(todo, journal, Caller(stop=stop, attempts=1)))


def saying(text: str, **more: Any) -> Callable[[Request], Reply]:
    return lambda request: Reply(text, text, **more)


def test_every_teacher_answers_every_query_once() -> None:
    journal, teachers = Journal(), (FakeTeacher("ann"), FakeTeacher("bob"))
    assert run(work(*teachers), journal) == LabelCounts(10, 0, 0)
    seen = [(event["teacher"], event["query_id"]) for event in journal.events]
    assert sorted(seen) == sorted((t.name, q.id) for t in teachers for q in QUERIES)
    assert len({event["sample_id"] for event in journal.events}) == 10
    event = journal.events[0]
    assert event["sample"] == {
        "rationale": "r",
        "label": "B",
        "label_key": "B",
        "factors": {"answer": 0.5},
        "draw": 0,
        "split": Split.DISTILL,
    }
    assert (event["error"], event["purpose"], event["raw"]) == (None, Purpose.LABEL, GOOD)


def test_teachers_see_the_choices_and_the_factors_but_nothing_else_of_the_query() -> None:
    teacher = FakeTeacher()
    run(work(teacher), Journal())
    request = teacher.asked[0]
    assert request.user == "query 0\n(A) x\n(B) y"
    assert "reasoning, answer, clarity" in request.system
    assert list(request.schema["properties"]) == ["rationale", "label", "scores"]
    assert request.schema == reply_schema(TASK)


def test_what_is_known_is_not_asked_again() -> None:
    first, second = Journal(), Journal()
    run(work(FakeTeacher(), queries=QUERIES[:3]), first)
    again = FakeTeacher()
    known = {event["sample_id"] for event in first.events}
    assert run(work(again, known=known), second) == LabelCounts(2, 0, 0)
    assert {request.query.id for request in again.asked} == {query.id for query in QUERIES[3:]}
    assert run(work(FakeTeacher(), known=known | {e["sample_id"] for e in second.events}), Journal()).samples == 0


def test_another_way_of_sampling_makes_other_samples_and_another_name_does_not() -> None:
    base, hot, renamed = Journal(), Journal(), Journal()
    run(work(FakeTeacher()), base)
    run(work(FakeTeacher(sampling=Sampling(temperature=1))), hot)

    class Renamed(FakeTeacher):
        @property
        def spec(self) -> TeacherSpec:
            return replace(super().spec, name="display name", concurrency=5)

    run(work(Renamed()), renamed)
    ids = [{event["sample_id"] for event in journal.events} for journal in (base, hot, renamed)]
    assert ids[0].isdisjoint(ids[1])
    assert ids[0] == ids[2]


def test_several_draws_are_several_samples() -> None:
    journal, teacher = Journal(), FakeTeacher(draws=3)
    assert run(work(teacher, queries=QUERIES[:2]), journal).samples == 6
    assert sorted(event["sample"]["draw"] for event in journal.events) == [0, 0, 1, 1, 2, 2]
    assert len({event["sample_id"] for event in journal.events}) == 6


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (saying("I would say B"), ErrorKind.UNPARSABLE),
        (saying('{"rationale": "r", "label": "C"}'), ErrorKind.NOT_A_CHOICE),
        (saying('{"rationale": "r", "lab', finish_reason="length"), ErrorKind.TRUNCATED),
        (lambda request: TeacherError(ErrorKind.TIMEOUT, "too slow", "half a re"), ErrorKind.TIMEOUT),
    ],
)
def test_a_reply_that_gives_no_label_is_a_failed_attempt_with_its_text_kept(reply: Any, error: ErrorKind) -> None:
    journal = Journal()
    assert run(work(FakeTeacher(reply=reply), queries=QUERIES[:1]), journal) == LabelCounts(0, 1, 0)
    (event,) = journal.events
    said = reply(None)
    assert event["error"] is error
    assert event["message"]
    assert event["raw"] == said.raw != ""
    assert "sample" not in event


def test_a_very_long_reply_is_kept_in_part() -> None:
    journal = Journal()
    run(work(FakeTeacher(reply=saying("x" * (MAX_RAW + 5))), queries=QUERIES[:1]), journal)
    assert journal.events[0]["raw"] == "x" * MAX_RAW


def test_usage_and_latency_are_journaled() -> None:
    journal = Journal()
    run(work(FakeTeacher(reply=saying(GOOD, usage=Usage(3, 4), latency_s=0.25)), queries=QUERIES[:1]), journal)
    assert journal.events[0]["usage"] == {"input_tokens": 3, "output_tokens": 4, "cached_tokens": None}
    assert journal.events[0]["latency_s"] == 0.25


def test_a_wrong_key_stops_that_teacher_only() -> None:
    journal = Journal()
    locked = FakeTeacher("locked", reply=lambda request: TeacherError(ErrorKind.AUTH, "wrong key"), concurrency=1)
    counts = run(work(locked, FakeTeacher("bob")), journal)
    assert (len(locked.asked), len(journal.of("locked"))) == (1, 1)
    assert journal.stopped == ["locked"]
    assert len(journal.of("bob")) == 5
    assert counts == LabelCounts(5, 1, 0)


def test_other_errors_do_not_stop_a_teacher() -> None:
    journal = Journal()
    shaky = FakeTeacher(
        reply=lambda request: (
            TeacherError(ErrorKind.SERVER, "500") if request.query is QUERIES[0] else Reply(GOOD, GOOD)
        )
    )
    assert run(work(shaky), journal) == LabelCounts(4, 1, 0)


def test_queries_a_teacher_has_nothing_for_are_counted_and_not_journaled() -> None:
    journal = Journal()
    sparse = FakeTeacher(reply=lambda request: TeacherError(ErrorKind.UNKNOWN_QUERY, "none"))
    assert run(work(sparse), journal) == LabelCounts(0, 0, 5)
    assert journal.events == []


def test_a_slow_teacher_does_not_hold_up_the_others() -> None:
    journal = Journal()
    run(work(FakeTeacher("slow", wait_s=0.15, concurrency=1), FakeTeacher("quick")), journal)
    order = [event["teacher"] for event in journal.events]
    assert order[:5] == ["quick"] * 5
    assert order[5:] == ["slow"] * 5


def test_a_teacher_is_asked_side_by_side_up_to_its_limit() -> None:
    teacher = FakeTeacher(wait_s=0.02, concurrency=3)
    run(work(teacher), Journal())
    assert teacher.most_busy == 3


def test_stopping_leaves_the_rest_unasked() -> None:
    journal, teacher = Journal(), FakeTeacher(concurrency=1)
    counts = run(work(teacher), journal, stop=lambda: len(journal.events) >= 2)
    assert (counts.samples, len(teacher.asked)) == (2, 2)


def test_nobody_to_ask_is_no_error() -> None:
    assert run(work(), Journal()) == LabelCounts(0, 0, 0)


def test_only_what_failed_is_asked_where_that_is_wanted() -> None:
    first = Journal()
    shaky = FakeTeacher(
        reply=lambda r: TeacherError(ErrorKind.REFUSED, "no") if "1" in r.query.text else Reply(GOOD, GOOD)
    )
    run(work(shaky, queries=QUERIES[:3]), first)
    failed = {event["sample_id"] for event in first.events if event["error"]}
    again = FakeTeacher()
    assert run(work(again, only=failed), Journal()) == LabelCounts(1, 0, 0)
    assert [request.query.text for request in again.asked] == ["query 1"]


def test_another_attempt_of_a_passing_failure_is_another_row_of_the_journal() -> None:
    journal = Journal()
    answers = [TeacherError(ErrorKind.SERVER, "500", tokens=(5, 6)), Reply(GOOD, GOOD)]

    def reply(request: Request) -> Reply | TeacherError:
        return answers.pop(0)

    todo = work(FakeTeacher(reply=reply), queries=QUERIES[:1])
    assert asyncio.run(label(todo, journal, Caller(first_wait_s=0.001))) == LabelCounts(1, 0, 0)
    assert [event["error"] for event in journal.events] == [ErrorKind.SERVER, None]
    assert journal.events[0]["usage"]["output_tokens"] == 6
    assert len({event["sample_id"] for event in journal.events}) == 1


def test_stopping_ends_a_long_wait_between_attempts() -> None:
    journal = Journal()
    busy = FakeTeacher(reply=lambda request: TeacherError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=300))
    started = time.monotonic()
    caller = Caller(stop=lambda: time.monotonic() - started > 0.3, sink=journal)
    asyncio.run(label(work(busy, queries=QUERIES[:1]), journal, caller))
    assert time.monotonic() - started < 3
    assert len(journal.events) == 1 and journal.told == ["sent", "waits"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the reply is empty"),
        ("I would say B", "holds no label"),
        ('{"rationale": "r", "label": "Q"}', "'Q' is not among the choices (A, B)"),
        ('{"rationale": "r", "label": "' + "long " * 200 + '"}', "..."),
    ],
)
def test_what_could_not_be_read_says_why(text: str, told: str) -> None:
    read = read_sample(TASK, QUERIES[0], 0, Reply(text, text))
    assert isinstance(read, Unread) and told in read.message and len(read.message) < 200
