"""Rewriting the rationales of a selection by a compressor, with the check that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.compression.base import Asker, Compressor, CompressWork
from engine.compression.student_rationales import count_median_words, judge_student
from engine.datasets.rows import Example
from engine.errors import CapReached, ConfigError, TeacherError
from engine.labelling.online import run_all
from engine.ports import EventSink, Task, Teacher
from engine.rationale_checks import find_flaw
from engine.teachers.caller import Caller, Stopped
from engine.values import Generation, Purpose

PRESERVED = "answer preserved"
KEPT = "kept original: "
NOT_PRESERVED = "not preserved: "
SAME = "the same answer"
CHECK_PROMPTS = {1: (), 2: ("check", "unaided")}
"""Prompts of a check, by its level."""
WITH, WITHOUT = "with the short form: ", "without it: "
"""How flags begin that say what a check found; those of level 2 say what another teacher answered."""


@dataclass(frozen=True)
class Compressed:
    """A rewritten rationale, or the original with the flag that says why it stayed."""

    example: Example
    rationale: str
    flags: tuple[str, ...]


def assign(
    task: Task,
    examples: Sequence[Example],
    teachers: Mapping[str, Teacher],
    students: Mapping[str, Generation],
    compressor: str | None,
    level: int,
    by: Compressor,
) -> list[CompressWork]:
    """Who rewrites each rationale: the teacher who wrote it where it can be asked, else the one named as compressor;
    nobody where `by` needs no teacher.

    With level 2 another teacher with a model of its own checks, the next one in the order of `teachers`.

    Raises:
        ConfigError: if nobody can rewrite one, or nobody can check.
    """
    words = count_median_words(task, students)
    works = [_assign(example, teachers, students, compressor, level, by) for example in examples]
    return [replace(work, words=words) for work in works]


def _assign(
    example: Example,
    teachers: Mapping[str, Teacher],
    students: Mapping[str, Generation],
    compressor: str | None,
    level: int,
    by: Compressor,
) -> CompressWork:
    asked = _choose_compressor(example.teacher, teachers, compressor) if by.needs_teacher else None
    checker = _choose_checker(list(teachers.values()), asked) if level > 1 else None
    return CompressWork(example, asked, students.get(example.query.id), checker=checker)


def _choose_compressor(name: str, teachers: Mapping[str, Teacher], compressor: str | None) -> Teacher:
    own = teachers.get(name)
    if own is not None and own.live:
        return own
    named = teachers.get(compressor or "")
    if named is None or not named.live:
        raise ConfigError(
            f"{name} can't rewrite here, being a recording or without its key; name a live teacher of the project as "
            "compressor"
        )
    return named


def _choose_checker(teachers: Sequence[Teacher], compressor: Teacher | None) -> Teacher:
    named = compressor.spec.name if compressor else ""
    place = next((n for n, t in enumerate(teachers) if t.spec.name == named), -1)
    own = (compressor.spec.endpoint, compressor.spec.model) if compressor else None
    for teacher in (*teachers[place + 1 :], *teachers[:place]):
        if teacher.live and (teacher.spec.endpoint, teacher.spec.model) != own:
            return teacher
    lacking = f"other teacher than {named}" if named else "teacher"
    raise ConfigError(
        f"no {lacking} can be asked here, and level 2 needs one; add a teacher or its key, or check at level 1"
    )


async def compress(
    task: Task,
    work: Sequence[CompressWork],
    by: Compressor,
    level: int,
    sink: EventSink,
    caller: Caller | None = None,
) -> list[Compressed]:
    """Rewrite, as many at a time as each teacher allows; emits a `compressed` event each.

    On a failed check the original stays, flagged. What a teacher could not be asked (stopped, or failing in a way that
    may pass) is left out, for the next time.

    Raises:
        TeacherError: if a teacher can't be asked at all, once nothing is in flight.
        CapReached: likewise, if the budget let no further request start.
    """
    caller = caller or Caller()
    names = list(dict.fromkeys(map(_name_teacher, work)))
    queues = {name: iter([item for item in work if _name_teacher(item) == name]) for name in names}
    widths = {_name_teacher(item): item.teacher.spec.concurrency if item.teacher else 1 for item in work}
    done: list[Compressed] = []
    errors: dict[str, TeacherError | CapReached] = {}

    async def serve(name: str, queue: Iterator[CompressWork]) -> None:
        for item in queue:
            if caller.stop() or name in errors:
                return
            try:
                result = await compress_one(task, item, by, level, sink, caller)
            except Stopped:
                return
            except (TeacherError, CapReached) as error:
                errors[name] = error
                return
            if result is None:
                continue
            sink.emit("compressed", **_compressed_event(item, result))
            done.append(result)
            await asyncio.sleep(0)

    await run_all([serve(name, queues[name]) for name in names for _ in range(widths[name])])
    for error in errors.values():
        raise error
    return done


def _name_teacher(work: CompressWork) -> str:
    return work.teacher.spec.name if work.teacher else ""


def _compressed_event(item: CompressWork, result: Compressed) -> Mapping[str, Any]:
    return {
        "sample_id": item.example.sample_id,
        "query_id": item.example.query.id,
        "rationale": result.rationale,
        "flags": list(result.flags),
        **({"note": item.note} if item.note else {}),
    }


async def compress_one(
    task: Task, work: CompressWork, by: Compressor, level: int, sink: EventSink, caller: Caller
) -> Compressed | None:
    """Rewrite one rationale and check that the answer is preserved; None where a teacher may answer later.

    Level 1: the label in the reply equals y, and nothing that can be told without asking speaks against the text
    (`engine.rationale_checks`). Level 2: another teacher, given the query and the rewritten rationale, answers y; what
    it answers without the rationale is told beside it (two more calls).
    """
    example = work.example
    flaw = judge_student(task, example.query, example.label, work.student)
    flags = (f"student:{flaw}",) if flaw else ()
    asker = Asker(task, work, work.teacher, sink, caller) if work.teacher else None
    reply = await by.rewrite(task, work, asker)
    if reply is None:
        return None
    if isinstance(reply, str):
        return Compressed(example, example.rationale, (*flags, f"{KEPT}{reply}"))
    fault = check_rewrite(task, example, reply.rationale, reply.label)
    if fault is not None:
        return Compressed(example, example.rationale, (*flags, f"{KEPT}{fault} (level 1)"))
    if level == 1 or work.checker is None:
        return Compressed(example, reply.rationale, (*flags, f"{PRESERVED} (level 1)"))
    checks = await _follow(Asker(task, work, work.checker, sink, caller), reply.rationale)
    if checks is None:
        return None
    flags = (
        *flags,
        f"{WITH}{_tell(checks[0])}",
        f"{WITHOUT}{_tell(checks[1])}",
        f"checked by {work.checker.spec.name}",
    )
    if not checks[0]:
        return Compressed(example, example.rationale, (*flags, f"{KEPT}does not lead to the answer (level 2)"))
    return Compressed(example, reply.rationale, (*flags, f"{PRESERVED} (level 2)"))


def check_rewrite(task: Task, example: Example, rationale: str, label: str | None = None) -> str | None:
    """Level 1: what is wrong with a rewritten rationale; None if nothing is. `label` is what its writer says, if so."""
    if label is not None and not _same(task, example, label):
        return "answer changed"
    return find_flaw(task, example.query, example.label, rationale, example.rationale)


async def _follow(asker: Asker, rationale: str) -> tuple[bool, bool] | None:
    """Whether another teacher answers y with the rationale, and without it; None where it may answer later."""
    rendered = asker.task.render(asker.work.example.query)
    led = await asker.ask(Purpose.CHECK, "check", {"query": rendered, "rationale": rationale})
    if led is None:
        return None
    alone = await asker.ask(Purpose.CHECK, "unaided", {"query": rendered})
    if alone is None:
        return None
    example = asker.work.example
    first, second = (not isinstance(r, str) and _same(asker.task, example, r.label) for r in (led, alone))
    return first, second


def _tell(right: bool) -> str:
    return SAME if right else "another answer or none"


def _same(task: Task, example: Example, label: str) -> bool:
    return task.normalise(example.query, label) == task.normalise(example.query, example.label)
