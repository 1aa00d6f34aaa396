"""Teacher-Guided Compression: the teacher rewrites its rationale toward what this student wrote (TwT, section 3.3)."""

from __future__ import annotations

from engine.compression.base import COMPRESSORS, Asker, Compressor, CompressWork
from engine.compression.student_rationales import judge_student
from engine.ports import Task
from engine.prompts import UNSOUND
from engine.values import ParsedReply, Purpose

TEACHER_GUIDED = "teacher-guided"
_GUIDED, _AGAIN = "guided", "again"


async def rewrite(task: Task, work: CompressWork, asker: Asker | None) -> ParsedReply | str | None:
    """What the teacher makes of its rationale, given the student's own, or why that is none to go by.

    With a note of whoever reviews it, the short form before is given too.

    Raises:
        TeacherError: if every further request would fail the same way.
    """
    if asker is None:
        return "nobody can be asked"
    example = work.example
    flaw = judge_student(task, example.query, example.label, work.student)
    said = task.split_completion(work.student.text)[0] if work.student else ""
    variables = {
        "query": task.render(example.query),
        "label": example.label,
        "teacher_rationale": example.rationale,
        "student_rationale": f"{UNSOUND}{flaw}) {said}" if flaw else said,
    }
    if work.note:
        variables |= {"previous": work.previous, "note": work.note}
    return await asker.ask(Purpose.COMPRESS, _AGAIN if work.note else _GUIDED, variables)


COMPRESSORS.add(
    TEACHER_GUIDED,
    Compressor(
        "the teacher, guided by the student",
        "The teacher rewrites its rationale toward what the student wrote.",
        rewrite,
        prompts=(_GUIDED,),
        again=_AGAIN,
    ),
)
