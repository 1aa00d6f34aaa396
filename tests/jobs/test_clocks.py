"""A clock that is set back or forward while jobs run: nobody waits for it, and the newest stays the newest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.usecases.labelling.waits import read_waits
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.selection.settings import SelectionConfig
from engine.values import Event, JobStatus
from storage.runs import Run, RunStatus
from storage.selections import StoredSelection
from tests.jobs.test_supervisor import House

DAY = 86_400.0
STEPS = {"back a day": -DAY, "forward a day": DAY}


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The wall clock of this process, as after a step; the clock that nobody sets goes on."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_a_deaf_worker_is_killed_after_the_grace_period_though_the_clock_was_set_back(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(workspace, grace_s=0.3)
    job = house.submit(events=10_000, pause=0.05, deaf=True)
    house.until(lambda: len(house.metrics()) > 1)
    house.supervisor.cancel(job.id)
    set_clock(monkeypatch, -DAY)
    house.until(lambda: bool(house.over), seconds=15)
    assert house.status(job) is JobStatus.CANCELLED
    house.close()


def test_a_worker_has_its_grace_though_the_clock_was_set_forward(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(workspace, grace_s=600)
    job = house.submit(events=10_000, pause=0.05)
    house.until(lambda: len(house.metrics()) > 1)
    house.supervisor.cancel(job.id)
    set_clock(monkeypatch, DAY)
    house.until(lambda: bool(house.over), seconds=15)
    assert house.context.jobs.get_job(job.id).message == "stopped on request"
    house.close()


@pytest.mark.parametrize("step", STEPS)
def test_jobs_begun_before_and_after_a_step_are_taken_in_whole(
    step: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(workspace)
    before, behind = (house.submit(events=60, pause=0.01) for _ in range(2))
    house.until(lambda: len(house.metrics()) > 5)
    set_clock(monkeypatch, STEPS[step])
    house.supervisor.recover()
    house.until(lambda: len(house.over) == 2)
    assert [house.status(job) for job in (before, behind)] == [JobStatus.FINISHED] * 2
    assert len(house.backend.started) == 2, "no second worker began on a folder"
    assert [job.id for job in house.over] == [before.id, behind.id], "the queue keeps its order"
    assert house.context.jobs.count_events(before.id, "metric") == 60
    house.close()


@pytest.mark.parametrize("step", STEPS)
def test_a_wait_is_never_told_longer_than_it_may_be(
    step: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(workspace)
    job = house.context.submit(house.project.id, "label", {})
    data = {"teacher": "ann", "seconds": 540.0, "longer": False}
    house.context.jobs.ingest(job, [Event(1, "waits", time.time(), data)], 0)
    assert 500 < read_waits(house.context, job.id)["ann"].seconds <= 540
    set_clock(monkeypatch, STEPS[step])
    assert read_waits(house.context, job.id) == {}
    house.close()


def test_what_was_made_last_is_the_newest_though_the_clock_was_set_back(workspace: Path) -> None:
    """A selection or run made after such a step was passed over for the one before it."""
    house = House(workspace)
    context, project = house.context, house.project.id
    plan = make_plan(PlanOrder(plan="standard-kd"))
    for number in (1, 2, 3):
        context.selections.add(StoredSelection(f"s{number}", project, SelectionConfig(), f"f{number}", {}), [])
        context.runs.add(Run(f"r{number}", project, f"s{number}", plan, str(workspace), RunStatus.FINISHED, ""))
        assert context.selections.latest(project).id == f"s{number}"
        assert next(run.id for run in context.runs.all(project)) == f"r{number}"
        with context.db.write() as writer:
            for table in ("selections", "runs"):
                writer.run(f"UPDATE {table} SET created_at = created_at + INTERVAL 1 DAY")
    house.close()
