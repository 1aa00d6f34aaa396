"""A provider that asks for a long wait: the page says who waits and how long, and a new start asks at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.services import Services, open_services
from app.usecases.labelling.progress import Asking
from app.web.parts.labelling import progress_html
from engine.config import ProjectConfig
from engine.errors import WorkerFailed
from engine.values import Choice, JobStatus, make_query
from tests.fakes.provider import KEY, Provider, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"))


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def services(workspace: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="choice"))
        opened.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(8)], {})
        teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{provider.url}/v1"}
        opened.teachers.add("p", {**teacher, "key_variable": "LOOPBACK_KEY", "concurrency": 2})
        yield opened


def until_it_waits(services: Services) -> Asking:
    for _ in range(200):
        asking = services.answers.progress(services.projects.get("p"))
        if asking is not None and any(teacher.wait for teacher in asking.teachers):
            return asking
        time.sleep(0.05)
    raise TimeoutError("nobody waits")


def test_a_long_wait_is_told_and_a_new_start_does_not_wait(services: Services, provider: Provider) -> None:
    provider.faults["query 3?"] = ["429 for long"]
    job = services.label.start("p")
    asking = until_it_waits(services)
    assert "ann waits 9 min, as the provider asked" in progress_html(asking)
    services.context.watch.cancel(job.id)
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    began = time.monotonic()
    again = services.label.start("p")
    services.context.wait(again.id)
    assert services.context.jobs.get_job(again.id).status is JobStatus.FINISHED and time.monotonic() - began < 30
    asking_now = services.answers.progress(services.projects.get("p"))
    assert asking_now is not None and [teacher.wait for teacher in asking_now.teachers] == [None]
    (counts,) = services.context.samples.counts(services.projects.get("p").id)
    assert counts["samples"] == 8
