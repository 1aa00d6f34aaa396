"""Jobs and their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

LOCAL = "local"
"""The backend that every installation has: workers on this machine."""


class JobStatus(StrEnum):
    """The life of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    NEEDS_KEY = "needs_key"
    CAPPED = "capped"
    QUARANTINED = "quarantined"
    """It ended, and its journal can't be taken in: kept as it is, to be taken in later."""

    @property
    def over(self) -> bool:
        """Whether nothing works on the job any more."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True)
class Event:
    """One line of a journal. `seq` grows from 1, with a gap where a line is damaged; `at` is Unix time in seconds."""

    seq: int
    type: str
    at: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A job as the store keeps it.

    `offset` is how far its journal has been ingested, in bytes. `handle` is what its backend finds its worker by, as
    long as there is one.
    """

    id: str
    project_id: str
    run_id: str | None
    kind: str
    status: JobStatus
    spec: Mapping[str, Any]
    folder: str
    offset: int = 0
    backend: str = LOCAL
    handle: str | None = None
    cancel_at: float | None = None
    message: str = ""

    @property
    def path(self) -> Path:
        """The job's folder."""
        return Path(self.folder)
