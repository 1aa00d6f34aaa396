"""The supervisor over a worker that needs no torch: queue, lease, cancel, death, recovery, idempotent ingest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.usecases.workspace.context import Context, open_context
from engine.config import ProjectConfig
from engine.errors import StoreError
from engine.jobs import supervisor
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.spec import SPEC_FILE, Payload
from engine.jobs.supervisor import Runner, Supervisor
from engine.values import Job, JobStatus
from tests.fakes.worker import FakeBackend, find_pid


class House:
    def __init__(self, workspace: Path, runners: dict[str, Runner] | None = None, grace_s: float = 30) -> None:
        self.context: Context = open_context(workspace)
        self.backend = FakeBackend()
        self.over: list[Job] = []
        self.supervisor = Supervisor(
            self.context.jobs, lambda name: self.backend, runners or {}, self.over.append, grace_s=grace_s
        )
        names = [project.name for project in self.context.projects.all()]
        if "p" not in names:
            self.context.projects.create(ProjectConfig(name="p", task="custom"))
        self.project = self.context.projects.get("p")

    def submit(self, kind: str = "student", **spec: Any) -> Job:
        class Told(Payload):
            """Not looked at: the fake worker reads its own file."""

        Told.kind = kind
        job = self.context.submit(self.project.id, kind, spec, "run", lambda job: Told())
        (job.path / SPEC_FILE).write_text(json.dumps(spec))
        return job

    def status(self, job: Job) -> JobStatus:
        return self.context.jobs.get_job(job.id).status

    def metrics(self) -> list[tuple[int, float]]:
        return [(row["update_no"], row["value"]) for row in self.context.runs.metrics("run", "s")]

    def until(self, true: Callable[[], bool], seconds: float = 30, tick: bool = True) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not happen in time"
            if tick:
                self.supervisor.tick()
            time.sleep(0.02)

    def close(self) -> None:
        for job in self.context.jobs.unfinished_jobs():
            if job.handle and find_pid(job.handle) != os.getpid() and psutil.pid_exists(find_pid(job.handle)):
                os.kill(find_pid(job.handle), signal.SIGKILL)
        self.supervisor.close()
        self.context.db.close()


@pytest.fixture
def house(workspace: Path) -> Iterator[House]:
    made = House(workspace)
    yield made
    made.close()


def test_a_finished_job_has_all_its_events_taken_in_before_it_is_told_over(house: House) -> None:
    job = house.submit(events=50)
    house.until(lambda: bool(house.over))
    assert house.status(job) is JobStatus.FINISHED
    assert house.metrics() == [(n, float(n)) for n in range(1, 51)]
    assert house.over[0].status is JobStatus.FINISHED


def test_one_device_runs_one_worker_at_a_time_in_the_order_of_the_queue(house: House) -> None:
    jobs = [house.submit(events=3, pause=0.1) for _ in range(3)]
    house.until(lambda: house.status(jobs[0]) is JobStatus.RUNNING)
    assert [house.status(job) for job in jobs] == [JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.QUEUED]
    house.until(lambda: len(house.over) == 3)
    assert [job.id for job in house.over] == [job.id for job in jobs]


def test_a_failed_worker_leaves_its_message(house: House) -> None:
    job = house.submit(events=1, status="failed", message="no row fits")
    house.until(lambda: bool(house.over))
    stored = house.context.jobs.get_job(job.id)
    assert (stored.status, stored.message) == (JobStatus.FAILED, "no row fits")


def test_a_killed_worker_is_interrupted_and_goes_on_without_losing_or_doubling(house: House) -> None:
    job = house.submit(events=30, pause=0.05)
    house.until(lambda: len(house.metrics()) > 5)
    pid = find_pid(str(house.context.jobs.get_job(job.id).handle))
    os.kill(pid, signal.SIGKILL)
    house.until(lambda: bool(house.over))
    assert house.status(job) is JobStatus.INTERRUPTED
    with (Path(job.folder) / EVENTS_FILE).open("ab") as file:
        file.write(b'{"seq": 999, "type": "met')  # what a kill in the middle of a write leaves
    house.context.jobs.update_job(job.id, status=JobStatus.QUEUED)
    house.until(lambda: len(house.over) == 2)
    assert house.status(job) is JobStatus.FINISHED
    assert house.metrics() == [(n, float(n)) for n in range(1, 31)]
    seqs = [event.seq for event in house.context.jobs.events(job.id)]
    assert seqs == list(range(1, 31))


def test_cancel_lets_the_worker_end_by_itself(house: House) -> None:
    job = house.submit(events=10_000, pause=0.05)
    house.until(lambda: len(house.metrics()) > 2)
    house.supervisor.cancel(job.id)
    house.until(lambda: bool(house.over))
    stored = house.context.jobs.get_job(job.id)
    assert (stored.status, stored.message) == (JobStatus.CANCELLED, "stopped on request")


def test_a_worker_that_ignores_the_request_is_killed_after_the_grace_period(workspace: Path) -> None:
    house = House(workspace, grace_s=0.3)
    job = house.submit(events=10_000, pause=0.05, deaf=True)
    house.until(lambda: len(house.metrics()) > 2)
    pid = find_pid(str(house.context.jobs.get_job(job.id).handle))
    house.supervisor.cancel(job.id)
    house.until(lambda: bool(house.over))
    assert house.status(job) is JobStatus.CANCELLED
    assert "killed after the grace period" in house.context.jobs.get_job(job.id).message
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    house.close()


def test_a_queued_job_is_cancelled_without_ever_starting(house: House) -> None:
    first, second = house.submit(events=5, pause=0.1), house.submit(events=5)
    house.until(lambda: house.status(first) is JobStatus.RUNNING)
    house.supervisor.cancel(second.id)
    house.until(lambda: house.status(first) is JobStatus.FINISHED)
    house.supervisor.tick()
    assert house.status(second) is JobStatus.CANCELLED and len(house.backend.started) == 1


def test_a_new_app_finds_a_worker_that_went_on_and_takes_its_journal_in(workspace: Path) -> None:
    old = House(workspace)
    job = old.submit(events=40, pause=0.05)
    old.until(lambda: len(old.metrics()) > 3)
    old.context.db.close()  # the app is gone without a word; its worker goes on
    new = House(workspace)
    new.supervisor.recover()
    assert new.status(job) is JobStatus.RUNNING
    new.until(lambda: bool(new.over))
    assert new.status(job) is JobStatus.FINISHED
    assert new.metrics() == [(n, float(n)) for n in range(1, 41)]
    assert new.backend.started == []
    new.close()


def test_a_new_app_marks_what_died_meanwhile_as_interrupted(workspace: Path) -> None:
    old = House(workspace)
    job = old.submit(events=1000, pause=0.05)
    old.until(lambda: len(old.metrics()) > 3)
    pid = find_pid(str(old.context.jobs.get_job(job.id).handle))
    old.context.db.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    new = House(workspace)
    new.supervisor.recover()
    assert new.status(job) is JobStatus.INTERRUPTED
    assert len(new.metrics()) > 3
    new.close()


def test_another_process_with_the_same_id_is_not_taken_for_the_worker(workspace: Path) -> None:
    house = House(workspace)
    job = house.submit(events=1)
    house.context.jobs.update_job(job.id, status=JobStatus.RUNNING, handle=f"{os.getppid()} 1.0")
    house.supervisor.recover()
    assert house.status(job) is JobStatus.INTERRUPTED
    house.close()


def test_a_coroutine_job_that_raises_fails_in_plain_words_and_others_go_on(workspace: Path) -> None:
    async def broken(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        log.emit("progress", done=1)
        raise RuntimeError("the provider answered with HTML")

    house = House(workspace, {"label": broken})
    house.supervisor.start()
    job, other = house.submit("label"), house.submit(events=2)
    house.until(lambda: len(house.over) == 2, tick=False)
    message = house.context.jobs.get_job(job.id).message
    assert "did not foresee" in message and "RuntimeError" not in message and "HTML" not in message
    assert house.status(job) is JobStatus.FAILED and house.status(other) is JobStatus.FINISHED
    assert [event.type for event in house.context.jobs.events(job.id)] == ["progress"]
    house.close()


def test_closing_the_app_interrupts_a_coroutine_job_and_keeps_its_journal(workspace: Path) -> None:
    async def endless(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        number = 0
        while not stop():
            number += 1
            log.emit("progress", done=number)
            await asyncio.sleep(0.01)

    house = House(workspace, {"label": endless})
    house.supervisor.start()
    job = house.submit("label")
    house.until(lambda: len(house.context.jobs.events(job.id)) > 3, tick=False)
    house.supervisor.close()
    assert house.status(job) is JobStatus.INTERRUPTED
    lines = (Path(job.folder) / EVENTS_FILE).read_text().splitlines()
    assert len(house.context.jobs.events(job.id)) == len(lines)
    house.context.db.close()


def test_a_job_that_the_store_refuses_to_mark_is_started_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    async def count(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        started.append(job.id)
        log.emit("progress", done=len(started))
        await asyncio.sleep(1)

    house = House(workspace, {"label": count})
    real, refusals = house.context.jobs.update_job, [StoreError("the disk is full")] * 3

    def refuse(job_id: str, **changes: Any) -> None:
        if changes.get("status") is JobStatus.RUNNING and refusals:
            raise refusals.pop()
        real(job_id, **changes)

    monkeypatch.setattr(house.context.jobs, "update_job", refuse)
    house.supervisor.start()
    job = house.submit("label")
    house.until(lambda: len(house.over) == 1, tick=False)
    assert house.status(job) is JobStatus.FINISHED and len(started) == 1 and refusals == []
    assert [event.seq for event in house.context.jobs.events(job.id)] == [1]
    house.close()


def test_what_was_queued_does_not_wait_for_the_next_round(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TICK_S", 60.0)
    began: list[str] = []

    async def run(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        began.append(job.id)

    house = House(workspace, {"label": run})
    house.context.supervisor = house.supervisor
    house.supervisor.start()
    jobs = [house.submit("label"), house.submit("label")]
    house.until(lambda: len(began) == 2 and len(house.over) == 2, tick=False)
    house.close()

    assert sorted(began) == sorted(job.id for job in jobs)


def test_closing_does_not_wait_for_the_next_round(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TICK_S", 60.0)
    house = House(workspace)
    house.supervisor.start()
    begun = time.monotonic()
    house.close()

    assert time.monotonic() - begun < 30
