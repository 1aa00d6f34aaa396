"""Watches over jobs: starts what is queued, takes journals in, ends what is cancelled, finds what a crash left.

Lives in the app process, the only one that writes to the store. Jobs of a kind in `runners` are coroutines here, on one
asyncio loop; all others are workers at a backend, one at a time on a device.

A round of it only looks at what there is. Whatever takes longer (taking a journal in, starting a worker, what follows a
job's end) is done by helping threads, one at a time for each job, so that neither other jobs nor a cancel wait for it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from engine.errors import CapReached, KeyMissing, StateError, StoreError, TacitError, say_error, where_it_failed
from engine.jobs.backends import Backend, Outcome
from engine.jobs.events import EVENTS_FILE, EventLog, scan_events
from engine.jobs.helpers import Helpers
from engine.jobs.loops import Rounds, cancel_rest
from engine.jobs.spec import needs_device, takes_all_devices
from engine.ports import JobStore
from engine.redaction import Redactor
from engine.values import Job, JobStatus

Runner = Callable[[Job, EventLog, Callable[[], bool]], Awaitable[None]]
_LOG = logging.getLogger(__name__)
_STATUS_OF = ((CapReached, JobStatus.CAPPED), (KeyMissing, JobStatus.NEEDS_KEY))
TICK_S = 0.2
"""Seconds between two rounds, where nothing calls for one at once."""
_REST, _LONGEST_REST_S = 10, 5.0
"""Taking a journal in rests this many times as long as it took: a busy job's rounds become few and large."""
GRACE_S = 60.0
_BESIDE = 2
"""Workers without a device that run at the same time."""
_GONE = "its process is gone; what it had journaled is kept, resume goes on."


