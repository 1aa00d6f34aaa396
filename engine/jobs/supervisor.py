"""Watches over jobs: starts what is queued, takes journals in, ends what is cancelled, finds what a crash left.

Lives in the app process, the only one that writes to the store. Jobs of a kind in `runners` are coroutines here, on one
asyncio loop; all others are worker processes, one at a time on a device.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine.errors import CapReached, KeyMissing, TacitError, say_error, where_it_failed
from engine.jobs.events import EVENTS_FILE, EventLog, read_events
from engine.jobs.spec import LOG_FILE, STATUS_FILE
from engine.ports import Backend, JobStore
from engine.types import Job, JobStatus

Runner = Callable[[Job, EventLog, Callable[[], bool]], Awaitable[None]]
_LOG = logging.getLogger(__name__)
_STATUS_OF = ((CapReached, JobStatus.CAPPED), (KeyMissing, JobStatus.NEEDS_KEY))
TICK_S = 0.4
_REST, _LONGEST_REST_S = 10, 5.0
"""After a round of taking a journal in, the next waits this many times as long as the round took: a busy job's rounds
become few and large."""
GRACE_S = 60.0


class Supervisor:
    """One a workspace. `start` runs it in a thread; `tick` is one round of its work."""

    def __init__(
        self,
        store: JobStore,
        backend: Backend,
        runners: Mapping[str, Runner],
        on_over: Callable[[Job], None] = lambda job: None,
        devices: int = 1,
        grace_s: float = GRACE_S,
        before_worker: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_over` is told of every job that ended, after its last event was taken in.

        `before_worker` is called before a worker takes the device: whoever holds it then gives way.
        """
        self._store = store
        self._backend = backend
        self._runners = runners
        self._on_over = on_over
        self._devices = devices
        self._grace = grace_s
        self._before_worker = before_worker
        self._futures: dict[str, Future[None]] = {}
        self._cancelled: set[str] = set()
        self._rest_until: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tick_lock = threading.RLock()
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Watch in the background, after `recover`."""
        for target in (self._loop.run_forever, self._watch):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop watching. Coroutine jobs are interrupted after their journal; worker processes go on by themselves."""
        if self._loop.is_closed():
            return
        self._stopping.set()
        self._threads[-1].join() if self._threads else None
        self._cancelled.update(self._futures)
        for future in self._futures.values():
            with suppress(Exception):
                future.result(timeout=10)
        if self._threads:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(_cancel_rest(), self._loop).result(timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._threads[0].join()
        for job in self._store.unfinished_jobs():
            if job.id in self._futures:
                self.take_in(job)
                self._store.update_job(job.id, status=JobStatus.INTERRUPTED, message="the app was closed")
                self._on_over(self._store.get_job(job.id))
        self._loop.close()

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop: it checkpoints and ends; after the grace period it is killed."""
        with self._tick_lock:
            job = self._store.get_job(job_id)
            if job.status is JobStatus.QUEUED:
                self._store.update_job(job_id, status=JobStatus.CANCELLED, message="cancelled before it started")
                self._on_over(self._store.get_job(job_id))
            elif job.status is JobStatus.RUNNING and job.cancel_at is None:
                self._cancelled.add(job_id)
                self._store.update_job(job_id, cancel_at=time.time())
                if job.kind not in self._runners:
                    _signal(job, signal.SIGTERM)

    def recover(self) -> None:
        """Of jobs that a past process had running: take their journals in; those whose process is gone have ended."""
        for job in self._store.unfinished_jobs():
            if job.status is JobStatus.RUNNING and (job.kind in self._runners or not _alive(job)):
                self.take_in(job)
                self._end(job)

    def tick(self) -> None:
        """One round: take in, end, start."""
        with self._tick_lock:
            jobs = self._store.unfinished_jobs()
            for job in jobs:
                if job.status is JobStatus.RUNNING:
                    self._look_after(job)
            jobs = self._store.unfinished_jobs()
            busy = sum(job.status is JobStatus.RUNNING and job.kind not in self._runners for job in jobs)
            for job in jobs:
                if job.status is not JobStatus.QUEUED:
                    continue
                if job.kind in self._runners:
                    self._start_coroutine(job)
                elif busy == 0:
                    busy += 1
                    self._start_worker(job)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tick()
                self.failure = None
            except Exception as error:  # noqa: BLE001 - told to whoever waits; the next round tries again
                self.failure = error
            self._stopping.wait(TICK_S)

    def _look_after(self, job: Job) -> None:
        over = self._futures[job.id].done() if job.id in self._futures else not _alive(job)
        if over or time.monotonic() >= self._rest_until.get(job.id, 0.0):
            started = time.monotonic()
            self.take_in(job)
            took = time.monotonic() - started
            self._rest_until[job.id] = time.monotonic() + min(_REST * took, _LONGEST_REST_S)
        if over:
            self._end(job)
        elif job.cancel_at is not None and time.time() - job.cancel_at > self._grace:
            _signal(job, signal.SIGKILL)

    def holder(self) -> Job | None:
        """The job whose worker has the device, or that is about to take it."""
        jobs = [job for job in self._store.unfinished_jobs() if job.kind not in self._runners]
        return jobs[0] if jobs else None

    def take_in(self, job: Job) -> None:
        """Ingest what a job has journaled so far."""
        with self._tick_lock:
            self._ingest(job)

    def _ingest(self, job: Job) -> None:
        batch = read_events(Path(job.folder) / EVENTS_FILE, self._store.get_job(job.id).offset)
        if batch.events:
            self._store.ingest(job, batch.events, batch.offset)

    def _end(self, job: Job) -> None:
        status, message = self._outcome(job)
        self._futures.pop(job.id, None)
        self._rest_until.pop(job.id, None)
        self._store.update_job(job.id, status=status, message=message, pid=None, cancel_at=None)
        self._on_over(self._store.get_job(job.id))

    def _outcome(self, job: Job) -> tuple[JobStatus, str]:
        future = self._futures.get(job.id)
        if future is not None:
            error = future.exception()
            if error is not None:
                status = next((s for kind, s in _STATUS_OF if isinstance(error, kind)), JobStatus.FAILED)
                if not isinstance(error, TacitError):
                    _LOG.error("the %s job %s failed: %s", job.kind, job.id, where_it_failed(error))
                return status, say_error(error)
            if job.id in self._cancelled:
                return JobStatus.CANCELLED, "stopped on request"
            return JobStatus.FINISHED, ""
        path = Path(job.folder) / STATUS_FILE
        if path.exists():
            told = json.loads(path.read_text("utf-8"))
            return JobStatus(told["status"]), str(told["message"])
        if job.cancel_at is not None:
            return JobStatus.CANCELLED, "killed after the grace period; the last checkpoint is kept"
        last = _last_words(Path(job.folder) / LOG_FILE)
        return JobStatus.INTERRUPTED, f"its process is gone; what it had journaled is kept, resume goes on.{last}"

    def _start_coroutine(self, job: Job) -> None:
        log = EventLog(Path(job.folder) / EVENTS_FILE)

        async def run() -> None:
            try:
                await self._runners[job.kind](job, log, lambda: job.id in self._cancelled)
            finally:
                log.close()

        self._cancelled.discard(job.id)
        self._store.update_job(job.id, status=JobStatus.RUNNING, **_identity(os.getpid()))
        self._futures[job.id] = asyncio.run_coroutine_threadsafe(run(), self._loop)

    def _start_worker(self, job: Job) -> None:
        (Path(job.folder) / STATUS_FILE).unlink(missing_ok=True)
        self._before_worker()
        pid = self._backend.start(Path(job.folder), self._devices)
        self._store.update_job(job.id, status=JobStatus.RUNNING, **_identity(pid))


async def _cancel_rest() -> None:
    """End what still runs on this loop; requests in flight journal that they were cut off."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _last_words(log: Path) -> str:
    """The last line that a worker printed, and where the rest stands."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f" Its last words in {log}: {lines[-1][-300:]}" if lines else ""


def _identity(pid: int) -> dict[str, Any]:
    """A process by its id and its start time, since ids are used again."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        started = 0.0
    return {"pid": pid, "pid_started": started}


def _alive(job: Job) -> bool:
    if job.pid is None:
        return False
    try:
        process = psutil.Process(job.pid)
        same = abs(process.create_time() - (job.pid_started or 0)) < 1
        if same and process.status() == psutil.STATUS_ZOMBIE:
            with suppress(ChildProcessError):
                os.waitpid(job.pid, os.WNOHANG)
            return False
        return same
    except psutil.NoSuchProcess:
        return False


def _signal(job: Job, number: signal.Signals) -> None:
    """Ask a worker to stop, which lets what it started come to an end; or kill it with all that it started."""
    if _alive(job) and job.pid is not None and job.pid != os.getpid():
        with suppress(ProcessLookupError):
            send = os.killpg if number is signal.SIGKILL else os.kill
            send(job.pid, number)
