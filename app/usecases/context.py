"""An open workspace: the store's table families, and the supervisor that watches over its jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import StateError, WorkerFailed
from engine.jobs.supervisor import Supervisor
from engine.types import Event, Job, JobStatus, hash_id
from storage.copies import Copies
from storage.db import Database
from storage.jobs import Jobs
from storage.ledger import Ledger
from storage.overrules import Overrules
from storage.projects import Projects
from storage.queries import Queries
from storage.rationales import Rationales
from storage.reports import Reports
from storage.runs import Runs
from storage.samples import Samples
from storage.selections import Selections
from storage.votes import Votes

POLL_S = 0.3


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
    rationales: Rationales
    reports: Reports
    jobs: Jobs
    ledger: Ledger
    overrules: Overrules
    copies: Copies
    votes: Votes
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

    def prepare(self, project_id: str, kind: str, spec: dict[str, Any], run_id: str | None = None) -> Job:
        """A job with a folder of its own, not queued yet: files may still go into the folder."""
        job_id = hash_id("job", project_id, kind, run_id, time.time_ns())
        folder = self.workspace / "jobs" / job_id
        folder.mkdir(parents=True)
        return Job(job_id, project_id, run_id, kind, JobStatus.QUEUED, spec, str(folder))

    def queue(self, job: Job) -> Job:
        """Queue a prepared job."""
        return self.jobs.add(job)

    def submit(self, project_id: str, kind: str, spec: dict[str, Any], run_id: str | None = None) -> Job:
        """Prepare and queue a job that needs no files."""
        return self.queue(self.prepare(project_id, kind, spec, run_id))

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
            if self.watch.failure is not None:
                raise WorkerFailed(f"watching over jobs failed: {self.watch.failure}") from self.watch.failure
            time.sleep(POLL_S)
        if job.status is not JobStatus.FINISHED:
            raise WorkerFailed(f"the {job.kind} job is {job.status}: {job.message}")
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
        rationales=Rationales(db),
        reports=Reports(db),
        jobs=Jobs(db, samples),
        ledger=Ledger(db),
        overrules=Overrules(db),
        copies=copies,
        votes=Votes(db),
    )
