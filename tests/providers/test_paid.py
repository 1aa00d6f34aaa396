"""Labelling by teachers that cost money, from the services and the command line down to the ledger."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import ConfigError, InputError, KeyMissing, WorkerFailed
from engine.tasks import get_task
from engine.values import Choice, JobStatus, Split, make_query
from tests.fakes import forks
from tests.fakes.paid_label import IN_FLIGHT, PROJECT
from tests.fakes.provider import KEY, Provider, query_of, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"))
PRICES = {"input_price": 3.0, "output_price": 15.0}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="choice"))
        opened.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(8)], {})
        yield opened


def add(services: Services, provider: Provider, name: str = "ann", **changes: Any) -> None:
    protocol = changes.pop("protocol", "openai")
    url = f"{provider.url}/v1" if protocol == "openai" else provider.url
    values = {"name": name, "provider": protocol, "model": f"m-{name}", "endpoint": url, "key_variable": "LOOPBACK_KEY"}
    services.teachers.add("p", {**values, "concurrency": 2, **changes})


def label(services: Services, **order: Any) -> str:
    job = services.label.start("p", LabelOrder(**order))
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id).status


def test_two_protocols_label_a_project_and_the_key_stands_nowhere(
    services: Services, provider: Provider, workspace: Path
) -> None:
    add(services, provider, "ann", **PRICES)
    add(services, provider, "mia", protocol="mistral")
    provider.faults["query 3?"] = ["auth", "500"]
    assert label(services) == JobStatus.FINISHED
    counts = {row["teacher"]: row["samples"] for row in services.context.samples.counts(services_id(services))}
    assert sum(counts.values()) >= 8
    services.context.db.rows("CHECKPOINT")
    held = b"".join(path.read_bytes() for path in workspace.rglob("*") if path.is_file())
    assert b"m-ann" in held and KEY.encode() not in held


def services_id(services: Services) -> str:
    return services.context.projects.get("p").id


def test_the_ledger_reconciles_with_its_rows(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", **PRICES)
    provider.faults["query 1?"] = ["refusal"]
    provider.faults["query 2?"] = ["prose"]
    provider.faults["query 5?"] = ["429"]
    assert label(services) == JobStatus.FINISHED
    rows = services.context.db.rows("SELECT purpose, error, input_tokens, output_tokens, cost FROM attempts")
    assert Counter(row["purpose"] for row in rows) == {"probe": 1, "label": 9}
    for row in rows:
        tokens = (row["input_tokens"] or 0) * 3 + (row["output_tokens"] or 0) * 15
        assert row["cost"] == Decimal(tokens) / 1_000_000
    spent = services.quote.spend("p")
    assert spent["cost_usd"] == sum(row["cost"] for row in rows) > 0
    assert spent["cost_usd"] == sum(job["cost_usd"] for job in spent["jobs"])
    assert {row["purpose"]: row["failed"] for row in spent["rows"]} == {"probe": 0, "label": 3}
    assert spent["unknown_cost"] == 0


def test_a_price_that_is_unknown_stays_unknown(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    label(services)
    spent = services.quote.spend("p")
    assert spent["cost_usd"] == 0 and spent["unknown_cost"] == 9
    (quote,) = services.quote.quote("p", LabelOrder())
    assert quote.cost_low is None and quote.price == "unknown"
    with pytest.raises(ConfigError, match=r"price of ann .* is unknown"):
        services.label.start("p", LabelOrder(max_cost=Decimal(1)))


def test_a_capped_job_goes_on_under_a_new_cap(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", **PRICES)
    assert label(services, max_requests=4) == JobStatus.CAPPED
    assert len(provider.seen) == 4
    assert label(services, max_cost=Decimal("0.0001")) == JobStatus.CAPPED
    assert len(provider.seen) == 4
    assert label(services, max_cost=Decimal(1)) == JobStatus.FINISHED
    asked = Counter(query_of(user) for user in provider.asked)
    assert max(asked.values()) == 1 and len(asked) == 9


def test_probing_is_kept_and_used(services: Services, provider: Provider) -> None:
    provider.refuses = ("json_schema", "temperature")
    add(services, provider, "ann")
    services.context.wait(services.teachers.test("p", "ann").id)
    probes = len(provider.seen)
    assert probes <= 3
    assert label(services) == JobStatus.FINISHED
    assert len(provider.seen) == probes + 8
    body = provider.seen[-1].body
    assert body["response_format"] == {"type": "json_object"} and "temperature" not in body
    (row,) = services.teachers.list_all("p")
    assert row["capabilities"]["structured"] == "json_object"


def test_only_failures_of_a_kind_are_asked_again(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    provider.faults = {"query 1?": ["refusal"], "query 2?": ["prose"]}
    label(services)
    before = len(provider.seen)
    assert label(services, retry=["refused"]) == JobStatus.FINISHED
    assert [query_of(user) for user in provider.asked[before:]] == ["query 1"]
    with pytest.raises(ConfigError, match="no kind of error"):
        services.label.start("p", LabelOrder(retry=["sulking"]))


def test_an_unread_reply_is_read_again_without_asking(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    provider.faults = {"query 1?": ["prose"], "query 2?": ["prose"]}
    label(services)
    with services.context.db.write() as writer:
        writer.run(
            "UPDATE attempts SET raw = 'So it is y. Answer: (B)' WHERE error IS NOT NULL AND sample_id IN "
            "(SELECT sample_id FROM attempts WHERE error IS NOT NULL ORDER BY sample_id LIMIT 1)"
        )
    before = len(provider.seen)
    assert services.label.parse_again("p") == {"ann": {"unread": 2, "read_now": 1}}
    assert services.label.parse_again("p") == {"ann": {"unread": 1, "read_now": 0}}
    assert len(provider.seen) == before
    assert services.context.samples.counts(services_id(services)) == [{"teacher": "ann", "samples": 7, "failures": 1}]


def test_a_pilot_measures_the_quote(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", **PRICES)
    (before,) = services.quote.quote("p", LabelOrder())
    assert before.requests == 8 and before.basis.startswith("bounds")
    label(services, limit=5)
    (after,) = services.quote.quote("p", LabelOrder())
    assert after.requests == 3 and after.basis == "measured on 5 replies"
    assert after.output_low <= 3 * 20 <= after.output_high
    assert before.cost_high is not None and after.cost_high is not None and after.cost_low is not None
    spent = services.quote.spend("p")["cost_usd"]
    label(services)
    last = services.quote.spend("p")["cost_usd"] - spent
    assert after.cost_low <= last <= after.cost_high < before.cost_high


def test_a_missing_key_is_named_before_anything_is_asked(
    services: Services, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(services, provider, "ann")
    monkeypatch.delenv("LOOPBACK_KEY")
    with pytest.raises(KeyMissing, match="set LOOPBACK_KEY"):
        services.label.start("p")
    services.label.connections.keys.put("LOOPBACK_KEY", KEY)
    assert label(services) == JobStatus.FINISHED
    assert KEY not in repr(services.label.connections.keys)


def test_the_providers_own_key_goes_nowhere_else(
    services: Services, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-openai")
    provider.key = None
    add(services, provider, "ann", key_variable=None)
    assert label(services) == JobStatus.FINISHED
    assert all("authorization" not in seen.headers for seen in provider.seen)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"endpoint": "ftp://x"}, "must be a URL"),
        ({"endpoint": "http://user:pw@x/v1"}, "must not hold a key"),
        ({"key_variable": "sk-proj-12345"}, "key_variable"),
        ({"draws": 3}, "same reply"),
        ({"input_price": 1.0}, "both prices"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_teacher_that_can_not_be_is_refused(services: Services, values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        services.teachers.add("p", {"name": "ann", "provider": "openai", "model": "m", **values})
    assert services.teachers.list_all("p") == []


def test_several_draws_are_several_samples(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", draws=3, temperature=0.8)
    assert label(services) == JobStatus.FINISHED
    arrays = services.context.samples.arrays(services_id(services), ())
    assert len(arrays.ids) == 24 and set(arrays.teacher) == {0}
    samples = services.context.samples.get(services_id(services), Split.DISTILL)
    assert {sample.draw for sample in samples} == {0, 1, 2}


def start(workspace: Path, provider: Provider, queries: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fakes.paid_label", str(workspace), provider.url, str(queries)]
    environment = {**os.environ, "LOOPBACK_KEY": KEY}
    return forks.FORKS.start(command, stdout=subprocess.PIPE, start_new_session=True, env=environment)


def test_kill_at_any_moment_pays_twice_at_most_what_was_in_flight(workspace: Path, provider: Provider) -> None:
    provider.latency_s, queries, kills = 0.05, 60, 0
    for more in (8, 16):
        process = start(workspace, provider, queries)
        first = len(provider.seen)
        while len(provider.seen) < first + more:
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    time.sleep(0.2)
    finish_and_check(workspace, provider, queries, kills)


def finish_and_check(workspace: Path, provider: Provider, queries: int, kills: int) -> None:
    out, _ = start(workspace, provider, queries).communicate(timeout=120)
    assert b"done" in out
    with open_services(workspace) as services:
        project = services.context.projects.get(PROJECT)
        (row,) = services.context.samples.counts(project.id)
        good = services.context.db.row("SELECT count(*) AS n FROM attempts WHERE purpose = 'label' AND error IS NULL")
    assert row == {"teacher": "ann", "samples": queries, "failures": 0}
    assert good == {"n": queries}
    asked = Counter(query_of(user) for user in provider.asked if "query" in user)
    assert sum(asked.values()) - queries <= kills * IN_FLIGHT


@pytest.mark.kill
def test_a_hundred_kills_of_a_paid_labelling(workspace: Path, provider: Provider) -> None:
    rng, queries = random.Random(2), 300
    provider.latency_s = 0.2
    for _ in range(100):
        process = start(workspace, provider, queries)
        time.sleep(rng.uniform(0.5, 2.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(0.5)
    assert provider.seen, "some were asked before the last kill"
    finish_and_check(workspace, provider, queries, kills=100)


def test_what_failed_is_retried_with_a_better_prompt_and_a_job_keeps_the_prompt_it_was_started_with(
    services: Services, provider: Provider
) -> None:
    add(services, provider)
    provider.faults = {"query 3?": ["prose"]}
    assert label(services) == JobStatus.FINISHED
    job = services.context.jobs.jobs_of(services.context.projects.get("p").id)[0]
    own = services.prompt.versions("p")[1]
    assert services.prompt.save("p", f"Take your time. {own}") == 2
    project, task = services.context.projects.get("p"), get_task("choice")
    assert services.label.plan_work(project, task, (), Split.DISTILL, job.spec).prompt.version == 1
    asked = len(provider.seen)
    assert label(services, retry=("all",)) == JobStatus.FINISHED
    assert len(provider.seen) == asked + 1 and "Take your time." in str(provider.seen[-1].body)
    assert services.context.samples.counts(project.id)[0]["samples"] == 8


def test_the_command_line_from_teacher_to_ledger(workspace: Path, provider: Provider, tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    rows = [{"query": f"query {n}?", "choices": {"A": "x", "B": "y"}} for n in range(6)]
    file.write_text("\n".join(json.dumps(row) for row in rows))

    def tacit(*words: str, code: int = 0) -> str:
        done = forks.tacit(*words, workspace=workspace, env={**os.environ, "LOOPBACK_KEY": KEY})
        assert done.returncode == code, done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.stdout + done.stderr

    tacit("import-queries", "p", str(file), "--task", "choice")
    words = ("--provider", "openai", "--model", "m", "--endpoint", f"{provider.url}/v1")
    keyed = ("--key-variable", "LOOPBACK_KEY", "--input-price", "1", "--output-price", "2")
    assert "price $1 in, $2 out" in tacit("teachers", "add", "p", "ann", *words, *keyed)
    assert "fake-large" in tacit("teachers", "models", "p", "ann")
    assert "json_schema" in tacit("teachers", "test", "p", "ann")
    quotes = json.loads(tacit("label", "p", "--quote", "--json"))
    assert quotes[0]["requests"] == 6 and float(quotes[0]["cost_high"]) > 0
    assert "cap of 2 requests" in tacit("label", "p", "--max-requests", "2", code=4)
    assert json.loads(tacit("label", "p", "--json"))["samples"] == [{"teacher": "ann", "samples": 6, "failures": 0}]
    spent = json.loads(tacit("spend", "p", "--json"))
    assert float(spent["cost_usd"]) > 0 and {row["purpose"] for row in spent["rows"]} == {"label", "probe"}
    assert "known kinds" not in tacit("label", "p", "--retry", "nonsense", code=2)
    assert "unread replies" in tacit("label", "p", "--parse-again")
    tacit("teachers", "remove", "p", "ann")
    assert "no live teacher" in tacit("label", "p", code=3)


def test_one_teacher_that_can_not_be_reached_does_not_end_the_job(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    with run_provider(key="sk-another-key-0000") as locked:
        services.label.connections.keys.put("EVES_API_KEY", KEY)
        add(services, locked, "eve", key_variable="EVES_API_KEY")
        assert label(services) == JobStatus.FINISHED
    counts = {row["teacher"]: row["samples"] for row in services.context.samples.counts(services_id(services))}
    assert counts == {"ann": 8}
    job = services.context.jobs.jobs_of(services_id(services))[0]
    (stopped,) = services.context.jobs.events(job.id, kinds=("teacher_stopped",))
    assert stopped.data["teacher"] == "eve" and stopped.data["error"] == "auth"


def test_closing_the_app_journals_what_was_in_flight(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", timeout_s=60, concurrency=4)
    services.context.wait(services.teachers.test("p", "ann").id)
    provider.faults = {"query 0?": ["slow"], "query 1?": ["slow"]}
    job = services.label.start("p")
    until = time.monotonic() + 20
    while services.context.samples.counts(services_id(services)) == [] or len(provider.seen) < 9:
        assert time.monotonic() < until
        time.sleep(0.05)
    services.context.watch.close()
    assert services.context.jobs.get_job(job.id).status is JobStatus.INTERRUPTED
    rows = services.context.db.rows("SELECT message, cost FROM attempts WHERE error = 'connection'")
    assert len(rows) == 2 and all("cut off" in row["message"] and row["cost"] is None for row in rows)
