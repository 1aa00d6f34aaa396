"""Which teachers of a job can be asked: those that nobody has tested yet are tested first."""

from __future__ import annotations

from dataclasses import replace

from app.usecases.teachers.connections import Connections, Reach
from app.usecases.teachers.teachers import probe_teacher
from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import run_all
from engine.ports import EventSink, Teacher
from engine.teachers.caller import Stopped
from engine.teachers.capabilities import plainest
from engine.teachers.faults import is_of_query
from engine.teachers.hosted import HostedTeacher

_MOST_WAIT_S = 60.0
"""Longer than this a test does not wait for its provider where it holds up others."""
_OF_ONE_ANSWER = (ErrorKind.TRUNCATED, ErrorKind.UNPARSABLE)
"""The endpoint did answer: what it said says nothing of the next question."""


async def find_able(connections: Connections, reach: Reach, log: EventSink, others: bool = False) -> list[Teacher]:
    """The teachers that can be asked, each as probing found it. One that can't be is told and left out.

    One that answers, though not what it was tested with, is asked for plain text, and tested again by the next job.
    `others`: whether the job goes on without any of these, since it asks somebody elsewhere.

    Raises:
        TeacherError: if that leaves nobody; it names all.
    """
    errors: dict[str, TeacherError] = {}
    alone = len(reach.teachers) == 1 and not others
    caller = reach.caller if alone else replace(reach.caller, most_wait_s=reach.caller.most_wait_s or _MOST_WAIT_S)

    async def one(teacher: Teacher) -> Teacher | None:
        if not isinstance(teacher, HostedTeacher) or connections.capabilities(teacher.spec) is not None:
            return teacher
        try:
            return await probe_teacher(teacher, caller, log)
        except Stopped:
            return None
        except TeacherError as error:
            if error.kind in _OF_ONE_ANSWER or is_of_query(error):
                return teacher.with_capabilities(plainest(teacher.spec))
            stopped = TeacherError(error.kind, caller.row(teacher.spec).why or str(error), error.raw)
            errors[teacher.spec.name] = stopped
            log.emit("teacher_stopped", teacher=teacher.spec.name, error=stopped.kind, message=str(stopped))
            return None

    results = await run_all([one(teacher) for teacher in reach.teachers])
    teachers = [teacher for teacher in results if teacher is not None]
    if errors and not teachers and not others:
        first = next(iter(errors.values()))
        reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
        raise first if len(errors) == 1 else TeacherError(first.kind, reasons, first.raw)
    return teachers
