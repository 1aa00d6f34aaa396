"""Threads that do what takes long for jobs, one piece of work at a time for each job."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 4
Work = Callable[[], Exception | None]
"""Gives back what the store or the disk refused."""


class Helpers:
    """Before `start` all work is done at once, by whoever asks for it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._busy: dict[str, Future[Exception | None]] = {}

    def start(self) -> None:
        """Work in threads from now on."""
        self._pool = ThreadPoolExecutor(_THREADS, "jobs")

    def close(self) -> None:
        """Wait for what is being done."""
        if self._pool is not None:
            self._pool.shutdown()

    def help(self, job_id: str, work: Work) -> Exception | None:
        """Do a piece of work for a job, unless one is being done for it."""
        if job_id in self._busy:
            return None
        if self._pool is None:
            return work()
        self._busy[job_id] = self._pool.submit(work)
        return None

    def hear(self) -> list[Exception | None]:
        """What came of the work that is done since this was asked last."""
        done = {job_id: future for job_id, future in self._busy.items() if future.done()}
        for job_id in done:
            del self._busy[job_id]
        return [future.result() for future in done.values()]

    def __contains__(self, job_id: str) -> bool:
        """Whether something is being done for a job."""
        return job_id in self._busy
