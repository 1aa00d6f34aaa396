"""Waits on pages, in the terminal and at the playground, and probing that meets faults: the whole way to a provider."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.cli import enter
from app.cli.console import EventBars, err
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.labelling.waits import Wait, say_wait
from app.web.parts.labelling import progress_html
from app.web.parts.shell import strip_html
from engine.config import ProjectConfig
from engine.errors import WorkerFailed
from engine.values import Event, Job, JobStatus, make_query
from tests.fakes.provider import KEY, Provider, run_provider
from tests.fakes.waiting import until
from tests.providers.test_faults import CHOICES


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="choice"))
        opened.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(6)], {})
        yield opened


def add(services: Services, provider: Provider, name: str, **changes: Any) -> None:
    values = {"name": name, "provider": "openai", "model": f"m-{name}", "endpoint": f"{provider.url}/v1"}
    services.teachers.add("p", {**values, "key_variable": "LOOPBACK_KEY", "concurrency": 2, **changes})


def finish(services: Services, job: Job) -> Job:
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id)


def count_samples(services: Services) -> dict[str, int]:
    return {row["teacher"]: row["samples"] for row in services.answers.counts(services.projects.get("p"))}


def test_a_wait_is_shown_on_every_page_and_ended_from_one(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    provider.faults["query 3?"] = ["429 for long"]
    project = services.projects.get("p")
    job = services.label.start("p", LabelOrder())

    def waiting() -> Any:
        asking = services.answers.progress(project)
        return asking if asking and any(teacher.wait for teacher in asking.teachers) else None

    html = progress_html(until(waiting))
    assert "ann waits 9 min, as the provider asked." in html and "data-now='ann'" in html
    strip = strip_html(services.standing.running(), here="p")
    assert "ann waits 9 min, as the provider asked" in strip and f"data-now='{job.id}'" in strip
    assert services.teachers.go_on("p", "bob") == []
    assert services.teachers.go_on("p", "ann") == ["ann"] and services.teachers.go_on("p") == []
    assert finish(services, job).status is JobStatus.FINISHED
    assert count_samples(services) == {"ann": 6} and waiting() is None


def test_a_test_asks_at_once_and_ends_a_wait_only_if_it_is_answered(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    finish(services, services.teachers.test("p", "ann"))
    provider.faults["query 3?"] = ["429 for long"]
    job = services.label.start("p", LabelOrder())
    project = services.projects.get("p")
    until(lambda: (now := services.answers.progress(project)) and any(t.wait for t in now.teachers))
    provider.faults["legs"] = ["429 for long"]
    assert finish(services, services.teachers.test("p", "ann")).status is JobStatus.FAILED
    assert services.context.jobs.get_job(job.id).status is JobStatus.RUNNING
    finish(services, services.teachers.test("p", "ann"))
    assert finish(services, job).status is JobStatus.FINISHED and count_samples(services) == {"ann": 6}


def test_a_probe_that_fails_leaves_one_out_and_the_others_are_asked(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", key_variable="OTHER_API_KEY")
    add(services, provider, "bob")
    services.teachers.connections.keys.put("OTHER_API_KEY", "sk-wrong")
    job = finish(services, services.label.start("p", LabelOrder()))
    assert job.status is JobStatus.FINISHED and count_samples(services) == {"bob": 6}
    (stopped,) = services.label.stopped(job.id)
    assert stopped.startswith("ann was stopped") and "key was not accepted" in stopped


def test_a_probe_that_is_asked_to_wait_does_not_hold_up_the_others(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    add(services, provider, "bob")
    provider.faults["legs"] = ["429 for long"]
    began = time.monotonic()
    job = finish(services, services.label.start("p", LabelOrder()))
    assert job.status is JobStatus.FINISHED and sum(count_samples(services).values()) == 6
    (stopped,) = services.label.stopped(job.id)
    assert "too many requests" in stopped and time.monotonic() - began < 20


def test_a_probe_whose_answer_is_filtered_does_not_leave_a_teacher_out(services: Services, provider: Provider) -> None:
    """Nor one that is too large: it says nothing of the next question."""
    add(services, provider, "ann")
    add(services, provider, "bob")
    provider.faults["legs"] = ["filtered", "nine megabytes"]
    job = finish(services, services.label.start("p", LabelOrder()))
    assert job.status is JobStatus.FINISHED and services.label.stopped(job.id) == []
    assert sum(count_samples(services).values()) == 12
    assert all(row["capabilities"] is None for row in services.teachers.list_all("p")), "it is tested again next time"


def test_where_nobody_can_be_asked_all_are_named(services: Services, provider: Provider) -> None:
    add(services, provider, "ann", key_variable="OTHER_API_KEY")
    add(services, provider, "bob")
    services.teachers.connections.keys.put("OTHER_API_KEY", "sk-wrong")
    provider.faults["legs"] = ["quota"]
    job = finish(services, services.label.start("p", LabelOrder()))
    assert job.status is JobStatus.FAILED
    assert "ann: the key was not accepted" in job.message and "bob: the account has no credit" in job.message


def test_the_playground_tells_a_wait_and_does_not_wait(services: Services, provider: Provider) -> None:
    add(services, provider, "ann")
    finish(services, services.teachers.test("p", "ann"))
    project = services.projects.get("p")
    provider.faults["query 3?"] = ["429 for long"]
    query = next(q for q in services.context.queries.get(project.id) if q.text == "query 3?")
    began = time.monotonic()
    *_, (pane,) = services.play.ask(project, query, ["teacher ann"])
    assert "come again in 9 min" in pane.message and "too many requests" in pane.message
    assert pane.over and time.monotonic() - began < 10


def test_the_playground_tells_that_its_own_requests_a_minute_are_used_up(
    services: Services, provider: Provider
) -> None:
    add(services, provider, "ann", requests_per_minute=2)
    finish(services, services.teachers.test("p", "ann"))
    query = services.context.queries.get(services.projects.get("p").id)[0]
    *_, (pane,) = services.play.ask(services.projects.get("p"), query, ["teacher ann"])
    assert pane.over and "its own requests and tokens a minute are used up" in pane.message
    assert "come again in" in pane.message and "declines" not in pane.message


def test_the_words_of_a_wait() -> None:
    assert say_wait("ann", Wait(540)) == "ann waits 9 min, as the provider asked"
    assert say_wait("ann", Wait(600, True)) == "ann waits 10 min; the provider asked for longer"


def test_the_terminal_tells_a_wait_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"teacher": "ann", "seconds": 540.0, "longer": False}
    bars = EventBars(quiet=True, go_on=lambda: None)
    for sits, hint in ((True, "Enter asks again now"), (False, "Ctrl-C")):
        monkeypatch.setattr("app.cli.console.can_press", lambda sits=sits: sits)
        with err.capture() as shown:
            bars(Event(1, "waits", 0.0, data))
        assert "ann waits 9 min, as the provider asked." in shown.get() and hint in " ".join(shown.get().split())
    with err.capture() as shown:
        bars(Event(2, "waits", 0.0, {**data, "seconds": 0.0}))
    assert shown.get() == ""


def test_enter_does_what_is_offered_while_a_command_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    main, other = pty.openpty()
    pressed = threading.Event()
    with os.fdopen(other, "r") as terminal, monkeypatch.context() as patched:
        patched.setattr(enter.sys, "stdin", terminal)
        patched.setattr(enter, "can_press", lambda: True)
        with EventBars(quiet=True, go_on=pressed.set):
            os.write(main, b"\n")
            assert pressed.wait(5)
    os.close(main)
    with enter.on_enter(pressed.clear):
        pass
    assert pressed.is_set(), "without a terminal nothing is read"
