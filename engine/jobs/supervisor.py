"""Watches over jobs: starts what is queued, takes journals in, ends what is cancelled, finds what a crash left.

Lives in the app process, the only one that writes to the store. Jobs of a kind in `runners` are coroutines here, on one
asyncio loop; all others are worker processes, one at a time on a device.
"""

from __future__ import annotations

import asyncio
import errno
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

from engine.errors import CapReached, KeyMissing, StateError, StoreError, TacitError, say_error, where_it_failed
from engine.jobs.events import EVENTS_FILE, EventLog, scan_events
from engine.jobs.spec import LOG_FILE, STATUS_FILE
from engine.ports import Backend, JobStore
from engine.redaction import Redactor
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
        self.devices = devices
        """How many GPUs a training takes."""
        self._grace = grace_s
        self._before_worker = before_worker
        self._futures: dict[str, Future[None]] = {}
        self._cancelled: set[str] = set()
        self._rest_until: dict[str, float] = {}
        self._rejected: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tick_lock = threading.RLock()
        self.failure: BaseException | None = None
        """What keeps it from watching over some job at this moment; tried again in the next round."""
        self.redactor = Redactor()
        """Knows the keys that must not get into a journal or a message."""

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
                with suppress(Exception):  # the next start takes in what can't be taken in now
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
                self._ask_to_stop(job)

    def _ask_to_stop(self, job: Job) -> None:
        self._cancelled.add(job.id)
        self._store.update_job(job.id, cancel_at=time.time())
        if job.kind not in self._runners:
            _signal(job, signal.SIGTERM)

    def retry(self, job_id: str) -> Job:
        """Take the journal of a quarantined job in again; what the job had come to stands in its status then.

        Raises:
            StateError: if it is not quarantined, or its journal still can't be taken in.
            StoreError: if the store can't be written to.
        """
        with self._tick_lock:
            job = self._store.get_job(job_id)
            if job.status is not JobStatus.QUARANTINED:
                raise StateError(f"the {job.kind} job is {job.status}, not quarantined: there is nothing to take in")
            self._store.update_job(job.id, message="")
            self._take_in_or_reject(job)
            self._end(job)
            job = self._store.get_job(job_id)
        if job.status is JobStatus.QUARANTINED:
            raise StateError(job.message)
        return job

    def recover(self) -> None:
        """Of jobs that a past process had running: take their journals in; those whose process is gone have ended."""

        def close_down(job: Job) -> None:
            self._take_in_or_reject(job)
            self._end(job)
            self._tell_over(job)

        jobs = self._store.unfinished_jobs()
        left = [job for job in jobs if job.status is JobStatus.RUNNING]
        gone = [job for job in left if job.kind in self._runners or not _alive(job)]
        failures = [self._guarded(job, close_down) for job in gone]
        self.failure = next((failure for failure in failures if failure is not None), None)

    def tick(self) -> None:
        """One round: take in, end, start. What fails with one job does not hold up the others.

        Raises:
            StoreError, OSError: the first of what the store or the disk refused; the next round tries again.
        """
        with self._tick_lock:
            jobs = self._store.unfinished_jobs()
            running = [job for job in jobs if job.status is JobStatus.RUNNING]
            failures = [self._guarded(job, self._look_after) for job in running]
            jobs = self._store.unfinished_jobs()
            busy = sum(job.status is JobStatus.RUNNING and job.kind not in self._runners for job in jobs)
            for job in jobs:
                if job.status is not JobStatus.QUEUED:
                    continue
                if job.kind in self._runners:
                    failures.append(self._guarded(job, self._start_coroutine))
                elif busy == 0:
                    busy += 1
                    failures.append(self._guarded(job, self._start_worker))
        for failure in failures:
            if failure is not None:
                raise failure

    def _guarded(self, job: Job, work: Callable[[Job], None]) -> Exception | None:
        """Work on one job; a failure of its own ends it. Gives back what the store or the disk refused."""
        try:
            try:
                work(job)
            except (StoreError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's, and the job must end
                self._futures.pop(job.id, None)
                self._store.update_job(job.id, status=JobStatus.FAILED, message=self._tell(error), pid=None)
                self._tell_over(job)
        except Exception as error:  # noqa: BLE001 - told to whoever waits; the next round tries again
            return error
        return None

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
            self._take_in_or_reject(job)
            took = time.monotonic() - started
            self._rest_until[job.id] = time.monotonic() + min(_REST * took, _LONGEST_REST_S)
            if job.id in self._rejected and not over and job.cancel_at is None:
                self._ask_to_stop(job)
        if over:
            self._end(job)
            self._tell_over(job)
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
        path = Path(job.folder) / EVENTS_FILE
        scan = scan_events(path, self._store.get_job(job.id).offset)
        if scan.events or scan.damaged:
            self._store.ingest(job, scan.events, scan.offset)
        if scan.damaged:
            count = scan_events(path).damaged
            lines = "line of its journal was" if count == 1 else "lines of its journal were"
            self._store.update_job(job.id, message=f"{count:,} damaged {lines} skipped; the others are taken in.")

    def _take_in_or_reject(self, job: Job) -> None:
        """As `take_in`; a journal that can't be taken in is remembered, so that its job ends as quarantined.

        Raises:
            StoreError, OSError: if it is the store or the disk that fails.
        """
        try:
            self.take_in(job)
            self._rejected.pop(job.id, None)
        except (StoreError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - of whatever kind: this journal must not stop the other jobs
            self._rejected[job.id] = (
                f"its journal can't be taken in ({type(error).__name__}). It is kept in {job.folder}: `tacit jobs "
                f"retry {job.id[:8]}`, or Take it in again on the page Jobs and spend, tries once more. Asking anew "
                "before that pays anew for what it holds."
            )

    def _end(self, job: Job) -> None:
        rejected = self._rejected.pop(job.id, None)
        status, message = (JobStatus.QUARANTINED, rejected) if rejected else self._outcome(job)
        self._futures.pop(job.id, None)
        self._rest_until.pop(job.id, None)
        told = self._store.get_job(job.id).message  # while a job runs: of its journal
        message = " ".join(part for part in (message, told) if part)
        self._store.update_job(job.id, status=status, message=message, pid=None, cancel_at=None)

    def _tell_over(self, job: Job) -> None:
        """Tell that a job has ended; what fails behind it stands in its message."""
        over = self._store.get_job(job.id)
        try:
            self._on_over(over)
        except (StoreError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the job is over all the same
            message = f"{over.message} What follows it could not go on: {self._tell(error)}".strip()
            self._store.update_job(job.id, message=message)

    def _tell(self, error: BaseException) -> str:
        told = say_error(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = "the disk is full; what was journaled before is kept. Free some space and start it again"
        return self.redactor.text(told)

    def _outcome(self, job: Job) -> tuple[JobStatus, str]:
        future = self._futures.get(job.id)
        if future is not None:
            error = future.exception()
            if error is not None:
                status = next((s for kind, s in _STATUS_OF if isinstance(error, kind)), JobStatus.FAILED)
                if not isinstance(error, TacitError):
                    _LOG.error("the %s job %s failed: %s", job.kind, job.id, where_it_failed(error))
                return status, self._tell(error)
            if job.id in self._cancelled:
                return JobStatus.CANCELLED, "stopped on request"
            return JobStatus.FINISHED, ""
        path = Path(job.folder) / STATUS_FILE
        with suppress(OSError, ValueError, LookupError, TypeError):  # no word, or none that can be read
            told = json.loads(path.read_text("utf-8"))
            return JobStatus(told["status"]), str(told["message"])
        if job.cancel_at is not None:
            return JobStatus.CANCELLED, "killed after the grace period; the last checkpoint is kept"
        last = _last_words(Path(job.folder) / LOG_FILE)
        return JobStatus.INTERRUPTED, f"its process is gone; what it had journaled is kept, resume goes on.{last}"

    def _start_coroutine(self, job: Job) -> None:
        log = EventLog(Path(job.folder) / EVENTS_FILE, self.redactor)

        async def run() -> None:
            try:
                await self._runners[job.kind](job, log, lambda: job.id in self._cancelled)
            finally:
                log.close()

        self._cancelled.discard(job.id)
        self._store.update_job(job.id, status=JobStatus.RUNNING, message="", **_identity(os.getpid()))
        self._futures[job.id] = asyncio.run_coroutine_threadsafe(run(), self._loop)

    def _start_worker(self, job: Job) -> None:
        (Path(job.folder) / STATUS_FILE).unlink(missing_ok=True)
        self._before_worker()
        pid = self._backend.start(Path(job.folder), self.devices)
        self._store.update_job(job.id, status=JobStatus.RUNNING, message="", **_identity(pid))


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
