"""Requests whose end nobody saw: on the ledger with what they cost at most, and asked again under the same key."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.cli.results import show_spend
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.workspace.unknown_ends import UnknownEnds, add_ends
from engine.errors import WorkerFailed
from engine.jobs.ray_label import answer_on_ray
from engine.jobs.spec import STOP_FILE, RayLabelJob
from engine.labelling.online import LabelWork, label
from engine.ports import Request
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.values import Event, Job, JobStatus, Purpose, Reply, TeacherSpec, Usage, make_query
from storage.db import Database
from storage.intents import Intents
from storage.jobs import Jobs
from storage.samples import Samples
from tests.fakes.forks import FORKS
from tests.fakes.paid_label import IN_FLIGHT, PROJECT
from tests.fakes.provider import KEY, Provider, query_of, run_provider


class Sink:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        json.dumps(data)
        self.events.append((type_, data))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for type_, data in self.events if type_ == kind]


class Watching:
    """A teacher that says what was journaled when it was asked."""

    live = True

    def __init__(self, spec: TeacherSpec, sink: Sink) -> None:
        self.spec, self.sink = spec, sink
        self.announced: list[dict[str, Any]] = []

    async def ask(self, request: Request) -> Reply:
        self.announced += [data for data in self.sink.of("sent") if data["key"] == request.key]
        return Reply('{"rationale": "So.", "label": "B"}', "", Usage(10, 10))


def ask(sink: Sink, **spec: Any) -> Watching:
    teacher = Watching(TeacherSpec("ann", "openai", "m", **spec), sink)
    work = LabelWork(get_task("custom"), load_prompt("teacher", "custom"), [make_query("a?")], [teacher], nonce="job1")
    asyncio.run(label(work, sink))
    return teacher


def test_a_request_is_journaled_before_it_goes_out_with_what_it_costs_at_most() -> None:
    sink = Sink()
    (sent,) = ask(sink, input_price=1.0, output_price=2.0).announced
    (reply,) = sink.of("reply")
    assert reply["intent"] == sent["intent"] and sent["request"] == reply["sample_id"]
    assert Decimal(sent["worst"]) > Decimal(reply["cost"]) > 0


def test_a_request_that_nobody_bills_is_not_announced() -> None:
    sink = Sink()
    assert ask(sink, input_price=0.0, output_price=0.0).announced == []
    assert len(sink.of("reply")) == 1 and sink.of("sent") == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Jobs, Intents]]:
    db = Database(tmp_path / "tacit.duckdb")
    jobs = Jobs(db, Samples(db))
    with db.write() as writer:
        writer.run("INSERT INTO projects (id, name, config, created_at) VALUES ('p', 'p', '{}', now())")
    for name in ("one", "two"):
        jobs.add(Job(name, "p", None, "label", JobStatus.RUNNING, {}, str(tmp_path)))
    yield jobs, Intents(db)
    db.close()


def sent(intent: str, key: str = "k", worst: str | None = "0.25") -> tuple[str, dict[str, Any]]:
    about = {"teacher": "ann", "purpose": "label"}
    return "sent", {"intent": intent, "request": f"sample {key}", "key": key, "worst": worst, **about}


def came(intent: str, error: str | None = None, cost: str | None = "0.1", finish: str | None = "stop") -> Any:
    usage = {"input_tokens": 1, "output_tokens": 1}
    about = {"sample_id": "s", "query_id": "q", "teacher": "ann", "purpose": "label", "usage": usage, "raw": ""}
    data = {"intent": intent, "error": error, "cost": cost, "finish_reason": None if error else finish, **about}
    return "reply", data


def take(jobs: Jobs, name: str, *events: Any) -> None:
    job = jobs.get_job(name)
    first = max((event.seq for event in jobs.events(name)), default=0) + 10
    jobs.ingest(job, [Event(first + n, kind, 1.0, data) for n, (kind, data) in enumerate(events)], job.offset + 1)


def end(jobs: Jobs, name: str) -> None:
    jobs.update_job(name, status=JobStatus.INTERRUPTED)


def ends(intents: Intents) -> UnknownEnds:
    return add_ends(intents.unknown_ends("p"))


def test_what_is_in_flight_counts_once_its_job_is_over(store: tuple[Jobs, Intents]) -> None:
    jobs, intents = store
    take(jobs, "one", sent("a", "ka"), came("a"), sent("b", "kb"), sent("c", "kc"), sent("d", "kd", worst=None))
    assert ends(intents) == UnknownEnds(), "its end is awaited"
    take(jobs, "one", came("c"))
    end(jobs, "one")
    assert ends(intents) == UnknownEnds(requests=2, most=Decimal("0.25"), unpriced=1)
    assert str(ends(intents)) == "2 requests with an unknown end, at most $0.2500, the price of 1 is unknown"
    assert [event.type for event in jobs.events("one")] == ["reply", "reply"], "announcements are not kept as events"


def test_an_answer_under_the_same_key_is_told_and_the_key_is_not_used_again(store: tuple[Jobs, Intents]) -> None:
    jobs, intents = store
    take(jobs, "one", sent("a", "k"))
    assert intents.left("p", ["label"]) == {}, "the job that sent it still runs"
    end(jobs, "one")
    assert intents.left("p", ["label"]) == {"sample k": ("k", Decimal("0.25"))}
    take(jobs, "two", sent("b", "k"))
    take(jobs, "two", came("b"))
    end(jobs, "two")
    assert ends(intents) == UnknownEnds(requests=1, most=Decimal("0.25"), again=1)
    assert "1 asked again since, under the same idempotency key" in str(ends(intents))
    assert intents.left("p", ["label"]) == {}, "asked once more it is another request"


@pytest.mark.parametrize(
    ("error", "cost", "kept"),
    [
        ("connection", None, True),
        ("timeout", None, True),
        ("server", None, True),
        ("rate_limit", "0", False),
        ("auth", "0", False),
        ("content_filter", None, False),
    ],
)
def test_an_attempt_that_may_have_been_carried_out_keeps_its_key(
    error: str, cost: str | None, kept: bool, store: tuple[Jobs, Intents]
) -> None:
    jobs, intents = store
    take(jobs, "one", sent("a", "k"), came("a", error, cost))
    end(jobs, "one")
    assert ends(intents) == UnknownEnds(), "the attempt itself stands on the ledger"
    assert intents.left("p", ["label"]) == ({"sample k": ("k", Decimal(0))} if kept else {})


@pytest.mark.parametrize(("error", "kept"), [("rate_limit", True), ("auth", True), ("bad_request", False)])
def test_a_refusal_does_not_tell_the_end_of_the_request_before(
    error: str, kept: bool, store: tuple[Jobs, Intents]
) -> None:
    jobs, intents = store
    take(jobs, "one", sent("a", "k"))
    end(jobs, "one")
    take(jobs, "two", sent("b", "k"), came("b", error, "0"))
    end(jobs, "two")
    assert ends(intents).requests == 1
    assert bool(intents.left("p", ["label"])) is kept


def test_a_batch_counts_from_before_it_is_handed_in_until_it_is_collected(store: tuple[Jobs, Intents]) -> None:
    jobs, intents = store
    about = {"name": "b-0", "teacher": "ann", "purpose": "label", "file": "f"}
    take(jobs, "one", ("batch_prepared", {**about, "requests": 40, "worst": "1.5"}))
    end(jobs, "one")
    assert ends(intents) == UnknownEnds(requests=40, most=Decimal("1.5"))
    take(jobs, "one", ("batch_submitted", {**about, "batch_id": "x"}), ("batch_collected", about))
    assert ends(intents) == UnknownEnds()


def test_what_no_column_holds_is_no_bound(store: tuple[Jobs, Intents]) -> None:
    jobs, intents = store
    take(jobs, "one", sent("a", "ka", "NaN"), sent("b", "kb", "1e40"), sent("c", "kc", "-1"), sent("d", "kd", "x"))
    end(jobs, "one")
    assert ends(intents) == UnknownEnds(requests=4, unpriced=4)


def test_a_killed_labelling_says_what_was_in_flight_and_asks_it_again_under_the_same_key(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider(latency_s=0.15) as provider:
        kill_one(workspace, provider)
        seen = {query_of(request.user): request.headers["idempotency-key"] for request in labels(provider)}
        provider.latency_s = 0.0
        with open_services(workspace) as services:
            project = services.context.projects.get(PROJECT)
            attempts = services.context.db.row("SELECT count(*) AS n FROM attempts WHERE purpose = 'label'")
            assert attempts is not None
            found = services.keep.unknown_ends(project.id)
            cut_off = len(seen) - attempts["n"]
            assert 0 < cut_off <= found.requests <= IN_FLIGHT, "one that was announced may not have gone out yet"
            assert found.most > 0 and found.unpriced == found.again == 0
            show_spend(services.quote.spend(PROJECT))
            assert f"besides {found.brief}" in " ".join(capsys.readouterr().out.split())
            before = len(labels(provider))
            capped = start(services, max_cost=found.most)
            assert capped.status is JobStatus.CAPPED and len(labels(provider)) == before, "a cap counts their bound"
            assert "an earlier job left with an unknown end" in capped.message
            assert start(services).status is JobStatus.FINISHED
            again = {query_of(r.user): r.headers["idempotency-key"] for r in labels(provider)[before:]}
            twice = seen.keys() & again.keys()
            assert len(twice) == cut_off
            assert all(seen[query] == again[query] for query in twice), "or it would be charged twice"
            assert len(set(again.values())) == len(again)
            assert services.keep.unknown_ends(project.id).again == found.requests


def labels(provider: Provider) -> list[Any]:
    return [request for request in provider.seen if "query" in request.user]


def kill_one(workspace: Path, provider: Provider) -> None:
    command = [sys.executable, "-m", "tests.fakes.paid_label", str(workspace), provider.url, "24"]
    process = FORKS.start(command, start_new_session=True, env={**os.environ, "LOOPBACK_KEY": KEY})
    until = time.monotonic() + 60
    while len(labels(provider)) < 9:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)  # what was on its way to the provider arrives


def start(services: Services, **order: Any) -> Job:
    job = services.label.start(PROJECT, LabelOrder(**order))
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id)


def test_what_askers_on_ray_announced_before_they_were_killed_is_journaled_once(tmp_path: Path) -> None:
    spec = {"name": "ann", "provider": "openai", "model": "m", "key_variable": None}
    (tmp_path / "in.jsonl").write_text('{"sample_id": "s"}\n')
    job = RayLabelJob(
        teacher=spec, capabilities={}, task="custom", purpose=Purpose.LABEL, file=tmp_path / "in.jsonl", nonce="n"
    )
    (tmp_path / "sent").mkdir()
    lines = [json.dumps(sent(name)[1]) for name in ("a", "b")]
    (tmp_path / "sent" / "x.jsonl").write_text("\n".join([*lines, '{"intent": "torn']))
    (tmp_path / STOP_FILE).touch()
    sink = Sink()
    answer_on_ray(job, tmp_path, {}, sink, lambda: False, {"a"})
    assert [data["intent"] for data in sink.of("sent")] == ["b"]
