"""Rewrites rationales by a compressor that runs in a worker, one after the other (worker only).

Each is journaled as it comes, so that a worker that is started again does only what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.compression import COMPRESSORS, Compressor, CompressWork, Place
from engine.compression.in_worker import REWRITTEN, as_event, from_line
from engine.errors import ConfigError
from engine.inference.writer import pick_device
from engine.jobs.context import JobContext
from engine.jobs.spec import RewriteJob
from engine.lines import read_lines
from engine.ports import Task
from engine.tasks import get_task

_TOLD_EVERY = 10


def run(job: RewriteJob, context: JobContext) -> bool:
    """Rewrite what is not rewritten yet; False if it was stopped before the end.

    Raises:
        ConfigError: if the compressor runs in no worker.
        MissingPart: if its package or model can't be had.
    """
    worker, work = COMPRESSORS.get(job.by).worker, [from_line(line) for line in read_lines(job.file)]
    if worker is None:
        raise ConfigError(f"the compressor {job.by} does not run in a worker")
    done = {event.data["sample_id"] for event in context.journal if event.type == REWRITTEN}
    left = [item for item in work if item.example.sample_id not in done]
    made = worker.rewrite(get_task(job.task), left, Place(job.model, pick_device().name))
    for number, item in enumerate(left, len(work) - len(left)):
        if context.stop():
            return False
        if number % _TOLD_EVERY == 0:
            context.sink.emit("progress", step="rewrites rationales", done=number, of=len(work))
        context.sink.emit(REWRITTEN, **as_event(item, next(made)))
    return True


def rewrite_here(task: Task, work: Sequence[CompressWork], by: Compressor) -> list[CompressWork]:
    """The same in this process, where torch may be imported; nothing where the compressor runs in no worker."""
    if by.worker is None:
        return list(work)
    made = by.worker.rewrite(task, work, Place(by.worker.model(), pick_device().name))
    return [replace(item, prepared=prepared) for item, prepared in zip(work, made, strict=True)]
