"""Compressors that run in a worker: handed what is to be rewritten, and heard when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.usecases.workspace.context import Context
from engine.compression import COMPRESSORS, CompressWork
from engine.compression.in_worker import REWRITTEN, as_line, take_back
from engine.errors import WorkerFailed
from engine.jobs.spec import RewriteJob
from engine.lines import write_lines
from engine.values import Job, JobStatus
from storage.runs import Run


async def rewrite_in_worker(
    context: Context, job: Job, run: Run, by: str, work: Sequence[CompressWork], stop: Callable[[], bool]
) -> list[CompressWork]:
    """The same work with what a worker made of it, for the compression job that waits for it.

    What a worker of an earlier start of this job rewrote by the same model is taken over; one that is still at it is
    waited for. With `stop` the worker is stopped too, and what it did not come to stays without.

    Raises:
        WorkerFailed: if it ended before its time; what it rewrote is kept for the next start.
    """
    model = _name_model(by)
    spec = {"of": job.id, "by": by, "model": model}
    children = [
        child
        for child in context.jobs.jobs_of(run.project_id)
        if child.kind == RewriteJob.kind and {name: child.spec.get(name) for name in spec} == spec
    ]
    for child in children:
        await context.follow(child.id, stop)
    done = _take_back(context, children, work)
    left = [item for item in done if item.prepared is None]
    if not left or stop():
        return done

    def fill(child: Job) -> RewriteJob:
        task = context.projects.get(run.project_id).config.task
        file = write_lines(child.path / "rationales.jsonl", map(as_line, left))
        return RewriteJob(task=task, by=by, model=model, file=file, threads=run.threads)

    child = context.submit(run.project_id, RewriteJob.kind, spec, fill=fill, backend=run.plan.backend)
    ended = await context.follow(child.id, stop)
    if ended.status is not JobStatus.FINISHED and not stop():
        raise WorkerFailed(f"the worker that rewrites rationales is {ended.status}: {ended.message}")
    return _take_back(context, [child], done)


def _name_model(by: str) -> str:
    worker = COMPRESSORS.get(by).worker
    return worker.model() if worker else ""


def _take_back(context: Context, children: Sequence[Job], work: Sequence[CompressWork]) -> list[CompressWork]:
    events = [event for child in children for event in context.jobs.events(child.id, kinds=(REWRITTEN,))]
    return take_back(work, events)
