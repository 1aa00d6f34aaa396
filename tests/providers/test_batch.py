"""Batches: half the price, partial results, chunks, restarts that neither lose nor pay twice, and a missing key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, open_services
from app.usecases.labelling import label as labelling
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import ConfigError, KeyMissing, WorkerFailed
from engine.labelling import batch as label_batch
from engine.values import Choice, Job, JobStatus, Split, make_query
from tests.fakes.provider import KEY, Provider, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"))
PROTOCOLS = ("openai", "mistral")


@pytest.fixture(params=PROTOCOLS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with run_provider(protocol=request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    monkeypatch.setattr(labelling, "POLL_BATCH_S", 0.05)


def fill(services: Services, provider: Provider, **changes: Any) -> None:
    project = services.data.create_project(ProjectConfig(name="p", task="choice"))
    services.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(6)], {})
    url = f"{provider.url}/v1" if provider.protocol == "openai" else provider.url
    teacher = {"name": "ann", "provider": provider.protocol, "model": "m", "endpoint": url, "input_price": 3.0}
    services.teachers.add("p", {**teacher, "key_variable": "LOOPBACK_KEY", "output_price": 15.0, **changes})


def start(services: Services, **order: Any) -> Job:
    return services.label.start("p", LabelOrder(engine="batch", **order))


def end(services: Services, job: Job) -> Job:
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id)


def until(services: Services, job: Job, event: str) -> None:
    stop_at = time.monotonic() + 20
    while not services.context.jobs.events(job.id, kinds=(event,)):
        assert time.monotonic() < stop_at
        time.sleep(0.05)


def samples(services: Services) -> list[dict[str, Any]]:
    return services.context.samples.counts(services.context.projects.get("p").id)


def test_a_batch_makes_samples_at_half_the_price(workspace: Path, provider: Provider) -> None:
    with open_services(workspace) as services:
        fill(services, provider)
        provider.faults = {"query 1?": ["context"], "query 2?": ["prose"], "query 3?": ["truncated"]}
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services) == [{"teacher": "ann", "samples": 3, "failures": 3}]
        rows = services.context.db.rows("SELECT error, input_tokens, cost FROM attempts WHERE purpose = 'label'")
        for row in rows:
            tokens = 0 if row["error"] == "bad_request" else row["input_tokens"] * 3 + 20 * 15
            assert row["cost"] == Decimal(tokens) / 2_000_000
    assert len(provider.batch_bodies) == 6
    assert provider.batch_bodies[0]["response_format"]["type"] == "json_schema"


def test_what_the_provider_did_not_get_to_is_asked_by_the_next_batch(workspace: Path, provider: Provider) -> None:
    with open_services(workspace) as services:
        fill(services, provider)
        provider.unreached = ("query 4?",)
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 5
        provider.unreached = ()
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6
    assert len(provider.batches) == 2 and len(provider.batch_bodies) == 7


def test_a_restart_collects_what_was_handed_in(workspace: Path, provider: Provider) -> None:
    provider.batch_status = "running"
    with open_services(workspace) as services:
        fill(services, provider)
        job = start(services)
        until(services, job, "batch_submitted")
    provider.batch_status = "done"
    with open_services(workspace) as services:
        assert services.context.jobs.get_job(job.id).status is JobStatus.INTERRUPTED
        again = start(services)
        assert again.id == job.id
        assert end(services, again).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6
    assert len(provider.batches) == 1


def test_a_batch_that_was_handed_in_unseen_is_found_again(workspace: Path, provider: Provider) -> None:
    provider.lose_next_batch = True
    with open_services(workspace) as services:
        fill(services, provider)
        ended = end(services, start(services))
        assert ended.status is JobStatus.FAILED and "502" in ended.message
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6
    assert len(provider.batches) == 1


def test_without_its_key_a_restarted_batch_needs_the_key(
    workspace: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.batch_status = "running"
    with open_services(workspace) as services:
        fill(services, provider)
        job = start(services)
        until(services, job, "batch_submitted")
    monkeypatch.delenv("LOOPBACK_KEY")
    with open_services(workspace) as services:
        with pytest.raises(KeyMissing):
            start(services)
        services.context.jobs.update_job(job.id, status=JobStatus.QUEUED)
        assert end(services, job).status is JobStatus.NEEDS_KEY
        services.label.connections.keys.put("LOOPBACK_KEY", KEY)
        provider.batch_status = "done"
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6
    assert len(provider.batches) == 1


def test_a_failed_batch_says_why_and_its_queries_can_be_asked_again(workspace: Path, provider: Provider) -> None:
    provider.batch_status = "failed"
    with open_services(workspace) as services:
        fill(services, provider)
        ended = end(services, start(services))
        assert ended.status is JobStatus.FAILED and "not to our taste" in ended.message
        provider.batch_status = "done"
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6


def test_chunks_stay_within_the_limits(workspace: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_batch, "MOST_BYTES", 2500)
    with open_services(workspace) as services:
        fill(services, provider)
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6
    assert len(provider.batches) >= 2
    assert all(len(text) <= 2500 for name, text in provider.files.items() if name.startswith("file-"))


def test_a_cap_bounds_what_is_handed_in(workspace: Path, provider: Provider) -> None:
    with open_services(workspace) as services:
        fill(services, provider)
        assert end(services, start(services, max_requests=4)).status is JobStatus.CAPPED
        assert samples(services)[0]["samples"] == 3, "the probe is a request too"
        assert end(services, start(services)).status is JobStatus.FINISHED
        assert samples(services)[0]["samples"] == 6


def test_only_hosted_teachers_go_by_batch(workspace: Path, provider: Provider) -> None:
    with open_services(workspace) as services:
        fill(services, provider)
        services.label.add_scripted_teachers(services.context.projects.get("p").id)
        with pytest.raises(ConfigError, match="only hosted ones"):
            start(services)


def test_a_restart_brings_home_held_out_batches_too(workspace: Path, provider: Provider) -> None:
    provider.batch_status = "running"
    splits = (Split.DISTILL, Split.HELDOUT)
    with open_services(workspace) as services:
        fill(services, provider)
        project = services.context.projects.get("p")
        held = [make_query(f"query {n}?", CHOICES, split=Split.HELDOUT) for n in (6, 7)]
        services.data.add_queries(project.id, held, {})
        job = start(services, splits=splits)
        until(services, job, "batch_submitted")
        provider.batch_status = "done"
        until(services, job, "batch_collected")
        provider.batch_status = "running"
        stop_at = time.monotonic() + 20
        while len(services.context.jobs.events(job.id, kinds=("batch_submitted",))) < 2:
            assert time.monotonic() < stop_at
            time.sleep(0.05)
            if services.context.jobs.get_job(job.id).status.over:
                break
    provider.batch_status = "done"
    with open_services(workspace) as services:
        if services.context.jobs.get_job(job.id).status is not JobStatus.FINISHED:
            assert end(services, start(services, splits=splits)).status is JobStatus.FINISHED
        rows = services.context.db.rows("SELECT split, count(*) AS n FROM samples GROUP BY split ORDER BY split")
    assert rows == [{"split": "distill", "n": 6}, {"split": "heldout", "n": 2}]
    assert len(provider.batches) == 2


def test_a_cap_on_money_counts_what_an_earlier_process_handed_in(workspace: Path, provider: Provider) -> None:
    provider.batch_status = "running"
    with open_services(workspace) as services:
        fill(services, provider)
        job = start(services, max_requests=4)
        until(services, job, "batch_submitted")
    provider.batch_status = "done"
    with open_services(workspace) as services:
        ended = end(services, start(services, max_requests=4))
        assert ended.id == job.id and ended.status is JobStatus.CAPPED
        assert samples(services)[0]["samples"] == 3
    assert len(provider.batches) == 1