class Supervisor:
    """One a workspace. `start` runs it in threads; `tick` is one round of its work."""

    def __init__(
        self,
        store: JobStore,
        backends: Callable[[str], Backend],
        runners: Mapping[str, Runner],
        on_over: Callable[[Job], None] = lambda job: None,
        devices: int = 1,
        grace_s: float = GRACE_S,
        before_worker: Callable[[], None] = lambda: None,
    ) -> None:
        """`backends` gives the backend of a name. `on_over` is told of every job that ended, after its last event was
        taken in.

        `before_worker` is called before a worker takes the device: whoever holds it then gives way.
        """
        self._store = store
        self._backends = backends
        self._runners = runners
        self._on_over = on_over
        self.devices = devices
        """How many GPUs a training takes."""
        self._grace = grace_s
        self._before_worker = before_worker
        self._futures: dict[str, Future[None]] = {}
        self._cancelled: dict[str, float] = {}  # when that was seen, by a clock that nobody sets
        self._rest_until: dict[str, float] = {}
        self._rejected: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._rounds = Rounds()
        self._threads: list[threading.Thread] = []
        self._helpers = Helpers()
        self._lock = threading.RLock()
        """Held while a job changes from one status to another, and never for long."""
        self._taking = threading.RLock()
        """Held while a journal is taken in."""
        self.failure: BaseException | None = None
        """What keeps it from watching over some job at this moment; tried again in the next round."""
        self.redactor = Redactor()
        """Knows the keys that must not get into a journal or a message."""

    def start(self) -> None:
        """Watch in the background, after `recover`."""
        self._helpers.start()
        for target in (self._loop.run_forever, self._watch):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Begin the next round now: there is something to start or to end."""
        self._rounds.call()

    def close(self) -> None:
        """Stop watching. Coroutine jobs are interrupted after their journal; workers go on by themselves."""
        if self._loop.is_closed():
            return
        self._rounds.close()
        self._threads[-1].join() if self._threads else None
        self._helpers.close()
        self._cancelled.update(dict.fromkeys(self._futures, time.monotonic()))
        for future in self._futures.values():
            with suppress(Exception):
                future.result(timeout=10)
        if self._threads:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(cancel_rest(), self._loop).result(timeout=10)
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
        with self._lock:
            job = self._store.get_job(job_id)
            if job.status is JobStatus.QUEUED:
                self._store.update_job(job_id, status=JobStatus.CANCELLED, message="cancelled before it started")
            elif job.status is JobStatus.RUNNING and job.cancel_at is None:
                self._ask_to_stop(job)
        if job.status is JobStatus.QUEUED:
            self._on_over(self._store.get_job(job_id))

    def _ask_to_stop(self, job: Job) -> None:
        self._cancelled[job.id] = time.monotonic()
        self._store.update_job(job.id, cancel_at=time.time())
        if job.handle is not None:
            self._backends(job.backend).cancel(job.path, job.handle)

    def retry(self, job_id: str) -> Job:
        """Take the journal of a quarantined job in again; what the job had come to stands in its status then.

        Raises:
            StateError: if it is not quarantined, or its journal still can't be taken in.
            StoreError: if the store can't be written to.
        """
        with self._lock:
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
        """Of jobs that a past process had running: take their journals in; those whose worker is gone have ended."""

        def close_down(job: Job) -> None:
            if self._is_worker(job) and self._works(job):
                return
            self._take_in_or_reject(job)
            self._end(job)
            self._tell_over(job)

        jobs = self._store.unfinished_jobs()
        left = [job for job in jobs if job.status is JobStatus.RUNNING]
        failures = [self._guarded(job, close_down) for job in left]
        self.failure = next((failure for failure in failures if failure is not None), None)

    def tick(self) -> None:
        """One round: take in, end, start. What fails with one job does not hold up the others.

        Raises:
            StoreError, OSError: the first of what the store or the disk refused; the next round tries again.
        """
        failures = self._helpers.hear()
        for job in self._store.unfinished_jobs():
            if job.status is JobStatus.RUNNING and (self._is_due(job) or self._may_be_over(job)):
                failures.append(self._help(job, self._look_after))
            elif job.status is JobStatus.RUNNING and job.cancel_at is not None:
                failures.append(self._guarded(job, self._kill_if_late))
        failures += self._start_queued(self._store.unfinished_jobs())
        for failure in failures:
            if failure is not None:
                raise failure

    def _start_queued(self, jobs: Sequence[Job]) -> list[Exception | None]:
        """Start what is queued: coroutines at once, workers one at a time on the device and a few beside it."""
        working = [job for job in jobs if self._is_worker(job) and self._is_under_way(job)]
        taken = any(needs_device(job.kind) for job in working)
        beside = sum(not needs_device(job.kind) for job in working)
        failures = []
        for job in jobs:
            if job.status is not JobStatus.QUEUED or job.id in self._helpers:
                continue
            if job.kind in self._runners:
                failures.append(self._help(job, self._start_coroutine))
            elif needs_device(job.kind) and not taken:
                taken = True
                failures.append(self._help(job, self._start_worker))
            elif not needs_device(job.kind) and beside < _BESIDE:
                beside += 1
                failures.append(self._help(job, self._start_worker))
        return failures

    def _is_worker(self, job: Job) -> bool:
        return job.kind not in self._runners

    def _is_under_way(self, job: Job) -> bool:
        """Whether it runs, or is being started."""
        return job.status is JobStatus.RUNNING or job.id in self._helpers

    def _works(self, job: Job) -> bool:
        """Whether its worker is still at it."""
        return job.handle is not None and self._backends(job.backend).poll(job.path, job.handle) is None

    def _is_over(self, job: Job) -> bool:
        return self._futures[job.id].done() if job.id in self._futures else not self._works(job)

    def _may_be_over(self, job: Job) -> bool:
        """As `_is_over`; where it can't be told, looking after the job says why."""
        try:
            return self._is_over(job)
        except Exception:  # noqa: BLE001 - told by whoever looks after the job
            return True

    def _is_due(self, job: Job) -> bool:
        """Whether its journal is to be looked at again."""
        return time.monotonic() >= self._rest_until.get(job.id, 0.0)

    def _help(self, job: Job, work: Callable[[Job], None]) -> Exception | None:
        return self._helpers.help(job.id, lambda: self._guarded(job, work))

    def _guarded(self, job: Job, work: Callable[[Job], None]) -> Exception | None:
        """Work on one job; a failure of its own ends it. Gives back what the store or the disk refused."""
        try:
            try:
                work(job)
            except (StoreError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's, and the job must end
                self._futures.pop(job.id, None)
                self._store.update_job(job.id, status=JobStatus.FAILED, message=self._tell(error), handle=None)
                self._tell_over(job)
        except Exception as error:  # noqa: BLE001 - told to whoever waits; the next round tries again
            return error
        return None

    def _watch(self) -> None:
        for _ in self._rounds.each(TICK_S):
            try:
                self.tick()
                self.failure = None
            except Exception as error:  # noqa: BLE001 - told to whoever waits; the next round tries again
                self.failure = error

    def _look_after(self, job: Job) -> None:
        """Take in what is new of a running job, and end it where it is over."""
        over = self._is_over(job)  # asked before the journal is read: what it wrote before its end is then in it
        started = time.monotonic()
        self._take_in_or_reject(job)
        took = time.monotonic() - started
        self._rest_until[job.id] = time.monotonic() + min(_REST * took, _LONGEST_REST_S)
        if over:
            with self._lock:
                self._end(job)
            self._tell_over(job)
        elif job.id in self._rejected:
            with self._lock:
                now = self._store.get_job(job.id)
                if now.cancel_at is None:
                    self._ask_to_stop(now)
        elif job.cancel_at is not None:
            self._kill_if_late(job)

    def _kill_if_late(self, job: Job) -> None:
        asked_s = time.monotonic() - self._cancelled.setdefault(job.id, time.monotonic())
        if job.handle is not None and asked_s > self._grace:
            self._backends(job.backend).cancel(job.path, job.handle, at_once=True)

    def holder(self) -> Job | None:
        """The job whose worker has the device, or that is about to take it."""
        jobs = self._store.unfinished_jobs()
        return next((job for job in jobs if self._is_worker(job) and needs_device(job.kind)), None)

    def take_in(self, job: Job) -> None:
        """Ingest what a job has journaled so far."""
        with self._taking:
            self._ingest(job)

    def _ingest(self, job: Job) -> None:
        now = self._store.get_job(job.id)
        backend = self._backends(job.backend) if self._is_worker(job) else None
        path = job.path / EVENTS_FILE
        scan = backend.journal(job.path, now.handle, now.offset) if backend else scan_events(path, now.offset)
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
                f"retry {job.id[:8]}`, or Retry on the page Jobs and spend, tries once more. Asking anew "
                "before that pays anew for what it holds."
            )

    def _end(self, job: Job) -> None:
        rejected = self._rejected.pop(job.id, None)
        job = self._store.get_job(job.id)
        status, message = (JobStatus.QUARANTINED, rejected) if rejected else self._outcome(job)
        self._futures.pop(job.id, None)
        _ = self._rest_until.pop(job.id, None), self._cancelled.pop(job.id, None)
        message = " ".join(part for part in (message, job.message) if part)  # its own is of its journal till now
        kept = job.handle if rejected else None  # once it is taken in, its backend is asked what it had come to
        self._store.update_job(job.id, status=status, message=message, handle=kept, cancel_at=None)
        self.wake()  # whoever waits for the device may have it

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
        message = say_error(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "the disk is full; what was journaled before is kept. Free some space and start it again"
        return self.redactor.text(message)

    def _outcome(self, job: Job) -> Outcome:
        future = self._futures.get(job.id)
        if future is not None:
            error = future.exception()
            if error is not None:
                status = next((s for kind, s in _STATUS_OF if isinstance(error, kind)), JobStatus.FAILED)
                if not isinstance(error, TacitError):
                    _LOG.error("the %s job %s failed: %s", job.kind, job.id, where_it_failed(error))
                return Outcome(status, self._tell(error))
            if job.id in self._cancelled:
                return Outcome(JobStatus.CANCELLED, "stopped on request")
            return Outcome(JobStatus.FINISHED, "")
        outcome = self._backends(job.backend).poll(job.path, job.handle) if job.handle else None
        if job.cancel_at is not None and (outcome is None or outcome.status is JobStatus.INTERRUPTED):
            return Outcome(JobStatus.CANCELLED, "killed after the grace period; the last checkpoint is kept")
        return outcome or Outcome(JobStatus.INTERRUPTED, _GONE)

    def _start_coroutine(self, job: Job) -> None:
        log = EventLog(job.path / EVENTS_FILE, self.redactor)

        async def run() -> None:
            try:
                await self._runners[job.kind](job, log, lambda: job.id in self._cancelled)
            finally:
                log.close()

        with self._lock:
            if self._store.get_job(job.id).status is not JobStatus.QUEUED:  # cancelled meanwhile
                log.close()
                return
            self._cancelled.pop(job.id, None)
            self._store.update_job(job.id, status=JobStatus.RUNNING, message="")  # else the next round starts it too
            future = self._futures[job.id] = asyncio.run_coroutine_threadsafe(run(), self._loop)
        future.add_done_callback(lambda _: self.wake())

    def _start_worker(self, job: Job) -> None:
        if needs_device(job.kind):
            self._before_worker()
        if self._store.get_job(job.id).status is not JobStatus.QUEUED:  # cancelled meanwhile
            return
        backend = self._backends(job.backend)
        handle = backend.submit(job.path, self.devices if takes_all_devices(job.kind) else 1)
        with self._lock:
            if self._store.get_job(job.id).status is JobStatus.QUEUED:
                self._store.update_job(job.id, status=JobStatus.RUNNING, message="", handle=handle)
                return
        backend.cancel(job.path, handle, at_once=True)
