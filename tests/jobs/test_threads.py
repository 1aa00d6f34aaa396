"""A run keeps the threads of its first worker, so that going on repeats it; where it can't, its report says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.services import Services, open_services
from app.usecases.training.run_reports import report_notes
from engine.config import ProjectConfig
from engine.jobs import threads
from engine.jobs.context import JobContext
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.threads import VARIABLE, Threads, find_threads, fix_threads
from engine.plans import Plan, Train
from engine.values import Event, Job, JobStatus, RunStatus
from storage.runs import Run


@pytest.fixture(autouse=True)
def two_of_four_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(threads, "count_processors", lambda: 4)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: [100.0, 3.0, 100.0, 0.0])


@pytest.mark.parametrize(
    ("first", "named", "processors", "found"),
    [
        (None, "", 4, Threads(2)),
        (4, "", 4, Threads(4)),
        (4, "", 2, Threads(2)),
        (1, "", 64, Threads(1)),
        (None, "3", 4, Threads(3, named=True)),
        (2, "3", 4, Threads(3, named=True)),
        (2, "many", 4, Threads(2)),
        (2, "0", 4, Threads(2)),
    ],
)
def test_what_a_worker_gets(first: int | None, named: str, processors: int, found: Threads) -> None:
    assert find_threads(first, named, processors) == found


def test_a_job_that_is_started_again_keeps_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> int:
        log = EventLog(tmp_path / EVENTS_FILE)
        try:
            return fix_threads(None, JobContext(tmp_path, log, lambda: False), "cpu")
        finally:
            log.close()

    assert begin() == 2
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: [0.0] * 4)
    assert begin() == 2, "the processors that are free now don't count"


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        yield opened


@pytest.fixture
def run(services: Services, tmp_path: Path) -> Run:
    project = services.data.create_project(ProjectConfig(name="p", task="custom"))
    plan = Plan(name="two", steps=(Train(name="stage1"), Train(name="stage2", start="stage1")))
    made = Run("r" * 24, project.id, "s" * 24, plan, str(tmp_path), RunStatus.STOPPED, "")
    services.context.runs.add(made)
    return made


def work(services: Services, run: Run, number: int, *events: tuple[str, dict[str, Any]]) -> None:
    """What one job of the run journaled."""
    job = Job(f"job{number}", run.project_id, run.id, "student", JobStatus.FINISHED, {}, run.folder)
    services.context.jobs.add(job)
    services.context.jobs.ingest(job, [Event(n, kind, 1.0, data) for n, (kind, data) in enumerate(events, 1)], 1)


def had(number: int, device: str = "cpu", named: bool = False) -> tuple[str, dict[str, Any]]:
    return "threads", {"threads": number, "named": named, "device": device}


def began(step: str) -> tuple[str, dict[str, Any]]:
    return "step_started", {"step": step}


def notes(services: Services, run: Run) -> str:
    return " ".join(report_notes(services.context, services.context.runs.get(run.id), []))


def test_what_the_first_worker_had_is_stored_with_the_run_and_a_change_is_in_its_report(
    services: Services, run: Run
) -> None:
    assert services.context.runs.get(run.id).threads is None
    work(services, run, 1, had(4), began("stage1"))
    assert services.context.runs.get(run.id).threads == 4
    work(services, run, 2, had(4), began("stage1"))
    assert "threads" not in notes(services, run)
    work(services, run, 3, had(2), began("stage2"), had(3, named=True))
    assert services.context.runs.get(run.id).threads == 4
    said = notes(services, run)
    assert "the run began with 4; from stage2 on it had 2 (there were no more processors)" in said
    assert "later it had 3 (TACIT_THREADS was set to that)" in said


def test_threads_do_not_matter_on_a_gpu(services: Services, run: Run) -> None:
    work(services, run, 1, had(8, "cuda"))
    work(services, run, 2, had(2, "cuda"))
    assert notes(services, run) == ""


@pytest.mark.parametrize("of_another", [{"answers": 9}, {"alone": "none"}, {"alone": {"same": "7", "of": None}}])
def test_of_how_many_answers_the_text_hangs_on_what_was_written_beside_them_is_in_the_report(
    services: Services, run: Run, of_another: dict[str, Any]
) -> None:
    work(services, run, 1, ("step_finished", {"step": "stage1", "result": of_another}))
    assert notes(services, run) == ""
    work(services, run, 2, ("step_finished", {"step": "stage2", "result": {"alone": {"same": 31, "of": 32}}}))
    said = notes(services, run)
    assert "of 32 answers read again by themselves, 31 are what the query alone leads to" in said
