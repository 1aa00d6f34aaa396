"""Labelling that happens elsewhere than on this process's loop: a local model in a worker, or a cluster by Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.usecases.teachers.connections import Connections, key_variable
from app.usecases.workspace.context import Context
from engine.config import read_config
from engine.errors import KeyMissing, WorkerFailed
from engine.jobs.events import EventLog
from engine.jobs.spec import GO_ON_FILE, PAYLOADS, STOP_FILE, Payload
from engine.labelling.online import LabelWork, list_requests
from engine.lines import write_lines
from engine.values import Event, Job, JobStatus, Purpose, TeacherSpec
from storage.projects import Project


@dataclass(frozen=True)
class _Errand:
    """What one worker is to ask of one teacher."""

    project: Project
    spec: TeacherSpec
    kind: str
    requests: Sequence[Mapping[str, Any]]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Placing:
    """Hands requests to workers and waits for them."""

    context: Context
    connections: Connections

    async def label_locally(
        self, project: Project, spec: TeacherSpec, work: LabelWork, log: EventLog, stop: Callable[[], bool]
    ) -> None:
        """Let a model on this machine answer, in a worker that holds the device.

        Raises:
            WorkerFailed: if it ended before its time; what it answered is kept.
        """
        requests = list(list_requests(work, spec))
        await self._run(_Errand(project, spec, "local", requests, _describe(project, spec, work.purpose)), log, stop)

    async def grade_locally(
        self,
        project: Project,
        spec: TeacherSpec,
        requests: Sequence[Mapping[str, Any]],
        log: EventLog,
        stop: Callable[[], bool],
    ) -> None:
        """Let a model on this machine grade its own answers, likewise.

        Raises:
            WorkerFailed: as `label_locally`.
        """
        await self._run(_Errand(project, spec, "local", requests, _describe(project, spec, Purpose.GRADE)), log, stop)

    async def label_on_ray(
        self, project: Project, spec: TeacherSpec, work: LabelWork, log: EventLog, stop: Callable[[], bool]
    ) -> None:
        """Let a hosted teacher be asked by Ray; its key has to stand in the environment of the machines that ask.

        Raises:
            KeyMissing: if the key is known to this process's memory only.
            KeyRefused: if what stands in its variable is not for this teacher.
            WorkerFailed: if it ended before its time; what came in is kept.
        """
        variable = key_variable(spec)
        self.connections.keys.check(spec)
        capabilities = self.connections.capabilities(spec)
        payload = {
            "teacher": {**asdict(spec), "key_variable": variable},
            "capabilities": {} if capabilities is None else asdict(capabilities),
            "task": work.task.name,
            "prompt": work.prompt.text,
            "prompt_version": work.prompt.version,
            "purpose": work.purpose,
            "nonce": work.nonce,
        }
        await self._run(_Errand(project, spec, "ray", list(list_requests(work, spec)), payload), log, stop)

    async def take_in_left(self, project: Project, spec: TeacherSpec, stop: Callable[[], bool]) -> None:
        """Journal the shards of Ray jobs that were killed before they could: they were paid for."""
        for job in self.context.jobs.jobs_of(project.id):
            left = job.kind == "ray" and job.spec["teacher"] == spec.name and job.status.over
            if left and job.status is not JobStatus.FINISHED and any(Path(job.folder).rglob("*.parquet")):
                (Path(job.folder) / STOP_FILE).touch()
                self.context.jobs.update_job(job.id, status=JobStatus.QUEUED)
                await self.context.follow(job.id, stop)

    async def _run(self, errand: _Errand, log: EventLog, stop: Callable[[], bool]) -> None:
        spec, kind, requests = errand.spec, errand.kind, errand.requests
        if not requests or stop():
            return
        log.emit("placed", kind=kind, teacher=spec.name, requests=len(requests))

        def fill(job: Job) -> Payload:
            file = write_lines(job.path / "requests.jsonl", requests)
            return read_config(PAYLOADS[kind], {**errand.payload, "file": file})

        child = self.context.submit(errand.project.id, kind, {"teacher": spec.name}, fill=fill)
        ended = await self.context.follow(child.id, stop, lambda event: _hand_on(event, log))
        if ended.status is JobStatus.NEEDS_KEY:
            raise KeyMissing(ended.message)
        if ended.status is not JobStatus.FINISHED and not stop():
            raise WorkerFailed(f"{spec.name}, asked by a {kind} worker, is {ended.status}: {ended.message}")


def _hand_on(event: Event, log: EventLog) -> None:
    """Tell a wait in the job that people look at, as long as it lasts yet."""
    left = max(0.0, event.at + float(event.data["seconds"]) - time.time())
    log.emit("waits", **{**event.data, "seconds": round(left, 3)})


def hurry(context: Context, project_id: str | None = None, name: str = "") -> list[str]:
    """Have those who ask for Ray jobs wait no longer, of a project or all, of one teacher or all; who did wait."""
    waited = set()
    for job in context.jobs.unfinished_jobs():
        if job.kind == "ray" and project_id in (None, job.project_id) and name in ("", job.spec["teacher"]):
            waited |= set(context.jobs.find_waits(job.id, time.time()))
            with suppress(OSError):  # its folder goes with the project
                (Path(job.folder) / GO_ON_FILE).write_text(str(time.time_ns()))
    return sorted(waited)


def _describe(project: Project, spec: TeacherSpec, purpose: Purpose) -> dict[str, Any]:
    """What a worker that holds a local model is told of it."""
    return {
        "model": spec.model,
        "task": project.config.task,
        "teacher": spec.name,
        "purpose": purpose,
        "batch": spec.concurrency,
        **asdict(spec.sampling),
    }
