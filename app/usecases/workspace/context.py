"""An open workspace: the store's table families, and the supervisor that watches over its jobs."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import StateError, WorkerFailed
from engine.jobs.spec import Payload, write_spec
from engine.jobs.supervisor import Supervisor
from engine.values import LOCAL, Event, Job, JobStatus, hash_id
from storage.copies import Copies
from storage.db import Database
from storage.differences import Differences
from storage.evidence import Evidence
from storage.failures import Failures
from storage.intents import Intents
from storage.job_records import JobRecords
from storage.jobs import Jobs
from storage.ledger import Ledger
from storage.overrules import Overrules
from storage.pilots import Pilots
from storage.projects import Projects
from storage.queries import Queries
from storage.rationales import Rationales
from storage.reports import Reports
from storage.runs import Runs
from storage.samples import Samples
from storage.second_draws import SecondDraws
from storage.selections import Selections
from storage.standings import Standings
from storage.votes import Votes

POLL_S = 0.1


@dataclass
class Context:
    """Everything the use cases work on. The supervisor is set once its runners exist."""

    workspace: Path
    db: Database
    projects: Projects
    queries: Queries
    samples: Samples
    selections: Selections
    runs: Runs
    differences: Differences
    rationales: Rationales
    reports: Reports
    jobs: Jobs
    ledger: Ledger
    intents: Intents
    overrules: Overrules
    copies: Copies
    votes: Votes
    evidence: Evidence
    standings: Standings
    failures: Failures
    job_records: JobRecords
    pilots: Pilots
    second_draws: SecondDraws
    supervisor: Supervisor | None = None

    @property
    def recordings(self) -> Path:
        """The folder of recorded outputs."""
        return self.workspace / "recordings"

    @property
    def watch(self) -> Supervisor:
        """The supervisor.

        Raises:
            StateError: before it is set.
        """
        if self.supervisor is None:
            raise StateError("the workspace has no supervisor yet")
        return self.supervisor

    def submit(
        self,
        project_id: str,
        kind: str,
        spec: Mapping[str, Any],
        run_id: str | None = None,
        fill: Callable[[Job], Payload] | None = None,
        backend: str = LOCAL,
    ) -> Job:
        """Queue a job. `spec` is what the store is to know of it.

        `fill` writes what a worker needs into the job's folder and returns what the worker is to do; a job without it
        is done by this process. Where `fill` fails, nothing is queued and nothing stays.
        """
        job_id = hash_id("job", project_id, kind, run_id, time.time_ns())
        folder = self.workspace / "jobs" / job_id
        folder.mkdir(parents=True)
        job = Job(job_id, project_id, run_id, kind, JobStatus.QUEUED, spec, str(folder), backend=backend)
        try:
            if fill is not None:
                write_spec(folder, fill(job))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        queued = self.jobs.add(job)
        if self.supervisor is not None:
            self.supervisor.wake()
        return queued

    def check_watch(self) -> None:
        """Whether jobs are watched over.

        Raises:
            WorkerFailed: if they can't be at this moment.
        """
        if self.watch.failure is not None:
            raise WorkerFailed(f"watching over jobs failed: {self.watch.failure}") from self.watch.failure

    def wait(self, job_id: str, on_event: Callable[[Event], None] = lambda event: None) -> Job:
        """Wait for a job's end, telling its events.

        Raises:
            WorkerFailed: if it did not finish, with what was kept and how to go on.
        """
        seen = 0
        while True:
            job = self.jobs.get_job(job_id)
            for event in self.jobs.events(job_id, seen):
                seen = event.seq
                on_event(event)
            if job.status.over:
                break
            self.check_watch()
            time.sleep(POLL_S)
        if job.status is not JobStatus.FINISHED:
            raise WorkerFailed(f"the {job.kind} job is {job.status}: {job.message}")
        return job

    async def follow(
        self, job_id: str, stop: Callable[[], bool], on_wait: Callable[[Event], None] = lambda event: None
    ) -> Job:
        """Wait for another job's end without holding up the loop; a request to stop is handed on to it.

        `on_wait` is told each wait that a provider asked it for.
        """
        asked, seen = False, 0
        while not (job := self.jobs.get_job(job_id)).status.over:
            for event in self.jobs.events(job_id, seen, kinds=("waits",)):
                seen = event.seq
                on_wait(event)
            if stop() and not asked:
                asked = True
                self.watch.cancel(job_id)
            await asyncio.sleep(POLL_S)
        return job


def open_context(workspace: Path) -> Context:
    """Open the store of a workspace folder, making it if need be.

    Raises:
        WorkspaceBusy: if another process has it open.
    """
    db = Database(workspace / "tacit.duckdb")
    samples, copies = Samples(db), Copies(db)
    copies.relocate(workspace)
    return Context(
        workspace=workspace,
        db=db,
        projects=Projects(db),
        queries=Queries(db),
        samples=samples,
        selections=Selections(db),
        runs=Runs(db),
        differences=Differences(db),
        rationales=Rationales(db),
        reports=Reports(db),
        jobs=Jobs(db, samples),
        ledger=Ledger(db),
        intents=Intents(db),
        overrules=Overrules(db),
        copies=copies,
        votes=Votes(db),
        evidence=Evidence(db),
        standings=Standings(db),
        failures=Failures(db),
        job_records=JobRecords(db),
        pilots=Pilots(db),
        second_draws=SecondDraws(db),
    )
