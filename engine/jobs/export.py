"""Takes a student out by an exporter that needs a worker (worker only)."""

from __future__ import annotations

from engine.exports import EXPORTERS, Outgoing, Student
from engine.jobs.context import JobContext
from engine.jobs.spec import ExportJob


def run(job: ExportJob, context: JobContext) -> bool:
    """Write it, unless an earlier start came to its end; it can't be stopped in between."""
    if not job.output.exists():
        context.sink.emit("progress", step=job.exporter, done=0, of=1)
        given = Outgoing(student=Student(job.student, job.adapter), notes=job.notes, base=job.base)
        EXPORTERS.get(job.exporter).write(given, job.output)
        context.sink.emit("progress", step=job.exporter, done=1, of=1)
    return True
