"""A journal that can't be taken in sets its own job aside, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, open_services
from app.web.parts.shell import strip_html
from engine.config import ProjectConfig
from engine.errors import NotFound, StateError, StoreError
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.values import Job, JobStatus
from tests.fakes.worker import FakeBackend
from tests.jobs.test_supervisor import House
from tests.unit.test_events import DAMAGED

UNTAKEABLE = {"type": "answer", "at": 1.0, "data": {"step": "s", "system": "s", "query_id": "q", "text": "t"}}


def poison(job: Job, seq: int = 1) -> None:
    """An event that looks whole and that no table can hold."""
    file = Path(job.folder) / EVENTS_FILE
    line = {**UNTAKEABLE, "seq": seq, "data": {**UNTAKEABLE["data"], "tokens": 10**30, "finished": True}}  # type: ignore[dict-item]
    with file.open("a") as journal:
        journal.write(json.dumps(line) + "\n")


def heal(job: Job) -> None:
    file = Path(job.folder) / EVENTS_FILE
    file.write_text(file.read_text().replace(str(10**30), "7"))


async def poisoned(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
    """A coroutine job whose journal goes bad, and which goes on until it is asked to stop."""
    log.emit("progress", done=1)
    poison(job, 2)
    log.emit("progress", done=2)
    while not stop():
        await asyncio.sleep(0.01)


@pytest.fixture
def house(workspace: Path) -> Iterator[House]:
    made = House(workspace, {"label": poisoned})
    yield made
    made.close()


def test_a_job_with_such_a_journal_is_stopped_and_set_aside_while_others_go_on(house: House) -> None:
    house.supervisor.start()
    bad, good = house.submit("label"), house.submit(events=3)
    house.until(lambda: len(house.over) == 2, tick=False)
    stored = house.context.jobs.get_job(bad.id)
    assert stored.status is JobStatus.QUARANTINED and house.status(good) is JobStatus.FINISHED
    assert f"tacit jobs retry {bad.id[:8]}" in stored.message and stored.folder in stored.message
    assert str(10**30) in (Path(bad.folder) / EVENTS_FILE).read_text()
    assert house.supervisor.failure is None


def test_a_quarantined_job_is_taken_in_again_once_its_journal_can_be(house: House) -> None:
    house.supervisor.start()
    bad = house.submit("label")
    house.until(lambda: len(house.over) == 1, tick=False)
    with pytest.raises(StateError, match="can't be taken in"):
        house.supervisor.retry(bad.id)
    assert house.status(bad) is JobStatus.QUARANTINED
    heal(bad)
    taken = house.supervisor.retry(bad.id)
    assert taken.status is JobStatus.INTERRUPTED
    assert [event.seq for event in house.context.jobs.events(bad.id)] == [1, 2]
    with pytest.raises(StateError, match="not quarantined"):
        house.supervisor.retry(bad.id)


def test_a_worker_with_such_a_journal_is_stopped(house: House) -> None:
    job = house.submit(events=100_000, pause=0.05)
    house.until(lambda: house.status(job) is JobStatus.RUNNING and len(house.metrics()) > 0)
    poison(job, 10**6)
    house.until(lambda: bool(house.over))
    assert house.status(job) is JobStatus.QUARANTINED


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_crash_left_with_such_journals_does_not_keep_the_workspace_shut(workspace: Path, count: int) -> None:
    house = House(workspace)
    left = [house.submit("label", n=n) for n in range(count)]
    queued = house.submit(events=2)
    for job in left:
        house.context.jobs.update_job(job.id, status=JobStatus.RUNNING, handle="1 1.0")
        poison(job)
    house.context.db.close()
    with open_services(workspace, FakeBackend()) as services:
        assert [services.context.jobs.get_job(job.id).status for job in left] == [JobStatus.QUARANTINED] * count
        assert [row["name"] for row in services.standing.overview()] == ["p"]
        assert len(services.keep.quarantined()) == count
        assert services.context.wait(queued.id).status is JobStatus.FINISHED
        services.keep.back_up(workspace.parent / "b.zip")
        heal(left[0])
        assert services.keep.retry(left[0].id[:10]).status is JobStatus.INTERRUPTED
        with pytest.raises(NotFound):
            services.keep.retry("nothing")
        services.keep.purge("p", "p")


@pytest.mark.parametrize(("line", "place"), [(line, n % 3) for n, line in enumerate(DAMAGED.values())], ids=DAMAGED)
def test_a_damaged_line_of_an_unfinished_job_is_told_on_it_and_costs_nothing_else(
    workspace: Path, line: bytes, place: int
) -> None:
    house = House(workspace)
    job = house.submit(events=3)
    log = EventLog(Path(job.folder) / EVENTS_FILE)
    for number in (1, 2, 3):
        log.emit("metric", step="s", update=number, of=3, values={"loss": float(number)})
    log.close()
    file = Path(job.folder) / EVENTS_FILE
    lines = file.read_bytes().splitlines(keepends=True)
    lines[place] = line
    file.write_bytes(b"".join(lines))
    house.context.jobs.update_job(job.id, status=JobStatus.RUNNING, handle="1 1.0")
    house.supervisor.recover()
    stored = house.context.jobs.get_job(job.id)
    assert stored.status is JobStatus.INTERRUPTED
    assert "1 damaged line of its journal was skipped" in stored.message
    assert len(house.context.jobs.events(job.id)) == 2
    house.context.jobs.update_job(job.id, status=JobStatus.QUEUED)
    house.until(lambda: house.status(job) is JobStatus.FINISHED)
    seqs = [event.seq for event in house.context.jobs.events(job.id)]
    assert len(seqs) == 3 and seqs[-1] == 4
    house.close()


def test_a_journal_damaged_while_the_job_runs_is_read_on(house: House) -> None:
    job = house.submit(events=40, pause=0.02)
    journal = Path(job.folder) / EVENTS_FILE
    house.until(lambda: house.status(job) is JobStatus.RUNNING)
    house.until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 2, tick=False)
    with journal.open("ab") as file:
        file.write(b"\0\0\0\n\n")
    house.until(lambda: bool(house.over))
    stored = house.context.jobs.get_job(job.id)
    assert stored.status is JobStatus.FINISHED and len(house.metrics()) == 40
    assert stored.message == "2 damaged lines of its journal were skipped; the others are taken in."


def test_a_store_that_refuses_is_told_and_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = house.submit(events=5)
    ingest = house.context.jobs.ingest

    def refuse(*_: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.context.jobs, "ingest", refuse)
    with pytest.raises(StoreError, match="disk is full"):
        house.until(lambda: bool(house.over), seconds=10)
    assert house.status(job) is JobStatus.RUNNING
    monkeypatch.setattr(house.context.jobs, "ingest", ingest)
    house.until(lambda: bool(house.over))
    assert house.status(job) is JobStatus.FINISHED and len(house.metrics()) == 5


def test_a_job_that_can_not_be_started_fails_alone(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(workspace)
    start = house.backend.submit
    bad, good = house.submit(events=1), house.submit(events=2)

    def start_some(folder: Path, devices: int) -> str:
        if folder == Path(bad.folder):
            raise ValueError("no such interpreter")
        return start(folder, devices)

    monkeypatch.setattr(house.backend, "submit", start_some)
    house.until(lambda: len(house.over) == 2)
    assert (house.status(bad), house.status(good)) == (JobStatus.FAILED, JobStatus.FINISHED)
    told = house.context.jobs.get_job(bad.id).message
    assert "did not foresee" in told and "no such interpreter" not in told, "the log has the library's own words"
    house.close()


def test_what_fails_behind_a_job_stands_in_its_message(workspace: Path) -> None:
    house = House(workspace)

    def follow(job: Job) -> None:
        house.over.append(job)
        raise KeyError("stage2")

    house.supervisor._on_over = follow
    first, second = house.submit(events=1), house.submit(events=1)
    house.until(lambda: len(house.over) == 2)
    for job in (first, second):
        stored = house.context.jobs.get_job(job.id)
        assert stored.status is JobStatus.FINISHED and "could not go on: Something went wrong" in stored.message
    house.close()


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace, FakeBackend()) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="custom"))
        yield opened


def test_the_strip_tells_what_keeps_jobs_from_being_watched(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert services.standing.trouble() == "" == strip_html([], "")
    services.context.watch.close()
    services.context.watch.failure = StoreError("the disk is <full>")
    told = services.standing.trouble()
    assert "the disk is <full>" in told and "&lt;full&gt;" in strip_html([], told)
    assert services.standing.goes_on(None, [])
