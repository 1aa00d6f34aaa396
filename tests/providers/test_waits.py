"""Providers that ask to wait, teachers that only fail, and neighbours that are not to suffer from either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import LabelCounts, LabelWork, label
from engine.ports import Request
from engine.prompts import load_prompt
from engine.teachers.caller import Caller
from engine.teachers.faults import FAULTS_IN_A_ROW, MOST_FAULTY_S, NOTHING_IN_A_ROW
from engine.teachers.hosted import explain, read_retry_after
from engine.teachers.limits import CEILING_S, Limiter, Limiters, RateLimits
from engine.values import Purpose, Reply, Sampling, TeacherSpec, make_query
from tests.fakes.clock import FakeTime
from tests.fakes.replies import GOOD
from tests.providers.test_faults import CHOICES, TASK, Journal

SLOW_DOWN = explain(429, "slow down", "inf")
PROSE = Reply("I would rather not say.", "I would rather not say.")
Answer = Reply | TeacherError


@dataclass
class Fake:
    """Answers at once, as it is told."""

    name: str = "ann"
    reply: Callable[[Request], Answer] = lambda request: Reply(GOOD, GOOD)
    concurrency: int = 1
    live: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def spec(self) -> TeacherSpec:
        return TeacherSpec(self.name, "openai", "m", sampling=Sampling(), concurrency=self.concurrency)

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request.query.text)
        await asyncio.sleep(0)
        found = self.reply(request)
        if isinstance(found, TeacherError):
            raise found
        return found


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """These answers, again and again."""
    told: list[int] = []

    def reply(request: Request) -> Answer:
        told.append(1)
        return answers[(len(told) - 1) % len(answers)]

    return reply


def ask(journal: Journal, *teachers: Fake, queries: int = 60, now: FakeTime | None = None, **how: Any) -> LabelCounts:
    """Label so many queries in no time."""
    many = [make_query(f"query {n}?", CHOICES) for n in range(queries)]
    work = LabelWork(TASK, load_prompt("teacher", "choice"), many, teachers)
    caller = Caller(sink=journal, clock=(now or FakeTime()).clock, **how)
    return asyncio.run(label(work, journal, caller))


def told(journal: Journal, kind: str) -> list[dict[str, Any]]:
    return [data for type_, data in journal.events if type_ == kind]


ASKED = [
    ("inf", CEILING_S, True),
    ("Infinity", CEILING_S, True),
    ("99999999", CEILING_S, True),
    ("1e400", CEILING_S, True),
    ("Fri, 31 Dec 9999 23:59:59 GMT", CEILING_S, True),
    ("540", 540, False),
    ("-5", 0, False),
    ("-inf", 0, False),
    ("0", 0, False),
    ("nan", 0, False),
    ("Fri, 31 Dec 1999 23:59:59 GMT", 0, False),
    ("Fri, 31 Dec 99999 23:59:59 GMT", 0, False),
    ("soon", 0, False),
    ("", 0, False),
    ("١٢", 12, False),
]


@pytest.mark.parametrize(("header", "waited", "longer"), ASKED, ids=[header or "empty" for header, *_ in ASKED])
def test_what_a_provider_asks_to_wait_has_a_ceiling(header: str, waited: float, longer: bool) -> None:
    limiter = Limiter(8, clock=FakeTime().clock)
    limiter.refused(read_retry_after(header))
    assert limiter.left_s == waited and limiter.longer is longer


def test_a_date_is_a_wait_until_then() -> None:
    asked = read_retry_after(formatdate(time.time() + 120, usegmt=True))
    assert asked is not None and 110 < asked <= 120


@pytest.mark.parametrize("header", ["-5", "0", "0.001"])
def test_a_wait_is_never_shorter_than_one_without_the_providers_word(header: str) -> None:
    """Seven attempts with a negative time took ten seconds, and a minute without any."""
    now = FakeTime()
    busy = Fake(reply=lambda request: explain(429, "slow down", header))
    ask(Journal(), busy, queries=1, now=now)
    assert len(busy.asked) == 7 and now.at - 1000 >= 1 + 2 + 4 + 8 + 16 + 32


FOREVER = {
    "waits without an end": (SLOW_DOWN,),
    "server errors": (TeacherError(ErrorKind.SERVER, "HTTP 500"),),
    "faults in turn": (
        TeacherError(ErrorKind.SERVER, "HTTP 500"),
        TeacherError(ErrorKind.RATE_LIMIT, "slow down"),
        TeacherError(ErrorKind.NOT_JSON, "no JSON"),
    ),
    "one refusal": (explain(400, "there is no model m"),),
    "an endless answer": (TeacherError(ErrorKind.TRUNCATED, "over 8 MB"),),
    "faults between replies of no use": (TeacherError(ErrorKind.BAD_REQUEST, "no"), PROSE),
    "filtered faults": (explain(400, "content_filter"), TeacherError(ErrorKind.BAD_REQUEST, "no")),
}


@pytest.mark.parametrize("answers", FOREVER.values(), ids=FOREVER)
def test_a_teacher_that_gives_nothing_is_given_up_and_the_others_go_on(answers: tuple[Answer, ...]) -> None:
    journal, ann, bob = Journal(), Fake("ann", reply=in_turn(*answers)), Fake("bob")
    counts = ask(journal, ann, bob)
    assert counts.samples == 60 and counts.failures <= 2 * FAULTS_IN_A_ROW
    (stopped,) = told(journal, "teacher_stopped")
    last = [answer for answer in answers if isinstance(answer, TeacherError)]
    assert stopped["teacher"] == "ann" and any(str(error) in stopped["message"] for error in last)
    assert any(way in stopped["message"] for way in ("Ask again later", "page Teachers"))
    assert len(ann.asked) <= 7 * FAULTS_IN_A_ROW


def test_waits_without_an_end_are_given_up_after_half_an_hour() -> None:
    """Ten requests of seven attempts, ten minutes each, were twelve hours."""
    journal, now, times = Journal(), FakeTime(), []

    def reply(request: Request) -> Answer:
        times.append(now.at - 1000)
        return SLOW_DOWN

    ask(journal, Fake(reply=reply, concurrency=4), now=now)
    assert times == [0, 0, 0, 0, CEILING_S, 2 * CEILING_S, MOST_FAULTY_S]
    (stopped,) = told(journal, "teacher_stopped")
    assert "for 30 min nothing but faults came" in stopped["message"] and "slow down" in stopped["message"]
    first, *more = told(journal, "waits")
    assert first == {"teacher": "ann", "seconds": CEILING_S, "longer": True} and len(more) <= 3


def test_what_a_single_query_meets_is_not_the_teachers_fault() -> None:
    """A block of long queries, or of filtered ones, says nothing of the next."""
    for fault in (explain(400, "the request exceeds the available context size"), explain(400, "content_filter")):
        journal = Journal()
        ann = Fake(reply=lambda r, fault=fault: fault if 10 <= int(r.query.text[6:-1]) < 50 else Reply(GOOD, GOOD))
        assert ask(journal, ann) == LabelCounts(20, 40, 0) and told(journal, "teacher_stopped") == []


@pytest.mark.parametrize("answer", [explain(400, "content_filter"), PROSE], ids=["filtered", "no label"])
def test_a_teacher_that_never_answers_anything_is_given_up_all_the_same(answer: Answer) -> None:
    journal = Journal()
    assert ask(journal, Fake(reply=lambda request: answer), queries=200) == LabelCounts(0, NOTHING_IN_A_ROW, 0)
    (stopped,) = told(journal, "teacher_stopped")
    assert f"{NOTHING_IN_A_ROW} requests in a row" in stopped["message"] and "page Label" in stopped["message"]


def test_an_answer_between_begins_the_row_anew() -> None:
    flaky = Fake(
        reply=lambda r: Reply(GOOD, GOOD) if r.query.text[-2] == "5" else TeacherError(ErrorKind.SERVER, "HTTP 500")
    )
    journal = Journal()
    assert ask(journal, flaky, attempts=1) == LabelCounts(6, 54, 0) and told(journal, "teacher_stopped") == []


def test_one_outage_that_all_requests_in_flight_meet_stops_nobody() -> None:
    down = [TeacherError(ErrorKind.CONNECTION, "nothing answers")] * 32
    journal, ann = Journal(), Fake(reply=lambda r: down.pop() if down else Reply(GOOD, GOOD), concurrency=32)
    assert ask(journal, ann, attempts=1) == LabelCounts(28, 32, 0) and told(journal, "teacher_stopped") == []


def test_who_was_given_up_is_not_asked_by_the_same_job_again() -> None:
    """As in the held-out queries, which come behind those to distill from."""
    journal, ann = Journal(), Fake(reply=lambda r: TeacherError(ErrorKind.AUTH, "no such key"))
    work = LabelWork(TASK, load_prompt("teacher", "choice"), [make_query("q?", CHOICES)], [ann])
    caller = Caller()

    async def twice() -> None:
        await label(work, journal, caller)
        await label(work, journal, caller)

    asyncio.run(twice())
    assert len(ann.asked) == len(told(journal, "teacher_stopped")) == 1


def test_others_of_its_requests_end_with_a_teacher_that_is_given_up() -> None:
    """Nobody waits ten minutes for a provider that nothing more is asked of."""
    asks_to_wait = TeacherError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=400)
    wrong = TeacherError(ErrorKind.AUTH, "no such key")
    journal, now = Journal(), FakeTime()
    ann = Fake(reply=lambda r: asks_to_wait if r.query.text == "query 0?" else wrong, concurrency=2)
    assert ask(journal, ann, now=now).failures <= 2
    assert len(ann.asked) == 2 and told(journal, "waits")[-1]["seconds"] == 0


def test_a_wait_is_told_once_and_going_on_ends_it() -> None:
    refusals = [TeacherError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=540)]
    journal, now = Journal(), FakeTime()
    limiter = Limiter(3, clock=now.clock)

    class Impatient(Journal):
        def emit(self, type_: str, **data: Any) -> None:
            journal.emit(type_, **data)
            if type_ == "waits" and data["seconds"]:
                asyncio.get_running_loop().call_later(0, limiter.go_on)

    ann = Fake(reply=lambda request: refusals.pop() if refusals else Reply(GOOD, GOOD), concurrency=3)
    many = [make_query(f"query {n}?", CHOICES) for n in range(6)]
    work = LabelWork(TASK, load_prompt("teacher", "choice"), many, [ann])
    caller = Caller(limiters={"ann": limiter}, sink=Impatient(), clock=now.clock)
    assert asyncio.run(label(work, journal, caller)) == LabelCounts(6, 0, 0) and now.at - 1000 < 10
    first, over = told(journal, "waits")
    assert first == {"teacher": "ann", "seconds": 540.0, "longer": False} and over["seconds"] == 0


def test_a_wait_is_over_by_itself_and_short_ones_are_not_told() -> None:
    for seconds, events in ((0.5, 0), (540, 1)):
        refusals = [TeacherError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=seconds)]
        journal, now = Journal(), FakeTime()
        ann = Fake(reply=lambda r, refusals=refusals: refusals.pop() if refusals else Reply(GOOD, GOOD), concurrency=3)
        assert ask(journal, ann, queries=6, now=now) == LabelCounts(6, 0, 0)
        assert len(told(journal, "waits")) == events and now.at - 1000 >= seconds


def test_who_looks_on_does_not_wait_long() -> None:
    """Of the playground and the gateway: an answer is waited for there. Nothing is sent before the time is over."""
    journal, now = Journal(), FakeTime()
    ann = Fake(reply=lambda r: TeacherError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=540))
    assert ask(journal, ann, queries=3, now=now, most_wait_s=10) == LabelCounts(0, 3, 0)
    assert now.at == 1000 and len(ann.asked) == len(journal.replies) == 1
    assert told(journal, "waits") == [{"teacher": "ann", "seconds": 540.0, "longer": False}]


def test_who_looks_on_waits_a_moment_and_for_no_second_time_out() -> None:
    short, late = TeacherError(ErrorKind.RATE_LIMIT, "", retry_after_s=4), TeacherError(ErrorKind.TIMEOUT, "")
    for error, asked in ((short, 3), (late, 1)):
        ann = Fake(reply=lambda r, error=error: error)
        ask(Journal(), ann, queries=1, attempts=3, most_wait_s=10)
        assert len(ann.asked) == asked


def test_a_new_job_joins_a_wait_that_another_stands_in_and_ends_one_that_nobody_does() -> None:
    limiters, name = Limiters(), ("openai", "http://one", "key")
    first = limiters.get(name, "m", 4, (None, None))
    first.users += 1
    first.refused(540)
    assert limiters.get(name, "m", 4, (None, None)) is first and first.left_s > 500
    first.users -= 1
    assert not limiters.get(name, "m", 4, (None, None)).left_s


def test_a_model_that_waits_holds_up_no_neighbour() -> None:
    limiters, name = Limiters(), ("openai", "http://one", "key")
    flaky, good = limiters.get(name, "flaky", 4, (600, None)), limiters.get(name, "good", 4, (None, None))
    flaky.pause(540)
    assert flaky.rates is good.rates and flaky.left_s and not good.left_s and good.allowed == 4


def test_a_bucket_lets_go_at_its_rate_and_tells_the_wait_of_whoever_comes() -> None:
    now = FakeTime()
    rates = RateLimits(now.clock)
    rates.set(120, 60_000)
    assert rates.wait_s(10**9) == 0, "more than ever goes at once is as much as that"

    async def all_of() -> list[float]:
        came = []

        async def one(tokens: int) -> None:
            await rates.acquire(tokens)
            came.append(now.at - 1000)

        waiting = [asyncio.ensure_future(one(0)) for _ in range(6)]
        given_up = asyncio.ensure_future(one(0))
        await asyncio.sleep(0)
        assert now.at - 1000 + rates.wait_s(0) == 3, "seven are before it, two went at once"
        given_up.cancel()
        await asyncio.sleep(0)
        assert now.at - 1000 + rates.wait_s(0) == 2.5, "who left takes no turn"
        await asyncio.gather(*waiting)
        await one(60_000)
        assert rates.wait_s(30_000) == 30
        return came

    assert asyncio.run(all_of()) == [0, 0, 0.5, 1, 1.5, 2, 2.5]


def test_who_looks_on_is_not_held_by_a_place_that_does_not_come_free() -> None:
    journal, now = Journal(), FakeTime()
    limiter = Limiter(1, clock=now.clock)
    assert limiter.try_enter()

    async def time_goes() -> None:
        for _ in range(12):
            await asyncio.sleep(0.1)
            now.at += 2

    async def run() -> TeacherError:
        caller = Caller(limiters={"ann": limiter}, most_wait_s=10, clock=now.clock, sink=journal)
        ann, request = Fake(), Request(make_query("q"), Purpose.PLAY, "s", "q")
        going = asyncio.ensure_future(time_goes())
        with pytest.raises(TeacherError, match="not asked, since others are asking it") as caught:
            await caller.call(ann, request, lambda outcome: None)
        going.cancel()
        return caught.value

    error = asyncio.run(run())
    assert error.kind is ErrorKind.RATE_LIMIT and error.retry_after_s == 1 and now.at <= 1016
