"""Jobs: waited for to their end, and looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.usecases.workspace.context import Context
from app.usecases.workspace.job_words import job_kind, say_status
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.errors import NotFound
from engine.jobs.spec import LOG_FILE
from engine.values import Event, Job
from storage.job_records import SHOWN, SORTS

LISTED = 25
"""Jobs on a page of the list."""
WHICH = {"all": "All", "running": "Running", "failed": "Failed"}
"""Titles of what the list can be narrowed to."""
_DAY_S = 24 * 3600
_LOG_BYTES, _LOG_LINES = 20_000, 40


@dataclass(frozen=True)
class JobCounts:
    """How many jobs there are, and how many of them run, wait, and failed within a day."""

    total: int
    running: int
    queued: int
    failed: int


@dataclass(frozen=True)
class JobService:
    """Use cases of whoever waits for jobs or looks at them. `only` is the id of a project; None: all of them."""

    context: Context

    def wait(self, job_id: str, on_event: Callable[[Event], None] = lambda event: None) -> Job:
        """Wait for a job's end, telling its events.

        Raises:
            WorkerFailed: if it did not finish, with what was kept and how to go on.
        """
        return self.context.wait(job_id, on_event)

    def page(self, show: str = "", only: str | None = None, sort: str = "", page: int = 1) -> Rows:
        """Some jobs, as `turn_to`: rows of `JobRecords.find_page`. What is no filter or order counts as none."""
        show, sort = show if show in SHOWN else "all", sort if sort in SORTS else ""
        find = self.context.job_records.find_page
        return turn_to(page, LISTED, lambda begin: find(show, only, sort, begin, LISTED))

    def sheet(self, show: str = "", only: str | None = None, sort: str = "") -> Sheet:
        """All that `page` finds."""
        show, sort = show if show in SHOWN else "all", sort if sort in SORTS else ""
        columns = ("job id", "project", "job", "status", "started (UTC)", "seconds", "cost (US $)", "message")
        records = self.context.job_records.stream_found(show, only, sort)
        rows = (
            (id_, project, job_kind(kind).title, say_status(status)[0], *rest)
            for id_, project, kind, status, *rest in records
        )
        return Sheet(columns, rows)

    def one(self, job_id: str) -> dict[str, Any]:
        """One job: a row of `page` with the last lines that its worker printed as `log`.

        Raises:
            NotFound: if there is none.
        """
        row = self.context.job_records.find_one(job_id)
        return {**row, "log": read_tail(Path(row["folder"]) / LOG_FILE)}

    def counts(self, only: str | None = None) -> JobCounts:
        """How many jobs there are."""
        by_status = self.context.job_records.count(only)
        return JobCounts(
            total=sum(by_status.values()),
            running=by_status.get("running", 0),
            queued=by_status.get("queued", 0),
            failed=self.context.job_records.count_failed(only, time.time() - _DAY_S),
        )

    def project_id(self, name: str) -> str | None:
        """The id of the project of that name; None where there is none."""
        try:
            return self.context.projects.get(name).id if name else None
        except NotFound:
            return None


def read_tail(log: Path) -> str:
    """The last lines of a log; "" where there is none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])
