"""Every way a provider can fail: what the user sees, and that good rows are kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.costs import Budget, worst_cost
from engine.errors import CapReached, ErrorKind
from engine.labelling.online import LabelCounts, LabelWork, label
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.teachers.caller import Caller
from engine.teachers.faults import FAULTS_IN_A_ROW
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.teachers.limits import Limiter, Limiters
from engine.values import Choice, Query, Sampling, TeacherSpec, make_query
from tests.fakes.provider import KEY, Provider, open_chat, run_provider

TASK = get_task("choice")
CHOICES = (Choice("A", "x"), Choice("B", "y"))
QUERIES = [make_query(f"query {n}?", CHOICES) for n in range(6)]
PROTOCOLS = ("openai", "mistral")


class Journal:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        json.dumps(data)
        self.events.append((type_, data))

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [data for type_, data in self.events if type_ == "reply"]

    def of(self, number: int) -> list[dict[str, Any]]:
        return [data for data in self.replies if data["query_id"] == QUERIES[number].id]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


def spec_for(protocol: str, **changes: Any) -> TeacherSpec:
    values: dict[str, Any] = {"sampling": Sampling(max_tokens=256), "concurrency": 3, "timeout_s": 2.0}
    return TeacherSpec("ann", protocol, "fake-small", **{**values, **changes})


def ask_all(
    protocol: str,
    provider: Provider,
    journal: Journal,
    key: str | None = KEY,
    caller: Caller | None = None,
    queries: Sequence[Query] = QUERIES,
    **spec: Any,
) -> LabelCounts:
    """Label six queries with waits of a few milliseconds."""

    async def run() -> LabelCounts:
        chat = open_chat(protocol, provider.url, key)
        found = spec.pop("capabilities", Capabilities())
        teacher = HostedTeacher(spec_for(protocol, **spec), chat, found)
        work = LabelWork(TASK, load_prompt("teacher", "choice"), queries, [teacher], nonce="job")
        try:
            return await label(work, journal, caller or Caller(first_wait_s=0.01))
        finally:
            await chat.close()

    return asyncio.run(run())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_six_good_replies_make_six_samples_with_usage(protocol: str, provider: Provider) -> None:
    journal = Journal()
    assert ask_all(protocol, provider, journal) == LabelCounts(6, 0, 0)
    assert all(reply["sample"]["label"] == "B" and reply["sample"]["rationale"] for reply in journal.replies)
    assert all(reply["usage"]["output_tokens"] == 20 for reply in journal.replies)
    body = provider.seen[0].body
    assert body["model"] == "fake-small" and body["temperature"] == 0 and body["max_tokens"] == 256
    assert body["response_format"]["type"] == "json_schema"
    schema = body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["rationale", "label", "scores"]


PASSING = [
    ("429", ErrorKind.RATE_LIMIT),
    ("429 after", ErrorKind.RATE_LIMIT),
    ("500", ErrorKind.SERVER),
    ("reset", ErrorKind.CONNECTION),
    ("html", ErrorKind.NOT_JSON),
    ("html 502", ErrorKind.SERVER),
    ("broken json", ErrorKind.NOT_JSON),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("fault", "kind"), PASSING, ids=[fault for fault, _ in PASSING])
def test_what_may_pass_is_asked_again_and_every_attempt_is_told(
    protocol: str, fault: str, kind: ErrorKind, provider: Provider
) -> None:
    provider.faults["query 2?"] = [fault, fault]
    journal = Journal()
    assert ask_all(protocol, provider, journal) == LabelCounts(6, 0, 0)
    assert [reply["error"] for reply in journal.of(2)] == [kind, kind, None]
    assert sum("query 2?" in user for user in provider.asked) == 3
    assert "html" not in journal.of(2)[0]["message"].lower() or "HTML page" in journal.of(2)[0]["message"]


FINAL = [
    ("truncated", ErrorKind.TRUNCATED, "no label"),
    ("empty", ErrorKind.UNPARSABLE, "no label"),
    ("prose", ErrorKind.UNPARSABLE, "no label"),
    ("context", ErrorKind.BAD_REQUEST, "does not fit into the model's context"),
    ("filter", ErrorKind.CONTENT_FILTER, "filtered"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("fault", "kind", "told"), FINAL, ids=[fault for fault, _, _ in FINAL])
def test_what_will_not_pass_is_one_failed_attempt_and_the_others_are_kept(
    protocol: str, fault: str, kind: ErrorKind, told: str, provider: Provider
) -> None:
    provider.faults["query 4?"] = [fault] * 9
    journal = Journal()
    assert ask_all(protocol, provider, journal) == LabelCounts(5, 1, 0)
    (attempt,) = journal.of(4)
    assert attempt["error"] == kind and told in attempt["message"] and "sample" not in attempt


def test_a_refusal_is_kept_with_its_words(provider: Provider) -> None:
    provider.faults["query 1?"] = ["refusal"]
    journal = Journal()
    assert ask_all("openai", provider, journal) == LabelCounts(5, 1, 0)
    (attempt,) = journal.of(1)
    assert attempt["error"] == ErrorKind.REFUSED and attempt["raw"] == "I can't help with that."
    assert attempt["usage"]["output_tokens"] == 20


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_attempts_end_after_so_many(protocol: str, provider: Provider) -> None:
    provider.faults["query 3?"] = ["500"] * 99
    journal = Journal()
    assert ask_all(protocol, provider, journal, caller=Caller(first_wait_s=0.01, attempts=4)) == LabelCounts(5, 1, 0)
    assert len(journal.of(3)) == 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_reply_is_given_up_and_the_others_are_not_held_up(protocol: str, provider: Provider) -> None:
    provider.faults["query 0?"] = ["slow"]
    journal = Journal()
    assert ask_all(protocol, provider, journal, timeout_s=0.4) == LabelCounts(6, 0, 0)
    assert [reply["error"] for reply in journal.of(0)] == [ErrorKind.TIMEOUT, None]
    assert journal.replies[0]["query_id"] != QUERIES[0].id


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_wrong_key_stops_the_teacher_at_once_with_one_message(protocol: str, provider: Provider) -> None:
    journal = Journal()
    counts = ask_all(protocol, provider, journal, key="sk-wrong-987654321", concurrency=1)
    assert counts == LabelCounts(0, 1, 0) and len(provider.seen) == 1
    (stopped,) = [data for type_, data in journal.events if type_ == "teacher_stopped"]
    assert stopped["error"] == ErrorKind.AUTH and "key was not accepted" in stopped["message"]
    assert "sk-wrong-987654321" not in json.dumps(journal.events)


def test_an_account_without_credit_stops_the_teacher(provider: Provider) -> None:
    provider.faults["query 0?"] = ["quota"]
    journal = Journal()
    assert ask_all("openai", provider, journal, concurrency=1) == LabelCounts(0, 1, 0)
    assert journal.of(0)[0]["error"] == ErrorKind.QUOTA


def test_nobody_listens(provider: Provider) -> None:
    journal = Journal()
    gone = replace(provider, url="http://127.0.0.1:9")
    assert ask_all("openai", gone, journal, caller=Caller(first_wait_s=0.01, attempts=2)) == LabelCounts(0, 6, 0)
    assert {reply["error"] for reply in journal.replies} == {ErrorKind.CONNECTION}


STYLES = [("openai", "think"), ("openai", "reasoning_content"), ("openai", "reasoning"), ("mistral", "chunks")]


@pytest.mark.parametrize(("protocol", "style"), STYLES)
def test_hidden_reasoning_is_kept_wherever_it_arrives(protocol: str, style: str, provider: Provider) -> None:
    provider.style = style
    journal = Journal()
    assert ask_all(protocol, provider, journal) == LabelCounts(6, 0, 0)
    assert all("Let me see." in reply["raw"] for reply in journal.replies)
    assert all(reply["sample"]["rationale"] == "It must be B." for reply in journal.replies)


def test_retries_of_a_request_carry_one_idempotency_key(provider: Provider) -> None:
    provider.faults["query 2?"] = ["500", "500"]
    ask_all("openai", provider, Journal())
    keys: dict[str, set[str]] = {seen.user: set() for seen in provider.seen}
    for seen in provider.seen:
        keys[seen.user].add(seen.headers["idempotency-key"])
    assert all(len(found) == 1 for found in keys.values())
    assert len(set.union(*keys.values())) == 6


def test_a_keyless_endpoint_gets_no_authorization(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    provider.key = None
    assert ask_all("openai", provider, Journal(), key=None) == LabelCounts(6, 0, 0)
    assert all("authorization" not in seen.headers for seen in provider.seen)


def test_retry_after_is_waited_for_by_all_of_the_same_model(provider: Provider) -> None:
    provider.faults["query 0?"] = ["429 after"]
    limiter = Limiter(1)
    caller = Caller(limiters={"ann": limiter}, first_wait_s=0.001)
    assert ask_all("openai", provider, Journal(), caller=caller, concurrency=1) == LabelCounts(6, 0, 0)
    assert provider.seen[1].at - provider.seen[0].at >= 0.29


def test_in_flight_falls_on_refusals_and_grows_again() -> None:
    limiter = Limiter(8)
    limiter.refused(None)
    limiter.refused(None)
    assert limiter.allowed == 2
    for _ in range(400):
        limiter.answered()
    assert limiter.allowed == 8


def test_a_refused_model_does_not_slow_another_of_the_same_key() -> None:
    limiters, name = Limiters(), ("openai", "", "key")
    flaky = limiters.get(name, "flaky", 8, (None, None))
    good = limiters.get(name, "good", 8, (None, None))
    flaky.refused(60.0)
    assert (flaky.allowed, good.allowed) == (4, 8)
    assert not flaky.try_enter() and good.try_enter()
    limiters.get(name, "good", 8, (600, None))
    assert flaky.rates is good.rates and flaky.rates.limited


@pytest.mark.parametrize("fault", ["429", "500", "html"])
def test_a_teacher_that_fails_the_same_way_again_and_again_is_stopped(provider: Provider, fault: str) -> None:
    provider.faults["query"] = [fault] * 500
    journal = Journal()
    queries = [make_query(f"query {number}?", CHOICES) for number in range(60)]
    caller = Caller(first_wait_s=0.001, attempts=2)
    counts = ask_all("openai", provider, journal, caller=caller, concurrency=1, queries=queries)
    assert counts == LabelCounts(0, FAULTS_IN_A_ROW, 0) and len(provider.seen) == 2 * FAULTS_IN_A_ROW
    (stopped,) = [data for kind, data in journal.events if kind == "teacher_stopped"]
    assert f"{FAULTS_IN_A_ROW} requests in a row" in stopped["message"]


def test_faults_between_answers_stop_nobody(provider: Provider) -> None:
    provider.faults |= {f"query {number}?": ["500"] * 9 for number in range(60) if number % 5}
    queries = [make_query(f"query {number}?", CHOICES) for number in range(60)]
    caller = Caller(first_wait_s=0.001, attempts=1)
    assert ask_all("openai", provider, Journal(), caller=caller, concurrency=1, queries=queries) == LabelCounts(
        12, 48, 0
    )


def test_no_more_in_flight_than_allowed(provider: Provider) -> None:
    provider.latency_s = 0.05
    caller = Caller(limiters={"ann": Limiter(2)}, first_wait_s=0.01)
    ask_all("openai", provider, Journal(), caller=caller, concurrency=6)
    assert provider.most_busy == 2


def test_requests_a_minute_are_spread(provider: Provider) -> None:
    limiter = Limiter(6)
    limiter.rates.set(600, None)
    started = time.monotonic()
    for _ in range(3):
        ask_all("openai", provider, Journal(), caller=Caller(limiters={"ann": limiter}), concurrency=6)
        limiter = Limiter(6)
        limiter.rates.set(60, None)
    assert time.monotonic() - started > 8


def test_a_cap_on_requests_lets_no_more_through(provider: Provider) -> None:
    journal = Journal()
    with pytest.raises(CapReached, match="cap of 4 requests"):
        ask_all("openai", provider, journal, caller=Caller(Budget(max_requests=4)))
    assert len(provider.seen) == len(journal.replies) == 4


def test_a_cap_on_money_holds_for_the_worst_case(provider: Provider) -> None:
    spec = spec_for("openai", input_price=10.0, output_price=1000.0)
    work = LabelWork(TASK, load_prompt("teacher", "choice"), QUERIES, [])
    prompt = "\n".join(work.prompt.render(query=TASK.render(QUERIES[0]), factors=", ".join(TASK.factors)))
    worst = worst_cost(spec, prompt)
    assert worst is not None
    journal = Journal()
    with pytest.raises(CapReached, match="could pass the cap"):
        caller = Caller(Budget(max_cost=worst * Decimal("1.1")))
        ask_all("openai", provider, journal, caller=caller, input_price=10.0, output_price=1000.0)
    spent = sum(Decimal(reply["cost"]) for reply in journal.replies)
    assert 1 < len(journal.replies) < 6
    assert spent == caller.budget.spent <= worst * Decimal("1.1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_models_are_listed(protocol: str, provider: Provider) -> None:
    async def names() -> list[str]:
        chat = open_chat(protocol, provider.url)
        try:
            return await chat.models()
        finally:
            await chat.close()

    assert asyncio.run(names()) == ["fake-large", "fake-small"]
