"""Jobs to their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.values import Event, Job


@dataclass(frozen=True)
class JobService:
    """Use cases of whoever waits for jobs."""

    context: Context

    def wait(self, job_id: str, on_event: Callable[[Event], None] = lambda event: None) -> Job:
        """Wait for a job's end, telling its events.

        Raises:
            WorkerFailed: if it did not finish, with what was kept and how to go on.
        """
        return self.context.wait(job_id, on_event)
